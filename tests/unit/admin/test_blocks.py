"""What the sections are made of."""

from xml.etree import ElementTree

import pytest

from exoproxy.admin.blocks import ago, day, facts, fold, section, sentence, table


def test_tables_say_what_they_are() -> None:
    """A table has a caption, heads for its columns, and a head for each row; numbers are marked."""
    found = ElementTree.fromstring(  # noqa: S314 - made here
        table("All of them", ("Name", "#Count"), [("a", "1"), ("b", "2")]).replace("&", "&amp;")
    )

    assert found.findtext(".//caption") == "All of them"
    assert [(each.text, each.get("scope")) for each in found.iter("th")] == [
        ("Name", "col"),
        ("Count", "col"),
        ("a", "row"),
        ("b", "row"),
    ]
    assert [(each.text, each.get("class")) for each in found.iter("td")] == [("1", "n"), ("2", "n")]
    # What scrolls within the page is reached by keyboard, and has a name.
    assert found.attrib == {
        "class": "scroll",
        "role": "region",
        "aria-label": "All of them",
        "tabindex": "0",
    }


def test_sections_are_named_by_their_heading() -> None:
    """A reader that goes from region to region hears the heading."""
    assert section("x", "The X", "!") == (
        '<section id="x" aria-labelledby="x-title"><h2 id="x-title">The X</h2>!</section>'
    )


def test_times_are_told_and_exact() -> None:
    """What one reads is short, and the whole moment is there for who points at it."""
    now = "2026-05-04T14:07:31+00:00"

    assert ago("2026-05-04T14:05:31Z", now) == (
        '<time datetime="2026-05-04T14:05:31Z" title="2026-05-04 14:05:31 UTC">2 min ago</time>'
    )
    assert ">4 May 2026, 14:07 UTC<" in day(now)


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ("run `exoproxy check` now", "run <code>exoproxy check</code> now"),
        ("`<b>`", "<code>&lt;b&gt;</code>"),
        ("a ` alone", "a ` alone"),
        ("", ""),
    ],
)
def test_sentences_hold_code(words: str, expected: str) -> None:
    """What stands between backticks is code; one on its own is a character."""
    assert sentence(words) == expected


def test_pairs_and_what_folds() -> None:
    """A pair that there is none of is left out; what folds has the id by which it stays open."""
    assert facts(("A", "1"), None) == "<dl><div><dt>A</dt><dd>1</dd></div></dl>"
    assert fold("x", "More", "…") == '<details id="x"><summary>More</summary>…</details>'
