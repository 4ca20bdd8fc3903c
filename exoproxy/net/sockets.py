"""Sockets: their TCP options, and opening those that listen.

What is not here: sockets that systemd opened (`inherited`) and accepting (`listen`). Called by
`service` at its start and by `dial`.
"""

import errno
import socket
from collections.abc import Callable
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address

from exoproxy.net.port_holder import port_holder
from exoproxy.rules.printable import printable

# The kernel cuts it to net.core.somaxconn (4096 since Linux 5.4).
BACKLOG = 4096


class ListenError(Exception):
    """An address can't be listened on; the message is one sentence for the operator."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TcpOptions:
    """How a dead peer is found, and that small writes leave at once; all values in seconds.

    A silent connection is probed after `idle`, then each `interval`, and ends after `count` probes
    without an answer; one with unacknowledged data ends after `user_timeout`. Without them a
    tunnel to a laptop that was closed stays for ever.
    """

    idle: int = 60
    interval: int = 15
    count: int = 4
    user_timeout: int = 120

    def apply(self, sock: socket.socket) -> None:
        """Set the options; on Linux, accepted sockets inherit those of their listening socket."""
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, self.idle)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, self.interval)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPCNT, self.count)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, self.user_timeout * 1000)


def open_socket(
    address: IPv4Address | IPv6Address,
    port: int,
    *,
    options: TcpOptions | None = None,
    backlog: int = BACKLOG,
    holder: Callable[[int], str | None] = port_holder,
) -> socket.socket:
    """Return a socket that listens on the address; port 0 takes a free one.

    An IPv6 wildcard takes IPv6 alone, so that `0.0.0.0` and `[::]` can stand side by side. Raises
    ListenError.
    """
    try:
        sock = _bound(address, port, options or TcpOptions(), backlog)
    except OSError as error:
        raise ListenError(_sentence(error, address, port, holder)) from error
    sock.setblocking(False)
    return sock


def listening_at(sock: socket.socket) -> str:
    """Return where a socket listens: `ADDRESS:PORT`, an IPv6 address in brackets, or a path."""
    if sock.family == socket.AF_UNIX:
        return printable(str(sock.getsockname()))
    address, port = sock.getsockname()[:2]
    return f"[{address}]:{port}" if sock.family == socket.AF_INET6 else f"{address}:{port}"


def _bound(
    address: IPv4Address | IPv6Address, port: int, options: TcpOptions, backlog: int
) -> socket.socket:
    family = socket.AF_INET if isinstance(address, IPv4Address) else socket.AF_INET6
    sock = socket.socket(family, socket.SOCK_STREAM)
    try:
        # A restart must not wait for the TIME_WAIT of the connections before it.
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        options.apply(sock)
        sock.bind((str(address), port))
        sock.listen(backlog)
    except OSError:
        sock.close()
        raise
    return sock


def _sentence(
    error: OSError,
    address: IPv4Address | IPv6Address,
    port: int,
    holder: Callable[[int], str | None],
) -> str:
    where = f"[{address}]:{port}" if address.version == 6 else f"{address}:{port}"
    if error.errno == errno.EADDRINUSE:
        taken_by = holder(port)
        if taken_by is None:
            return f"{where}: another process listens there; `ss -ltnp` tells which."
        return f"{where}: {taken_by} listens there already; stop it or choose another port."
    if error.errno in {errno.EACCES, errno.EPERM} and port < 1024:
        return (
            f"{where}: ports below 1024 need a privilege; start by systemd with "
            "AmbientCapabilities=CAP_NET_BIND_SERVICE or a socket unit, or choose a higher port."
        )
    if error.errno == errno.EADDRNOTAVAIL:
        return f"{where}: no interface of this host has that address; `ip address` shows those."
    if error.errno == errno.EAFNOSUPPORT:
        return f"{where}: this host has no IPv{address.version}; remove that address."
    return f"{where}: can't listen there: {error.strerror}."
