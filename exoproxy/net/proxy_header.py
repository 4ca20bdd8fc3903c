"""Taking the PROXY header off an accepted socket, before TLS begins on it.

What is not here: its grammar (`wire.proxy_protocol`) and who may send it (`listen`, which calls
this).
"""

import asyncio
import socket

from exoproxy.errors import BadRequest
from exoproxy.wire.proxy_protocol import ProxyHeader, read

_PEEK = 4096


async def receive_header(sock: socket.socket, *, within: float) -> ProxyHeader:
    """Read the header's bytes, and none after them, from a non-blocking socket.

    Raises BadRequest for a bad or incomplete header, TimeoutError when it is not complete after
    `within` seconds, OSError.
    """
    async with asyncio.timeout(within):
        taken = b""
        while True:
            await _readable(sock)
            seen = sock.recv(_PEEK, socket.MSG_PEEK)
            if not seen:
                raise BadRequest("The connection ended within the PROXY header.")
            header = read(taken + seen)
            # An incomplete header is all header: nothing of it belongs to TLS.
            own = len(seen) if header is None else header.length - len(taken)
            taken += sock.recv(own)
            if header is not None:
                return header


async def _readable(sock: socket.socket) -> None:
    loop = asyncio.get_running_loop()
    ready: asyncio.Future[None] = loop.create_future()

    def wake() -> None:
        loop.remove_reader(sock)
        if not ready.done():
            ready.set_result(None)

    loop.add_reader(sock, wake)
    try:
        await ready
    finally:
        loop.remove_reader(sock)
