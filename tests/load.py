"""Clients that nothing may go wrong for: a refused connection, a reset, half an answer all count.

wrk counts only some of these, so that it does not do here.
"""

import asyncio
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field

# Seconds between two requests of a client: as fast as it can would starve the others.
PACE = 0.01


@dataclass(slots=True)
class Load:
    """How many requests got a whole answer with the status expected, and what went wrong."""

    answered: int = 0
    failures: list[str] = field(default_factory=list)


@asynccontextmanager
async def load(
    port: int, name: str, trust: ssl.SSLContext, *, kept: bool, clients: int = 16, status: int = 200
) -> AsyncIterator[Load]:
    """Ask 127.0.0.1 for `GET /` again and again, several at once, until the block ends.

    With `kept`, a connection is used until an answer says that it is the last. An answer may take
    as long as it likes.
    """
    measured = Load()
    request = b"GET / HTTP/1.1\r\nHost: %b\r\n" % name.encode()
    request += b"\r\n" if kept else b"Connection: close\r\n\r\n"
    good = b"http/1.1 %d " % status

    async def connection() -> None:
        reader, writer = await asyncio.open_connection(
            "127.0.0.1", port, ssl=trust, server_hostname=name
        )
        try:
            last = False
            while not last:
                writer.write(request)
                head = (await reader.readuntil(b"\r\n\r\n")).lower()
                length = int(head.partition(b"content-length: ")[2].partition(b"\r\n")[0])
                await reader.readexactly(length)
                if not head.startswith(good):
                    raise ValueError(head)
                measured.answered += 1
                last = b"\r\nconnection: close\r\n" in head
                await asyncio.sleep(PACE)
        finally:
            writer.close()
            with suppress(OSError):
                await writer.wait_closed()

    async def client() -> None:
        while True:
            try:
                await connection()
            except (OSError, ValueError, EOFError) as error:
                measured.failures.append(repr(error))
                await asyncio.sleep(PACE)

    tasks = [asyncio.create_task(client()) for _ in range(clients)]
    try:
        yield measured
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
