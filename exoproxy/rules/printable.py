"""Text of others (file names, words of an authority), made fit for a terminal or a log."""


def printable(text: str) -> str:
    """Return text that says nothing to a terminal but itself, and is one line."""
    if text.isprintable():
        return text
    return "".join(character if character.isprintable() else "?" for character in text)
