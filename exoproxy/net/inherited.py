"""Listening sockets that were open before this process was: systemd's, or a predecessor's.

systemd's (socket units; sd_listen_fds(3)) outlive the process: connections that arrive during a
restart wait in the kernel's queue. A process that hands over to a successor passes it those that it
has. What is not here: sockets opened by ourselves (`sockets`). Called by `service` at its start.
"""

import os
import socket
from collections.abc import Collection, Iterable, Mapping, MutableMapping
from ipaddress import IPv4Address, IPv6Address, ip_address
from typing import Final, NamedTuple

from exoproxy.net.sockets import ListenError, TcpOptions, listening_at

_FIRST: Final = 3  # SD_LISTEN_FDS_START
_VARIABLES: Final = ("LISTEN_PID", "LISTEN_FDS", "LISTEN_FDNAMES")
# A predecessor's: it can neither know its successor's process id nor choose the descriptors.
_HANDED: Final = "EXOPROXY_SOCKETS"

# Where a socket listens, or is to listen: an address of this host, or "any", and a port.
Endpoint = tuple[IPv4Address | IPv6Address, int]


class Passed(NamedTuple):
    """A descriptor that was passed, and its FileDescriptorName=."""

    descriptor: int
    name: str


def parse_passed(environment: Mapping[str, str], pid: int) -> list[Passed]:
    """Return what the environment says was passed to the process `pid`; nothing is no error.

    Raises ListenError for variables that contradict each other.
    """
    if environment.get("LISTEN_PID") != str(pid):
        # Meant for a parent of ours, which passed its environment on.
        return []
    count_text = environment.get("LISTEN_FDS", "0")
    if not (count_text.isascii() and count_text.isdigit()) or int(count_text) > 1024:
        raise ListenError("LISTEN_FDS is not a number of sockets; systemd sets it, nobody else.")
    count = int(count_text)
    names = ["unknown"] * count
    if "LISTEN_FDNAMES" in environment:
        names = environment["LISTEN_FDNAMES"].split(":") if count else []
    if len(names) != count:
        raise ListenError(
            f"LISTEN_FDS counts {count} sockets and LISTEN_FDNAMES names {len(names)}; "
            "systemd sets both, nobody else."
        )
    return [Passed(_FIRST + index, name) for index, name in enumerate(names)]


def handed(sockets: Iterable[tuple[str, socket.socket]]) -> dict[str, str]:
    """Return the variable that tells a successor of sockets, whose descriptors it gets as well."""
    return {_HANDED: ",".join(f"{name}={sock.fileno()}" for name, sock in sockets)}


def parse_handed(text: str) -> list[Passed]:
    """Return what a predecessor passed. Raises ListenError for what it would not have written."""
    found = []
    for element in text.split(","):
        name, _, number = element.partition("=")
        if not (name and number.isascii() and number.isdigit()):
            raise ListenError(f"{_HANDED} names no sockets; exoproxy sets it, nobody else.")
        found.append(Passed(int(number), name))
    return found


def inherited_sockets(
    environment: MutableMapping[str, str] = os.environ, *, options: TcpOptions | None = None
) -> list[tuple[str, socket.socket]]:
    """Return the sockets that were passed, each with its name, ready for an Acceptor.

    The variables are removed, and the descriptors closed on exec, so that no child takes the
    sockets for its own. Raises ListenError for a descriptor that is no listening stream socket.
    """
    own = environment.pop(_HANDED, "")
    passed = parse_handed(own) if own else parse_passed(environment, os.getpid())
    for variable in _VARIABLES:
        environment.pop(variable, None)
    sockets: list[tuple[str, socket.socket]] = []
    try:
        for descriptor, name in passed:
            sock = _listening(descriptor, name)
            sockets.append((name, sock))
            sock.setblocking(False)
            if sock.family != socket.AF_UNIX:
                (options or TcpOptions()).apply(sock)
    except BaseException:
        for _, sock in sockets:
            sock.close()
        raise
    return sockets


def _listening(descriptor: int, name: str) -> socket.socket:
    where = f"the socket {name} that was passed (descriptor {descriptor})"
    try:
        os.set_inheritable(descriptor, False)
        sock = socket.socket(fileno=descriptor)
    except OSError as error:
        raise ListenError(f"{where}: it is no socket: {error.strerror}.") from error
    known = {socket.AF_INET, socket.AF_INET6, socket.AF_UNIX}
    if sock.family not in known or sock.type != socket.SOCK_STREAM:
        sock.close()
        raise ListenError(f"{where}: it is no stream socket; use ListenStream= in its unit.")
    if not sock.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN):
        sock.close()
        raise ListenError(f"{where}: it does not listen; set Accept=no in its unit.")
    return sock


def sort_sockets(
    passed: Iterable[tuple[str, socket.socket]],
    *,
    https: Collection[Endpoint],
    http: Collection[Endpoint],
    part: str,
    unit: str,
) -> tuple[list[socket.socket], list[socket.socket]]:
    """Return the sockets for https and those for http, given where each is configured to listen.

    One socket unit has one FileDescriptorName= for all its sockets, so that they are told apart by
    where they listen: by address and port, else by the port alone, since `[::]` may take IPv4 too
    and which address is bound is the unit's to say. A socket named `https` or `http` is that one,
    wherever it listens. `part` ("main") and `unit` ("exoproxy-main.socket") stand in the sentences.

    Raises ListenError for a socket that fits neither and for a configured port without a socket.
    """
    sockets = list(passed)
    found: dict[str, list[socket.socket]] = {"https": [], "http": []}
    for name, sock in sockets:
        role = name if name in found else _role(sock, https, http)
        if role is None:
            raise ListenError(_misfit(sock, part, unit))
        found[role].append(sock)
    if not any(name in found for name, _ in sockets):
        served = {sock.getsockname()[1] for _, sock in sockets}
        for key, endpoints in (("listen", https), ("redirect_listen", http)):
            for _, port in endpoints:
                if port not in served:
                    raise ListenError(
                        f"{part}.{key} names port {port}, and systemd passed no socket for it; add "
                        f"ListenStream={port} with `systemctl edit {unit}`, or change {part}.{key}."
                    )
    return found["https"], found["http"]


def _role(
    sock: socket.socket, https: Collection[Endpoint], http: Collection[Endpoint]
) -> str | None:
    if sock.family == socket.AF_UNIX:
        return None
    address, port = sock.getsockname()[:2]
    if (exact := (ip_address(address.partition("%")[0]), port)) in https:
        return "https"
    if exact in http:
        return "http"
    of_https = any(port == each for _, each in https)
    of_http = any(port == each for _, each in http)
    if of_https == of_http:
        return None
    return "https" if of_https else "http"


def _misfit(sock: socket.socket, part: str, unit: str) -> str:
    if sock.family == socket.AF_UNIX:
        return (
            f"systemd passed the Unix socket {listening_at(sock)}, which has no "
            f"port to tell https from http by; set FileDescriptorName=https or "
            f"FileDescriptorName=http with `systemctl edit {unit}`."
        )
    return (
        f"systemd listens on {listening_at(sock)}, which {part}.listen and {part}.redirect_listen "
        f"don't tell for https or http; change ListenStream= with `systemctl edit {unit}`, or "
        "name the port in one of those two."
    )
