"""One site on its sockets: engine, acceptors, and the way out. Run by `service` and `demo`."""

import asyncio
import socket
import ssl
from collections.abc import Callable, Mapping, Sequence
from ipaddress import IPv4Network, IPv6Network
from pathlib import Path
from types import MappingProxyType
from typing import Final

from exoproxy.net.caps import Caps
from exoproxy.net.dial import Dialer
from exoproxy.net.listen import Acceptor
from exoproxy.net.resolve import Resolver, SystemResolver
from exoproxy.net.sockets import TcpOptions
from exoproxy.net.tls import open_context, verifying_context
from exoproxy.proxy.decision import Site
from exoproxy.proxy.engine import Engine
from exoproxy.proxy.record import Record
from exoproxy.rules.egress import Policy
from exoproxy.settings.limits import Limits

Context = Callable[[], ssl.SSLContext | None]

# Seconds for handshakes at a drain; who needs longer may be there to hold the process up.
_HANDSHAKES: Final = 2.0


class Server:
    """One site on its sockets. Made inside a running event loop."""

    def __init__(
        self,
        site: Site,
        dialer: Dialer,
        limits: Limits,
        log: Callable[[Record], None],
        *,
        caps: Caps | None = None,
        trusted: Sequence[IPv4Network | IPv6Network] = (),
        proxy_protocol: bool = False,
    ) -> None:
        self.engine = Engine(site, dialer, limits, log, trusted=trusted)
        self._limits = limits
        self._caps = caps or caps_of(limits)
        self._trusted = trusted
        self._proxy_protocol = proxy_protocol
        self.acceptors: list[Acceptor] = []
        self._loop = asyncio.get_running_loop()
        self._caps.reclaim_from(self.engine.idle)
        self.engine.start()

    def listen(self, sock: socket.socket, context: Context) -> None:
        """Accept on a listening socket, each connection with the TLS context of its moment."""
        acceptor = Acceptor(
            sock,
            context=context,
            factory=self.engine.accept,
            caps=self._caps,
            trusted=self._trusted,
            proxy_protocol=self._proxy_protocol,
            handshake_timeout=self._limits.handshake_timeout,
        )
        acceptor.start()
        self.acceptors.append(acceptor)

    def adopt(
        self,
        site: Site,
        dialer: Dialer,
        limits: Limits,
        *,
        trusted: Sequence[IPv4Network | IPv6Network],
        proxy_protocol: bool,
    ) -> None:
        """Serve by other rules from the next connection and request on; see `Engine.adopt`."""
        self.engine.adopt(site, dialer, limits, trusted=trusted)
        self._limits = limits
        self._trusted = trusted
        self._proxy_protocol = proxy_protocol
        for acceptor in self.acceptors:
            acceptor.adopt(
                trusted=trusted,
                proxy_protocol=proxy_protocol,
                handshake_timeout=limits.handshake_timeout,
            )

    async def drain(self, seconds: float) -> None:
        """Accept no more, finish what is under way, and end after `seconds` at the latest."""
        for acceptor in self.acceptors:
            acceptor.stop()
        # Whoever is in the handshake no longer waits in systemd's socket for the next process.
        end = self._loop.time() + seconds
        within = min(seconds, _HANDSHAKES)
        await asyncio.gather(*(acceptor.settle(within) for acceptor in self.acceptors))
        await self.engine.drain(end - self._loop.time())

    async def close(self) -> None:
        """End everything now."""
        for acceptor in self.acceptors:
            await acceptor.close()
        await self.engine.close()


def caps_of(limits: Limits) -> Caps:
    """Return the process's places for clients."""
    return Caps(total=limits.connections, per_client=limits.connections_per_client)


def tcp_options(limits: Limits) -> TcpOptions:
    """Return how dead peers are found, on both sides of the proxy."""
    return TcpOptions(
        idle=limits.keepalive_idle,
        interval=limits.keepalive_interval,
        count=limits.keepalive_probes,
        user_timeout=limits.user_timeout,
    )


def dialer_for(
    policy: Policy,
    limits: Limits,
    *,
    resolver: Resolver | None = None,
    ca_file: Path | None = None,
    own: Mapping[str, Path] = MappingProxyType({}),
) -> Dialer:
    """Return the only way out of a site: nothing is dialled that `policy` has not judged.

    But for the applications of our own, whose sockets `own` names.
    """
    return Dialer(
        judge=policy.judge,
        resolver=resolver or SystemResolver(),
        verify_context=verifying_context(ca_file),
        open_context=open_context(),
        connect_timeout=limits.connect_timeout,
        options=tcp_options(limits),
        own=own,
    )
