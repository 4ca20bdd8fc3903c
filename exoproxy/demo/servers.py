"""Ports for the demo, and its stand-in servers at work.

Called by `exoproxy.demo.life`.
"""

import ssl
from collections.abc import AsyncIterator, Sequence
from contextlib import ExitStack, asynccontextmanager
from ipaddress import ip_address
from socket import socket

from aiohttp import web

from exoproxy.net.sockets import ListenError, open_socket

# A port that is free at the first address may be taken at the second; not this often.
_TRIES = 8
# What is under way at the end gets this long; zero would be for ever.
_GRACE_SECONDS = 0.1


def reachable(addresses: Sequence[str]) -> tuple[str, ...]:
    """Return those of the addresses that this machine has: IPv6 may be switched off."""
    found = []
    for address in addresses:
        try:
            open_socket(ip_address(address), 0).close()
        except ListenError:
            continue
        found.append(address)
    return tuple(found)


def listen_at(addresses: Sequence[str], port: int) -> list[socket]:
    """Return listening sockets, one per address, all at the same port; port 0 takes a free one.

    Raises `ListenError`.
    """
    with ExitStack() as stack:
        sockets = []
        for address in addresses:
            sockets.append(stack.enter_context(open_socket(ip_address(address), port)))
            port = port_of(sockets)
        stack.pop_all()
    return sockets


def listen_near(addresses: Sequence[str], preferred: int) -> list[socket]:
    """Do as `listen_at`, but take another port if the preferred one is not free everywhere."""
    for port in (preferred, *[0] * _TRIES):
        try:
            return listen_at(addresses, port)
        except ListenError as error:
            problem = error
    raise problem


def port_of(sockets: Sequence[socket]) -> int:
    """Return the port that the sockets share."""
    port: int = sockets[0].getsockname()[1]
    return port


@asynccontextmanager
async def served(
    application: web.Application,
    sockets: Sequence[socket],
    *,
    context: ssl.SSLContext | None = None,
) -> AsyncIterator[None]:
    """Serve an application at listening sockets, over TLS with a context, until the block ends.

    What is under way then is cut: an event stream would else go on for ever.
    """
    runner = web.AppRunner(application, access_log=None, shutdown_timeout=_GRACE_SECONDS)
    await runner.setup()
    try:
        for each in sockets:
            await web.SockSite(runner, each, ssl_context=context).start()
        yield
    finally:
        await runner.cleanup()
