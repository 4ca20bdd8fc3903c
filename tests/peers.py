"""Clients and upstreams in the hands of a test, which says and hears every byte itself.

A test reads as a transcript: the client sends, the upstream accepts, hears, answers, and each says
how its connection ended. Every wait is bounded, so that what never comes is a failure and no hang.
"""

import asyncio
import contextlib
import socket
import ssl
import struct
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any, cast

from messages import Message, read_message

# Long enough for a busy machine; nothing that works ever waits for it.
PATIENCE = 20.0
BUFFER = 2**20


class End:
    """A test's end of a connection."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer

    @property
    def socket(self) -> Any:
        """The socket below, for its options and addresses."""
        return self.writer.get_extra_info("socket")

    def send(self, data: bytes) -> None:
        """Send bytes, as soon as the other end takes them."""
        self.writer.write(data)

    async def sent(self) -> None:
        """Wait until the kernel has nearly all that was sent."""
        async with asyncio.timeout(PATIENCE):
            await self.writer.drain()

    async def read(self, count: int) -> bytes:
        """Return exactly so many bytes."""
        async with asyncio.timeout(PATIENCE):
            return await self.reader.readexactly(count)

    async def some(self) -> bytes:
        """Return what has come, or comes next; b"" at the end."""
        async with asyncio.timeout(PATIENCE):
            return await self.reader.read(BUFFER)

    async def rest(self) -> bytes:
        """Return all that comes until the other end stops."""
        async with asyncio.timeout(PATIENCE):
            return await self.reader.read()

    async def head(self) -> bytes:
        """Return the next head, its empty line included."""
        async with asyncio.timeout(PATIENCE):
            return await self.reader.readuntil(b"\r\n\r\n")

    async def message(self, *, bodyless: bool = False) -> Message:
        """Return the next request or answer, content and all; `bodyless`: this answers HEAD."""
        data = await self.head()
        lower = data.lower()
        if not bodyless and b"\r\ntransfer-encoding: chunked\r\n" in lower:
            while not data.endswith(b"\r\n0\r\n\r\n"):
                async with asyncio.timeout(PATIENCE):
                    line = await self.reader.readuntil(b"\r\n")
                data += line + await self.read(int(line, 16) + 2)
        elif not bodyless and b"\r\ncontent-length: " in lower:
            length = lower.partition(b"\r\ncontent-length: ")[2].partition(b"\r\n")[0]
            data += await self.read(int(length))
        return read_message(data, bodyless=bodyless)[0]

    async def ended(self) -> str:
        """Wait for the other end to stop; return how: "FIN" or "RST". What it sends is dropped."""
        async with asyncio.timeout(PATIENCE):
            try:
                while await self.reader.read(BUFFER):
                    pass
            except ConnectionResetError:
                return "RST"
            except ssl.SSLError as error:
                return f"TLS: {error.reason}"
        return "FIN"

    def stop_taking(self) -> None:
        """Leave what comes in the kernel."""
        cast(asyncio.Transport, self.writer.transport).pause_reading()

    def take_again(self) -> None:
        """Take what has come, and what comes."""
        cast(asyncio.Transport, self.writer.transport).resume_reading()

    def finish(self) -> None:
        """Send FIN; go on listening. Not over TLS."""
        self.writer.write_eof()

    def reset(self) -> None:
        """End the connection with RST."""
        with contextlib.suppress(OSError):  # gone already
            linger = struct.pack("ii", 1, 0)
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
        self.writer.transport.abort()

    def close(self) -> None:
        """End the connection at once, with FIN unless something was left unread."""
        self.writer.transport.abort()


class Upstream:
    """A server whose connections the test takes one by one."""

    def __init__(self) -> None:
        self.port = 0
        self.count = 0
        self._arrived: asyncio.Queue[End] = asyncio.Queue()
        self._ends: list[End] = []

    async def accepted(self) -> End:
        """Return the next connection."""
        async with asyncio.timeout(PATIENCE):
            return await self._arrived.get()

    def arrive(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Take a connection: asyncio calls this."""
        self.count += 1
        self._ends.append(End(reader, writer))
        self._arrived.put_nowait(self._ends[-1])

    def close(self) -> None:
        """End all connections."""
        for end in self._ends:
            end.close()


@asynccontextmanager
async def upstream(
    address: str = "127.0.0.2", *, context: ssl.SSLContext | None = None, port: int = 0
) -> AsyncIterator[Upstream]:
    """Listen at an address, with TLS if there is a context."""
    here = Upstream()
    server = await asyncio.start_server(
        here.arrive, address, port, ssl=context, limit=BUFFER, backlog=4096
    )
    here.port = server.sockets[0].getsockname()[1]
    try:
        yield here
    finally:
        server.close()
        here.close()
        await server.wait_closed()
        await asyncio.sleep(0)  # the transports' own last step


async def until(happened: Callable[[], object], *, within: float = PATIENCE) -> None:
    """Wait for what no event tells: another process's doing."""
    async with asyncio.timeout(within):
        while not happened():  # noqa: ASYNC110 - see above
            await asyncio.sleep(0.01)


def request(
    host: str, *fields: tuple[bytes, bytes], line: bytes = b"GET / HTTP/1.1", content: bytes = b""
) -> bytes:
    """Return a request with these fields; a content gets its length beside them."""
    pairs = [(b"Host", host.encode()), *fields]
    if content:
        pairs.append((b"Content-Length", b"%d" % len(content)))
    lines = b"".join(b"%b: %b\r\n" % pair for pair in pairs)
    return b"%b\r\n%b\r\n%b" % (line, lines, content)


def answer(content: bytes = b"", *fields: tuple[bytes, bytes], status: bytes = b"200 OK") -> bytes:
    """Return an answer with its length."""
    pairs = [(b"Content-Length", b"%d" % len(content)), *fields]
    lines = b"".join(b"%b: %b\r\n" % pair for pair in pairs)
    return b"HTTP/1.1 %b\r\n%b\r\n%b" % (status, lines, content)


def status_of(message: Message) -> int:
    """Return the status of an answer."""
    return int(message.line.split(b" ")[1])


def code_of(message: Message) -> str:
    """Return the code of an answer of exoproxy's own, "" for any other answer."""
    return dict(message.fields).get(b"X-Exoproxy-Error", b"").decode()
