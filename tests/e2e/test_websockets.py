"""Websockets through the UAP: nothing in them changes, and an end on one side reaches the other."""

import asyncio
import os
import socket
from collections.abc import AsyncIterator
from http.cookies import SimpleCookie
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from aiohttp import ClientSession, TCPConnector, web
from aiohttp.abc import AbstractResolver, ResolveResult

from deployment import INSTANCE, Site, Way
from peers import End, answer, code_of, status_of, until

KEY = b"dGhlIHNhbXBsZSBub25jZQ=="
# The fields of a browser's handshake, apart from those of the connection itself.
HANDSHAKE = (
    (b"Origin", b"https://http-127-0-0-2-6080.proxy.example.org"),
    (b"Cookie", b"_xsrf=2|1:0|a; token=caf\xe9"),
    (b"sec-websocket-key", KEY),
    (b"Sec-WebSocket-Version", b"13"),
    (b"Sec-WebSocket-Protocol", b"v4.channel.k8s.io, binary"),
    (b"Sec-WebSocket-Extensions", b"permessage-deflate; client_max_window_bits"),
)
UPGRADE = ((b"Connection", b"keep-alive, Upgrade"), (b"Upgrade", b"websocket"))
AGREED = (
    (b"sec-websocket-accept", b"s3pPLMBiTxaQ9kYGzzhZRbK+xOo="),
    (b"Sec-WebSocket-Protocol", b"binary"),
    (b"Sec-WebSocket-Extensions", b"permessage-deflate"),
    (b"Set-Cookie", b"session=1; HttpOnly"),
)
SWITCHING = b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"


def lines(pairs: tuple[tuple[bytes, bytes], ...]) -> bytes:
    return b"".join(b"%b: %b\r\n" % pair for pair in pairs)


async def tunnel(way: Way) -> tuple[End, End]:
    """Return both ends of a new tunnel."""
    client = await way.connect()
    client.send(way.request(*UPGRADE, *HANDSHAKE))
    there = await way.upstream.accepted()
    await there.head()
    there.send(SWITCHING + b"\r\n")
    await client.head()
    return client, there


# The handshake.


async def test_129_handshake_crosses_unchanged(uap: Way) -> None:
    """Key, version, subprotocol, extensions, Origin and cookies arrive byte for byte."""
    client = await uap.connect()
    client.send(uap.request(*UPGRADE, *HANDSHAKE, line=b"GET /websockify?token=%2f HTTP/1.1"))
    there = await uap.upstream.accepted()
    asked = await there.message()
    there.send(SWITCHING + lines(AGREED) + b"\r\n")
    agreed = await client.message()

    assert asked.line == b"GET /websockify?token=%2f HTTP/1.1"
    assert asked.upgrade
    assert asked.fields[1 : 1 + len(HANDSHAKE)] == HANDSHAKE
    assert agreed.line == b"HTTP/1.1 101 Switching Protocols"
    assert agreed.upgrade
    # The proxy's own word to caches follows.
    assert agreed.fields == (*AGREED, (b"Vary", b"Origin"))


async def test_129_no_101_before_the_upstreams(uap: Way) -> None:
    """A client hears nothing until its instance has agreed."""
    client = await uap.connect()
    client.send(uap.request(*UPGRADE, *HANDSHAKE))
    there = await uap.upstream.accepted()
    await there.head()
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.2):
            await client.reader.read(1)
    there.send(SWITCHING + b"\r\n")

    assert (await client.head()).startswith(b"HTTP/1.1 101 ")


@pytest.mark.parametrize(
    "status", [b"200 OK", b"302 Found", b"403 Forbidden", b"426 Upgrade Required"]
)
async def test_130_refused_handshake_is_an_answer(uap: Way, status: bytes) -> None:
    """Whatever else the instance answers passes with its content, and the connection goes on."""
    client = await uap.connect()
    client.send(uap.request(*UPGRADE, *HANDSHAKE))
    there = await uap.upstream.accepted()
    await there.head()
    there.send(answer(b"no", (b"Sec-WebSocket-Version", b"13"), status=status))
    refusal = await client.message()
    client.send(uap.request())
    await there.head()
    there.send(answer(b"next"))

    assert refusal.line == b"HTTP/1.1 " + status
    assert refusal.content == b"no"
    assert dict(refusal.fields)[b"Sec-WebSocket-Version"] == b"13"
    assert (await client.message()).content == b"next"


