"""The last hour by minutes: differences between what had been counted when each of them began.

`Traffic` only counts up. Whoever shows its figures by time (`admin`) takes its `Figures` once a
minute and puts them here, so that requests pay nothing for it.
"""

from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Final

from exoproxy.ops.traffic import DURATIONS, REFUSALS, Traffic

MINUTES: Final = 60

_NONE: Final = (0,) * (len(DURATIONS) + 1)


@dataclass(frozen=True, slots=True, kw_only=True)
class OfRoute:
    """The requests of one route; `errors` is how many failed, whosever doing that was."""

    errors: int = 0
    durations: tuple[int, ...] = _NONE

    def since(self, earlier: "OfRoute") -> "OfRoute":
        """Return what came between."""
        return OfRoute(
            errors=self.errors - earlier.errors,
            durations=_difference(self.durations, earlier.durations),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Figures:
    """What had passed at a moment, or between two.

    `refused` are the requests that were turned away; they are among the client's errors, or, where
    a cap was reached, among our own. `errors` are all, by code. `durations` has a count for each
    interval of `traffic.DURATIONS`.
    """

    requests: int = 0
    client_errors: int = 0
    upstream_errors: int = 0
    own_errors: int = 0
    refused: int = 0
    received: int = 0
    sent: int = 0
    durations: tuple[int, ...] = _NONE
    routes: Mapping[str, OfRoute] = field(default_factory=dict)
    errors: Mapping[str, int] = field(default_factory=dict)

    def since(self, earlier: "Figures") -> "Figures":
        """Return what came between, but for routes and codes."""
        return Figures(
            requests=self.requests - earlier.requests,
            client_errors=self.client_errors - earlier.client_errors,
            upstream_errors=self.upstream_errors - earlier.upstream_errors,
            own_errors=self.own_errors - earlier.own_errors,
            refused=self.refused - earlier.refused,
            received=self.received - earlier.received,
            sent=self.sent - earlier.sent,
            durations=_difference(self.durations, earlier.durations),
        )

    def whole_since(self, earlier: "Figures") -> "Figures":
        """Return what came between."""
        return replace(
            self.since(earlier),
            routes={
                route: each.since(earlier.routes.get(route, OfRoute()))
                for route, each in self.routes.items()
            },
            errors={
                code: count - earlier.errors.get(code, 0) for code, count in self.errors.items()
            },
        )


def figures(traffic: Traffic, *, received: int = 0, sent: int = 0) -> Figures:
    """Return what has passed until now; the bytes are those of tunnels that are still open."""
    sides = {"client": 0, "upstream": 0, "own": 0}
    durations = list(_NONE)
    routes: dict[str, tuple[int, list[int]]] = {}
    for way in traffic.ways:
        count = sum(way.durations)
        errors, of_route = routes.get(way.route, (0, list(_NONE)))
        if way.side:
            sides[way.side] += count
            errors += count
        for index, number in enumerate(way.durations):
            durations[index] += number
            of_route[index] += number
        routes[way.route] = errors, of_route
    return Figures(
        requests=sum(durations),
        client_errors=sides["client"],
        upstream_errors=sides["upstream"],
        own_errors=sides["own"],
        refused=sum(traffic.errors[code] for code in REFUSALS),
        received=traffic.received + received,
        sent=traffic.sent + sent,
        durations=tuple(durations),
        routes={
            route: OfRoute(errors=errors, durations=tuple(of_route))
            for route, (errors, of_route) in routes.items()
        },
        errors={code: count for code, count in traffic.errors.items() if count},
    )


class Hour:
    """What had been counted when each of the last minutes began.

    Minutes are those of the wall clock, which may be set: the hour then begins anew.
    """

    def __init__(self) -> None:
        # (minute since the epoch, what had passed when it began)
        self._marks: deque[tuple[int, Figures]] = deque(maxlen=MINUTES)

    def mark(self, now: datetime, passed: Figures) -> None:
        """Take down what has passed, if a minute has begun since; to be called at its beginning.

        A minute whose beginning was missed counts as part of the one before.
        """
        minute = _minute(now)
        if self._marks:
            last = self._marks[-1][0]
            if minute == last:
                return
            if minute < last or minute - last >= MINUTES:
                self._marks.clear()
            else:
                self._marks.extend((each, passed) for each in range(last + 1, minute))
        self._marks.append((minute, passed))

    def minutes(self, now: datetime, passed: Figures) -> Iterator[tuple[datetime, Figures]]:
        """Yield the begin of each of the last 60 minutes, the running one last, and its figures.

        Without routes and codes, which only `last` tells.
        """
        marks = dict(self._marks)
        last = _minute(now)
        for minute in range(last - MINUTES + 1, last + 1):
            begun = marks.get(minute)
            ended = marks.get(minute + 1, passed)
            figures_of = Figures() if begun is None else ended.since(begun)
            yield datetime.fromtimestamp(minute * 60, UTC), figures_of

    def last(self, minutes: int, now: datetime, passed: Figures) -> Figures:
        """Return what came within the last minutes, the running one included."""
        first = _minute(now) - minutes + 1
        begun = next((each for minute, each in self._marks if minute >= first), passed)
        return passed.whole_since(begun)


def quantile(share: float, durations: Sequence[int]) -> float | None:
    """Return the seconds that this share of the requests took at most; None if there were none.

    Requests are taken to lie evenly between the bounds of their interval; beyond the last bound it
    is that bound.
    """
    rank = share * sum(durations)
    if not rank:
        return None
    below = 0.0
    for count, bound in zip(durations, DURATIONS, strict=False):
        if count >= rank:
            return below + (bound - below) * rank / count
        rank -= count
        below = bound
    return DURATIONS[-1]


def _minute(now: datetime) -> int:
    return int(now.timestamp() // 60)


def _difference(later: Sequence[int], earlier: Sequence[int]) -> tuple[int, ...]:
    return tuple(one - other for one, other in zip(later, earlier, strict=True))
