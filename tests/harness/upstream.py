"""A scripted upstream: it keeps every request that was completed, and answers as it is told."""

import asyncio
import ssl
from collections.abc import Callable, Coroutine
from typing import Any

from harness.peer import SECONDS, Peer
from messages import Message, NotCanonical, read_message

Respond = Callable[["UpstreamPeer", Message], None]


class Upstream:
    """A server on a free port of 127.0.0.1.

    `respond(peer, request)` is called for each complete request. `requests` holds them all in
    their order, `peers` the connections. Work that takes time is given to `spawn`.
    """

    def __init__(self, respond: Respond) -> None:
        self.respond = respond
        self.requests: list[Message] = []
        self.peers: list[UpstreamPeer] = []
        self.port = 0
        self.changed = asyncio.Event()
        self._tasks: list[asyncio.Task[None]] = []
        self._server: asyncio.Server | None = None

    async def start(self, context: ssl.SSLContext | None = None) -> None:
        """Listen."""
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(
            lambda: UpstreamPeer(self), "127.0.0.1", 0, ssl=context
        )
        self.port = self._server.sockets[0].getsockname()[1]

    def spawn(self, work: Coroutine[Any, Any, None]) -> None:
        """Do work beside; `settled` waits for it."""
        self._tasks.append(asyncio.get_running_loop().create_task(work))

    async def settled(self) -> None:
        """Wait until all that was spawned is done."""
        async with asyncio.timeout(SECONDS):
            await asyncio.gather(*self._tasks)

    async def until(self, condition: Callable[[], object]) -> None:
        """Wait until `condition` holds; it is looked at whenever bytes have come."""
        async with asyncio.timeout(SECONDS):
            while not condition():
                self.changed.clear()
                await self.changed.wait()

    async def until_all_ended(self, *, but: int = 0) -> None:
        """Wait until the proxy has closed its connections, but for the first few."""
        for peer in self.peers[but:]:
            await peer.until_ended()

    async def stop(self) -> None:
        """Close all that is open."""
        assert self._server is not None
        self._server.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        for peer in self.peers:
            peer.transport.abort()
            await peer.until_closed()
        await self._server.wait_closed()


class UpstreamPeer(Peer):
    """A connection of the upstream. `rest` are bytes that are no complete request (yet).

    After `tunnel` was set all bytes stay in `rest`.
    """

    def __init__(self, upstream: Upstream) -> None:
        super().__init__()
        self.rest = b""
        self.tunnel = False
        self.upstream = upstream
        upstream.peers.append(self)

    def data_received(self, data: bytes) -> None:
        self.rest += data
        while self.rest and not self.tunnel:
            try:
                message, self.rest = read_message(self.rest)
            except NotCanonical:
                break
            self.upstream.requests.append(message)
            self.upstream.respond(self, message)
        super().data_received(data)
        self.upstream.changed.set()
