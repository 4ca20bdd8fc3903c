"""Gigabytes through each mode, both ways: every byte arrives, and the memory stays where it was."""

from collections.abc import Iterator
from queue import Queue
from threading import Event

import pytest

from authority import Authority
from bulk import PATIENCE, BulkUpstream, Line, bulk_client, bulk_upstream, checksum
from deployment import CLOUD, INSTANCE, Deployment, Site

SIZE = 2 * 2**30
GROWTH = 16 * 2**20

# What is offered to a peer that takes nothing, and how long nothing moves before that is a stall.
OFFERED = 128 * 2**20
STALL = 1.0
# Linux lets each of the four sockets on the way hold some megabytes.
KERNELS = 32 * 2**20
# The proxy's own share: buffer_high, and what TLS and one read bring.
STALLED_GROWTH = 8 * 2**20

CREATED = b"HTTP/1.1 201 Created\r\nContent-Length: 0\r\n\r\n"


class Lane:
    """A process of its own, a client's connection to it, and an upstream behind it."""

    def __init__(self, site: Site, upstream: BulkUpstream, client: Line) -> None:
        self.upstream = upstream
        self.client = client
        self._site = site
        site.forget_peak()
        self._before = site.memory()

    def ask(self, *, upload: int = 0) -> None:
        """Send the head of a request for a download, or for an upload of so many bytes."""
        line = b"PUT /image HTTP/1.1" if upload else b"GET /image HTTP/1.1"
        head = self._site.request(self.upstream.port, line=line)
        if upload:
            head = head.removesuffix(b"\r\n") + b"Content-Length: %d\r\n\r\n" % upload
        self.client.socket.sendall(head)

    def growth(self) -> int:
        """Return by how much the process has grown at the most."""
        return self._site.peak() - self._before


@pytest.fixture(params=["main", "uap"])
def lane(
    request: pytest.FixtureRequest, deployment: Deployment, authority: Authority
) -> Iterator[Lane]:
    """Both modes: the main host with an API over TLS, the UAP with a plain instance."""
    is_main = request.param == "main"
    site = deployment.main() if is_main else deployment.uap()
    address = "127.0.0.1" if is_main else INSTANCE
    context = authority.serve(CLOUD) if is_main else None
    with (
        bulk_upstream(address, context) as upstream,
        bulk_client(site.port, site.host(upstream.port), site.trust) as client,
    ):
        yield Lane(site, upstream, client)


def answer(there: Line, size: int) -> None:
    """Take a request without content, and send the head of an answer of that size."""
    there.head()
    there.socket.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % size)


def test_download_of_two_gibibytes(lane: Lane) -> None:
    """2 GiB arrive whole, and the process grows by less than 16 MiB."""

    def scene(there: Line) -> int:
        answer(there, SIZE)
        return there.give(SIZE)

    result = lane.upstream.serve(scene)
    lane.ask()
    lane.client.head()
    check = lane.client.take(SIZE)
    print(f"at most {lane.growth() / 2**20:.1f} MiB more")

    assert lane.growth() < GROWTH
    assert (result.result(), check) == (SIZE, checksum(SIZE))


def test_upload_of_two_gibibytes(lane: Lane) -> None:
    """2 GiB arrive whole, and the process grows by less than 16 MiB."""

    def scene(there: Line) -> int:
        there.head()
        check = there.take(SIZE)
        there.socket.sendall(CREATED)
        return check

    result = lane.upstream.serve(scene)
    lane.ask(upload=SIZE)
    lane.client.give(SIZE)
    head = lane.client.head()
    print(f"at most {lane.growth() / 2**20:.1f} MiB more")

    assert head.startswith(b"HTTP/1.1 201 ")
    assert lane.growth() < GROWTH
    assert result.result() == checksum(SIZE)


def test_download_by_a_client_that_stops_reading(lane: Lane) -> None:
    """The upstream has to wait soon, nothing piles up, and it goes on when the client does."""
    stalled_at = Queue[int]()

    def scene(there: Line) -> int:
        answer(there, OFFERED)
        stalled_at.put(there.give(OFFERED, within=STALL))
        return there.give(OFFERED)

    result = lane.upstream.serve(scene)
    lane.ask()
    lane.client.head()
    accepted = stalled_at.get(timeout=PATIENCE)
    growth = lane.growth()
    check = lane.client.take(OFFERED)
    print(f"{accepted / 2**20:.1f} MiB taken, at most {growth / 2**20:.1f} MiB more")

    assert accepted < KERNELS
    assert growth < STALLED_GROWTH
    assert (result.result(), check) == (OFFERED, checksum(OFFERED))


def test_upload_to_an_upstream_that_stops_reading(lane: Lane) -> None:
    """The client has to wait soon, nothing piles up, and it goes on when the upstream does."""
    go_on = Event()

    def scene(there: Line) -> int:
        there.head()
        go_on.wait(PATIENCE)
        check = there.take(OFFERED)
        there.socket.sendall(CREATED)
        return check

    result = lane.upstream.serve(scene)
    lane.ask(upload=OFFERED)
    accepted = lane.client.give(OFFERED, within=STALL)
    growth = lane.growth()
    go_on.set()
    lane.client.give(OFFERED)
    head = lane.client.head()
    print(f"{accepted / 2**20:.1f} MiB taken, at most {growth / 2**20:.1f} MiB more")

    assert accepted < KERNELS
    assert growth < STALLED_GROWTH
    assert head.startswith(b"HTTP/1.1 201 ")
    assert result.result() == checksum(OFFERED)
