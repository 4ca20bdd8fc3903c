"""HTML that can't be broken out of."""

import pytest

from exoproxy.admin.markup import Html, join, tag, text

HOSTILE = """</p><script>alert("1")</script>&'"""
ESCAPED = "&lt;/p&gt;&lt;script&gt;alert(&quot;1&quot;)&lt;/script&gt;&amp;&#x27;"


def test_text_is_escaped_wherever_it_stands() -> None:
    """In content and in attributes, data stays data."""
    assert tag("p", HOSTILE, title=HOSTILE) == f'<p title="{ESCAPED}">{ESCAPED}</p>'
    assert join(HOSTILE, tag("b")) == f"{ESCAPED}<b></b>"


def test_html_is_escaped_once() -> None:
    """What is HTML already stays as it is."""
    assert tag("p", tag("b", "&")) == "<p><b>&amp;</b></p>"
    assert text(text("&")) == "&amp;"


def test_pieces_of_html_are_text_again() -> None:
    """Whatever is made of HTML by a string's own methods is not trusted any more."""
    assert tag("p", Html("<b>").upper()) == "<p>&lt;B&gt;</p>"


@pytest.mark.parametrize("character", ["\0", "\x1b", "\u202e", "\u2066", "\n", "\ud800"])
def test_characters_that_are_not_shown(character: str) -> None:
    """What would turn a line around, or is no character, does not get into the page."""
    assert text(f"a{character}b") == "a?b"


def test_attributes() -> None:
    """Names are written as HTML has them; False and None leave one out, True is a name alone."""
    written = tag("a", class_="x", aria_hidden="true", open=True, hidden=False, title=None, x=1.5)

    assert written == '<a class="x" aria-hidden="true" open x="1.5"></a>'