async def test_131_bytes_right_behind_the_heads(uap: Way) -> None:
    """What either side sends together with its head is neither lost nor reordered."""
    client = await uap.connect()
    client.send(uap.request(*UPGRADE, *HANDSHAKE) + b"early ")
    there = await uap.upstream.accepted()
    await there.head()
    there.send(SWITCHING + b"\r\n" + b"first ")
    await client.head()
    client.send(b"later")
    there.send(b"second")

    assert await there.read(11) == b"early later"
    assert await client.read(12) == b"first second"


async def test_132_switch_to_something_else(uap: Way) -> None:
    """A 101 for another protocol than the one asked for is no answer: 502."""
    client = await uap.connect()
    client.send(uap.request(*UPGRADE, *HANDSHAKE))
    there = await uap.upstream.accepted()
    await there.head()
    there.send(SWITCHING.replace(b"websocket", b"h2c") + b"\r\n")
    refusal = await client.message()

    assert (status_of(refusal), code_of(refusal)) == (502, "upstream-answer")
    assert await there.ended() == "RST"


# Messages.


class Loopback(AbstractResolver):
    """Every name is 127.0.0.1."""

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        return [
            ResolveResult(
                hostname=host,
                host="127.0.0.1",
                port=port,
                family=socket.AF_INET,
                proto=0,
                flags=socket.AI_NUMERICHOST,
            )
        ]

    async def close(self) -> None:
        pass


async def echo(request: web.Request) -> web.WebSocketResponse:
    """Send every message back."""
    websocket = web.WebSocketResponse(protocols=["echo"], max_msg_size=2**22)
    websocket.set_cookie("seen", request.cookies.get("who", ""))
    await websocket.prepare(request)
    async for message in websocket:
        if isinstance(message.data, str):
            await websocket.send_str(message.data)
        else:
            await websocket.send_bytes(message.data)
    return websocket


@pytest_asyncio.fixture
async def echo_url(standing: dict[str, Site]) -> AsyncIterator[str]:
    """The address of an instance that echoes, behind the UAP."""
    application = web.Application()
    application.router.add_get("/", echo)
    runner = web.AppRunner(application, access_log=None, shutdown_timeout=1)
    await runner.setup()
    await web.TCPSite(runner, INSTANCE, 0).start()
    site = standing["uap"]
    yield f"https://{site.host(runner.addresses[0][1])}:{site.port}/"
    await runner.cleanup()


