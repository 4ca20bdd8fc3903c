"""Numbers as people read them."""

import pytest

from exoproxy.admin.figures import ago, count, duration, moment, plural, share, size, span


@pytest.mark.parametrize(
    ("number", "expected"),
    [
        (0, "0"),
        (0.4, "0"),
        (7, "7"),
        (999, "999"),
        (999.6, "1 k"),
        (1_000, "1 k"),
        (1_234, "1.2 k"),
        (9_949, "9.9 k"),
        (9_951, "10 k"),
        (12_345, "12 k"),
        (999_499, "999 k"),
        (999_600, "1 M"),
        (4_811_402, "4.8 M"),
        (10**18, "1 E"),
        (10**24, "1000000 E"),
    ],
)
def test_counts(number: float, expected: str) -> None:
    """Two figures, or all before the point; what is rounded up gets the next prefix."""
    assert count(number) == expected


@pytest.mark.parametrize(
    ("octets", "expected"),
    [(0, "0 B"), (999, "999 B"), (3_400_000, "3.4 MB"), (161_801_000_113, "162 GB")],
)
def test_sizes(octets: int, expected: str) -> None:
    """Bytes are counted in thousands."""
    assert size(octets) == expected


@pytest.mark.parametrize(
    ("seconds", "expected"),
    [
        (None, "-"),
        (0.0, "0 ms"),
        (-1.0, "0 ms"),
        (0.0004, "0.4 ms"),
        (0.012, "12 ms"),
        (0.9994, "999 ms"),
        (0.9996, "1 s"),
        (1.24, "1.2 s"),
        (30.1, "30 s"),
        (100.0, "100 s"),
        (600.0, "10 min"),
    ],
)
def test_durations(seconds: float | None, expected: str) -> None:
    """The unit fits the length; what was not measured is a dash."""
    assert duration(seconds) == expected


@pytest.mark.parametrize(
    ("seconds", "expected"),
    [
        (-5, "0 s"),
        (0.9, "0 s"),
        (45, "45 s"),
        (60, "1 min"),
        (125, "2 min 5 s"),
        (754, "12 min"),
        (3_600, "1 h"),
        (15_120, "4 h 12 min"),
        (86_400, "1 d"),
        (86_430, "1 d"),
        (273_600, "3 d 4 h"),
        (400 * 86_400, "400 d"),
    ],
)
def test_spans(seconds: float, expected: str) -> None:
    """Two units at most, and the second only where it says something."""
    assert span(seconds) == expected


@pytest.mark.parametrize(
    ("part", "whole", "expected"),
    [
        (0, 0, "-"),
        (1, 0, "-"),
        (0, 9, "0 %"),
        (1, 9_000, "< 0.1 %"),
        (3, 1_000, "0.3 %"),
        (1, 8, "12 %"),
        (8, 8, "100 %"),
    ],
)
def test_shares(part: float, whole: float, expected: str) -> None:
    """What is there never reads as zero, and a part of nothing is a dash."""
    assert share(part, whole) == expected


def test_plurals() -> None:
    """One is one, and some nouns have a plural of their own."""
    assert plural(1, "request") == "1 request"
    assert plural(0, "request") == "0 requests"
    assert plural(2_000, "entry", "entries") == "2 k entries"


def test_times_before_and_after() -> None:
    """A moment is told from now, in both directions, across zones."""
    now = "2026-05-04T14:07:31+00:00"

    assert ago("2026-05-04T14:07:31Z", now) == "just now"
    assert ago("2026-05-04T16:05:31+02:00", now) == "2 min ago"
    assert ago("2026-05-07T18:07:31+00:00", now) == "in 3 d 4 h"


@pytest.mark.parametrize("text", ["", "yesterday", "2026-05-04T14:07:31", "2026-13-01T00:00:00Z"])
def test_moments_have_a_zone(text: str) -> None:
    """Text that names no moment of the world is refused."""
    with pytest.raises(ValueError, match=r"zone|isoformat|month"):
        moment(text)
