"""A client's TLS connection that asks and reads whole answers; quick rather than lenient."""

import asyncio
import base64
import re
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from ssl import SSLContext
from typing import Final, Self

from bench.load.turn import Wrong

_LENGTH: Final = re.compile(rb"\r\ncontent-length: *(\d+)\r\n", re.IGNORECASE)
_CHUNKED: Final = re.compile(rb"\r\ntransfer-encoding: *chunked\r\n", re.IGNORECASE)
_GZIP: Final = re.compile(rb"\r\ncontent-encoding: *gzip\r\n", re.IGNORECASE)
_BUFFER: Final = 32 * 1024 * 1024
_SECONDS: Final = 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """A whole answer; `content` is as it was sent, `text` without the compression."""

    status: int
    content: bytes
    gzipped: bool

    @property
    def text(self) -> bytes:
        return zlib.decompress(self.content, 31) if self.gzipped else self.content


def request(
    path: str, fields: Mapping[str, str], *, method: str = "GET", content: bytes = b""
) -> bytes:
    """Return the bytes of a request; the host is `localhost` unless a field says another."""
    all_fields = {"Host": "localhost", **fields}
    if content or method != "GET":
        all_fields["Content-Length"] = str(len(content))
    lines = [
        f"{method} {path} HTTP/1.1",
        *(f"{name}: {value}" for name, value in all_fields.items()),
    ]
    return "\r\n".join([*lines, "", ""]).encode("ascii") + content


def upgrade(host: str) -> bytes:
    """Return the request that opens a websocket (RFC 6455 section 4.1), as a browser sends it."""
    return request(
        "/",
        {
            "Host": host,
            "Origin": f"https://{host}",
            "Upgrade": "websocket",
            "Connection": "Upgrade",
            "Sec-WebSocket-Version": "13",
            "Sec-WebSocket-Key": base64.b64encode(bytes(16)).decode("ascii"),
        },
    )


def message(size: int) -> tuple[bytes, bytes]:
    """Return a binary message as a client sends it, with a mask of zeros, and as it comes back."""
    if size < 126:
        length = bytes((size,))
    elif size < 65_536:
        length = b"\x7e" + size.to_bytes(2, "big")
    else:
        length = b"\x7f" + size.to_bytes(8, "big")
    masked = bytes((length[0] | 0x80,)) + length[1:]
    payload = b"x" * size
    return b"\x82" + masked + bytes(4) + payload, b"\x82" + length + payload


class Connection:
    """One connection to a port of 127.0.0.1; errors of the network are raised as Wrong."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader, self._writer = reader, writer

    @classmethod
    async def open(cls, port: int, trust: SSLContext) -> Self:
        try:
            async with asyncio.timeout(_SECONDS):
                return cls(
                    *await asyncio.open_connection(
                        "127.0.0.1", port, ssl=trust, server_hostname="localhost", limit=_BUFFER
                    )
                )
        except (OSError, TimeoutError) as error:
            raise Wrong(f"no connection: {error or type(error).__name__}") from None

    def close(self) -> None:
        """End at once."""
        self._writer.transport.abort()

    async def ask(self, asked: bytes) -> Answer:
        """Return the answer to one request."""
        try:
            async with asyncio.timeout(_SECONDS):
                self._writer.write(asked)
                await self._writer.drain()
                return await self._answer()
        except (OSError, EOFError, TimeoutError) as error:
            raise Wrong(f"no answer: {type(error).__name__}") from None

    async def open_websocket(self, host: str) -> None:
        """Make this a websocket to an instance."""
        answer = await self.ask(upgrade(host))
        if answer.status != 101:
            raise Wrong(f"the websocket got {answer.status}")

    async def echo(self, sent: bytes, expected: bytes) -> None:
        """Send a message and take the same one back."""
        try:
            async with asyncio.timeout(_SECONDS):
                self._writer.write(sent)
                if await self._reader.readexactly(len(expected)) != expected:
                    raise Wrong("another message came back than was sent")
        except (OSError, EOFError, TimeoutError) as error:
            raise Wrong(f"no message came back: {type(error).__name__}") from None

    async def _answer(self) -> Answer:
        head = await self._reader.readuntil(b"\r\n\r\n")
        status = int(head[9:12])
        length = _LENGTH.search(head)
        if length:
            content = await self._reader.readexactly(int(length[1]))
        elif _CHUNKED.search(head):
            content = await self._chunks()
        else:
            content = b""
        return Answer(status=status, content=content, gzipped=bool(_GZIP.search(head)))

    async def _chunks(self) -> bytes:
        chunks = []
        while size := int(await self._reader.readline(), 16):
            chunks.append(await self._reader.readexactly(size))
            await self._reader.readexactly(2)
        await self._reader.readuntil(b"\r\n")
        return b"".join(chunks)
