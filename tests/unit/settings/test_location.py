"""Where in the file a value stands."""

import pytest

from exoproxy.settings.location import Location, dotted, touches


@pytest.mark.parametrize(
    ("location", "expected"),
    [
        ((), ""),
        (("main",), "main"),
        (("main", "proxy", "allow", 2), "main.proxy.allow[2]"),
        (("uap", "regions", "a b\x1b", "ports"), r"uap.regions.'a b\x1b'.ports"),
    ],
)
def test_writes_a_location_as_people_do(location: Location, expected: str) -> None:
    """Keys have dots between and list items brackets; what could command a terminal is quoted."""
    assert dotted(location) == expected


@pytest.mark.parametrize(
    ("one", "other", "expected"),
    [
        (("main",), ("main", "listen"), True),
        (("main", "listen", 0), ("main",), True),
        (("main", "listen"), ("main", "listen"), True),
        (("main", "listen"), ("main", "proxy"), False),
        (("main",), ("uap",), False),
    ],
)
def test_tells_what_holds_what(one: Location, other: Location, expected: bool) -> None:
    """A value touches itself, what it holds and what holds it, and no neighbour."""
    assert touches(one, other) is expected
