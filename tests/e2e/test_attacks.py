"""Clients that hold what they can get: everybody else is served as before, and nothing is left."""

import resource
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from statistics import quantiles

import pytest

from attackers import SERVER, attack
from deployment import UAP_NAME, Deployment, Site

SLOW, HALF_OPEN = 5_000, 2_000
DESCRIPTORS = SLOW + HALF_OPEN + 1_000

# The attackers' addresses, none of which has as many connections as a client may; the normal client
# has another one.
MANY = [f"127.0.1.{number}" for number in range(1, 101)]
ONE = "127.0.2.1"
# Connections that they open in a second.
RATE = 700

ROUNDS = 3
SECONDS = 3.0
# Seconds between two requests of the normal client: like a user's, they meet the server at any
# moment, and not just when it has nothing else to do.
PACE = 0.004
NEW_PACE = 0.02

REQUEST = f"GET / HTTP/1.1\r\nHost: {UAP_NAME}\r\n\r\n".encode()


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
    """A normal client, which blocks: nothing of its own is in its way."""

    def __init__(self, site: Site) -> None:
        raw = socket.create_connection((SERVER, site.port), timeout=20)
        self._sock = site.trust.wrap_socket(raw, server_hostname=UAP_NAME)

    def ask(self) -> bytes:
        """Return the head of an answer, and read it to its end."""
        self._sock.sendall(REQUEST)
        data = self._sock.recv(65536)
        head, _, content = data.partition(b"\r\n\r\n")
        length = int(head.lower().partition(b"content-length: ")[2].split()[0])
        while len(content) < length:
            content += self._sock.recv(65536)
        return head

    def close(self) -> None:
        """Leave."""
        self._sock.close()


def p99(once: Callable[[], object], pace: float) -> float:
    """Return the 99th percentile of the seconds that it takes, over some seconds."""
    taken = []
    until = time.perf_counter() + SECONDS
    while (began := time.perf_counter()) < until:
        once()
        now = time.perf_counter()
        taken.append(now - began)
        time.sleep(max(0.0, began + pace - now))
    return quantiles(taken, n=100)[98]


def visit(site: Site) -> None:
    """Connect, ask, leave."""
    with closing(Client(site)) as client:
        assert client.ask().startswith(b"HTTP/1.1 200 ")


def test_127_many_that_never_finish(deployment: Deployment) -> None:
    """5,000 slow heads and 2,000 half-open connections at most double a normal client's p99."""
    site = deployment.uap(limits={"head_timeout": 60, "handshake_timeout": 60})
    before = site.sockets()
    warm: list[tuple[float, float]] = []
    new: list[tuple[float, float]] = []
    visit(site)
    with closing(Client(site)) as client, attack(site.port, MANY, rate=RATE) as attackers:
        for _ in range(ROUNDS):
            quiet = p99(client.ask, PACE), p99(lambda: visit(site), NEW_PACE)
            attackers.want(slow=SLOW, half_open=HALF_OPEN)
            t = time.monotonic()
            attackers.stands()
            print("ramp", time.monotonic() - t, site.sockets())
            c = site.cpu()
            t = time.monotonic()
            under_attack = p99(client.ask, PACE), p99(lambda: visit(site), NEW_PACE)
            print("cpu", (site.cpu() - c) / (time.monotonic() - t))
            attackers.want(slow=0, half_open=0)
            attackers.stands()
            warm.append((quiet[0], under_attack[0]))
            new.append((quiet[1], under_attack[1]))
            print(warm[-1], new[-1])
            time.sleep(1)
            print(site.sockets(), before)
