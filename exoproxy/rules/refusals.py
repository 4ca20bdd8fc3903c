"""How many requests of one client may be refused before the refusals get short.

Scanners ask for thousands of things that are not here. What they are refused costs more than it
should: a page, in the form that they ask for, with its reason. Here it is counted how often a
client is refused; where that is too often, `proxy` answers what it would refuse by a constant 429.
Requests that are allowed are never counted nor looked at: behind one address there may be a whole
campus and one scanner.

Handshakes that fail are not counted. What follows from too many could only be to close connections
before their handshake, which would lock the campus out; and a client's handshakes are bounded by
its cap on connections and their deadline.
"""

import math
from collections import OrderedDict
from ipaddress import IPv4Address, IPv6Address
from typing import Final

# An IPv4 address, or the upper half of an IPv6 address.
Client = IPv4Address | int

# Clients that are remembered, about 200 bytes each. Who has more networks than these can have what
# others did forgotten, and so gets them, and itself, full pages again: no more than that.
_CLIENTS: Final = 16_384


def client_of(address: IPv4Address | IPv6Address) -> Client:
    """Return what counts as one client: an IPv4 address, or an IPv6 /64.

    That is what one household or one host gets, and whoever has it can take any address in it.
    """
    return address if isinstance(address, IPv4Address) else int(address) >> 64


class Refusals:
    """Counts refusals by a token bucket per client.

    A client may be refused `per_minute` times at once, and as often in each minute; 0 stands for
    any number. Each count costs the same however many clients there are. The table is bounded: of
    too many clients the one that was refused least recently is forgotten.
    """

    def __init__(self, per_minute: int, *, clients: int = _CLIENTS) -> None:
        self._clients = clients
        self.adopt(per_minute)
        # A bucket as one number (the virtual scheduling of ITU-T I.371): when it is full again.
        self._full_at: OrderedDict[Client, float] = OrderedDict()

    def adopt(self, per_minute: int) -> None:
        """Count by another limit from now on."""
        self._interval = 60 / per_minute if per_minute else 0.0

    def count(self, client: Client, now: float) -> int:
        """Count a refusal; return 0, or after how many seconds the next would be in order.

        `now` is in seconds of a clock that never goes back. What is too often empties no bucket.
        """
        if not self._interval:
            return 0
        full_at = max(self._full_at.get(client, now), now) + self._interval
        excess = full_at - now - 60
        # The margin is for the rounding of a minute's sum of intervals.
        if excess > self._interval / 2:
            return math.ceil(excess)
        self._full_at[client] = full_at
        self._full_at.move_to_end(client)
        if len(self._full_at) > self._clients:
            self._full_at.popitem(last=False)
        return 0
