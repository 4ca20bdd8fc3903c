"""The sockets that a mode is served on: systemd's where it passed some, else our own."""

import socket
from collections.abc import Sequence
from contextlib import ExitStack
from typing import NamedTuple

from exoproxy.net.inherited import inherited_sockets, sort_sockets
from exoproxy.net.sockets import open_socket
from exoproxy.server import tcp_options
from exoproxy.service.mode import Mode
from exoproxy.settings.addresses import ListenAddress


class Sockets(NamedTuple):
    """Listening sockets: those that serve, and those that redirect to them."""

    https: list[socket.socket]
    http: list[socket.socket]


def sockets_of(mode: Mode, opened: ExitStack) -> Sockets:
    """Return the mode's sockets, to be closed with the stack.

    Raises ListenError for an address that can't be listened on, and where what systemd passed and
    what is configured don't fit together.
    """
    options = tcp_options(mode.settings.limits)
    part = mode.part
    if passed := inherited_sockets(options=options):
        for _, sock in passed:
            opened.enter_context(sock)
        https, http = sort_sockets(
            passed,
            https=[(each.address, each.port) for each in part.listen],
            http=[(each.address, each.port) for each in part.redirect_listen],
            part=mode.key,
            unit=f"{mode.unit}.socket",
        )
        return Sockets(https, http)

    def open_all(addresses: Sequence[ListenAddress]) -> list[socket.socket]:
        return [
            opened.enter_context(open_socket(each.address, each.port, options=options))
            for each in addresses
        ]

    return Sockets(open_all(part.listen), open_all(part.redirect_listen))
