"""Kept-alive connections to upstreams: a pure choice (`assign`) and a thin shell around it.

Connections are kept per `Upstream`, whose fields (scheme, host, port, verification) are all that
makes two connections interchangeable. What is not here: dialling, and how a connection is used.
"""

import heapq
from collections.abc import Iterator, Sequence
from typing import Final, Generic, Protocol, TypeVar

from exoproxy.net.dial import Upstream

# A request that must not be sent twice takes a kept connection only if it was in use within the
# last second or two (the engine's clock moves once a second): servers close idle ones after 5 s
# (Apache, uvicorn) or more, so that the race between their FIN and our request, which would cost
# the user an error, practically can't happen.
FRESH: Final = 1.5


class Kept(Protocol):
    """A connection that can be kept: when it was last in use (seconds of the loop's clock)."""

    idle_since: float

    def retire(self) -> None:
        """End a connection that nobody uses."""


KeptT = TypeVar("KeptT", bound=Kept)


def assign(idle: Sequence[Kept], *, repeatable: bool, now: float, idle_timeout: float) -> int:
    """Return the index of the connection to use, or -1 to dial a new one.

    `idle` is ordered by `idle_since`. The one used last is the one least likely to be closed by
    the other side, and lets the others grow old and go.
    """
    if not idle:
        return -1
    age = now - idle[-1].idle_since
    return len(idle) - 1 if age < (idle_timeout if repeatable else FRESH) else -1


class Pool(Generic[KeptT]):
    """The idle connections of one site, and how many are open to each upstream.

    `per_upstream` and `total` bound the idle ones, `idle_timeout` (seconds) their age.
    """

    def __init__(self, *, idle_timeout: float, per_upstream: int, total: int) -> None:
        self._idle_timeout = idle_timeout
        self._per_upstream = per_upstream
        self._total = total
        self._idle: dict[Upstream, list[KeptT]] = {}
        self._open: dict[Upstream, int] = {}
        self._count = 0

    def adopt(self, *, idle_timeout: float, per_upstream: int, total: int) -> None:
        """Keep by other bounds from now on, and nothing that was kept before."""
        self._idle_timeout = idle_timeout
        self._per_upstream = per_upstream
        self._total = total
        self.clear()

    def __len__(self) -> int:
        return self._count

    def __iter__(self) -> Iterator[KeptT]:
        for kept in self._idle.values():
            yield from kept

    def opened(self, upstream: Upstream) -> int:
        """Count a connection that is about to be dialled; return how many there are then."""
        count = self._open.get(upstream, 0) + 1
        self._open[upstream] = count
        return count

    def closed(self, upstream: Upstream) -> None:
        """Count a connection that ended, or was never made."""
        count = self._open[upstream] - 1
        if count:
            self._open[upstream] = count
        else:
            del self._open[upstream]

    def give_way(self, upstream: Upstream) -> bool:
        """End the upstream's longest idle connection; False where none idles."""
        idle = self._idle.get(upstream)
        if idle is None:
            return False
        self._remove(upstream, idle, 0).retire()
        return True

    def busiest(self, most: int) -> list[Upstream]:
        """Return the upstreams with the most connections, those first."""
        return heapq.nlargest(most, self._open, key=self._open.__getitem__)

    def of(self, upstream: Upstream) -> tuple[int, int]:
        """Return how many connections to an upstream there are, and how many of them idle."""
        return self._open.get(upstream, 0), len(self._idle.get(upstream, ()))

    def in_use(self) -> int:
        """Return how many connections are open or being dialled, idle ones left out."""
        return sum(self._open.values()) - self._count

    def take(self, upstream: Upstream, *, repeatable: bool, now: float) -> KeptT | None:
        """Return a kept connection for the caller's sole use, or None.

        `repeatable` says that the request may be sent again if the connection turns out dead.
        """
        idle = self._idle.get(upstream)
        if idle is None:
            return None
        index = assign(idle, repeatable=repeatable, now=now, idle_timeout=self._idle_timeout)
        return None if index < 0 else self._remove(upstream, idle, index)

    def put(self, upstream: Upstream, connection: KeptT, now: float) -> None:
        """Keep a connection, or end it where there are enough."""
        idle = self._idle.setdefault(upstream, [])
        if len(idle) >= self._per_upstream or self._count >= self._total:
            if not idle:
                del self._idle[upstream]
            connection.retire()
            return
        connection.idle_since = now
        idle.append(connection)
        self._count += 1

    def discard(self, upstream: Upstream, connection: KeptT) -> None:
        """Forget an idle connection that ended by itself; nothing happens if it isn't kept."""
        idle = self._idle.get(upstream)
        if idle is not None and connection in idle:
            self._remove(upstream, idle, idle.index(connection))

    def expire(self, now: float) -> None:
        """End connections that have been idle for too long."""
        horizon = now - self._idle_timeout
        for upstream, idle in list(self._idle.items()):
            while idle and idle[0].idle_since <= horizon:
                self._remove(upstream, idle, 0).retire()

    def clear(self) -> None:
        """End all idle connections."""
        for upstream, idle in list(self._idle.items()):
            while idle:
                self._remove(upstream, idle, -1).retire()

    def _remove(self, upstream: Upstream, idle: list[KeptT], index: int) -> KeptT:
        connection = idle.pop(index)
        self._count -= 1
        if not idle:
            del self._idle[upstream]
        return connection
