"""A client that leaves: its upstream learns at once, and the log tells."""

import asyncio

import pytest

from deployment import Way
from peers import End, answer

# What may lie between a client's end and its upstream's. A busy machine gets three tries.
AT_ONCE = 0.1
TRIES = 3

LONG = b"Content-Length: 1000000000\r\n"


async def seconds_until_ended(leaving: End, how: str, there: End) -> float:
    """Have a client leave; return how long its upstream took to hear of it."""
    clock = asyncio.get_running_loop().time
    began = clock()
    {"RST": leaving.reset, "FIN": leaving.close, "close_notify": leaving.writer.close}[how]()
    await there.ended()
    return clock() - began


@pytest.mark.parametrize("how", ["close_notify", "FIN", "RST"])
async def test_113_waiting_client_leaves(way: Way, how: str) -> None:
    """Before an answer: the upstream's connection ends within 100 ms; the log says client-gone."""
    taken = []
    for _ in range(TRIES):
        client = await way.connect()
        client.send(way.request())
        there = await way.upstream.accepted()
        await there.head()
        taken.append(await seconds_until_ended(client, how, there))

    assert min(taken) < AT_ONCE
    assert await way.site.logged(TRIES) == [(0, "client-gone")] * TRIES


@pytest.mark.parametrize("how", ["close_notify", "FIN", "RST"])
async def test_114_downloading_client_leaves(way: Way, how: str) -> None:
    """In the middle of a download the upstream learns as fast, and the log has the bytes."""
    taken = []
    for _ in range(TRIES):
        client = await way.connect()
        client.send(way.request())
        there = await way.upstream.accepted()
        await there.head()
        there.send(b"HTTP/1.1 200 OK\r\n" + LONG + b"\r\n" + bytes(1000))
        await client.head()
        await client.read(1000)
        taken.append(await seconds_until_ended(client, how, there))

    assert min(taken) < AT_ONCE
    assert await way.site.logged(TRIES) == [(200, "client-gone")] * TRIES
    assert [line["sent"] for line in way.site.served()] == [1000] * TRIES


@pytest.mark.parametrize("how", ["close_notify", "FIN", "RST"])
async def test_114_uploading_client_leaves(way: Way, how: str) -> None:
    """In the middle of an upload too: the upstream never takes what came for the whole."""
    taken = []
    for _ in range(TRIES):
        client = await way.connect()
        head = way.request(line=b"PUT /image HTTP/1.1").removesuffix(b"\r\n")
        client.send(head + LONG + b"\r\n" + bytes(1000))
        there = await way.upstream.accepted()
        await there.head()
        await there.read(1000)
        taken.append(await seconds_until_ended(client, how, there))

    assert min(taken) < AT_ONCE
    assert await way.site.logged(TRIES) == [(0, "client-gone")] * TRIES


async def test_114_client_leaves_within_a_chunk(way: Way) -> None:
    """A chunked upload that breaks off reaches the upstream without its last chunk."""
    client = await way.connect()
    client.send(way.request((b"Transfer-Encoding", b"chunked"), line=b"PUT /image HTTP/1.1"))
    client.send(b"5\r\nwhole\r\n5\r\nha")
    there = await way.upstream.accepted()
    await there.head()
    client.close()
    heard = b""
    try:
        while piece := await there.some():
            heard += piece
    except ConnectionResetError:
        pass

    assert b"whole" in heard
    assert b"0\r\n\r\n" not in heard


async def test_114_client_leaves_while_its_upstream_takes_nothing(uap: Way) -> None:
    """A client that leaves during an upload that was paused is noticed once it goes on."""
    client = await uap.connect()
    head = uap.request(line=b"PUT /image HTTP/1.1").removesuffix(b"\r\n")
    client.send(head + LONG + b"\r\n")
    there = await uap.upstream.accepted()
    await there.head()
    there.writer.transport.pause_reading()  # type: ignore[attr-defined]
    for _ in range(64):
        client.send(bytes(2**20))
    await asyncio.sleep(0.3)
    client.reset()
    there.writer.transport.resume_reading()  # type: ignore[attr-defined]

    assert await there.ended() == "RST"


async def test_115_client_that_only_stops_sending_has_left(uap: Way) -> None:
    """A request's end is in its framing: who closes its side before the answer gets none."""
    client = await uap.connect()
    client.send(uap.request())
    there = await uap.upstream.accepted()
    await there.head()
    client.close()

    assert await there.ended() in {"FIN", "RST"}
    assert await uap.site.logged() == [(0, "client-gone")]


async def test_next_client_is_served_after_one_has_left(way: Way) -> None:
    """What one client breaks off does not touch the next."""
    for client in (await way.connect(), await way.connect()):
        client.send(way.request())
        there = await way.upstream.accepted()
        await there.head()
        client.close()
        await there.ended()
    client = await way.connect()
    client.send(way.request())
    there = await way.upstream.accepted()
    await there.head()
    there.send(answer(b"here"))

    assert (await client.message()).content == b"here"
    client.close()
