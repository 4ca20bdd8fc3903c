"""Listening sockets that systemd opened (socket units; sd_listen_fds(3)).

They outlive the process: connections that arrive during a restart wait in the kernel's queue. What
is not here: sockets opened by ourselves (`sockets`). Called by `service` at its start.
"""

import os
import socket
from collections.abc import Mapping, MutableMapping
from typing import Final, NamedTuple

from exoproxy.net.sockets import ListenError, TcpOptions

_FIRST: Final = 3  # SD_LISTEN_FDS_START
_VARIABLES: Final = ("LISTEN_PID", "LISTEN_FDS", "LISTEN_FDNAMES")


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


def inherited_sockets(
    environment: MutableMapping[str, str] = os.environ, *, options: TcpOptions | None = None
) -> list[tuple[str, socket.socket]]:
    """Return the sockets that systemd passed, each with its name, ready for an Acceptor.

    The variables are removed, and the descriptors closed on exec, so that no child takes the
    sockets for its own. Raises ListenError for a descriptor that is no listening stream socket.
    """
    passed = parse_passed(environment, os.getpid())
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
    where = f"systemd's socket {name} (descriptor {descriptor})"
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
