"""What a turn of a load on a front gives, and how its CPU time is taken."""

from dataclasses import dataclass
from typing import Protocol

from bench.front import Front
from bench.processes import cpu_seconds, tree
from bench.stage import Stage


class Wrong(Exception):
    """A front did not answer, or not as it should; the text says what came instead."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """One turn. `cost` is in the load's unit, for each of `count` requests, messages and so on.

    `p50` and `p99` are milliseconds until an answer was whole, `wire` is the bytes of an answer
    without TLS, `wait` the milliseconds until a burst of requests was answered; None where a load
    doesn't tell.
    """

    cost: float
    count: int
    seconds: float
    p50: float | None = None
    p99: float | None = None
    wire: float | None = None
    wait: float | None = None


class Load(Protocol):
    """A kind of load: `unit` is that of the cost; `fresh` fronts are started for each turn."""

    @property
    def unit(self) -> str: ...

    @property
    def fresh(self) -> bool: ...

    def run(self, front: Front, stage: Stage, seconds: float) -> Sample:
        """Load the front for a turn; raises Wrong."""


class Meter:
    """The CPU time of a front's processes from now on."""

    def __init__(self, front: Front) -> None:
        self._pids = tree(front.roots)
        self._before = cpu_seconds(self._pids)

    def microseconds(self) -> float:
        """Return what they have used since."""
        return (cpu_seconds(self._pids) - self._before) * 1e6


def percentile(values: list[float], part: float) -> float:
    """Return the smallest value that at least such a part, 0 to 1, of the values don't exceed."""
    ordered = sorted(values)
    return ordered[max(0, -int(-part * len(ordered) // 1) - 1)]