@pytest.mark.parametrize("size", [128, 2**20])
@pytest.mark.parametrize("kind", ["text", "binary"])
@pytest.mark.parametrize("compress", [0, 15], ids=["plain", "deflated"])
async def test_messages_come_back(
    standing: dict[str, Site], echo_url: str, kind: str, size: int, compress: int
) -> None:
    """Messages of both kinds and of any size come back as they were sent, in their order."""
    sent: list[Any] = [os.urandom(size // 2).hex() for _ in range(8)]
    if kind == "binary":
        sent = [message.encode() for message in sent]
    async with (
        ClientSession(connector=TCPConnector(resolver=Loopback())) as session,
        session.ws_connect(
            echo_url,
            ssl=standing["uap"].trust,
            protocols=["echo"],
            headers={"Cookie": "who=me"},
            compress=compress,
        ) as websocket,
    ):
        cookies: SimpleCookie = websocket._response.cookies
        for message in sent:
            await (websocket.send_bytes if kind == "binary" else websocket.send_str)(message)
        received = [(await websocket.receive(10)).data for _ in sent]

        assert websocket.protocol == "echo"
        assert cookies["seen"].value == "me"

    assert received == sent


# The end.


async def test_135_instance_that_stops_sending(uap: Way) -> None:
    """Its FIN ends the client's connection: what was sent arrives first, and TLS has no half."""
    client, there = await tunnel(uap)
    there.send(b"goodbye")
    there.finish()

    assert await client.read(7) == b"goodbye"
    assert await client.ended() == "FIN"
    assert await there.ended() == "FIN"


async def test_135_client_that_stops_sending(uap: Way) -> None:
    """Its close_notify is the instance's FIN, behind all that was sent."""
    client, there = await tunnel(uap)
    client.send(b"goodbye")
    client.writer.close()

    assert await there.read(7) == b"goodbye"
    assert await there.ended() == "FIN"


async def test_136_reset_by_the_instance(uap: Way) -> None:
    """RST on one side is RST on the other, over TLS too: nobody takes it for an orderly end."""
    client, there = await tunnel(uap)
    there.reset()

    assert await client.ended() == "RST"


async def test_136_reset_by_the_client(uap: Way) -> None:
    """The same the other way."""
    client, there = await tunnel(uap)
    client.reset()

    assert await there.ended() == "RST"


async def test_tunnel_has_two_lines_in_the_log(uap: Way) -> None:
    """One when it opens, one when it closes, with the bytes of each direction."""
    client, there = await tunnel(uap)
    client.send(b"abc")
    await there.read(3)
    there.send(b"abcde")
    await client.read(5)
    client.close()
    await there.ended()

    assert await uap.site.logged(2) == [(101, ""), (101, "")]
    opened, closed = uap.site.served()
    assert (opened["event"], closed["event"]) == ("tunnel-open", "tunnel-close")
    assert (closed["received"], closed["sent"]) == (3, 5)


async def test_138_end_that_stops_reading_stops_the_other(uap: Way) -> None:
    """Who takes nothing makes the sender wait; nothing piles up, and all arrives in the end."""
    client, there = await tunnel(uap)
    client.writer.transport.pause_reading()  # type: ignore[attr-defined]
    uap.site.forget_peak()
    before = uap.site.memory()
    content = 32 * 2**20
    message = b"\x82\x7f" + content.to_bytes(8) + bytes(content)
    size = len(message)
    there.send(message)
    waiting = -1
    while (left := there.writer.transport.get_write_buffer_size()) != waiting:
        waiting = left
        await asyncio.sleep(0.3)
    growth = uap.site.peak() - before
    client.writer.transport.resume_reading()  # type: ignore[attr-defined]
    got = 0
    while got < size:
        got += len(await client.some())

    assert waiting > size / 2
    assert growth < size / 4
    assert got == size


async def test_137_both_sockets_of_a_tunnel_are_probed(uap: Way) -> None:
    """Silence is no end: on both sides the kernel asks, within a minute, who is still there."""
    client, there = await tunnel(uap)

    def probed(end: End) -> bool:
        ours, theirs = end.socket.getsockname()[1], end.socket.getpeername()[1]
        kind, when = keepalive_timers()[theirs, ours]
        return kind == 2 and 50 < when <= 60

    # A receipt that is still due has the timer for a moment.
    await until(lambda: probed(client) and probed(there))


def keepalive_timers() -> dict[tuple[int, int], tuple[int, float]]:
    """Return the timer of each connection, by its ports: its kind (2: keep-alive) and seconds.

    From proc(5): the columns are local address, remote address, state, queues, timer and time in
    hundredths of a second, in hexadecimal.
    """
    rows = [line.split() for line in Path("/proc/net/tcp").read_text("ascii").splitlines()[1:]]
    timers = {}
    for _, local, remote, _, _, timer, *_ in rows:
        kind, when = timer.split(":")
        ports = int(local.split(":")[1], 16), int(remote.split(":")[1], 16)
        timers[ports] = int(kind, 16), int(when, 16) / 100
    return timers
