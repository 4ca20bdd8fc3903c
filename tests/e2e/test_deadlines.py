"""Clients that are slow on purpose: each part of a connection's life has its end."""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from authority import Authority
from deployment import Deployment, Site, Start, Way
from peers import BUFFER, PATIENCE, End, answer, code_of, status_of

# The time for the PROXY header is no setting.
TIMEOUT, HEADER_TIMEOUT = 2, 5
# What the sweep adds, which looks once a second, and a busy machine.
SLACK = 2.5
LIMITS = {"handshake_timeout": TIMEOUT, "head_timeout": TIMEOUT, "body_timeout": TIMEOUT}

V1 = b"PROXY TCP4 192.0.2.1 198.51.100.1 56324 443\r\n"
# The beginning of a ClientHello: a record of 512 bytes, of which five have come.
HELLO = b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03"


@pytest.fixture(scope="module")
def sites(
    authority: Authority, tmp_path_factory: pytest.TempPathFactory, start_exoproxy_once: Start
) -> dict[str, Site]:
    """UAPs in short of time, for clients themselves and behind a balancer."""

    def start(**settings: Any) -> Site:
        folder: Path = tmp_path_factory.mktemp("site")
        return Deployment(authority, folder, start_exoproxy_once).uap(limits=LIMITS, **settings)

    return {
        "direct": start(),
        "balanced": start(trusted_proxies=["127.0.0.0/8"], proxy_protocol=True),
    }


@pytest_asyncio.fixture
async def way(
    request: pytest.FixtureRequest, sites: dict[str, Site], deployment: Deployment
) -> AsyncIterator[Way]:
    """The site that a test's parameter names, with an instance behind it."""
    async with deployment.through(sites[request.param]) as found:
        yield found


direct = pytest.mark.parametrize("way", ["direct"], indirect=True)


async def dribbled(way: Way, sent: bytes, piece: bytes) -> tuple[bytes, float]:
    """Send something, then a piece now and then; return what came, and after how many seconds."""
    reader, writer = await asyncio.open_connection("127.0.0.1", way.site.port, limit=BUFFER)
    began = time.monotonic()
    writer.write(sent)
    got = asyncio.ensure_future(End(reader, writer).rest())
    try:
        while not got.done():
            await asyncio.wait({got}, timeout=0.3)
            writer.write(piece)
        return await got, time.monotonic() - began
    except ConnectionError:
        return b"", time.monotonic() - began
    finally:
        writer.transport.abort()


@pytest.mark.parametrize(
    ("way", "sent", "piece", "due"),
    [
        ("direct", b"", b"", TIMEOUT),
        ("direct", HELLO, b"a", TIMEOUT),
        ("balanced", b"", b"", HEADER_TIMEOUT),
        ("balanced", b"PROXY TCP4 ", b"1", HEADER_TIMEOUT),
        ("balanced", V1, b"", TIMEOUT),
        ("balanced", V1 + HELLO, b"a", TIMEOUT),
    ],
    indirect=["way"],
    ids=[
        "silence",
        "slow hello",
        "no header",
        "slow header",
        "silence after the header",
        "slow hello after the header",
    ],
)
async def test_125_before_there_is_a_request(
    way: Way, sent: bytes, piece: bytes, due: float
) -> None:
    """PROXY header and handshake end in time, though bytes go on coming; nothing is answered."""
    got, seconds = await dribbled(way, sent, piece)

    assert got == b""
    assert due - 0.1 <= seconds < due + SLACK


async def slow_head(way: Way, client: End) -> tuple[int, str]:
    """Send a head byte by byte."""
    late = asyncio.ensure_future(client.message())
    for byte in way.request():
        client.send(bytes([byte]))
        await asyncio.wait({late}, timeout=0.2)
        if late.done():
            break
    got = await late
    return status_of(got), code_of(got)


async def slow_content(way: Way, client: End) -> tuple[int, str]:
    """Announce more content than comes."""
    client.send(way.request(line=b"PUT /image HTTP/1.1", content=bytes(1000))[:-1])
    there = await way.upstream.accepted()
    await there.head()
    got = await client.message()

    assert await there.ended() == "RST"
    return status_of(got), code_of(got)


async def slow_reader(way: Way, client: End) -> tuple[int, str]:
    """Take nothing of an answer that is larger than all buffers on its way."""
    client.send(way.request())
    there = await way.upstream.accepted()
    await there.head()
    client.stop_taking()
    there.send(answer(bytes(32 * 2**20)))

    assert await there.ended() == "RST"
    client.take_again()
    return (await way.site.logged())[0]


@direct
@pytest.mark.parametrize(
    ("attempt", "expected"),
    [
        (slow_head, (408, "request-timeout")),
        (slow_content, (408, "request-timeout")),
        (slow_reader, (200, "request-timeout")),
    ],
    ids=["head", "content", "reader"],
)
async def test_123_within_tls(
    way: Way,
    attempt: Callable[[Way, End], Awaitable[tuple[int, str]]],
    expected: tuple[int, str],
) -> None:
    """A slow request is told so, a slow reader is broken off, and their upstreams are let go."""
    client = await way.connect()
    began = time.monotonic()
    async with asyncio.timeout(PATIENCE):
        got = await attempt(way, client)

    assert got == expected
    assert TIMEOUT - 1 <= time.monotonic() - began < 2 * TIMEOUT + SLACK
