"""`python -m bench.stand_ins ADDRESS CERTIFICATE ECHO-PORT CLOUD-PORT…`: upstreams that think.

At the first port a websocket (RFC 6455) that sends each message back, without TLS; at the others
a cloud that answers after 50 ms, over TLS, with as many bytes as the request asked for. Started by
`upstreams`.
"""

import asyncio
import base64
import hashlib
import re
import ssl
import sys
from typing import Final, cast

import uvloop
from aiohttp import web

from bench.stage import json_text

# The fields by which the client says what the cloud would have answered.
STATUS, SIZE = "bench-status", "bench-size"
_ANSWER_SECONDS: Final = 0.05
_LARGEST: Final = 262_144
_KEY: Final = re.compile(rb"\r\nsec-websocket-key: *([^\r]+)\r\n", re.IGNORECASE)
_MAGIC: Final = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"


class Echo(asyncio.Protocol):
    """A websocket that sends frames back; their masks are zero, so that there is no unmasking."""

    def __init__(self) -> None:
        self._buffer = bytearray()
        self._open = False
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # uvloop's transports are no subclass of asyncio's.
        self._transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        assert self._transport is not None  # noqa: S101 - for the type alone
        if not self._open:
            if b"\r\n\r\n" not in self._buffer:
                return
            head, _, rest = bytes(self._buffer).partition(b"\r\n\r\n")
            self._buffer = bytearray(rest)
            key = _KEY.search(head + b"\r\n")
            if key is None:
                self._transport.close()
                return
            self._open = True
            digest = hashlib.sha1(key[1] + _MAGIC, usedforsecurity=False).digest()
            self._transport.write(
                b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n"
                b"Connection: Upgrade\r\nSec-WebSocket-Accept: %b\r\n\r\n"
                % base64.b64encode(digest)
            )
        if answer := echoes(self._buffer):
            self._transport.write(answer)


def echoes(buffer: bytearray) -> bytes:
    """Take the whole frames of a client out of the buffer; return the same as a server's."""
    out: list[bytes | bytearray] = []
    while len(buffer) >= 2:
        length, start = buffer[1] & 0x7F, 2
        if length == 126:
            length, start = int.from_bytes(buffer[2:4], "big"), 4
        elif length == 127:
            length, start = int.from_bytes(buffer[2:10], "big"), 10
        end = start + 4 + length
        if len(buffer) < end:
            break
        out += [bytes((buffer[0], buffer[1] & 0x7F)), buffer[2:start], buffer[start + 4 : end]]
        del buffer[:end]
    return b"".join(out)


def cloud() -> web.Application:
    """Return the application: content and status are as the request's own fields say."""
    content = json_text(_LARGEST).encode()

    async def answer(request: web.Request) -> web.Response:
        await request.read()
        await asyncio.sleep(_ANSWER_SECONDS)
        return web.Response(
            body=content[: int(request.headers[SIZE])],
            status=int(request.headers[STATUS]),
            content_type="application/json",
            headers={"Vary": "X-Auth-Token"},
        )

    app = web.Application()
    app.router.add_route("*", "/{path:.*}", answer)
    return app


async def _serve(address: str, certificate: str, echo: int, ports: list[int]) -> None:
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(certificate)
    runner = web.AppRunner(cloud(), access_log=None, keepalive_timeout=600)
    await runner.setup()
    for port in ports:
        await web.TCPSite(runner, address, port, ssl_context=context).start()
    server = await asyncio.get_running_loop().create_server(Echo, address, echo, backlog=4096)
    await server.serve_forever()


if __name__ == "__main__":
    uvloop.run(_serve(sys.argv[1], sys.argv[2], int(sys.argv[3]), [*map(int, sys.argv[4:])]))
