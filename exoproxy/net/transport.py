"""From a connected socket to a transport: the one place that asks the event loop for it.

The transports are uvloop's, or aiofastnet's where that is installed (the extra `fast`) and asked
for by EXOPROXY_FAST=1: quicker, but young, and without the name that a client asks for (SNI),
since its 1.2.0 crashes when a context has an `sni_callback`. Called by `listen` and `dial`.
"""

import asyncio
import os
import ssl
from collections.abc import Callable, Coroutine
from socket import socket
from typing import Any, Final, TypeVar

FAST: Final = os.environ.get("EXOPROXY_FAST") == "1"
if FAST:
    import aiofastnet

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
    tls: dict[str, Any] = {}
    if context is not None:
        tls = {
            "ssl": context,
            "ssl_handshake_timeout": handshake_timeout,
            "ssl_shutdown_timeout": _TLS_SHUTDOWN,
        }
    if FAST:
        await aiofastnet.connect_accepted_socket(loop, factory, sock, **tls)
    else:
        transport, _ = await loop.connect_accepted_socket(factory, sock, **tls)
        if tls:
            _read_no_end_ahead(transport)


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
    tls: dict[str, Any] = {}
    if context is not None:
        tls = {
            "ssl": context,
            "server_hostname": server_hostname,
            "ssl_shutdown_timeout": _TLS_SHUTDOWN,
        }
    if FAST:
        opening = aiofastnet.create_connection(loop, factory, sock=sock, **tls)
    else:
        opening = loop.create_connection(factory, sock=sock, **tls)
    transport, protocol = await (opening if tls else _to_its_end(opening))
    if tls:
        _read_no_end_ahead(transport)
    return protocol


def _read_no_end_ahead(transport: Any) -> None:
    """Let a TLS connection whose reading is paused leave the peer's FIN in the kernel.

    At a FIN uvloop drops what it has read and not yet delivered: the last 256 KB of a complete
    answer, for a client that takes it slowly. So it reads nothing at all in a pause.
    """
    if not FAST:
        transport.set_read_buffer_limits(high=1, low=0)


async def _to_its_end(
    opening: Coroutine[Any, Any, tuple[asyncio.Transport, P]],
) -> tuple[asyncio.Transport, P]:
    """Wait for a plain connection, which waits for nothing itself, even when cancelled.

    uvloop never calls `connection_lost` when it is cancelled between `connection_made` and its
    return; so it is let return first, and the connection is aborted then.
    """
    task = asyncio.get_running_loop().create_task(opening)
    try:
        return await asyncio.shield(task)
    except asyncio.CancelledError:
        await asyncio.wait({task})
        if task.exception() is None:
            task.result()[0].abort()
        raise
