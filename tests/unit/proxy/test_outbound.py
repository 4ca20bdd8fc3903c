"""An upstream's connection: how long it may be silent, and how long it is kept."""

import asyncio
import os
import socket
from pathlib import Path

import pytest

from authority import Authority
from engine_room import NAME, engine_room
from peers import answer, code_of, request, status_of, until

ANSWER, CONTENT, KEPT = 300, 300, 55


async def test_upstream_that_does_not_answer() -> None:
    """504 when the time for an answer is over, and the upstream is told not to go on."""
    async with engine_room() as room:
        client, there = await room.asked()
        await room.at(ANSWER - 1)
        assert room.codes() == []
        await room.at(ANSWER)
        late = await client.message()

        assert (status_of(late), code_of(late)) == (504, "upstream-timeout")
        assert await there.ended() == "RST"


async def test_time_for_an_answer_begins_with_the_end_of_the_request() -> None:
    """An upload may take longer than an answer."""
    async with engine_room() as room:
        head = request(NAME, (b"Content-Length", b"2"), line=b"PUT /image HTTP/1.1")
        client, there = await room.asked(head)
        await room.at(ANSWER - 1)
        client.send(b"x")
        await room.at(2 * ANSWER - 3)
        client.send(b"y")
        await room.at(3 * ANSWER - 5)
        there.send(answer(status=b"201 Created"))

        assert status_of(await client.message()) == 201


async def test_answer_that_stops_in_the_middle() -> None:
    """What moves may take for ever; what doesn't is broken off."""
    async with engine_room() as room:
        client, there = await room.asked()
        there.send(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n")
        await client.head()
        for turn in range(1, 4):
            there.send(b"x")
            await client.read(1)
            await room.at(turn * (CONTENT - 1))
        await room.at(3 * (CONTENT - 1) + CONTENT)

        assert await client.ended() == "RST"
        assert await there.ended() == "RST"
        assert room.codes() == [(200, "upstream-timeout")]


@pytest.mark.parametrize("idle", [KEPT, 5])
async def test_126_kept_connection_is_closed_before_usual_servers_do(idle: int) -> None:
    """After the time configured, and not before."""
    async with engine_room(upstream_idle_timeout=idle) as room:
        client, there = await room.asked()
        there.send(answer())
        await client.message()
        await room.at(idle - 1)
        kept = len(room.engine.pool)
        await room.at(idle)

        assert (kept, len(room.engine.pool)) == (1, 0)
        assert await there.ended() in {"FIN", "RST"}


async def test_bytes_nobody_asked_for() -> None:
    """A kept connection that talks is not kept: its words never answer the next request."""
    async with engine_room() as room:
        client, there = await room.asked()
        there.send(answer(b"first"))
        await client.message()
        there.send(answer(b"stray"))
        assert await there.ended() == "RST"
        client.send(request(NAME))
        second = await room.upstream.accepted()
        await second.head()
        second.send(answer(b"second"))

        assert (await client.message()).content == b"second"


@pytest.mark.parametrize("goodbye", [True, False])
async def test_end_of_an_answer_waits_for_a_slow_client(goodbye: bool, tmp_path: Path) -> None:
    """A TLS upstream that sends the rest and closes is heard to its end, however slow the client.

    With TLS's own goodbye before the FIN or without: the answer says itself when it is complete.
    """
    piece = 50_000
    async with engine_room(upstream_tls=Authority(tmp_path).serve(NAME)) as room:
        client, there = await room.asked()
        client.stop_taking()
        there.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
        (outbound,) = room.engine.outbounds
        count = 0
        while outbound.transport.is_reading():
            there.send(b"%x\r\n%b\r\n" % (piece, bytes(piece)))
            count += 1
            await asyncio.sleep(0.01)
        there.send(b"%x\r\n%b\r\n0\r\n\r\n" % (piece, bytes(piece)))
        await there.sent()
        await asyncio.sleep(0.05)
        with socket.socket(fileno=os.dup(there.socket.fileno())) as connection:
            if goodbye:
                there.writer.close()
                await asyncio.sleep(0.05)
            connection.shutdown(socket.SHUT_WR)
        await asyncio.sleep(0.05)
        client.take_again()
        got = await client.message()
        await until(lambda: room.records)

        assert len(got.content) == (count + 1) * piece
        assert room.codes() == [(200, "")]
