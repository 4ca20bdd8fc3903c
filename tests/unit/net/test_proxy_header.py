"""Taking the PROXY header off a socket, and nothing after it."""

import asyncio
import socket
from collections.abc import Iterator
from ipaddress import IPv4Address

import pytest

from exoproxy.errors import BadRequest
from exoproxy.net.proxy_header import receive_header
from exoproxy.wire.proxy_protocol import ProxyHeader

pytestmark = pytest.mark.usefixtures("no_task_left")

V1 = b"PROXY TCP4 192.0.2.1 198.51.100.1 56324 443\r\n"
CLIENT = ProxyHeader(length=len(V1), address=IPv4Address("192.0.2.1"), port=56324)
# Version 2, LOCAL, with the longest block there can be.
LONGEST = b"\r\n\r\n\x00\r\nQUIT\n\x20\x00\xff\xff" + bytes(65535)


@pytest.fixture
def pair() -> Iterator[tuple[socket.socket, socket.socket]]:
    """The receiving and the sending end of a connection."""
    ours, theirs = socket.socketpair()
    ours.setblocking(False)
    with ours, theirs:
        yield ours, theirs


async def test_what_follows_stays_in_the_socket(pair: tuple[socket.socket, socket.socket]) -> None:
    """The connection's own bytes are left for TLS to read."""
    ours, theirs = pair
    theirs.sendall(V1 + b"\x16\x03\x01")
    header = await receive_header(ours, within=5)

    assert header == CLIENT
    assert ours.recv(100) == b"\x16\x03\x01"


async def test_header_in_bytes(pair: tuple[socket.socket, socket.socket]) -> None:
    """A header that comes byte by byte is read without the loop spinning on what is there."""
    ours, theirs = pair
    reading = asyncio.create_task(receive_header(ours, within=5))
    for number in range(len(V1)):
        theirs.sendall(V1[number : number + 1])
        await asyncio.sleep(0)
    theirs.sendall(b"GET")

    assert await reading == CLIENT
    assert ours.recv(100) == b"GET"


async def test_longest_header(pair: tuple[socket.socket, socket.socket]) -> None:
    """A header longer than one read is taken whole."""
    ours, theirs = pair
    theirs.sendall(LONGEST + b"GET")

    assert await receive_header(ours, within=5) == ProxyHeader(length=len(LONGEST))
    assert ours.recv(100) == b"GET"


@pytest.mark.parametrize("sent", [b"", V1[:-1]], ids=["nothing", "a part"])
async def test_end_within_the_header(
    pair: tuple[socket.socket, socket.socket], sent: bytes
) -> None:
    """A connection that ends before its header does is refused."""
    ours, theirs = pair
    theirs.sendall(sent)
    theirs.shutdown(socket.SHUT_WR)
    with pytest.raises(BadRequest, match="ended within"):
        await receive_header(ours, within=5)


@pytest.mark.parametrize("sent", [b"", V1[:-1]], ids=["nothing", "a part"])
async def test_deadline(pair: tuple[socket.socket, socket.socket], sent: bytes) -> None:
    """A header that is not complete in time is given up, and the socket no longer watched."""
    ours, theirs = pair
    theirs.sendall(sent)
    with pytest.raises(TimeoutError):
        await receive_header(ours, within=0.02)

    assert not asyncio.get_running_loop().remove_reader(ours)
