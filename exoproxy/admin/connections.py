"""What is open at the moment, over all sites of the process; for status and metrics."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from exoproxy.net.dial import OWN, Upstream
from exoproxy.proxy.tunnel import Tunnel
from exoproxy.server import Server


@dataclass(frozen=True, slots=True, kw_only=True)
class Accepted:
    """What came to the listening sockets since the start."""

    accepted: int
    refused: int
    handshake_failures: int


def accepted(servers: Sequence[Server]) -> Accepted:
    """Return the sums over all listening sockets."""
    acceptors = [acceptor for server in servers for acceptor in server.acceptors]
    return Accepted(
        accepted=sum(each.accepted for each in acceptors),
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


def upstreams(servers: Sequence[Server]) -> dict[Upstream, tuple[int, int]]:
    """Return for each upstream how many connections are open, and how many of them idle."""
    found: dict[Upstream, tuple[int, int]] = {}
    for server in servers:
        for upstream, count, idle in server.engine.pool.by_upstream():
            if upstream.scheme != OWN:
                before = found.get(upstream, (0, 0))
                found[upstream] = before[0] + count, before[1] + idle
    return found
