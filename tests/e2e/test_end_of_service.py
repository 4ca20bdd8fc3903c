"""SIGTERM: nothing new is taken, what is under way is finished, and the process ends with 0."""

import asyncio
import contextlib
import signal

import pytest

from deployment import GOING_AWAY, Deployment, Way
from peers import End, answer

# Seconds that requests and tunnels get here.
DRAIN = 2
# What the process may take beyond that: tunnels have 5 s for their goodbye.
END = 8


async def idle(way: Way) -> tuple[End, End]:
    """Return both ends after a request that was answered."""
    client, there = await way.asked()
    there.send(answer())
    await client.message()
    return client, there


def unmasked(frame: bytes) -> bytes:
    """Return a short masked frame as it is without its mask."""
    assert frame[1] & 0x80
    mask = frame[2:6]
    payload = bytes(byte ^ mask[at % 4] for at, byte in enumerate(frame[6:]))
    return bytes([frame[0], frame[1] & 0x7F]) + payload


async def exit_code(way: Way, *, within: float = END) -> int:
    """Wait for the end of the process; return its exit code."""
    return await asyncio.to_thread(way.site.process.wait, within)


async def told_to_end(way: Way) -> None:
    """Send SIGTERM, and wait until nobody new is let in."""
    way.site.process.send_signal(signal.SIGTERM)
    while True:
        try:
            _, writer = await asyncio.open_connection("127.0.0.1", way.site.port)
        except ConnectionRefusedError:
            return
        writer.transport.abort()
        await asyncio.sleep(0.01)


async def test_128_idle_process_ends_at_once(deployment: Deployment) -> None:
    """Nobody is connected: there is nothing to wait for."""
    async with deployment.way("uap") as way:
        way.site.process.send_signal(signal.SIGTERM)

        assert await exit_code(way, within=2) == 0


async def test_128_idle_connections_are_closed(deployment: Deployment) -> None:
    """Clients that keep a connection see FIN, and don't hold the process up."""
    async with deployment.way("uap") as way:
        client, there = await idle(way)
        way.site.process.send_signal(signal.SIGTERM)

        assert await client.ended() == "FIN"
        assert await there.ended() in {"FIN", "RST"}
        assert await exit_code(way, within=4) == 0


async def test_121_request_that_meets_the_end_is_answered(deployment: Deployment) -> None:
    """A request that was on its way when the end began is served, as the connection's last."""
    async with deployment.way("uap") as way:
        client, there = await idle(way)
        await told_to_end(way)
        client.send(way.request())
        await there.head()
        there.send(answer())
        got = await client.head()

        assert b"\r\nConnection: close\r\n" in got
        assert await client.ended() == "FIN"
        assert await exit_code(way, within=4) == 0


@pytest.mark.parametrize("mode", ["main", "uap"])
async def test_128_requests_are_finished(deployment: Deployment, mode: str) -> None:
    """A request that waits and an upload get their answers, marked as the connection's last."""
    async with deployment.way(mode, limits={"drain": 20}) as way:
        client, there = await way.asked()
        head = way.request(line=b"PUT /image HTTP/1.1").removesuffix(b"\r\n")
        sender, taker = await way.asked(head + b"Content-Length: 10\r\n\r\nfirst")
        await told_to_end(way)
        sender.send(b"later")
        content = await taker.read(10)
        taker.send(answer(b"stored", status=b"201 Created"))
        there.send(answer(b"here"))
        stored, got = await sender.head(), await client.head()

        assert content == b"firstlater"
        assert stored.startswith(b"HTTP/1.1 201 ")
        assert got.startswith(b"HTTP/1.1 200 ")
        assert b"\r\nConnection: close\r\n" in stored
        assert b"\r\nConnection: close\r\n" in got
        assert await sender.read(6) == b"stored"
        assert await client.read(4) == b"here"
        assert (await sender.ended(), await client.ended()) == ("FIN", "FIN")
        assert await exit_code(way) == 0


