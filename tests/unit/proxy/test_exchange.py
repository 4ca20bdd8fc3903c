"""One forwarded request: what its client gets when there is no way to the upstream. Case 116."""

import asyncio
import errno
import socket
from collections.abc import Sequence

import pytest
from aiohappyeyeballs import AddrInfoType

from engine_room import NAME, Room, attempts, engine_room, settled
from exoproxy.errors import TargetNotAllowed, UpstreamName
from exoproxy.net.dial import Address
from exoproxy.net.pool import FRESH
from peers import End, answer, code_of, request, status_of


async def test_116_name_without_an_address() -> None:
    """502 with a code of its own, and nothing is dialled."""
    asked, connector = attempts()
    async with engine_room(no_name=UpstreamName(), connector=connector) as room:
        client = await room.connect()
        client.send(request(NAME))
        got = await client.message()

    assert (status_of(got), code_of(got)) == (502, "upstream-name")
    assert asked == []


async def test_116_address_that_policy_denies() -> None:
    """403, and nothing is dialled."""
    asked, connector = attempts()

    def judge(address: Address, port: int) -> None:
        raise TargetNotAllowed

    async with engine_room(judge=judge, connector=connector) as room:
        client = await room.connect()
        client.send(request(NAME))
        got = await client.message()

    assert (status_of(got), code_of(got)) == (403, "target-not-allowed")
    assert asked == []


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (errno.ECONNREFUSED, "upstream-refused"),
        (errno.ENETUNREACH, "upstream-unreachable"),
        (errno.EHOSTUNREACH, "upstream-unreachable"),
    ],
)
async def test_116_connection_fails(error: int, code: str) -> None:
    """502 says what the network said; the client's connection goes on."""
    _, connector = attempts(OSError(error, "no"))
    async with engine_room(connector=connector) as room:
        client = await room.connect()
        client.send(request(NAME) + request(NAME))
        both = [await client.message(), await client.message()]

    assert [(status_of(got), code_of(got)) for got in both] == [(502, code)] * 2


@pytest.mark.parametrize("error", [errno.EADDRNOTAVAIL, errno.EMFILE])
async def test_127_this_host_has_run_out(error: int, caplog: pytest.LogCaptureFixture) -> None:
    """503, and the operator is told what to raise."""
    _, connector = attempts(OSError(error, "no"))
    async with engine_room(connector=connector) as room:
        client = await room.connect()
        client.send(request(NAME))
        got = await client.message()
    said = [record.getMessage() for record in caplog.records]
    caplog.clear()

    assert (status_of(got), code_of(got)) == (503, "overloaded")
    assert len(said) == 1
    assert said[0].startswith("Can't connect to upstreams: ")


async def test_116_client_leaves_while_its_upstream_is_dialled() -> None:
    """The attempt ends at once, and nothing counts it any more."""
    asked, connector = attempts()
    async with engine_room(connector=connector) as room:
        client = await room.connect()
        client.send(request(NAME))
        await settled()
        assert room.engine.pool.in_use() == 1
        client.close()
        await settled()

        assert room.engine.pool.in_use() == 0
        assert room.codes() == [(0, "client-gone")]
    assert len(asked) == 1


# An upstream that takes nothing.

UPLOAD = request(NAME, (b"Content-Length", b"100000000"), line=b"PUT /image HTTP/1.1")


async def buffered(room: Room, client: End) -> int:
    """Upload 30 MB and return how much of it waits in the engine."""
    for _ in range(30):
        client.send(bytes(1_000_000))
        await asyncio.sleep(0.005)
    (outbound,) = room.engine.outbounds
    return outbound.transport.get_write_buffer_size()


async def test_content_that_came_while_its_upstream_was_dialled() -> None:
    """It fills the buffer at once, and the client has to wait all the same."""
    connector = Late()
    async with engine_room(connector=connector, buffer_low=1024, buffer_high=2048) as room:
        client = await room.connect()
        client.send(UPLOAD + bytes(250_000))
        await settled()
        connector.go.set()
        there = await room.upstream.accepted()
        there.stop_taking()

        assert await buffered(room, client) < 1_000_000


async def test_connection_whose_upstream_takes_nothing_is_not_kept() -> None:
    """Answers alone make no room: what an upstream left lying would hold up the next content."""
    put = request(NAME, line=b"PUT /image HTTP/1.1", content=bytes(60_000))
    connector = Late()
    connector.go.set()
    async with engine_room(connector=connector, buffer_low=1024, buffer_high=2048) as room:
        client = await room.connect()
        client.send(put)
        first = await room.upstream.accepted()
        first.stop_taking()
        await asyncio.sleep(0.05)
        requests = 1
        # The kernel takes some.
        while room.upstream.count == 1 and requests < 5:
            first.send(answer())
            await client.message()
            client.send(put)
            requests += 1
            await asyncio.sleep(0.05)
        first.take_again()

        assert room.upstream.count == 2
        assert await first.ended() == "RST"


@pytest.mark.parametrize("idle", [1, 0])
async def test_127_idle_connections_fill_no_cap(idle: int) -> None:
    """A request that may not take a kept connection ends one to dial its own; else it gets 503."""
    put = request(NAME, line=b"PUT /image HTTP/1.1", content=b"bytes")
    async with engine_room(connections_per_upstream=1) as room:
        first, there = await room.asked()
        if idle:
            there.send(answer())
            await first.message()
            # Too long ago for what must not be sent twice.
            await room.at(FRESH + 1)
        second = await room.connect()
        second.send(put)
        if idle:
            assert await there.ended() == "FIN"
            there = await room.upstream.accepted()
            await there.message()
            there.send(answer(status=b"201 Created"))
        got = await second.message()

        assert (status_of(got), code_of(got)) == ((201, "") if idle else (503, "overloaded"))


class Late:
    """A connector that waits for the test; what it connects sends little at a time."""

    def __init__(self) -> None:
        self.go = asyncio.Event()

    async def __call__(self, addresses: Sequence[AddrInfoType]) -> socket.socket:
        await self.go.wait()
        sock = socket.socket()
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)
        sock.setblocking(False)
        await asyncio.get_running_loop().sock_connect(sock, addresses[0][4])
        return sock
