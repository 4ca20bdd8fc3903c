"""What is open at the moment, over all sites of the process; for status and metrics.

The event loop waits for what is computed here: with ten thousand tunnels to as many upstreams, each
function takes a millisecond or two.
"""

import heapq
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from exoproxy.net.dial import OWN, Upstream
from exoproxy.proxy.tunnel import Tunnel
from exoproxy.server import Server


@dataclass(frozen=True, slots=True, kw_only=True)
class Accepted:
    """What came to the listening sockets since the start, and what is in its handshake now."""

    accepted: int
    arriving: int
    refused: int
    handshake_failures: int


def accepted(servers: Sequence[Server]) -> Accepted:
    """Return the sums over all listening sockets."""
    acceptors = [acceptor for server in servers for acceptor in server.acceptors]
    return Accepted(
        accepted=sum(each.accepted for each in acceptors),
        arriving=sum(each.arriving for each in acceptors),
        refused=sum(each.refused for each in acceptors),
        handshake_failures=sum(each.handshake_failures for each in acceptors),
    )


def tunnels(servers: Sequence[Server]) -> Iterator[Tunnel]:
    """Yield all open tunnels."""
    for server in servers:
        yield from server.engine.tunnels


def tunnelled(servers: Sequence[Server]) -> tuple[int, int]:
    """Return how many bytes open tunnels have received from clients and sent to them."""
    received = sent = 0
    for tunnel in tunnels(servers):
        received += tunnel.received
        sent += tunnel.sent
    return received, sent


def upstreams(servers: Sequence[Server]) -> tuple[int, int]:
    """Return how many connections to upstreams are open or being dialled, and how many idle.

    Those to applications of our own are among them.
    """
    idle = sum(len(server.engine.pool) for server in servers)
    return idle + sum(server.engine.pool.in_use() for server in servers), idle


def busiest(servers: Sequence[Server], most: int) -> list[Upstream]:
    """Return the upstreams with the most connections, those first."""
    found = {each for server in servers for each in server.engine.pool.busiest(most)}
    there = [each for each in found if each.scheme != OWN]
    return heapq.nlargest(most, there, key=lambda each: to_upstream(servers, each))


def to_upstream(servers: Sequence[Server], upstream: Upstream) -> tuple[int, int]:
    """Return how many connections to one upstream are open, and how many of them idle."""
    counts = [server.engine.pool.of(upstream) for server in servers]
    return sum(count for count, _ in counts), sum(idle for _, idle in counts)