async def test_128_request_that_does_not_end_is_cut(deployment: Deployment) -> None:
    """At the deadline the client sees that its answer is not whole."""
    async with deployment.way("uap", limits={"drain": 1}) as way:
        client, there = await way.asked()
        there.send(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf")
        await client.head()
        await client.read(4)
        way.site.process.send_signal(signal.SIGTERM)

        assert await exit_code(way) == 0
        assert await there.ended() in {"FIN", "RST"}


async def test_128_tunnels_say_goodbye_before_the_deadline(deployment: Deployment) -> None:
    """Half of the time they work on; then both ends get Close 1001, masked towards the server."""
    async with deployment.way("uap", limits={"drain": DRAIN}) as way:
        client, there = await way.tunnel()
        began = asyncio.get_running_loop().time()
        await told_to_end(way)
        there.send(b"\x81\x04back")
        client.send(b"\x81\x85\0\0\0\0there")
        words = await client.read(6), await there.read(11)
        frames = await client.read(4), await there.read(8)
        waited = asyncio.get_running_loop().time() - began
        client.writer.close()
        there.close()

        assert words == (b"\x81\x04back", b"\x81\x85\0\0\0\0there")
        assert (frames[0], unmasked(frames[1])) == (GOING_AWAY, GOING_AWAY)
        # The process looks at its clock once a second.
        assert DRAIN / 2 <= waited < DRAIN + 1
        assert await exit_code(way, within=2) == 0


async def test_128_tunnels_that_do_not_go_are_cut(deployment: Deployment) -> None:
    """Peers that don't answer the goodbye don't keep the process."""
    async with deployment.way("uap", limits={"drain": 1}) as way:
        client, there = await way.tunnel()
        way.site.process.send_signal(signal.SIGTERM)

        assert await client.read(4) == GOING_AWAY
        assert await there.read(8)
        assert await exit_code(way) == 0


async def test_128_second_signal_ends_at_once(deployment: Deployment) -> None:
    """Who asks twice doesn't want to wait."""
    async with deployment.way("uap", limits={"drain": 60}) as way:
        client, there = await way.asked()
        await told_to_end(way)
        way.site.process.send_signal(signal.SIGTERM)

        assert await exit_code(way, within=2) == 0
        assert await client.ended() in {"FIN", "RST"}
        assert await there.ended() in {"FIN", "RST"}


# A Close frame stands between two frames, never within one (RFC 6455 section 5.5).

HEADER = b"\x82\xff" + (2**20).to_bytes(8) + b"mask"
HALF = bytes(2**19)


async def test_139_goodbye_waits_for_the_end_of_a_frame(deployment: Deployment) -> None:
    """The deadline finds a message of 1 MiB half sent: its rest passes first, then the Close."""
    async with deployment.way("uap", limits={"drain": 1}) as way:
        client, there = await way.tunnel()
        client.send(HEADER + HALF)
        await there.read(len(HEADER + HALF))
        way.site.process.send_signal(signal.SIGTERM)
        told = await client.read(4)
        client.send(HALF + b"\x82\x81mask!")
        rest = await there.read(len(HALF))
        goodbye = await there.read(8)
        client.writer.close()

        assert told == GOING_AWAY
        assert rest == HALF
        assert unmasked(goodbye) == GOING_AWAY
        assert await there.rest() == b""
        assert await exit_code(way, within=3) == 0


async def test_139_no_goodbye_within_a_frame(deployment: Deployment) -> None:
    """Where the rest never comes, its receiver gets no Close at all."""
    async with deployment.way("uap", limits={"drain": 1}) as way:
        client, there = await way.tunnel()
        there.send(b"\x82\x7f" + (2**20).to_bytes(8) + HALF)
        await client.read(10 + len(HALF))
        way.site.process.send_signal(signal.SIGTERM)
        goodbye = await there.read(8)
        more = b""
        with contextlib.suppress(ConnectionResetError):
            more = await client.rest()

        assert unmasked(goodbye) == GOING_AWAY
        assert more == b""
        assert await exit_code(way) == 0


async def test_139_peer_that_said_goodbye_gets_none(deployment: Deployment) -> None:
    """Behind a Close of its own sender nothing may follow (RFC 6455 section 5.5.1)."""
    async with deployment.way("uap", limits={"drain": 1}) as way:
        client, there = await way.tunnel()
        there.send(b"\x88\x02\x03\xe8")
        await client.read(4)
        way.site.process.send_signal(signal.SIGTERM)

        assert unmasked(await there.read(8)) == GOING_AWAY
        there.close()
        assert await client.rest() == b""
        assert await exit_code(way, within=3) == 0
