"""YAML as plain values with their lines."""

from typing import Any

import pytest

from exoproxy.settings.document import read
from exoproxy.settings.part import EMPTY


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a: text\nb: 'NO'\nc: \"1\"", {"a": "text", "b": "NO", "c": "1"}),
        ("a: 1\nb: -2\nc: 0", {"a": 1, "b": -2, "c": 0}),
        ("a: true\nb: false\nc: null\nd: ~", {"a": True, "b": False, "c": None, "d": None}),
        ("a: [x, 1]\nb:\n  - {c: d}\n  -", {"a": ["x", 1], "b": [{"c": "d"}, None]}),
        ("a:\nb: ''", {"a": EMPTY, "b": ""}),
        ("1: x\ntrue: y\nNO: z", {"1": "x", "true": "y", "NO": "z"}),
        ("<<: {a: b}", {"<<": {"a": "b"}}),
        ("\ufeffa: b", {"a": "b"}),
        ("# only a comment\n", EMPTY),
        ("", EMPTY),
        ("text", "text"),
        ("- a", ["a"]),
    ],
)
def test_reads_plain_values(text: str, expected: Any) -> None:
    """Mappings, lists, text, whole numbers, true, false and null; keys are text."""
    document = read(text)

    assert document.value == expected
    assert document.problems == []


@pytest.mark.parametrize(
    "text",
    ["NO", "yes", "on", "22:22", "012", "0x10", "1_000", "1.5", "2026-11-22", "9" * 5000, ".inf"],
)
def test_reads_as_text_what_older_yaml_takes_for_something_else(text: str) -> None:
    """No region is called false, and no address becomes a number of minutes."""
    assert read(f"a: {text}").value == {"a": text}


def test_knows_the_lines_of_keys_and_items() -> None:
    """Every key and list item has its line; what is missing has that of its holder."""
    document = read("a:\n  b: [x,\n    y]\nc:\n  - d: 1\n    e: 2\n")

    assert document.lines == {
        ("a",): 1,
        ("a", "b"): 2,
        ("a", "b", 0): 2,
        ("a", "b", 1): 3,
        ("c",): 4,
        ("c", 0): 5,
        ("c", 0, "d"): 5,
        ("c", 0, "e"): 6,
    }
    assert document.line(("a", "b", 1)) == 3
    assert document.line(("a", "missing", "too")) == 1
    assert document.line(("missing",)) == 1


def test_tells_every_key_that_comes_again() -> None:
    """The first value stays, and both lines are named."""
    document = read("a: 1\nb:\n  c: 1\n  c: 2\na: 2\n")
    problems = [(each.line, each.location, each.sentence) for each in document.problems]

    assert document.value == {"a": 1, "b": {"c": 1}}
    assert problems == [
        (4, ("b", "c"), "stands here a second time, first in line 3; keep one"),
        (5, ("a",), "stands here a second time, first in line 1; keep one"),
    ]


@pytest.mark.parametrize(
    ("text", "line", "sentence"),
    [
        ("a:\n\tb: 1", 2, "there is a tab"),
        ("a: b\n\tc: d", 2, "there is a tab"),
        ("a: [\n", 2, "not valid YAML"),
        ("a: b: c", 1, "not valid YAML"),
        ("a: 'x", 1, "not valid YAML"),
        ("a:\n  b: 1\n c: 2", 3, "not valid YAML"),
        ("a: @x", 1, "not valid YAML"),
        ("a: 1\n---\nb: 2", 2, "a second document"),
        ("a: &x 1\nb: *x", 1, "anchors"),
        ("a: 1\nb: *x", 2, "anchors"),
        ("a:\n  - *.example.org", 2, 'into quotes, e.g. "*.example.org"'),
        ("a: !!python/object/apply:os.system [x]", 1, "tags"),
        ("a: !!str 5", 1, "tags"),
        ("a: !x 5", 1, "tags"),
        ("? [a]\n: b", 1, "a key should be a word"),
        ("a: 1\nb: \x07", 2, r"the character '\x07'"),
        ("a: \x00", 1, r"the character '\x00'"),
        ("[" * 200_000, 1, "nested deeper"),
        ("{a: " * 200_000, 1, "nested deeper"),
        ("a:\n" + "".join(f"{' ' * n}- \n" for n in range(1, 100)), 17, "nested deeper"),
        ("- " * 100_000, 1, "nested deeper"),
    ],
    ids=lambda value: repr(value)[:40],
)
def test_tells_what_is_no_yaml_for_a_configuration(text: str, line: int, sentence: str) -> None:
    """Broken syntax, bombs and what could run code end in one problem with its line."""
    document = read(text)
    [problem] = document.problems

    assert problem.line == line
    assert sentence in problem.sentence
