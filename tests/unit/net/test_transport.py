"""From sockets to transports, plain and with TLS, both ends of one connection."""

import asyncio
import socket
import ssl
from typing import cast

import pytest

from authority import Authority
from exoproxy.net.tls import open_context, verifying_context
from exoproxy.net.transport import accepted, connected

pytestmark = pytest.mark.usefixtures("no_task_left")


class End(asyncio.Protocol):
    """One end of a connection."""

    def __init__(self) -> None:
        self.lost = asyncio.Event()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)

    def connection_lost(self, exc: Exception | None) -> None:
        self.lost.set()


async def both_ends(
    server: ssl.SSLContext | None, client: ssl.SSLContext | None
) -> tuple[End, End]:
    theirs, ours = socket.socketpair()
    accepting = End()
    _, connecting = await asyncio.gather(
        accepted(lambda: accepting, theirs, context=server, handshake_timeout=5),
        connected(End, ours, context=client, server_hostname="a.example"),
    )
    return accepting, connecting


@pytest.mark.parametrize("tls", [False, True], ids=["plain", "tls"])
async def test_both_ends(authority: Authority, tls: bool) -> None:
    """Both ends are connected when the calls return; TLS is there exactly with a context."""
    server = authority.serve("a.example") if tls else None
    client = verifying_context(authority.file) if tls else None
    ends = await both_ends(server, client)
    secure = [end.transport.get_extra_info("ssl_object") is not None for end in ends]
    for end in ends:
        end.transport.abort()
        await end.lost.wait()

    assert secure == [tls, tls]


async def test_protocol_is_agreed(authority: Authority) -> None:
    """Upstreams are told by ALPN that HTTP/1.1 is what we speak (RFC 7301)."""
    server = authority.serve("a.example")
    server.set_alpn_protocols(["h2", "http/1.1"])
    ends = await both_ends(server, open_context())
    agreed = ends[1].transport.get_extra_info("ssl_object").selected_alpn_protocol()
    for end in ends:
        end.transport.abort()
        await end.lost.wait()

    assert agreed == "http/1.1"


async def test_failed_handshake_raises(authority: Authority) -> None:
    """A handshake that fails raises OSError at both ends, and both sockets are closed."""
    theirs, ours = socket.socketpair()
    failures = await asyncio.gather(
        accepted(End, theirs, context=authority.serve("b.example"), handshake_timeout=5),
        connected(
            End, ours, context=verifying_context(authority.file), server_hostname="a.example"
        ),
        return_exceptions=True,
    )
    await asyncio.sleep(0)

    assert [isinstance(failure, OSError) for failure in failures] == [True, True]
    assert (theirs.fileno(), ours.fileno()) == (-1, -1)
