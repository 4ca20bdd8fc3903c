"""Text of others on a terminal."""

from exoproxy.rules.printable import printable


def test_nothing_moves_the_cursor() -> None:
    """Letters of all languages stay; escapes, line ends and other controls are shown as `?`."""
    assert printable("Zertifikat für München, 証明書") == "Zertifikat für München, 証明書"
    assert printable("a\x1b[2Jb\r\nc\x00\x9b\u202ed\ud800") == "a?[2Jb??c???d?"
