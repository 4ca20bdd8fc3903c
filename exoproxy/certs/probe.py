"""Asking our own listeners which certificate they serve, after it was swapped.

That a new certificate was loaded proves little: another process may answer at the port, or a
context may be kept somewhere. Operators hear of that from us and not from their users. Called by
`keeper`.
"""

import asyncio
import logging
import socket
from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import sha256
from ipaddress import IPv4Network, IPv6Network, ip_address
from typing import Final

from exoproxy.certs.serving import Served
from exoproxy.net.tls import open_context

logger: Final = logging.getLogger("exoproxy")

_SECONDS: Final = 10.0

# What listens at all addresses of the machine is asked at one that is always there.
_ANYWHERE: Final = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104 - nothing is bound here

# PROXY protocol, section 2.2: version 2, command LOCAL ("the proxy itself"), no addresses.
LOCAL_HEADER: Final = b"\r\n\r\n\x00\r\nQUIT\n\x20\x00\x00\x00"


@dataclass(frozen=True, slots=True, kw_only=True)
class Listener:
    """An address that we listen at, and the header (PROXY protocol) that it wants first."""

    address: str
    port: int
    header: bytes = b""

    def __str__(self) -> str:
        host = f"[{self.address}]" if ":" in self.address else self.address
        return f"{host}:{self.port}"


def own_listeners(
    sockets: Sequence[socket.socket],
    *,
    proxy_protocol: bool,
    trusted: Sequence[IPv4Network | IPv6Network],
) -> list[Listener]:
    """Return those of our listening sockets that can be asked.

    Unix sockets are left out: who may connect is their file's business. With `proxy_protocol`, a
    listener believes `trusted` senders alone, and can only be asked if we are one of them.
    """
    found = []
    for sock in sockets:
        if sock.family not in (socket.AF_INET, socket.AF_INET6):
            continue
        host, port = sock.getsockname()[:2]
        address = _ANYWHERE.get(host, host)
        if proxy_protocol and not any(ip_address(address) in network for network in trusted):
            logger.info(
                "What is served on port %d will not be checked after a renewal: list %s under "
                "trusted_proxies if it shall be",
                port,
                address,
            )
            continue
        header = LOCAL_HEADER if proxy_protocol else b""
        found.append(Listener(address=address, port=port, header=header))
    return found


async def probe(listeners: Sequence[Listener], name: str, served: Served) -> bool:
    """Tell whether each listener that answers has this certificate; log where it doesn't."""
    same = True
    for listener in listeners:
        try:
            found = await fingerprint_at(listener, name)
        except OSError as error:
            logger.warning("What is served on %s could not be checked: %s", listener, error)
            continue
        if found != served.fingerprint:
            logger.error(
                "New connections to %s get another certificate (SHA-256 %s) than the one that was "
                "loaded (%s): restart this service, and see what else listens there",
                listener,
                found,
                served.fingerprint,
            )
            same = False
    return same


async def fingerprint_at(listener: Listener, name: str) -> str:
    """Return the SHA-256 of the certificate that a new connection gets, in hexadecimal digits.

    `name` is sent as the server's (SNI). Raises `OSError`, also if it takes over ten seconds.
    """
    loop = asyncio.get_running_loop()
    family = socket.AF_INET6 if ":" in listener.address else socket.AF_INET
    with socket.socket(family) as sock:
        sock.setblocking(False)
        async with asyncio.timeout(_SECONDS):
            await loop.sock_connect(sock, (listener.address, listener.port))
            await loop.sock_sendall(sock, listener.header)
            # Nothing is verified, only compared. The transport has a descriptor of its own.
            transport, _ = await loop.create_connection(
                asyncio.Protocol, sock=sock.dup(), ssl=open_context(), server_hostname=name
            )
    try:
        certificate = transport.get_extra_info("ssl_object").getpeercert(binary_form=True)
    finally:
        transport.close()
    return sha256(certificate).hexdigest()
