"""What happened most often within the last hour, among more things than can be remembered.

A table of bounded size that nobody can make useless by filling it: what comes often stays, whatever
comes once. `traffic` ranks with it what fails and what is refused.
"""

import heapq
from collections.abc import Hashable
from dataclasses import dataclass
from operator import itemgetter
from typing import Final, Generic, TypeVar

# An hour, in steps that leave it one at a time: what is counted is at least 55 minutes' worth.
HOUR: Final = 3600.0
_STEPS: Final = 12
_STEP: Final = HOUR / _STEPS


class Recent:
    """How often one thing happened within the last hour, when it last did, and a word on that."""

    __slots__ = ("_counts", "_step", "credit", "last", "note")

    def __init__(self) -> None:
        self._counts = [0] * _STEPS
        self._step = 0
        self.last = 0.0
        self.note = ""
        # Spent when others want its place in a ranking.
        self.credit = 0

    def add(self, now: float, note: str) -> None:
        """Count it once; `now` in seconds of any clock that goes on."""
        self._move(now)
        self._counts[self._step % _STEPS] += 1
        self.last = now
        self.note = note
        self.credit += 1

    def count(self, now: float) -> int:
        """Return how often it happened."""
        self._move(now)
        return sum(self._counts)

    def _move(self, now: float) -> None:
        step = int(now // _STEP)
        for begun in range(self._step + 1, min(step, self._step + _STEPS) + 1):
            self._counts[begun % _STEPS] = 0
        self._step = max(step, self._step)


KeyT = TypeVar("KeyT", bound=Hashable)


@dataclass(frozen=True, slots=True)
class Row(Generic[KeyT]):
    """One line of a ranking: `last` in seconds of its clock, `note` what was said then."""

    key: KeyT
    count: int
    last: float
    note: str


class Ranking(Generic[KeyT]):
    """The `most` things that happened most often within the last hour.

    Each time that something finds no place, one of those that have one, in turn, loses a credit,
    and its place when it has none left or has been silent for an hour. So a flood of things that
    come once each replaces others that came once, and leaves alone what comes often: a thing that
    came n times outlasts n·`most` of them (after Misra and Gries, 1982). Counts are true from the
    moment on at which a thing got its place. All in constant time.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self._rows: dict[KeyT, Recent] = {}

    def __len__(self) -> int:
        return len(self._rows)

    def add(self, key: KeyT, now: float, note: str) -> None:
        """Count a thing, if there is a place for it."""
        recent = self._rows.get(key)
        if recent is None:
            if len(self._rows) >= self._most and not self._make_room(now):
                return
            recent = self._rows[key] = Recent()
        recent.add(now, note)

    def _make_room(self, now: float) -> bool:
        challenged = next(iter(self._rows))
        recent = self._rows.pop(challenged)
        recent.credit -= 1
        if recent.credit <= 0 or now - recent.last >= HOUR:
            return True
        self._rows[challenged] = recent  # at the end: the next one's turn comes first
        return False

    def rows(self, now: float, most: int) -> list[Row[KeyT]]:
        """Return what happened most often within the last hour, the most frequent first."""
        there = (
            (count, recent.last, key)
            for key, recent in self._rows.items()
            if (count := recent.count(now))
        )
        return [
            Row(key, count, last, self._rows[key].note)
            for count, last, key in heapq.nlargest(most, there, key=itemgetter(0, 1))
        ]
