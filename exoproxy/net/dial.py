"""From an upstream to a connection: resolve, judge every address, connect to a judged one, TLS.

An application of our own is dialled at its Unix socket instead, and nothing of that applies to it.
Nothing is dialled but through here. What is not here: which addresses are allowed (`rules.egress`,
given as `judge`) and the reuse of connections (`pool`, which calls this).
"""

import asyncio
import errno
import socket
import ssl
from collections.abc import Awaitable, Callable, Mapping, Sequence
from functools import partial
from ipaddress import IPv4Address, IPv6Address, ip_address
from pathlib import Path
from types import MappingProxyType
from typing import Final, NamedTuple

from aiohappyeyeballs import AddrInfoType, start_connection

from exoproxy.errors import (
    Overloaded,
    ProxyError,
    TargetNotAllowed,
    UpstreamError,
    UpstreamName,
    UpstreamRefused,
    UpstreamTimeout,
    UpstreamUnreachable,
)
from exoproxy.net.exhaustion import Exhaustion
from exoproxy.net.resolve import Resolver
from exoproxy.net.sockets import TcpOptions
from exoproxy.net.tls import handshake_failure
from exoproxy.net.transport import P, connected

Address = IPv4Address | IPv6Address
Connector = Callable[[Sequence[AddrInfoType]], Awaitable[socket.socket]]

# RFC 8305 section 8: the wait before the next address is tried beside the first.
_CONNECTION_ATTEMPT_DELAY: Final = 0.25

# The scheme of an application of our own.
OWN: Final = "unix"


class Upstream(NamedTuple):
    """Where a request goes; the pool's key.

    `scheme` is "http" or "https", `host` an ASCII name or a canonical address without brackets,
    `verify` whether the certificate must be valid for `host`. With the scheme "unix" `host` is the
    name of an application of our own, which the dialler knows the socket of; port and `verify` mean
    nothing then.
    """

    scheme: str
    host: str
    port: int
    verify: bool

    def __str__(self) -> str:
        if self.scheme == OWN:
            return f"{OWN}:{self.host}"
        return f"{self.scheme}://{self.host}:{self.port}"


class Dialer:
    """Makes connections to upstreams.

    `judge(address, port)` raises TargetNotAllowed for what may not be dialled. `connect_timeout`,
    in seconds, bounds the whole of a dial: look-up, connection and handshake. `own` are the sockets
    of our own applications by name: no path to a socket ever comes from a request.
    """

    def __init__(
        self,
        *,
        judge: Callable[[Address, int], None],
        resolver: Resolver,
        verify_context: ssl.SSLContext,
        open_context: ssl.SSLContext,
        connect_timeout: float = 10,
        options: TcpOptions | None = None,
        connector: Connector | None = None,
        own: Mapping[str, Path] = MappingProxyType({}),
    ) -> None:
        self._judge = judge
        self._resolver = resolver
        self._verify_context = verify_context
        self._open_context = open_context
        self._connect_timeout = connect_timeout
        self._connector = connector or happy_eyeballs(options or TcpOptions())
        self._own = own
        self._exhaustion = Exhaustion()

    async def dial(self, upstream: Upstream, factory: Callable[[], P]) -> P:
        """Return a protocol of `factory`, connected to the upstream.

        Raises TargetNotAllowed when policy denies any address of the host, an UpstreamError for
        what the network did, Overloaded when this host has no port or descriptor left. An
        application of our own that can't be reached is a defect, and raises OSError or KeyError.
        """
        if upstream.scheme == OWN:
            sock = self._connect_own(self._own[upstream.host])
            return await connected(factory, sock, context=None, server_hostname="")
        stage = "its name was not found"
        try:
            async with asyncio.timeout(self._connect_timeout):
                addresses = await self._judged_addresses(upstream)
                stage = "it did not accept the connection"
                sock = await self._connect(upstream, addresses)
                stage = "it did not complete the TLS handshake"
                return await self._converse(upstream, sock, factory)
        except TimeoutError as error:
            self._resolver.forget(upstream.host)
            raise UpstreamTimeout(
                f"The server did not answer in time: {stage} within {self._connect_timeout:g} s."
            ) from error
        except UpstreamName:
            # The resolver keeps this failure for its own short while.
            raise
        except UpstreamError:
            self._resolver.forget(upstream.host)
            raise

    def _connect_own(self, path: Path) -> socket.socket:
        sock = None
        try:
            sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
            sock.setblocking(False)
            # Done at once or never: unix(7) knows no connection in progress.
            sock.connect(str(path))
        except OSError as error:
            if sock is not None:
                sock.close()
            if isinstance(error, BlockingIOError):
                raise Overloaded from error
            if self._exhaustion.is_reason_of(error):
                raise self._connect_failure(error) from error
            raise
        return sock

    async def _judged_addresses(self, upstream: Upstream) -> tuple[Address, ...]:
        addresses: tuple[Address, ...]
        try:
            addresses = (ip_address(upstream.host),)
        except ValueError:
            addresses = await self._resolver.resolve(upstream.host)
        # One denied address refuses the name: a name with a public and a private address is how
        # DNS rebinding looks.
        for address in addresses:
            self._judge(address, upstream.port)
        return addresses

    async def _connect(self, upstream: Upstream, addresses: tuple[Address, ...]) -> socket.socket:
        try:
            sock = await self._connector([_addr_info(a, upstream.port) for a in addresses])
        except TimeoutError:
            raise
        except OSError as error:
            raise self._connect_failure(error) from error
        try:
            host, port = sock.getpeername()[:2]
            if ip_address(host) not in addresses or port != upstream.port:
                raise TargetNotAllowed("The connection led to an address that was not asked for.")
        except OSError as error:
            sock.close()
            raise self._connect_failure(error) from error
        except BaseException:
            sock.close()
            raise
        return sock

    async def _converse(
        self, upstream: Upstream, sock: socket.socket, factory: Callable[[], P]
    ) -> P:
        context = None
        if upstream.scheme == "https":
            context = self._verify_context if upstream.verify else self._open_context
        try:
            # The name, not the address dialled: it is what the certificate is for, and what SNI
            # may carry. For an address OpenSSL checks the IP SAN and sends no SNI (RFC 6066
            # section 3).
            return await connected(factory, sock, context=context, server_hostname=upstream.host)
        except TimeoutError:
            raise
        except OSError as error:
            raise handshake_failure(error) from error

    def _connect_failure(self, error: OSError) -> ProxyError:
        if error.errno == errno.ECONNREFUSED:
            return UpstreamRefused()
        if self._exhaustion.is_reason_of(error):
            self._exhaustion.report(error, "Can't connect to upstreams")
            return Overloaded("The proxy can open no more connections; please try again.")
        return UpstreamUnreachable()


def happy_eyeballs(options: TcpOptions) -> Connector:
    """Return the connector that tries addresses of both families side by side (RFC 8305)."""

    def make(info: AddrInfoType) -> socket.socket:
        sock = socket.socket(info[0], info[1], info[2])
        options.apply(sock)
        return sock

    return partial(
        start_connection,
        happy_eyeballs_delay=_CONNECTION_ATTEMPT_DELAY,
        socket_factory=make,
    )


def _addr_info(address: Address, port: int) -> AddrInfoType:
    if isinstance(address, IPv4Address):
        return (socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP, "", (str(address), port))
    return (
        socket.AF_INET6,
        socket.SOCK_STREAM,
        socket.IPPROTO_TCP,
        "",
        (str(address), port, 0, 0),
    )
