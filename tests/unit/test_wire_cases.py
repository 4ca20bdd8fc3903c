"""The cases as data: they say what they mean, and a slip of the pen is found."""

from pathlib import Path

import pytest

from cases import CASES, load, unfold

WELL = """
title = "x"
direction = "request"
[[case]]
id = "1"
name = "x"
source = "x"
input = "{each}"
each = ["a", "b"]
verdict = "accept"
"""


def test_ids_are_unique() -> None:
    """Each case can be found by its id."""
    ids = [case.id for case in CASES]

    assert len(ids) == len(set(ids))


def test_unfold() -> None:
    """Repetitions are unfolded from the inside out, and characters are bytes."""
    assert unfold("{2 x {3 x a}{each}}{x}\u00e9\u0000", "-") == b"aaa-aaa-{x}\xe9\x00"


def test_each(tmp_path: Path) -> None:
    """A case with several inputs becomes several cases."""
    (tmp_path / "c0_x.toml").write_text(WELL)

    assert [(case.id, case.group, case.forwarded) for case in load(tmp_path)] == [
        ("1.1", "c0", (b"a",)),
        ("1.2", "c0", (b"b",)),
    ]


@pytest.mark.parametrize(
    ("good", "bad"),
    [("title", "titel"), ("name", "nmae"), ('"accept"', '"acept"'), ('"accept"', '"reject"')],
)
def test_slips_are_found(tmp_path: Path, good: str, bad: str) -> None:
    """A key or a verdict that does not exist is an error, and so is an answer without a status."""
    (tmp_path / "c0_x.toml").write_text(WELL.replace(good, bad))

    with pytest.raises(ValueError, match=r"c0_x\.toml"):
        list(load(tmp_path))
