"""A peer of the proxy on a bare connection: it sees every byte, and how the connection ends.

asyncio's streams lose what came right before a reset, and smooth over the difference between an
end and a truncation; these do neither.
"""

import asyncio
import os
import socket
import ssl
import struct
from collections.abc import Callable
from typing import cast

# Nothing here takes so long; what never comes shall fail the test, not hang it.
SECONDS = 10


class Peer(asyncio.Protocol):
    """One end of a connection. `received` grows; `ended` tells how the other side stopped.

    `ended` is "" while it hasn't, "clean" after FIN (over TLS: after close_notify), and "broken"
    after RST or, over TLS, after a FIN alone.
    """

    transport: asyncio.Transport

    def __init__(self) -> None:
        self.received = b""
        self.ended = ""
        self.closed = False
        self._changed = asyncio.Event()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)

    def data_received(self, data: bytes) -> None:
        self.received += data
        self._changed.set()

    def eof_received(self) -> bool:
        self.ended = "clean"
        self._changed.set()
        # Over plain TCP this side may go on to send; TLS closes by itself.
        return self.transport.get_extra_info("ssl_object") is None

    def connection_lost(self, exc: Exception | None) -> None:
        self.ended = self.ended or "broken"
        self.closed = True
        self._changed.set()

    def send(self, data: bytes) -> None:
        """Send bytes, unless the connection is gone."""
        if not self.transport.is_closing():
            self.transport.write(data)

    async def send_bytewise(self, data: bytes) -> None:
        """Send bytes in as many segments, as far as the kernel lets one."""
        for at in range(len(data)):
            self.send(data[at : at + 1])
            await asyncio.sleep(0)

    def finish(self) -> None:
        """Send FIN and nothing else: over TLS that is a truncation."""
        with self._socket() as connection:
            connection.shutdown(socket.SHUT_WR)

    def reset(self) -> None:
        """Send RST."""
        with self._socket() as connection:
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.transport.abort()

    def close(self) -> None:
        """End as the protocol wants it: close_notify over TLS, then FIN."""
        self.transport.close()

    async def until(self, condition: Callable[[], object]) -> None:
        """Wait until `condition` holds; it is looked at whenever something has come."""
        async with asyncio.timeout(SECONDS):
            while not condition():
                self._changed.clear()
                await self._changed.wait()

    async def until_ended(self) -> None:
        """Wait until the other side has stopped."""
        await self.until(lambda: self.ended)

    async def until_closed(self) -> None:
        """Wait until nothing is left of the connection."""
        await self.until(lambda: self.closed)

    def _socket(self) -> socket.socket:
        # A descriptor of our own: event loops lend out theirs without these calls.
        lent = self.transport.get_extra_info("socket")
        return socket.socket(fileno=os.dup(lent.fileno()))


async def send(peer: Peer, data: bytes, feeding: str) -> None:
    """Send bytes in one piece or, with "bytewise", one by one."""
    if feeding == "bytewise":
        await peer.send_bytewise(data)
    else:
        peer.send(data)


async def connect(port: int, context: ssl.SSLContext | None = None) -> Peer:
    """Return a peer that is connected to a port of 127.0.0.1."""
    loop = asyncio.get_running_loop()
    name = "localhost" if context else None
    _, peer = await loop.create_connection(
        Peer, "127.0.0.1", port, ssl=context, server_hostname=name
    )
    return peer
