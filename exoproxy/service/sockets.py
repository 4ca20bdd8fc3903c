"""The sockets that a mode is served on: systemd's where it passed some, else our own."""

import socket
from collections.abc import Iterable
from contextlib import ExitStack
from typing import Final, NamedTuple

from exoproxy.net.inherited import inherited_sockets, sort_sockets
from exoproxy.net.sockets import open_socket
from exoproxy.server import tcp_options
from exoproxy.service.mode import Mode
from exoproxy.settings.addresses import ListenAddress

# What a predecessor calls the socket of its admin site; systemd passes none.
ADMIN: Final = "admin"


class Sockets(NamedTuple):
    """Listening sockets: those that serve, those that redirect to them, and the admin site's."""

    https: list[socket.socket]
    http: list[socket.socket]
    admin: socket.socket | None

    def named(self) -> list[tuple[str, socket.socket]]:
        """Return all of them, as a successor is told of them."""
        admin = [] if self.admin is None else [(ADMIN, self.admin)]
        https = [("https", sock) for sock in self.https]
        return [*https, *(("http", sock) for sock in self.http), *admin]


def sockets_of(mode: Mode, opened: ExitStack) -> Sockets:
    """Return the mode's sockets, to be closed with the stack.

    Raises ListenError for an address that can't be listened on, and where what systemd passed and
    what is configured don't fit together.
    """
    options = tcp_options(mode.settings.limits)
    part = mode.part

    def open_all(addresses: Iterable[ListenAddress]) -> list[socket.socket]:
        return [
            opened.enter_context(open_socket(each.address, each.port, options=options))
            for each in addresses
        ]

    passed = inherited_sockets(options=options)
    for _, sock in passed:
        opened.enter_context(sock)
    admin = [sock for name, sock in passed if name == ADMIN]
    if not admin and part.admin_listen is not None:
        admin = open_all([part.admin_listen])
    serving = [pair for pair in passed if pair[0] != ADMIN]
    if serving:
        https, http = sort_sockets(
            serving,
            https=[(each.address, each.port) for each in part.listen],
            http=[(each.address, each.port) for each in part.redirect_listen],
            part=mode.key,
            unit=f"{mode.unit}.socket",
        )
    else:
        https, http = open_all(part.listen), open_all(part.redirect_listen)
    return Sockets(https, http, admin[0] if admin else None)
