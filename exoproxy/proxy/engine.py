"""What the connections of one site share: limits, pool, clock, counters, and the end of it all.

The engine carries out what its site decides. Deadlines are plain attributes of the connections;
one sweep a second compares them, so that no request needs a timer of its own.
"""

import asyncio
import contextlib
import itertools
import logging
import secrets
from collections.abc import Callable, Collection, Coroutine
from email.utils import formatdate
from typing import Any, Final

from exoproxy.net.caps import Slot
from exoproxy.net.dial import Dialer
from exoproxy.net.listen import Peer
from exoproxy.net.pool import Pool
from exoproxy.proxy.decision import Site
from exoproxy.proxy.inbound import Inbound
from exoproxy.proxy.outbound import Outbound
from exoproxy.proxy.record import Record
from exoproxy.proxy.tunnel import Tunnel
from exoproxy.settings.limits import Limits
from exoproxy.wire.head import HeadLimits, RequestHead

logger: Final = logging.getLogger("exoproxy.engine")

# How long tunnels may take to end once they were told to.
GOODBYE: Final = 5.0


class Engine:
    """One site at work. Made inside a running event loop; `start` begins the sweep."""

    def __init__(
        self, site: Site, dialer: Dialer, limits: Limits, log: Callable[[Record], None]
    ) -> None:
        self.site = site
        self.dialer = dialer
        self.limits = limits
        self.draining = False
        self.inbounds: set[Inbound] = set()
        self.outbounds: set[Outbound] = set()
        self.tunnels: set[Tunnel] = set()
        self.pool: Pool[Outbound] = Pool(
            idle_timeout=limits.upstream_idle_timeout,
            per_upstream=limits.upstream_idle_connections,
            total=limits.upstream_idle_total,
        )
        self.request_limits: HeadLimits = HeadLimits(
            target=limits.request_target,
            field=limits.request_field,
            head=limits.request_head,
            fields=limits.request_fields,
        )
        self.response_limits: HeadLimits = HeadLimits(
            field=limits.response_field, head=limits.response_head, fields=limits.response_fields
        )
        self._log = log
        self._loop = asyncio.get_running_loop()
        self._tasks: set[asyncio.Task[None]] = set()
        self._timer: asyncio.TimerHandle | None = None
        # Ids are unique among restarts and cheap: a random prefix and a count.
        self._prefix = secrets.token_hex(4)
        self._count = itertools.count(1)
        self.now: float = self._loop.time()
        self.date = b""
        # Set whenever a connection ends; those who wait for the last one look again.
        self.left = asyncio.Event()
        self.sweep(self.now)

    def start(self) -> None:
        """Begin to sweep once a second."""
        self._timer = self._loop.call_later(1.0, self._tick)

    def accept(self, peer: Peer, slot: Slot) -> Inbound:
        """Return the protocol for an accepted connection; it gives `slot` back at its end."""
        return Inbound(self, peer, slot)

    def _tick(self) -> None:
        self._timer = self._loop.call_later(1.0, self._tick)
        self.sweep(self._loop.time())

    def sweep(self, now: float) -> None:
        """Look at every deadline; `now` in seconds of the loop's clock."""
        self.now = now
        self.date = formatdate(usegmt=True).encode()
        overdue = [
            connection
            for group in (self.inbounds, self.outbounds, self.tunnels)
            for connection in group
            if connection.deadline <= now
        ]
        for connection in overdue:
            connection.timed_out()
        self.pool.expire(now)

    def spawn(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        """Run work that has to wait; the engine holds on to it until it is done."""
        task = self._loop.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._done)
        return task

    def _done(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            logger.error("A request failed by a defect of the proxy", exc_info=error)

    def record(self, peer: Peer, request: RequestHead | None) -> Record:
        """Begin the record of a request."""
        return Record(
            f"{self._prefix}{next(self._count):x}",
            self.site.name,
            peer,
            request,
            self._loop.time(),
        )

    def finished(self, record: Record) -> None:
        """Close a record and log it."""
        record.ended = self._loop.time()
        self._log(record)

    def defect(self) -> None:
        """Log the exception being handled: it is ours."""
        logger.exception("A request failed by a defect of the proxy")

    def opened_tunnel(self, tunnel: Tunnel, record: Record) -> None:
        """Register a tunnel; the log gets its first line."""
        self.tunnels.add(tunnel)
        self.finished(record)
        record.tunnel = True

    def closed_tunnel(self, tunnel: Tunnel, record: Record) -> None:
        """Forget a tunnel whose connections are both closed; the log gets its second line."""
        self.tunnels.discard(tunnel)
        self.left.set()
        if record.upstream is not None:
            self.pool.closed(record.upstream)
        self.finished(record)

    async def drain(self, seconds: float) -> None:
        """End in peace: requests are finished, tunnels get `seconds`, then a Close frame.

        The listeners are closed by the caller beforehand. Cancel it to end at once.
        """
        self.draining = True
        for inbound in list(self.inbounds):
            inbound.drain()
        await self._until_gone(self.inbounds, self.tunnels, seconds=seconds)
        for tunnel in list(self.tunnels):
            tunnel.finish(GOODBYE)
        await self._until_gone(self.tunnels, seconds=GOODBYE)

    async def _until_gone(self, *groups: Collection[object], seconds: float) -> None:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                while any(groups):
                    self.left.clear()
                    await self.left.wait()

    async def close(self) -> None:
        """End everything at once and wait until nothing is left."""
        self.draining = True
        if self._timer is not None:
            self._timer.cancel()
        for inbound in list(self.inbounds):
            inbound.transport.abort()
        for outbound in list(self.outbounds):
            outbound.transport.abort()
        for tunnel in list(self.tunnels):
            tunnel.abort()
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        groups = (self.inbounds, self.outbounds, self.tunnels)
        await self._until_gone(*groups, seconds=GOODBYE)
