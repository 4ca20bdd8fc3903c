"""Who the client is: the PROXY header before TLS, and X-Forwarded-For behind it, where believed."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from authority import Authority
from deployment import Deployment, Site, Start, Way
from messages import Message
from peers import BUFFER, End, answer

V1 = b"PROXY TCP4 192.0.2.1 198.51.100.1 56324 443\r\n"
V1_TCP6 = b"PROXY TCP6 2001:db8::1 2001:db8::2 56324 443\r\n"
SIGNATURE = b"\r\n\r\n\0\r\nQUIT\n"
ADDRESSES = bytes([192, 0, 2, 1, 198, 51, 100, 1]) + (56324).to_bytes(2) + (443).to_bytes(2)
V2 = SIGNATURE + b"\x21\x11\x00\x0c" + ADDRESSES
V2_EXTENDED = SIGNATURE + b"\x21\x11\x00\x18" + ADDRESSES + b"\x04\0\0\x01\0\x06http/1"
V2_LOCAL = SIGNATURE + b"\x20\x00\x00\x00"

LOOPBACK = ["127.0.0.0/8"]


@pytest.fixture(scope="module")
def sites(
    authority: Authority, tmp_path_factory: pytest.TempPathFactory, start_exoproxy_once: Start
) -> dict[str, Site]:
    """UAPs that differ in whom they believe."""

    def start(**settings: Any) -> Site:
        folder: Path = tmp_path_factory.mktemp("site")
        return Deployment(authority, folder, start_exoproxy_once).uap(**settings)

    return {
        "balanced": start(trusted_proxies=LOOPBACK, proxy_protocol=True),
        "behind another": start(trusted_proxies=["192.0.2.0/24"], proxy_protocol=True),
        "forwarded": start(trusted_proxies=[*LOOPBACK, "198.51.100.0/24"]),
    }


@pytest_asyncio.fixture
async def way(
    request: pytest.FixtureRequest, sites: dict[str, Site], deployment: Deployment
) -> AsyncIterator[Way]:
    """The site that a test's parameter names, with an instance behind it."""
    async with deployment.through(sites[request.param]) as found:
        yield found


balanced = pytest.mark.parametrize("way", ["balanced"], indirect=True)
behind_another = pytest.mark.parametrize("way", ["behind another"], indirect=True)
forwarded = pytest.mark.parametrize("way", ["forwarded"], indirect=True)


async def introduced(way: Way, *pieces: bytes) -> End:
    """Return a connection over TLS that began with these bytes, each in a segment of its own."""
    reader, writer = await asyncio.open_connection("127.0.0.1", way.site.port, limit=BUFFER)
    for piece in pieces:
        writer.write(piece)
        await asyncio.sleep(0.01)
    await writer.start_tls(way.site.trust, server_hostname=way.site.host(way.upstream.port))
    return End(reader, writer)


async def seen_by_the_instance(way: Way, client: End, *fields: tuple[bytes, bytes]) -> Message:
    """Send a request with these fields; return what of it has arrived, once it is answered."""
    client.send(way.request(*fields))
    there = await way.upstream.accepted()
    asked = await there.message()
    there.send(answer())
    await client.message()
    client.close()
    return asked


def forwarded_for(message: Message) -> list[bytes]:
    return [value for name, value in message.fields if name.lower() == b"x-forwarded-for"]


@balanced
@pytest.mark.parametrize(
    ("header", "client"),
    [
        (V1, "192.0.2.1"),
        (V1_TCP6, "2001:db8::1"),
        (V2, "192.0.2.1"),
        (V2_EXTENDED, "192.0.2.1"),
        (V2_LOCAL, "127.0.0.1"),
    ],
    ids=["v1", "v1 IPv6", "v2", "v2 with extensions", "v2 local"],
)
async def test_91_header_names_the_client(way: Way, header: bytes, client: str) -> None:
    """The instance and the log learn the client's address from a balancer's header."""
    asked = await seen_by_the_instance(way, await introduced(way, header))

    assert forwarded_for(asked) == [client.encode()]
    assert await way.site.logged() == [(200, "")]
    assert way.site.served()[0]["client"] == client


