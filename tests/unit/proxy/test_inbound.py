"""A client's connection: how long its parts may take, and how it ends. Cases 121 to 126."""

import asyncio
from pathlib import Path

import pytest

from authority import Authority
from engine_room import NAME, Room, engine_room, settled
from peers import End, answer, code_of, request, status_of, until

GET = request(NAME)
PUT = request(NAME, (b"Content-Length", b"10"), line=b"PUT /image HTTP/1.1")

HEAD, IDLE, CONTENT, LINGER = 15, 75, 300, 10


async def test_123_head_has_a_deadline_as_a_whole() -> None:
    """A byte now and then doesn't help: 408 when the time for the head is over, and the end."""
    async with engine_room() as room:
        client = await room.connect()
        for second in range(HEAD):
            client.send(GET[second : second + 1])
            await room.at(second)
        assert room.codes() == []
        await room.at(HEAD)
        late = await client.message()

        assert (status_of(late), code_of(late)) == (408, "request-timeout")
        assert await client.ended() == "FIN"
        assert room.codes() == [(408, "request-timeout")]


async def test_123_silent_client_is_let_go_without_a_word() -> None:
    """Browsers open connections in advance: an answer to nothing would be taken for the next."""
    async with engine_room() as room:
        client = await room.connect()
        await room.at(HEAD)

        assert await client.rest() == b""
        assert room.codes() == []


async def test_123_time_begins_with_the_first_byte_of_each_head() -> None:
    """A second request late in the idle time has its own time."""
    async with engine_room() as room:
        client, there = await room.asked()
        there.send(answer())
        await client.message()
        await room.at(IDLE - 1)
        client.send(b"G")
        await room.at(IDLE + HEAD - 2)
        assert room.codes() == [(200, "")]
        await room.at(IDLE - 1 + HEAD)

        assert status_of(await client.message()) == 408


async def test_126_idle_connection_is_closed() -> None:
    """FIN after the idle time and not before, without an answer."""
    async with engine_room() as room:
        client, there = await room.asked()
        there.send(answer())
        await client.message()
        await room.at(IDLE - 1)
        assert room.caps.open == 1
        await room.at(IDLE)

        assert await client.rest() == b""
        assert room.codes() == [(200, "")]


async def test_121_connection_in_use_is_not_idle() -> None:
    """A request that waits for its answer is not closed by the idle time."""
    async with engine_room(answer_timeout=1000) as room:
        client, there = await room.asked()
        await room.at(IDLE * 2)
        there.send(answer(b"here"))

        assert (await client.message()).content == b"here"


async def test_124_content_that_moves_may_take_for_ever() -> None:
    """The time for content counts from its last byte; then 408, and the upstream is told."""
    async with engine_room(answer_timeout=10_000) as room:
        client, there = await room.asked(PUT)
        for minute in range(9):
            client.send(b"x")
            await room.at(minute * (CONTENT - 1))
        assert room.codes() == []
        await room.at(8 * (CONTENT - 1) + CONTENT)
        late = await client.message()

        assert (status_of(late), code_of(late)) == (408, "request-timeout")
        assert await there.ended() == "RST"


async def test_124_client_that_takes_no_byte_of_an_answer() -> None:
    """The connection is broken off on both sides, so that nobody takes it for whole."""
    async with engine_room() as room:
        client, there = await room.asked()
        there.send(answer(bytes(64 * 2**20)))
        await stalled(there.writer)
        await room.at(CONTENT - 1)
        assert room.caps.open == 1
        await room.at(CONTENT)
        assert await there.ended() == "RST"

        assert await client.ended() == "RST"
        assert room.codes() == [(200, "request-timeout")]


async def test_124_client_that_takes_a_little() -> None:
    """As long as something moves, the client is only slow."""
    # So much that what the client takes never brings the buffer down to where it is filled again.
    async with engine_room(buffer_high=2**25) as room:
        client, there = await room.asked()
        size = 64 * 2**20
        there.send(answer(bytes(size)))
        await stalled(there.writer)
        await client.head()
        took = 0
        for turn in range(1, 4):
            took += len(await client.read(2**22))
            await stalled(there.writer)
            await room.at(turn * (CONTENT - 1))
        while took < size:
            took += len(await client.some())

        assert took == size


