"""Text of a configuration file: how it is shown, and the plain forms."""

from pathlib import Path

import pytest

from exoproxy.settings.text import (
    parse_key_id,
    parse_path,
    parse_port,
    parse_url_path,
    parse_word,
    parse_zone_id,
    shown,
    text_of,
)


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("a", "'a'"),
        ("\x1b[31m\x7f\n", r"'\x1b[31m\x7f\n'"),
        ("\uff11\uff12\uff17", r"'\uff11\uff12\uff17'"),
        (5, "5"),
        (True, "true"),
        (None, "null"),
        (["secret"], "a list"),
        ({"a": 1}, "a mapping"),
    ],
)
def test_shows_no_control_character(value: object, expected: str) -> None:
    """A value in a message is quoted ASCII, so that it can't command a terminal."""
    assert shown(value) == expected


def test_shows_long_text_shortened() -> None:
    """A message stays readable whatever stands in the file."""
    assert len(shown("a" * 100_000)) < 70


@pytest.mark.parametrize("value", [None, 5, "", [], "a" * 1025])
def test_refuses_what_is_no_text(value: object) -> None:
    """Empty text, other types and endless text are refused with what should stand there."""
    with pytest.raises(ValueError, match="should be a thing"):
        text_of(value, "a thing")


@pytest.mark.parametrize(
    "text", ["", "0", "65536", "080", "+80", "-1", "8 0", "1e3", "\uff18\uff10", "99999"]
)
def test_refuses_a_port_that_is_none(text: str) -> None:
    """A port is a decimal number from 1 to 65535 in its canonical form."""
    with pytest.raises(ValueError, match="has a wrong port"):
        parse_port(text, text)


@pytest.mark.parametrize(("text", "expected"), [("1", 1), ("65535", 65535)])
def test_takes_both_ends_of_the_ports(text: str, expected: int) -> None:
    """The bounds belong to the range."""
    assert parse_port(text, text) == expected


def test_takes_an_absolute_path() -> None:
    """A path is kept as it is written."""
    assert parse_path("/etc/exo proxy/ü") == Path("/etc/exo proxy/ü")
    assert parse_path(Path("/etc/exoproxy")) == Path("/etc/exoproxy")


@pytest.mark.parametrize(
    "value", ["etc", "~/x", "./x", "$HOME", "", None, 5, "/a\0b", "/a\nb", "/\ud800"]
)
def test_refuses_other_paths(value: object) -> None:
    """A path that depends on who starts the process, or that no system takes, is refused."""
    with pytest.raises(ValueError, match="absolute path"):
        parse_path(value)


@pytest.mark.parametrize("value", ["/proxy", "/a/b-c_d.e~f"])
def test_takes_a_url_path(value: str) -> None:
    """Segments of unreserved characters make a path."""
    assert parse_url_path(value) == value


@pytest.mark.parametrize(
    "value",
    ["/", "proxy", "/proxy/", "//proxy", "/a b", "/a?b", "/a%2f", "/..", "/./a", "/a/..", 5],
)
def test_refuses_other_url_paths(value: object) -> None:
    """A path that could be written in two ways, or hide the whole site, is refused."""
    with pytest.raises(ValueError, match=r"e\.g\. /proxy"):
        parse_url_path(value)


@pytest.mark.parametrize("value", ["", "-x", "a b", "a/b", "a\n", "ü", "a" * 64, 1])
def test_refuses_words_that_break_a_command_line(value: object) -> None:
    """A region's name can stand in a unit's name and a label without quotes."""
    with pytest.raises(ValueError, match="letters, digits"):
        parse_word(value)


def test_takes_a_zone_id_in_lower_case() -> None:
    """Hexadecimal digits have one canonical case."""
    assert parse_zone_id("0123456789ABCDEF" * 2) == "0123456789abcdef" * 2


@pytest.mark.parametrize("value", ["example.org", "0" * 31, "0" * 33, "g" * 32])
def test_refuses_other_zone_ids(value: str) -> None:
    """The zone's name is no id."""
    with pytest.raises(ValueError, match="32 hexadecimal digits"):
        parse_zone_id(value)


def test_takes_a_key_id() -> None:
    """Authorities give out words, numbers and URLs."""
    assert parse_key_id("https://ca.example.org/eab/1?x=_-") == "https://ca.example.org/eab/1?x=_-"


@pytest.mark.parametrize("value", ["", " kid", "a b", "a\n", "ä", "a" * 257, 7, None], ids=repr)
def test_refuses_other_key_ids(value: object) -> None:
    """What was copied with spaces, or is no text, is told."""
    with pytest.raises(ValueError, match="the key's id as the authority gave it"):
        parse_key_id(value)
