"""Both directions at once: answers before the request is complete, and bytes that pass at once."""

import asyncio
import socket
import struct

from deployment import Way
from peers import answer, code_of, status_of

LINGER = struct.pack("ii", 1, 0)


async def test_73_final_answer_instead_of_100(way: Way) -> None:
    """A client that waits for 100 gets the final answer, and its content is not awaited."""
    client = await way.connect()
    client.send(
        way.request(
            (b"Expect", b"100-continue"), (b"Content-Length", b"1000"), line=b"PUT / HTTP/1.1"
        )
    )
    there = await way.upstream.accepted()
    await there.head()
    there.send(answer(b"too large", status=b"413 Content Too Large"))
    got = await client.message()

    assert (status_of(got), got.content, code_of(got)) == (413, b"too large", "")
    assert await client.ended() == "FIN"


async def test_72_client_that_is_never_told_to_continue(way: Way) -> None:
    """An upstream that sends no 100 doesn't keep its client waiting: the 100 comes from here."""
    client = await way.connect()
    client.send(
        way.request((b"Expect", b"100-continue"), (b"Content-Length", b"5"), line=b"PUT / HTTP/1.1")
    )
    there = await way.upstream.accepted()
    await there.head()
    interim = await client.head()
    client.send(b"hello")
    content = await there.read(5)
    there.send(answer(b"thanks"))

    assert interim == b"HTTP/1.1 100 Continue\r\n\r\n"
    assert content == b"hello"
    assert (await client.message()).content == b"thanks"


async def test_105_answer_to_an_upload_that_is_not_read(way: Way) -> None:
    """An answer that comes at once reaches the client, though the upload then meets a reset."""
    client = await way.connect()
    client.send(way.request((b"Content-Length", b"100000000"), line=b"POST / HTTP/1.1"))
    client.send(bytes(100_000))
    there = await way.upstream.accepted()
    await there.head()
    there.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, LINGER)
    there.send(answer(b"no", status=b"413 Content Too Large"))
    got = await client.message()
    there.writer.transport.abort()

    assert (status_of(got), got.content) == (413, b"no")


async def test_106_answer_runs_beside_its_request(way: Way) -> None:
    """An upstream may answer each piece of a request as it comes."""
    client = await way.connect()
    client.send(way.request((b"Transfer-Encoding", b"chunked"), line=b"POST / HTTP/1.1"))
    there = await way.upstream.accepted()
    await there.head()
    there.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
    await client.head()
    echoed = []
    for piece in (b"5\r\nfirst\r\n", b"6\r\nsecond\r\n", b"5\r\nthird\r\n"):
        client.send(piece)
        there.send(await there.read(len(piece)))
        echoed.append(await client.read(len(piece)))
    client.send(b"0\r\n\r\n")
    there.send(await there.read(5))

    assert echoed == [b"5\r\nfirst\r\n", b"6\r\nsecond\r\n", b"5\r\nthird\r\n"]
    assert await client.read(5) == b"0\r\n\r\n"


async def test_107_events_pass_at_once(way: Way) -> None:
    """Each event of a stream crosses by itself; the quickest of five in less than 10 ms."""
    client = await way.connect()
    client.send(way.request((b"Accept", b"text/event-stream"), (b"Accept-Encoding", b"gzip, zstd")))
    there = await way.upstream.accepted()
    await there.head()
    there.send(
        b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"
    )
    head = await client.head()
    clock = asyncio.get_running_loop().time
    times = []
    for _ in range(5):
        before = clock()
        there.send(b"d\r\ndata: event\n\n\r\n")
        assert await client.read(18) == b"d\r\ndata: event\n\n\r\n"
        times.append(clock() - before)

    assert b"content-encoding" not in head.lower()
    assert min(times) < 0.010
