"""A tunnel between plain connections: half-close, reset, silence. Cases 135 to 137."""

import asyncio
import random

import pytest

from engine_room import NAME, Room, engine_room, settled
from peers import End, request

HALF_CLOSE = 30
CLOSE = b"\x88"

ASK = request(NAME, (b"Connection", b"Upgrade"), (b"Upgrade", b"websocket"))
AGREE = b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n"


async def tunnel(room: Room, side: str) -> tuple[End, End]:
    """Return the end that a test is about, and the other."""
    client, there = await room.asked(ASK)
    there.send(AGREE)
    await client.head()
    return (client, there) if side == "client" else (there, client)


sides = pytest.mark.parametrize("side", ["client", "upstream"])


@sides
async def test_135_half_close_is_passed_on(side: str) -> None:
    """Who has sent all may go on listening: the other side's words still arrive."""
    async with engine_room() as room:
        one, other = await tunnel(room, side)
        one.send(b"last")
        one.finish()
        assert await other.rest() == b"last"
        other.send(b"answer")
        assert await one.read(6) == b"answer"
        other.finish()

        assert await one.rest() == b""
        assert room.codes() == [(101, ""), (101, "")]


@sides
async def test_135_half_close_does_not_last(side: str) -> None:
    """The other side has half a minute."""
    async with engine_room() as room:
        one, other = await tunnel(room, side)
        one.finish()
        assert await other.rest() == b""
        await room.at(HALF_CLOSE - 1)
        other.send(b"still")
        assert await one.read(5) == b"still"
        await room.at(HALF_CLOSE)

        assert room.engine.tunnels == set()
        assert await one.ended() in {"FIN", "RST"}


@sides
async def test_136_reset_is_passed_on(side: str) -> None:
    """RST on one side is RST on the other."""
    async with engine_room() as room:
        one, other = await tunnel(room, side)
        one.reset()

        assert await other.ended() == "RST"


@sides
async def test_137_silence_is_no_end(side: str) -> None:
    """By default a tunnel that nobody uses stays for ever."""
    async with engine_room() as room:
        one, other = await tunnel(room, side)
        await room.at(365 * 24 * 3600)
        one.send(b"there")

        assert await other.read(5) == b"there"


@sides
async def test_137_limit_of_silence(side: str) -> None:
    """Where one is set, any byte puts the end off, and without one both sides are closed."""
    async with engine_room(tunnel_idle_timeout=60) as room:
        one, other = await tunnel(room, side)
        one.send(b"there")
        await other.read(5)
        await room.at(60)
        assert len(room.engine.tunnels) == 1
        await room.at(120)

        assert await one.ended() in {"FIN", "RST"}
        assert await other.ended() in {"FIN", "RST"}


async def test_128_goodbyes_are_spread(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each tunnel gets its Close frame at a moment of its own."""
    shares = iter([0.5, 0.75])
    monkeypatch.setattr(random, "uniform", lambda *_: next(shares))
    async with engine_room() as room:
        ends = [await room.connect(), await room.connect()]
        for client in tuple(ends):
            client.send(ASK)
            there = await room.upstream.accepted()
            await there.head()
            there.send(AGREE)
            await client.head()
            ends.append(there)
        draining = asyncio.create_task(room.engine.drain(20))
        await settled()
        began = room.engine.now
        silent = []
        for seconds in (9, 11, 14, 16):
            room.engine.sweep(began + seconds)
            silent.append(sum(not each._ending for each in room.engine.tunnels))
        for end in ends:
            assert (await end.read(2))[:1] == CLOSE
            end.close()
        await draining

        assert silent == [2, 1, 1, 0]


async def test_tells_of_itself_while_it_is_open() -> None:
    """Who looks sees where it leads, since when, and what has passed each way."""
    async with engine_room() as room:
        client, there = await tunnel(room, "client")
        client.send(b"ask")
        await there.read(3)
        there.send(b"answer")
        await client.read(6)
        (found,) = room.engine.tunnels

        assert (found.received, found.sent) == (3, 6)
        assert found.record.upstream is not None
        assert found.record.upstream.port == room.upstream.port
        assert found.record.started <= found.record.ended
