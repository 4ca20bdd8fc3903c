"""Accepting connections: caps, PROXY header, the TLS context of the moment.

What is not here: opening sockets (`sockets`, `inherited`) and HTTP. An accepted connection is
`proxy`'s from the moment its handshake is through. Called by `service`.
"""

import asyncio
import errno
import logging
import socket
import ssl
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address
from typing import Any, Final, cast

from exoproxy.errors import BadRequest, Overloaded
from exoproxy.net.caps import Caps, Slot
from exoproxy.net.exhaustion import Exhaustion
from exoproxy.net.proxy_header import receive_header
from exoproxy.net.tls import server_name
from exoproxy.net.transport import accepted

_log = logging.getLogger(__name__)

# Connections accepted before the loop gets to serve those it has.
_PER_WAKE_UP: Final = 64

# Seconds without accepting when descriptors have run out.
_PAUSE: Final = 1.0

# accept(2): errors of the connection that was waiting, not of the listening socket.
_GONE: Final = frozenset(
    {
        errno.ECONNABORTED,
        errno.EHOSTDOWN,
        errno.EHOSTUNREACH,
        errno.ENETDOWN,
        errno.ENETUNREACH,
        errno.ENONET,
        errno.ENOPROTOOPT,
        errno.EOPNOTSUPP,
        errno.EPERM,
        errno.EPROTO,
    }
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Peer:
    """Who is at the other end of an accepted connection.

    `address` is None for a Unix socket; behind a PROXY header it is the address in the header.
    `server_name` is the name of the TLS handshake (SNI), lower-case. `trusted`: the address is one
    of those whose X-Forwarded-* fields are believed, or a Unix socket, whose file's mode decides
    who may connect. `excess` is set where a cap is passed: each request is to be refused with it
    and the connection closed.
    """

    address: IPv4Address | IPv6Address | None
    port: int
    tls: bool
    server_name: str | None = None
    trusted: bool = False
    excess: Overloaded | None = None
    text: str = field(init=False)
    """The address for fields and logs; a Unix socket's is `unknown` (RFC 7239 section 6.2)."""

    def __post_init__(self) -> None:
        # Asked for with every request, and slow to make.
        text = "unknown" if self.address is None else str(self.address)
        object.__setattr__(self, "text", text)

    def judged_anew(self, trusted: Collection[IPv4Network | IPv6Network]) -> "Peer":
        """Return the peer as these networks of balancers have it."""
        return replace(self, trusted=_trusts(trusted, self.address))


# Makes the protocol that serves a connection. The protocol that ends up with the connection calls
# `slot.release()` in its `connection_lost`.
Factory = Callable[[Peer, Slot], asyncio.Protocol]


class Acceptor:
    """Accepts on one listening socket, from `start` to `stop`.

    `context` is called for each connection and returns the TLS context of the moment, None for a
    plain listener. `caps` may be shared with other acceptors. With `proxy_protocol`, each
    connection must begin with a PROXY header, from a sender in `trusted`; any other is closed
    without an answer. Times are in seconds.

    `accepted`, `refused` (by caps or PROXY) and `handshake_failures` count up from 0; `arriving` is
    how many connections are between accept and the end of their handshake now.
    """

    def __init__(
        self,
        sock: socket.socket,
        *,
        context: Callable[[], ssl.SSLContext | None],
        factory: Factory,
        caps: Caps,
        trusted: Sequence[IPv4Network | IPv6Network] = (),
        proxy_protocol: bool = False,
        proxy_timeout: float = 5,
        handshake_timeout: float = 10,
    ) -> None:
        sock.setblocking(False)
        self.accepted = 0
        self.refused = 0
        self.handshake_failures = 0
        self._sock = sock
        self._context = context
        self._factory = factory
        self._caps = caps
        self._trusted = trusted
        self._proxy_protocol = proxy_protocol
        self._proxy_timeout = proxy_timeout
        self._handshake_timeout = handshake_timeout
        self._exhaustion = Exhaustion()
        self._loop = asyncio.get_running_loop()
        self._stopped = True
        self._pause_end: asyncio.TimerHandle | None = None
        self._arriving: set[asyncio.Task[None]] = set()

    def adopt(
        self,
        *,
        trusted: Sequence[IPv4Network | IPv6Network],
        proxy_protocol: bool,
        handshake_timeout: float,
    ) -> None:
        """Admit by other rules from now on; who is in stays in."""
        self._trusted = trusted
        self._proxy_protocol = proxy_protocol
        self._handshake_timeout = handshake_timeout

    @property
    def arriving(self) -> int:
        """How many connections have neither been handed over nor closed yet."""
        return len(self._arriving)

    def start(self) -> None:
        """Begin to accept."""
        self._stopped = False
        self._resume()

    def stop(self) -> None:
        """Accept no more; close this process's descriptor of the listening socket.

        What arrives at a socket of systemd's then waits for the next process; an own socket's port
        is free. Connections that were accepted go on.
        """
        if self._stopped:
            return
        self._stopped = True
        if self._pause_end is not None:
            self._pause_end.cancel()
        self._loop.remove_reader(self._sock)
        self._sock.close()

    async def settle(self, seconds: float) -> None:
        """Wait until the handshakes of all that were accepted are through, `seconds` at most."""
        if self._arriving:
            await asyncio.wait(self._arriving, timeout=seconds)

    async def close(self) -> None:
        """Stop, and end connections whose handshake is not through."""
        self.stop()
        for task in self._arriving:
            task.cancel()
        await asyncio.gather(*self._arriving, return_exceptions=True)

    def _resume(self) -> None:
        if not self._stopped:
            self._loop.add_reader(self._sock, self._accept)

    def _accept(self) -> None:
        for _ in range(_PER_WAKE_UP):
            if self._caps.full:
                self._loop.remove_reader(self._sock)
                self._caps.when_room(self._resume)
                return
            try:
                sock, sockaddr = self._sock.accept()
            except (BlockingIOError, InterruptedError):
                return
            except OSError as error:
                if error.errno in _GONE:
                    continue
                # The connection stays in the kernel's queue and the socket readable: trying again
                # at once would keep the loop busy with nothing else.
                self._loop.remove_reader(self._sock)
                self._pause_end = self._loop.call_later(_PAUSE, self._resume)
                self._exhaustion.report(error, "Accepting no connections for a second")
                return
            self.accepted += 1
            self._arrive(sock, sockaddr)

    def _arrive(self, sock: socket.socket, sockaddr: Any) -> None:
        arrival = _Arrival(sock, sockaddr, self._caps.enter(), self._factory)
        if not self._proxy_protocol and not self._claim(arrival):
            # A refused client costs no task and no handshake.
            arrival.leave()
            return
        task = self._loop.create_task(self._admit(arrival))
        self._arriving.add(task)
        # In a callback, not at the coroutine's end: a task that is cancelled before its first step
        # runs none of its code.
        task.add_done_callback(partial(self._arrived, arrival))

    def _arrived(self, arrival: "_Arrival", task: asyncio.Task[None]) -> None:
        self._arriving.discard(task)
        arrival.leave()

    async def _admit(self, arrival: "_Arrival") -> None:
        if self._proxy_protocol:
            if not await self._take_header(arrival):
                self.refused += 1
                return
            if not self._claim(arrival):
                return
        context = self._context()
        arrival.handed_over = True
        try:
            await accepted(
                lambda: arrival,
                arrival.sock,
                context=context,
                handshake_timeout=self._handshake_timeout,
            )
        except OSError as error:
            _log.debug("A handshake failed: %s", error)
        if not arrival.served:
            self.handshake_failures += 1

    def _claim(self, arrival: "_Arrival") -> bool:
        """Count the connection to its client; False: close it."""
        arrival.trusted = _trusts(self._trusted, arrival.address)
        # A trusted address is a balancer's, and carries many clients.
        if arrival.address is None or arrival.trusted or arrival.slot.claim(arrival.address):
            return True
        self.refused += 1
        return False

    async def _take_header(self, arrival: "_Arrival") -> bool:
        """Replace the arrival's address by the one in its PROXY header; False: refuse it."""
        if not _trusts(self._trusted, arrival.address):
            _log.debug("A connection came without a PROXY header that could be believed.")
            return False
        try:
            header = await receive_header(arrival.sock, within=self._proxy_timeout)
        except (BadRequest, OSError) as error:
            _log.debug("A PROXY header was not accepted: %s", error)
            return False
        if header.address is not None:
            arrival.address, arrival.port = _unmapped(header.address), header.port
        return True


class _Arrival(asyncio.Protocol):
    """A connection between accept and the end of its handshake.

    Then the factory's protocol takes its place. `handed_over`: the loop owns the socket; `served`:
    the factory's protocol owns the slot.
    """

    def __init__(self, sock: socket.socket, sockaddr: Any, slot: Slot, factory: Factory) -> None:
        sock.setblocking(False)
        self.sock = sock
        self.slot = slot
        self.address, self.port = _source(sock, sockaddr)
        self.trusted = False
        self.handed_over = False
        self.served = False
        self._factory = factory

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        tls = transport.get_extra_info("ssl_object")
        peer = Peer(
            address=self.address,
            port=self.port,
            tls=tls is not None,
            server_name=server_name(tls),
            trusted=self.trusted,
            excess=self.slot.excess,
        )
        try:
            protocol = self._factory(peer, self.slot)
        except BaseException:
            cast(asyncio.Transport, transport).abort()
            raise
        self.served = True
        transport.set_protocol(protocol)
        protocol.connection_made(transport)

    def leave(self) -> None:
        """Give back what nobody has taken over."""
        if not self.handed_over:
            self.sock.close()
        if not self.served:
            self.slot.release()


def _trusts(
    trusted: Collection[IPv4Network | IPv6Network], address: IPv4Address | IPv6Address | None
) -> bool:
    return address is None or any(address in network for network in trusted)


def _source(sock: socket.socket, sockaddr: Any) -> tuple[IPv4Address | IPv6Address | None, int]:
    """Return address and port of an accepted socket; None and 0 for a Unix socket."""
    if sock.family == socket.AF_UNIX:
        return None, 0
    return _unmapped(ip_address(sockaddr[0].partition("%")[0])), sockaddr[1]


def _unmapped(address: IPv4Address | IPv6Address) -> IPv4Address | IPv6Address:
    """Return the IPv4 address of a peer on a socket that takes both families.

    A socket of systemd's may (BindIPv6Only=), and a balancer's, which writes such addresses into
    its header. All of them are in one IPv6 /64: they would count as one client.
    """
    if isinstance(address, IPv6Address) and address.ipv4_mapped is not None:
        return address.ipv4_mapped
    return address
