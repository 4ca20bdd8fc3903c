"""The clock, by who keeps it and by others' clocks."""

import pytest

from exoproxy.live.clock import Skews, findings
from pretended_network import Pretended


@pytest.mark.parametrize(
    ("skews", "kept", "expected"),
    [
        ({}, True, [("ok", "is kept right by NTP")]),
        ({}, None, [("note", "has nothing to be compared with; `date -u`")]),
        (
            {"a.example": -299.0, "b.example": 1.0},
            None,
            [("ok", "agrees with that of a.ex")],
        ),
        ({"a.example": 1.0}, False, [("note", "of this machine is not kept right by anything: ")]),
        (
            {"a.example": -301.0},
            True,
            [("failed", "of this machine is 5 minutes behind that")],
        ),
        (
            {"a.example": 172800.0},
            False,
            [
                ("failed", "of this machine is 2880 minutes ahead of that of a.example; set it"),
                ("note", "of this machine is not kept right"),
            ],
        ),
    ],
)
def test_judges_the_clock(skews: Skews, kept: bool | None, expected: list[tuple[str, str]]) -> None:
    """Five minutes are wrong, whoever keeps it; without NTP it will be."""
    found = list(findings(skews, Pretended(kept_right=kept)))

    assert [each.kind for each in found] == [kind for kind, _ in expected]
    for each, (_, sentence) in zip(found, expected, strict=True):
        assert each.sentence.startswith(sentence)