async def stalled(writer: asyncio.StreamWriter) -> None:
    """Wait until a writer can get rid of nothing more."""
    before = -1
    while (left := writer.transport.get_write_buffer_size()) != before:
        before = left
        await asyncio.sleep(0.05)


# The end of an answer that the client takes slowly.


async def unread_answer(room: Room, client: End, there: End) -> int:
    """Answer more than the client's kernel takes, all at once at the end; return how much."""
    client.stop_taking()
    (inbound,) = room.engine.inbounds
    there.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
    size = 0
    while inbound.transport.get_write_buffer_size() < 100_000:
        there.send(b"c350\r\n%b\r\n" % bytes(50_000))
        size += 50_000
        await asyncio.sleep(0.01)
    there.send(b"30d40\r\n%b\r\n0\r\n\r\n" % bytes(200_000))
    await until(lambda: room.records)
    return size + 200_000


async def test_122_client_that_takes_all_and_stays() -> None:
    """Once it has caught up, its time to close begins; it has no more than others."""
    async with engine_room() as room:
        client, there = await room.asked(PUT)
        size = await unread_answer(room, client, there)
        client.take_again()
        got = await client.message()
        await room.at(LINGER - 1)
        still_open = room.caps.open
        await room.at(LINGER)

        assert len(got.content) == size
        assert (still_open, room.caps.open) == (1, 0)


async def test_124_last_answer_waits_for_a_slow_client(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """TLS gives a client seconds to say goodbye; they begin when it has taken the answer."""
    monkeypatch.setattr("exoproxy.net.transport._TLS_SHUTDOWN", 0.05)
    async with engine_room(client_tls=Authority(tmp_path).serve(NAME)) as room:
        client, there = await room.asked(request(NAME, (b"Connection", b"close")))
        size = await unread_answer(room, client, there)
        await asyncio.sleep(0.1)
        await room.at(CONTENT - 1)
        client.take_again()

        assert len((await client.message()).content) == size


async def test_124_last_answer_waits_for_nobody_who_takes_nothing() -> None:
    """The wait for a slow client is as long as in the middle of an answer."""
    async with engine_room() as room:
        client, there = await room.asked(request(NAME, (b"Connection", b"close")))
        await unread_answer(room, client, there)
        await room.at(CONTENT - 1)
        still_open = room.caps.open
        await room.at(CONTENT)

        assert (still_open, room.caps.open) == (1, 0)


# After a refusal.


@pytest.mark.parametrize("bytes_more", [0, 2**20])
async def test_122_client_may_go_on_sending_for_a_while(bytes_more: int) -> None:
    """What it sends is dropped; it has the answer, and the connection ends after the time."""
    async with engine_room(body=1) as room:
        client = await room.connect()
        client.send(PUT)
        refusal = await client.message()
        client.send(bytes(bytes_more))
        await client.sent()
        await room.at(LINGER - 1)
        still_open = room.caps.open
        await room.at(LINGER)

        assert status_of(refusal) == 413
        assert (still_open, room.caps.open) == (1, 0)


async def test_122_client_that_sends_too_much_more() -> None:
    """Over a megabyte is not read any more."""
    async with engine_room(body=1) as room:
        client = await room.connect()
        client.send(PUT)
        await client.message()
        client.send(bytes(2**20 + 1))
        await client.ended()
        await settled()

        assert room.caps.open == 0


async def test_122_what_follows_a_refused_content_is_no_request() -> None:
    """Where the content ends can't be known: nothing behind it is ever answered."""
    async with engine_room(body=1) as room:
        client = await room.connect()
        client.send(PUT + b"0123456789" + GET)
        await client.message()

        assert await client.rest() == b""
        assert room.codes() == [(413, "content-too-large")]
        assert room.upstream.count == 0
