"""How many connections may be open: in all, and of one client.

`listen` takes a `Slot` for each connection that it accepts; the protocol that serves the connection
gives it back when the connection is lost. Several listeners share one `Caps`, since descriptors are
the process's. What is not here: sockets, and what a client over its cap is told (`proxy`).
"""

from collections.abc import Callable
from ipaddress import IPv4Address, IPv6Address


class Caps:
    """The places of a process: `total` for all clients, `per_client` for one.

    A client is an IPv4 address or an IPv6 /64: that is what one household or one host gets, and
    whoever has it can take any address in it.
    """

    def __init__(self, *, total: int, per_client: int) -> None:
        self.total = total
        self.per_client = per_client
        self.open = 0
        self._clients: dict[IPv4Address | int, int] = {}
        self._waiting: list[Callable[[], None]] = []

    @property
    def full(self) -> bool:
        """Whether the next connection has to wait in the kernel's queue."""
        return self.open >= self.total

    def enter(self) -> "Slot":
        """Take a place; the caller has looked at `full`."""
        self.open += 1
        return Slot(self)

    def when_room(self, callback: Callable[[], None]) -> None:
        """Call `callback` once, when the next place is given back."""
        self._waiting.append(callback)

    def _claim(self, client: IPv4Address | int) -> int:
        held = self._clients.get(client, 0) + 1
        self._clients[client] = held
        return held

    def _leave(self, client: IPv4Address | int | None) -> None:
        self.open -= 1
        if client is not None:
            held = self._clients.pop(client) - 1
            if held:
                self._clients[client] = held
        waiting, self._waiting = self._waiting, []
        for callback in waiting:
            callback()


class Slot:
    """The place of one connection."""

    __slots__ = ("_caps", "_client", "_held")

    def __init__(self, caps: Caps) -> None:
        self._caps = caps
        self._client: IPv4Address | int | None = None
        self._held = True

    def claim(self, address: IPv4Address | IPv6Address) -> int:
        """Count the connection to its client; return how many that client now holds."""
        self._client = address if isinstance(address, IPv4Address) else int(address) >> 64
        return self._caps._claim(self._client)

    def release(self) -> None:
        """Give the place back; further calls do nothing."""
        if self._held:
            self._held = False
            self._caps._leave(self._client)
