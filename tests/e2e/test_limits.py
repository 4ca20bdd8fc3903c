"""Caps: who is over one is told, everybody else goes on, and the process stays calm."""

import asyncio
import resource
from time import monotonic

import pytest

from bulk import bulk_client
from deployment import Deployment, Site, Way
from peers import End, answer, code_of, request, status_of, until

LIMIT = 2**20


async def served(way: Way, client: End) -> int:
    """Return the status of the answer to a request that the upstream answers."""
    client.send(way.request())
    there = await way.upstream.accepted()
    await there.head()
    there.send(answer(b"", (b"Connection", b"close")))
    return status_of(await client.message())


# Contents (limits.body).


@pytest.mark.parametrize("mode", ["main", "uap"])
async def test_122_too_large_is_told_at_once(deployment: Deployment, mode: str) -> None:
    """A length over the limit gets 413 before anything is sent, and nobody is dialled."""
    async with deployment.way(mode, limits={"body": LIMIT}) as way:
        client = await way.connect()
        head = way.request(line=b"PUT /image HTTP/1.1").removesuffix(b"\r\n")
        client.send(head + b"Content-Length: %d\r\n\r\n" % (LIMIT + 1))
        refusal = await client.message()

        assert (status_of(refusal), code_of(refusal)) == (413, "content-too-large")
        assert await client.ended() == "FIN"
        assert way.upstream.count == 0


async def test_122_limit_itself_passes(deployment: Deployment) -> None:
    """As many bytes as the limit says are not too many."""
    async with deployment.way("uap", limits={"body": LIMIT}) as way:
        client = await way.connect()
        client.send(way.request(line=b"PUT /image HTTP/1.1", content=bytes(LIMIT)))
        there = await way.upstream.accepted()
        stored = await there.message()
        there.send(answer(status=b"201 Created"))

        assert len(stored.content) == LIMIT
        assert status_of(await client.message()) == 201