@balanced
async def test_91_header_in_pieces(way: Way) -> None:
    """It may come in any number of segments."""
    pieces = [V2[at : at + 5] for at in range(0, len(V2), 5)]
    asked = await seen_by_the_instance(way, await introduced(way, *pieces))

    assert forwarded_for(asked) == [b"192.0.2.1"]


@balanced
@pytest.mark.parametrize(
    "sent",
    [
        b"",
        b"GET / HTTP/1.1\r\n\r\n",
        V1.replace(b"56324", b"99999"),
        V1.replace(b"TCP4", b"TCP5"),
        b"PROXY TCP4 " + b"1" * 200,
        V2.replace(b"\x00\x0c", b"\x00\x04"),
        V2_EXTENDED.replace(b"\0\x06http", b"\x06\0http"),
        SIGNATURE + b"\x31\x11\x00\x0c" + ADDRESSES,
    ],
    ids=[
        "none",
        "a request",
        "v1 port",
        "v1 family",
        "v1 too long",
        "v2 too short",
        "v2 extension too long",
        "v2 version",
    ],
)
async def test_91_wrong_header_gets_no_answer(way: Way, sent: bytes) -> None:
    """Without a right header the connection is closed, and nothing is read as HTTP or TLS."""
    with pytest.raises((ConnectionError, EOFError)):
        await introduced(way, sent)

    assert way.site.served() == []
    assert way.upstream.count == 0


@behind_another
async def test_91_header_of_a_stranger(way: Way) -> None:
    """Who is not trusted can't name a client; its connection is closed."""
    with pytest.raises((ConnectionError, EOFError)):
        await introduced(way, V1)

    assert way.site.served() == []


async def test_91_header_where_none_is_expected(uap: Way) -> None:
    """It is no TLS: the handshake fails, and nothing behind it is served."""
    with pytest.raises((OSError, EOFError)):
        await introduced(uap, V1)

    assert uap.site.served() == []


async def test_84_strangers_are_not_believed(uap: Way) -> None:
    """What a client says about itself and its way is replaced by what is known."""
    asked = await seen_by_the_instance(
        uap,
        await uap.connect(),
        (b"X-Forwarded-For", b"192.0.2.66"),
        (b"X-Forwarded-Proto", b"http"),
        (b"X-Real-IP", b"192.0.2.66"),
        (b"Forwarded", b"for=192.0.2.66"),
    )
    fields = [(name.lower(), value) for name, value in asked.fields]

    assert forwarded_for(asked) == [b"127.0.0.1"]
    assert [value for name, value in fields if name == b"x-forwarded-proto"] == [b"https"]
    assert not any(b"192.0.2.66" in value for _, value in fields)


@forwarded
@pytest.mark.parametrize(
    ("chain", "client"),
    [
        (b"192.0.2.7", "192.0.2.7"),
        (b"192.0.2.66, 192.0.2.7", "192.0.2.7"),
        (b"192.0.2.66, 192.0.2.7, 198.51.100.1", "192.0.2.7"),
        (b"192.0.2.66, nonsense, 198.51.100.1", "198.51.100.1"),
        (b"2001:db8::7", "2001:db8::7"),
    ],
)
async def test_85_trusted_chain(way: Way, chain: bytes, client: str) -> None:
    """The client is the first from the right that is not trusted; the list gets one longer."""
    asked = await seen_by_the_instance(
        way, await way.connect(), (b"X-Forwarded-For", chain), (b"X-Forwarded-Proto", b"http")
    )
    protos = [value for name, value in asked.fields if name.lower() == b"x-forwarded-proto"]

    assert b", ".join(forwarded_for(asked)) == chain + b", 127.0.0.1"
    assert protos == [b"https"]
    await way.site.logged()
    assert way.site.served()[0]["client"] == client
