"""How many connections may be open: in all, and of one client.

`listen` takes a `Slot` for each connection that it accepts; the protocol that serves the connection
gives it back when the connection is lost. Several listeners share one `Caps`, since descriptors are
the process's. What is not here: sockets, and how a client over its cap is told (`proxy`).

Websockets have no cap of their own: each holds a place here and one of its upstream's connections,
both of which are capped, and one that is silent costs no more than a connection that idles.
"""

import heapq
import time
from collections.abc import Callable, Iterable
from ipaddress import IPv4Address, IPv6Address
from typing import Final, Protocol

from exoproxy.errors import Overloaded
from exoproxy.rules.refusals import Client, client_of

# One place in so many is kept free by closing connections that idle, and as many are there beyond
# the total for connections that are only told that there is no room. At the default total these are
# 500: enough for the clients that arrive in the time of a handshake and an answer, and few enough
# for the process's descriptors.
_SHARE: Final = 20
_FEWEST_TOLD: Final = 8

# Seconds until idle connections are looked for again where there were too few.
_BARREN: Final = 1.0

_FULL: Final = Overloaded()
_CLIENT_FULL: Final = Overloaded("This address has as many connections as it may hold.")


class Idle(Protocol):
    """A connection between two requests; `idle_since` in seconds of the loop's clock."""

    idle_since: float

    def retire(self) -> None:
        """End the connection; it is gone within a second or two, whatever its peer does."""


class Caps:
    """The places of a process: `total` for all clients, `per_client` for one.

    A client is an IPv4 address or an IPv6 /64. As the total gets near, connections that idle are
    ended, the longest idle first: none of them keeps a new client out.
    """

    def __init__(
        self, *, total: int, per_client: int, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self.total = total
        self.per_client = per_client
        self.open = 0
        self._clock = clock
        self._clients: dict[Client, int] = {}
        self._waiting: list[Callable[[], None]] = []
        self._idle: list[Callable[[], Iterable[Idle]]] = []
        # Connections that were told to end and may not have ended yet.
        self._ending = 0
        self._barren_until = float("-inf")

    def adopt(self, *, total: int, per_client: int) -> None:
        """Have other numbers of places from now on; who is in stays in."""
        self.total = total
        self.per_client = per_client
        self._tell_of_room()

    @property
    def full(self) -> bool:
        """Whether the next connection has to wait in the kernel's queue.

        For a place to be told that there is none, or for one that an idle connection leaves.
        """
        told = max(_FEWEST_TOLD, self.total // _SHARE)
        beyond = self.open - self.total
        return beyond >= told or (beyond >= 0 and self._ending > 0)

    def enter(self) -> "Slot":
        """Take a place; the caller has looked at `full`."""
        self.open += 1
        above = self.open - self.total + max(1, self.total // _SHARE)
        if above > 0:
            self._make_room(above)
        return Slot(self, None if self.open <= self.total else _FULL)

    def when_room(self, callback: Callable[[], None]) -> None:
        """Call `callback` once, when the next place is given back."""
        self._waiting.append(callback)

    def reclaim_from(self, idle: Callable[[], Iterable[Idle]]) -> None:
        """Let `idle` name connections that may be ended where places run out."""
        self._idle.append(idle)

    def _make_room(self, count: int) -> None:
        """End so many idle connections, less those that are ending already."""
        wanted = count - self._ending
        now = self._clock()
        # Looking at thousands of connections in vain for each new one would help an attacker.
        if wanted <= 0 or now < self._barren_until:
            return
        every = (connection for idle in self._idle for connection in idle())
        longest = heapq.nsmallest(wanted, every, key=lambda connection: connection.idle_since)
        if len(longest) < wanted:
            self._barren_until = now + _BARREN
        self._ending += len(longest)
        for connection in longest:
            connection.retire()

    def _claim(self, client: Client) -> int:
        held = self._clients.get(client, 0) + 1
        self._clients[client] = held
        return held

    def _leave(self, client: Client | None) -> None:
        self.open -= 1
        # Not of the one that was told, perhaps: then one too many is ended later.
        self._ending = max(0, self._ending - 1)
        if client is not None:
            held = self._clients.pop(client) - 1
            if held:
                self._clients[client] = held
        self._tell_of_room()

    def _tell_of_room(self) -> None:
        waiting, self._waiting = self._waiting, []
        for callback in waiting:
            callback()


class Slot:
    """The place of one connection.

    `excess` is what each request of a connection too many is refused with, None for all others.
    """

    __slots__ = ("_caps", "_client", "_held", "excess")

    def __init__(self, caps: Caps, excess: Overloaded | None) -> None:
        self.excess = excess
        self._caps = caps
        self._client: Client | None = None
        self._held = True

    def claim(self, address: IPv4Address | IPv6Address) -> bool:
        """Count the connection to its client; False: the client is not worth an answer any more."""
        self._client = client_of(address)
        held, most = self._caps._claim(self._client), self._caps.per_client
        if held > most:
            self.excess = _CLIENT_FULL
        return held <= 2 * most

    def release(self) -> None:
        """Give the place back; further calls do nothing."""
        if self._held:
            self._held = False
            self._caps._leave(self._client)
