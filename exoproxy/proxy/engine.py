"""What the connections of one site share: limits, pool, clock, counters, and the end of it all.

The engine carries out what its site decides. Deadlines are plain attributes of the connections;
one sweep a second compares them, so that no request needs a timer of its own.
"""

import asyncio
import contextlib
import itertools
import logging
import random
import secrets
import time
from collections.abc import Callable, Collection, Coroutine
from email.utils import formatdate
from typing import Any, Final

from exoproxy.errors import ProxyError
from exoproxy.net.caps import Slot
from exoproxy.net.dial import Dialer
from exoproxy.net.listen import Peer
from exoproxy.net.pool import Pool
from exoproxy.proxy.decision import Site
from exoproxy.proxy.inbound import Inbound
from exoproxy.proxy.observation import Held
from exoproxy.proxy.outbound import Outbound
from exoproxy.proxy.record import Record
from exoproxy.proxy.tunnel import GOODBYE, Tunnel
from exoproxy.rules.address_space import IPNetwork
from exoproxy.rules.forwarded import client_address
from exoproxy.rules.refusals import Refusals, client_of
from exoproxy.settings.limits import Limits
from exoproxy.wire.head import HeadLimits, RequestHead

logger: Final = logging.getLogger("exoproxy.engine")

# Seconds of silence before a connection counts as idle: the request of one that has just been
# opened is on its way.
REST: Final = 2.0


class Engine:
    """One site at work. Made inside a running event loop; `start` begins the sweep."""

    def __init__(
        self,
        site: Site,
        dialer: Dialer,
        limits: Limits,
        log: Callable[[Record], None],
        *,
        trusted: Collection[IPNetwork] = (),
    ) -> None:
        self.site = site
        self.dialer = dialer
        self.limits = limits
        self.trusted = trusted
        self.refusals = Refusals(limits.refusals_per_client)
        self.observed = Held()
        self.draining = False
        self.inbounds: set[Inbound] = set()
        self.outbounds: set[Outbound] = set()
        self.tunnels: set[Tunnel] = set()
        self.pool: Pool[Outbound] = Pool(
            idle_timeout=limits.upstream_idle_timeout,
            per_upstream=limits.upstream_idle_connections,
            total=limits.upstream_idle_total,
        )
        self.request_limits: HeadLimits
        self.response_limits: HeadLimits
        self.request_limits, self.response_limits = _head_limits(limits)
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

    def adopt(
        self, site: Site, dialer: Dialer, limits: Limits, *, trusted: Collection[IPNetwork] = ()
    ) -> None:
        """Serve by other rules from the next request on.

        What is under way goes on. No connection to an upstream is kept that another dialer made:
        what it leads to may not be allowed any more.
        """
        self.site = site
        self.dialer = dialer
        self.limits = limits
        self.trusted = trusted
        # A balancer's connections last, and who is none any more is believed no more.
        for inbound in self.inbounds:
            inbound.peer = inbound.peer.judged_anew(trusted)
        self.refusals.adopt(limits.refusals_per_client)
        self.request_limits, self.response_limits = _head_limits(limits)
        self.pool.adopt(
            idle_timeout=limits.upstream_idle_timeout,
            per_upstream=limits.upstream_idle_connections,
            total=limits.upstream_idle_total,
        )

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
            time.monotonic(),
        )

    def finished(self, record: Record) -> None:
        """Close a record and log it."""
        record.ended = time.monotonic()
        self._log(record)

    def refusal(self, error: ProxyError, peer: Peer, request: RequestHead | None) -> int:
        """Count an error to its client; return the seconds to wait where there were too many."""
        if not error.counts:
            return 0
        client = peer.address
        if peer.trusted:
            # A balancer's connection, and only a request says for whom.
            fields = None if request is None else request.fields
            client = None if fields is None else client_address(fields, client, self.trusted)
        return 0 if client is None else self.refusals.count(client_of(client), self.now)

    def idle(self) -> list[Inbound]:
        """Return the clients' connections that have waited for a request for some seconds."""
        rested = self.now - REST
        return [each for each in self.inbounds if each.idle_since <= rested and each.idle]

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
        """End in peace: requests are finished, and tunnels get a Close frame within `seconds`.

        Each tunnel at a moment of its own in the second half, so that its user can finish a
        sentence and the browsers don't all come back at once. The listeners are closed by the
        caller beforehand. Cancel it to end at once.
        """
        self.draining = True
        self.now = self._loop.time()
        for inbound in list(self.inbounds):
            inbound.drain()
        for tunnel in list(self.tunnels):
            # S311: nothing is guarded by these numbers.
            tunnel.leave_at(self.now + seconds * random.uniform(0.5, 1))  # noqa: S311
        await self._until_gone(self.inbounds, self.tunnels, seconds=seconds)
        for tunnel in list(self.tunnels):
            tunnel.finish()
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


def _head_limits(limits: Limits) -> tuple[HeadLimits, HeadLimits]:
    """Return the bounds of requests' heads and of answers'."""
    return (
        HeadLimits(
            target=limits.request_target,
            field=limits.request_field,
            head=limits.request_head,
            fields=limits.request_fields,
        ),
        HeadLimits(
            field=limits.response_field, head=limits.response_head, fields=limits.response_fields
        ),
    )
