"""The engine in a test's own event loop, with a site that sends every request to one upstream."""

import asyncio
import socket
import ssl
from collections.abc import Callable
from ipaddress import IPv4Address, IPv6Address

from exoproxy.net.dial import Dialer, Upstream
from exoproxy.net.listen import Peer as ClientPeer
from exoproxy.net.resolve import SystemResolver
from exoproxy.net.tls import open_context
from exoproxy.proxy.decision import Decision, Forward
from exoproxy.proxy.record import Record
from exoproxy.server import Server, caps_of
from exoproxy.settings.limits import Limits
from exoproxy.wire.fields import Field
from exoproxy.wire.head import RequestHead, ResponseHead
from harness.peer import SECONDS, Peer, connect

# Made once: a context takes longer than most tests.
CONTEXT = open_context()


class EveryRequestForwarded:
    """A site without rules: what crosses the proxy crosses it unedited."""

    name = "test"

    def __init__(self, scheme: str, port: int) -> None:
        self._upstream = Upstream(scheme, "127.0.0.1", port, verify=False)

    def decide(self, request: RequestHead, peer: ClientPeer) -> Decision:
        return Forward(
            upstream=self._upstream,
            target=request.target.origin,
            fields=request.fields.end_to_end(),
            edit_response=self._edit,
        )

    def own_fields(self, request: RequestHead | None) -> list[Field]:
        return []

    @staticmethod
    def _edit(head: ResponseHead) -> list[Field]:
        return head.fields.end_to_end()


def loopback_only(address: IPv4Address | IPv6Address, port: int) -> None:
    """Judge what may be dialled: tests dial nothing but this host."""
    assert address.is_loopback


class Proxy:
    """A running engine that listens on a free port of 127.0.0.1."""

    def __init__(
        self,
        upstream_port: int,
        *,
        limits: Limits | None = None,
        context: ssl.SSLContext | None = None,
        upstream_scheme: str = "http",
    ) -> None:
        limits = limits or Limits()
        self.records: list[Record] = []
        self._caps = caps_of(limits)
        dialer = Dialer(
            judge=loopback_only,
            resolver=SystemResolver(),
            verify_context=CONTEXT,
            open_context=CONTEXT,
        )
        site = EveryRequestForwarded(upstream_scheme, upstream_port)
        self.server = Server(site, dialer, limits, self.records.append, caps=self._caps)
        self.engine = self.server.engine
        sock = socket.create_server(("127.0.0.1", 0))
        self.port: int = sock.getsockname()[1]
        self.server.listen(sock, lambda: context)

    async def connect(self, context: ssl.SSLContext | None = None) -> Peer:
        """Return a client of this proxy."""
        return await connect(self.port, context)

    def pass_time(self, seconds: float) -> None:
        """Let the engine believe that so many seconds have passed."""
        self.engine.sweep(asyncio.get_running_loop().time() + seconds)

    async def stop(self) -> None:
        """End everything at once."""
        await self.server.close()

    async def left_clean(self) -> None:
        """Wait until nothing is left of the clients, which have gone; fail if something stays.

        Kept connections to upstreams may stay: they are closed here.
        """
        engine = self.engine
        await self._until(lambda: not engine.inbounds and not engine.tunnels)
        await self._until(lambda: engine.pool.in_use() == 0)
        engine.pool.clear()
        await self._until(lambda: not engine.outbounds and self._caps.open == 0)

        assert engine.pool._open == {}

    @staticmethod
    async def _until(condition: Callable[[], bool]) -> None:
        async with asyncio.timeout(SECONDS):
            # The end of a transport is announced to its protocol alone.
            while not condition():  # noqa: ASYNC110
                await asyncio.sleep(0.001)
