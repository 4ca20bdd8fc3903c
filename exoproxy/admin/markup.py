"""HTML that is escaped by construction: what is not `Html` becomes text, wherever it stands.

Pure. Names of elements and attributes are the caller's own, never data.
"""

from html import escape

from exoproxy.rules.printable import printable


class Html(str):
    """Text that is HTML already."""

    __slots__ = ()


def text(value: str) -> Html:
    """Return any text as HTML that shows just it, in content and in quoted attributes."""
    if isinstance(value, Html):
        return value
    return Html(escape(printable(value)))


def tag(name: str, *content: str, **attributes: str | float | bool | None) -> Html:
    """Return an element with its content, escaped where it is not `Html`.

    Attributes are written with `_` for `-`, and `class_`; False and None leave one out, True
    writes its name alone.
    """
    written = "".join(
        _attribute(key.rstrip("_").replace("_", "-"), value)
        for key, value in attributes.items()
        if value is not None and value is not False
    )
    return Html(f"<{name}{written}>{join(*content)}</{name}>")


def join(*content: str) -> Html:
    """Return pieces as one, each escaped where it is not `Html`."""
    return Html("".join(map(text, content)))


def _attribute(name: str, value: str | float | bool) -> str:
    if value is True:
        return f" {name}"
    return f' {name}="{text(value) if isinstance(value, str) else value}"'
