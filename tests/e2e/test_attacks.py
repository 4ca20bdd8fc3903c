"""Clients that hold what they can get: everybody else is served as before, and nothing is left."""

import asyncio
import resource
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from statistics import median, quantiles

import pytest

from attackers import SERVER, attack
from deployment import LEFT_WITHIN, UAP_NAME, Deployment, Site
from peers import PATIENCE, request, until

SLOW, HALF_OPEN = 5_000, 2_000
DESCRIPTORS = SLOW + HALF_OPEN + 1_000

# The attackers' addresses, none of which has as many connections as a client may; the normal client
# has another one.
MANY = [f"127.0.1.{number}" for number in range(1, 101)]
ONE = ["127.0.2.1"]
# Connections that they open in a second.
RATE = 1_000

ROUNDS, WINDOWS = 2, 3
# Seconds between two requests of the normal client, and of a window in which they are measured.
# Like a user's they meet the server at any moment, and not just when it has nothing else to do.
WARM = (0.004, 1.5)
NEW = (0.01, 2.5)

# Longer than usual, so that all attackers stand while a busy machine measures.
PATIENT = {"head_timeout": 120, "handshake_timeout": 120}

REQUEST = request(UAP_NAME)


@pytest.fixture(autouse=True)
def descriptors() -> Iterator[None]:
    """Let the processes open enough files."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard != resource.RLIM_INFINITY and hard < DESCRIPTORS:
        pytest.skip(f"needs a limit of {DESCRIPTORS} open files; here it is {hard} (ulimit -Hn)")
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, DESCRIPTORS), hard))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


class Client:
    """A normal client, which blocks, so that nothing of its own is in its way."""

    def __init__(self, site: Site, address: str = "127.0.0.1") -> None:
        raw = socket.create_connection((SERVER, site.port), PATIENCE, (address, 0))
        self._sock = site.trust.wrap_socket(raw, server_hostname=UAP_NAME)

    def ask(self) -> None:
        """Ask for the page of the host itself, and take it as a whole."""
        self._sock.sendall(REQUEST)
        head, _, content = self._sock.recv(65536).partition(b"\r\n\r\n")

        assert head.startswith(b"HTTP/1.1 200 ")
        length = int(head.lower().partition(b"content-length: ")[2].split()[0])
        while len(content) < length:
            content += self._sock.recv(65536)

    def close(self) -> None:
        """Leave."""
        self._sock.close()


def visit(site: Site) -> None:
    """Connect, ask, leave."""
    with closing(Client(site)) as client:
        client.ask()


def p99(once: Callable[[], object], pace: float, seconds: float) -> float:
    """Do it at a pace, for some seconds; return the 99th percentile of the seconds that it took."""
    taken = []
    end = time.perf_counter() + seconds
    while (began := time.perf_counter()) < end:
        once()
        now = time.perf_counter()
        taken.append(now - began)
        time.sleep(max(0.0, began + pace - now))
    return quantiles(taken, n=100)[98]


async def nothing_left(site: Site, sockets: int) -> None:
    """Wait until the process has as few connections as before the attack.

    What the process itself counts as open belongs here, too, once it can be asked.
    """
    await until(lambda: site.sockets() <= sockets, within=LEFT_WITHIN)


async def test_127_many_that_never_finish(deployment: Deployment) -> None:
    """5,000 slow heads and 2,000 half-open connections at most double a normal client's p99."""
    site = deployment.uap(limits=PATIENT)
    sockets = site.sockets()
    visit(site)
    quiet: list[tuple[float, float]] = []
    attacked: list[tuple[float, float]] = []
    with attack(site.port, MANY, rate=RATE) as attackers, closing(Client(site)) as client:

        def measure(figures: list[tuple[float, float]]) -> None:
            figures += [
                (p99(client.ask, *WARM), p99(lambda: visit(site), *NEW)) for _ in range(WINDOWS)
            ]

        # In turns, because what else runs on the machine comes and goes.
        for _ in range(ROUNDS):
            measure(quiet)
            attackers.want(slow=SLOW, half_open=HALF_OPEN)
            attackers.stands()

            assert site.sockets() - sockets == SLOW + HALF_OPEN + 1
            measure(attacked)
            attackers.want(slow=0, half_open=0)
            attackers.stands()
            await nothing_left(site, sockets + 1)
    await nothing_left(site, sockets)
    for kind, name in enumerate(("a warm connection", "a new connection")):
        before, during = (median(each[kind] for each in figures) for figures in (quiet, attacked))
        print(f"p99 of {name}: {before * 1000:.2f} ms, {during * 1000:.2f} ms under attack")

        assert during < 2 * before, name


async def test_127_one_that_wants_all(deployment: Deployment) -> None:
    """A single address gets twice its cap of connections at most, and little of the processor."""
    site = deployment.uap(limits={"connections_per_client": 200, **PATIENT})
    sockets = site.sockets()
    visit(site)
    with attack(site.port, ONE, rate=RATE) as attackers:
        attackers.want(slow=SLOW, half_open=HALF_OPEN)
        await until(lambda: site.sockets() - sockets >= 2 * 200)
        spent, began = site.cpu(), time.monotonic()
        most = 0
        for _ in range(100):
            visit(site)
            most = max(most, site.sockets() - sockets)
            await asyncio.sleep(0.03)
        share = (site.cpu() - spent) / (time.monotonic() - began)
        print(f"{most} connections of one address, {share:.0%} of a core")
        with pytest.raises(OSError, match=r"reset|EOF|closed|Broken pipe"):
            Client(site, ONE[0])

        assert most <= 2 * 200 + RATE // 100
        assert share < 0.5
    await nothing_left(site, sockets)
