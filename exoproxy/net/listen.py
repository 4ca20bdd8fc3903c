"""Accepted connections."""

from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address


@dataclass(frozen=True, slots=True, kw_only=True)
class Peer:
    """Who is at the other end of an accepted connection.

    `address` is None for a Unix socket; behind a PROXY header it is the address in the header.
    `server_name` is the name of the TLS handshake (SNI), lower-case. `trusted`: the address is one
    of those whose X-Forwarded-* fields are believed. `over_limit`: the client holds more
    connections than it may; answer 503 and close.
    """

    address: IPv4Address | IPv6Address | None
    port: int
    tls: bool
    server_name: str | None = None
    trusted: bool = False
    over_limit: bool = False
