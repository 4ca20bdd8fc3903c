"""From a connected socket to a transport: the one place that asks the event loop for it.

An event loop whose makers of transports are functions beside the loop (aiofastnet's
`connect_accepted_socket(loop, …)`) is put to use here and nowhere else. Called by `listen` and
`dial`.
"""

import asyncio
import ssl
from collections.abc import Callable
from socket import socket
from typing import TypeVar

P = TypeVar("P", bound=asyncio.BaseProtocol)

# Seconds that a peer has to answer our close_notify; asyncio's own 30 s would keep the descriptors
# of peers that have vanished.
_TLS_SHUTDOWN = 5.0


async def accepted(
    factory: Callable[[], P],
    sock: socket,
    *,
    context: ssl.SSLContext | None,
    handshake_timeout: float,
) -> None:
    """Serve an accepted socket; `connection_made` is called when the handshake is through.

    From the call on, the loop owns the socket. Raises OSError (ssl.SSLError and
    ConnectionAbortedError for the timeout among them) when the handshake fails.
    """
    loop = asyncio.get_running_loop()
    if context is None:
        await loop.connect_accepted_socket(factory, sock)
    else:
        await loop.connect_accepted_socket(
            factory,
            sock,
            ssl=context,
            ssl_handshake_timeout=handshake_timeout,
            ssl_shutdown_timeout=_TLS_SHUTDOWN,
        )


async def connected(
    factory: Callable[[], P],
    sock: socket,
    *,
    context: ssl.SSLContext | None,
    server_hostname: str,
) -> P:
    """Use a connected socket; return the protocol after its `connection_made`.

    From the call on, the loop owns the socket. Raises OSError when the TLS handshake fails; the
    caller bounds the time.
    """
    loop = asyncio.get_running_loop()
    if context is None:
        _, protocol = await loop.create_connection(factory, sock=sock)
    else:
        _, protocol = await loop.create_connection(
            factory,
            sock=sock,
            ssl=context,
            server_hostname=server_hostname,
            ssl_shutdown_timeout=_TLS_SHUTDOWN,
        )
    return protocol