@pytest.mark.parametrize("mode", ["main", "uap"])
async def test_122_too_large_in_chunks(deployment: Deployment, mode: str) -> None:
    """The limit counts what comes: 413 in the middle, and the upstream never sees the end."""
    async with deployment.way(mode, limits={"body": LIMIT}) as way:
        client = await way.connect()
        client.send(way.request((b"Transfer-Encoding", b"chunked"), line=b"PUT /image HTTP/1.1"))
        there = await way.upstream.accepted()
        await there.head()
        client.send(b"%x\r\n%b\r\n" % (LIMIT // 2, bytes(LIMIT // 2)) * 3)
        refusal = await client.message()

        assert (status_of(refusal), code_of(refusal)) == (413, "content-too-large")
        assert await there.ended() == "RST"


@pytest.mark.parametrize("mode", ["main", "uap"])
@pytest.mark.parametrize("unread", [2**16, LIMIT - 2**16])
def test_122_client_that_reads_after_it_has_sent_all(
    deployment: Deployment, mode: str, unread: int
) -> None:
    """It finds the answer: what it was still sending is read and dropped, up to a megabyte."""
    site = (deployment.main if mode == "main" else deployment.uap)(limits={"body": 1000})
    with bulk_client(site.port, site.host(9), site.trust) as client:
        head = site.request(9, line=b"PUT /image HTTP/1.1").removesuffix(b"\r\n")
        client.socket.sendall(head + b"Content-Length: %d\r\n\r\n" % unread)
        client.give(unread)
        refusal = client.head()

    assert refusal.startswith(b"HTTP/1.1 413 ")


def test_122_client_that_never_stops_sending_is_cut(deployment: Deployment) -> None:
    """TLS waits 5 s for the client's own goodbye; until then all is dropped and nothing kept."""
    site = deployment.uap(limits={"body": 1000})
    began = monotonic()
    with bulk_client(site.port, site.host(9), site.trust) as client:
        head = site.request(9, line=b"PUT /image HTTP/1.1").removesuffix(b"\r\n")
        site.forget_peak()
        before = site.memory()
        client.socket.sendall(head + b"Content-Length: %d\r\n\r\n" % 2**40)
        with pytest.raises(OSError, match=r"reset|Broken pipe|EOF"):
            client.give(2**40)

    assert monotonic() - began < 8
    assert site.peak() - before < 8 * 2**20


# Connections.


async def test_127_client_over_its_cap(deployment: Deployment) -> None:
    """It is told 503; those it holds work on, and one that leaves makes room."""
    async with deployment.way("uap", limits={"connections_per_client": 2}) as way:
        first = await way.connect()
        sockets = way.site.sockets()
        second, third = await way.connect(), await way.connect()
        third.send(way.request())
        refusal = await third.message()

        assert (status_of(refusal), code_of(refusal)) == (503, "overloaded")
        assert await third.ended() == "FIN"
        assert await served(way, first) == 200
        third.close()
        second.close()
        await until(lambda: way.site.sockets() == sockets)
        assert await served(way, await way.connect()) == 200


async def test_127_crowd_of_one_client_is_closed(deployment: Deployment) -> None:
    """Beyond twice its cap a client gets no answer and no handshake: refusing has its cost too."""
    async with deployment.way("uap", limits={"connections_per_client": 1}) as way:
        await way.connect()
        await way.connect()

        with pytest.raises(ConnectionError):
            await way.connect()


async def test_127_house_is_full(deployment: Deployment) -> None:
    """Who comes is told so; when those who are told are many, the next waits before the door."""
    async with deployment.way("uap", limits={"connections": 2}) as way:
        busy = [await way.connect() for _ in range(2)]
        for client in busy:
            client.send(way.request())
        upstreams = [await way.upstream.accepted() for _ in busy]
        told = [await way.connect() for _ in range(8)]
        waiting = asyncio.ensure_future(way.connect())
        await asyncio.sleep(0.3)
        spent = way.site.cpu()
        await asyncio.sleep(1)

        assert way.site.cpu() - spent < 0.3
        assert not waiting.done()
        told[0].send(way.request())
        refusal = await told[0].message()

        assert (status_of(refusal), code_of(refusal)) == (503, "overloaded")
        assert dict(refusal.fields)[b"Retry-After"] == b"5"
        assert await told[0].ended() == "FIN"
        told[0].close()
        last = await waiting
        for there in upstreams:
            await there.head()
            there.send(answer(b"here"))
        assert [(await client.message()).content for client in busy] == [b"here"] * 2
        last.send(way.request())
        assert status_of(await last.message()) == 503


async def test_127_idle_connection_keeps_nobody_out(deployment: Deployment) -> None:
    """When the last place is taken, the connection that idles longest is closed."""
    async with deployment.way("uap", limits={"connections": 2}) as way:
        idle = await way.connect()
        idle.send(way.request())
        there = await way.upstream.accepted()
        await there.head()
        there.send(answer(b"", (b"Connection", b"close")))
        await idle.message()
        # One that fell silent just now is not idle yet, and the sweep's clock has whole seconds.
        await asyncio.sleep(3.2)
        second = await way.connect()

        assert await idle.ended() == "FIN"
        idle.close()
        await second.sent()
        assert [await served(way, each) for each in (second, await way.connect())] == [200, 200]


@pytest.mark.parametrize("mode", ["main", "uap"])
async def test_127_scanner_gets_short_answers(deployment: Deployment, mode: str) -> None:
    """What it is refused too often for gets 429; others behind its address are served."""
    async with deployment.way(mode, limits={"refusals_per_client": 2}) as way:
        got = []
        for _ in range(3):
            scanner = await way.connect()
            scanner.send(request("elsewhere.example", (b"Accept", b"text/html")))
            got.append(await scanner.message())

        assert await scanner.ended() == "FIN"
        assert [(status_of(each), code_of(each)) for each in got[1:]] == [
            (421, "misdirected-request"),
            (429, "too-many-refusals"),
        ]
        assert len(got[2].content) < 100 < len(got[1].content)
        assert dict(got[2].fields)[b"Retry-After"] == b"30"
        assert await served(way, await way.connect()) == 200


async def test_127_upstream_has_as_many_connections_as_it_may(deployment: Deployment) -> None:
    """More requests at once than an upstream may get: 503 for those, the others go on."""
    async with deployment.way("uap", limits={"connections_per_upstream": 1}) as way:
        first, second = await way.connect(), await way.connect()
        first.send(way.request())
        there = await way.upstream.accepted()
        await there.head()
        second.send(way.request())
        refusal = await second.message()
        there.send(answer(b"here"))

        assert (status_of(refusal), code_of(refusal)) == (503, "overloaded")
        assert (await first.message()).content == b"here"


# Descriptors.


@pytest.mark.parametrize("mode", ["main", "uap"])
async def test_127_no_descriptor_left(deployment: Deployment, mode: str) -> None:
    """New clients wait, open ones go on, the process stays calm, and recovers by itself."""
    site = deployment.main() if mode == "main" else deployment.uap()
    async with deployment.through(site, complaint="may open no more files") as way:
        first = await way.connect()
        first.send(way.request())
        there = await way.upstream.accepted()
        await there.head()
        highest = max(site.files())
        allow(site, highest + 3)
        crowd = [asyncio.ensure_future(way.connect()) for _ in range(20)]
        await until(lambda: any(line.get("level") == "ERROR" for line in way.site.log()))
        spent = site.cpu()
        await asyncio.sleep(2)
        spent = site.cpu() - spent
        inside = [one for one in crowd if one.done()]
        outside = [one for one in crowd if not one.done()]
        # One that is inside finds no descriptor for an upstream.
        second = inside[0].result()
        second.send(way.request())
        refusal = await second.message()
        there.send(answer(b"here", (b"Connection", b"close")))
        got = await first.message()
        allow(site, highest + 100)
        third = await outside[0]
        errors = [line["message"] for line in way.site.log() if line.get("level") == "ERROR"]

        assert spent < 0.3
        # One line a minute, of the clients and of the upstreams.
        assert len(errors) == len(set(errors)) <= 2
        assert (status_of(refusal), code_of(refusal)) == (503, "overloaded")
        assert got.content == b"here"
        assert await served(way, third) == 200
        await asyncio.gather(*crowd)


def allow(site: Site, files: int) -> None:
    """Let a process open files up to that number."""
    _, hard = resource.prlimit(site.process.pid, resource.RLIMIT_NOFILE)
    resource.prlimit(site.process.pid, resource.RLIMIT_NOFILE, (files, hard))
