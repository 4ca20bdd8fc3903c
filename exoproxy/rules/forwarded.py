"""The fields of a request on its way to an upstream.

Here: what the proxy adds (X-Forwarded-*, Via), what of the kind it believes, and what it keeps to
itself, as one function for each site: `to_instance` for the UAP and `to_cloud` for the CCP. Not
here: the fields of one connection, which `Fields.end_to_end` leaves out, and the fields of framing
and upgrade, which the engine writes. First everything is stripped, then ours is added, so that
naming one of ours in Connection does nothing.
"""

import re
from collections.abc import Collection
from hashlib import sha256
from ipaddress import IPv6Address, ip_address
from typing import Final

from exoproxy.rules.address_space import IPAddress, IPNetwork
from exoproxy.wire.fields import Field, Fields

# An element of X-Forwarded-For; some balancers add the port.
_ELEMENT: Final = re.compile(
    rb"(?P<v4>[0-9.]+)(?::[0-9]+)?|\[(?P<bracketed>[0-9A-Fa-f:.]+)\](?::[0-9]+)?"
    rb"|(?P<v6>[0-9A-Fa-f:.]+)"
)
# A list of thousands, all trusted, would take milliseconds of every request.
_HOPS: Final = 100
_PREFIX: Final = b"x-forwarded-"
_REPLACED: Final = frozenset(
    {b"x-forwarded-for", b"x-forwarded-host", b"x-forwarded-port", b"x-forwarded-proto"}
)
# Proxy: some servers make the environment variable HTTP_PROXY of it (CVE-2016-5385).
_NOT_TO_INSTANCE: Final = _REPLACED | {b"proxy"}
_NOT_BELIEVED: Final = _NOT_TO_INSTANCE | {b"forwarded", b"x-real-ip"}
# The control fields say where to go, and the rest belongs to the client's page and its host. What
# is left of the X-Forwarded-* would change the links in the answers of a cloud's API.
_NOT_TO_CLOUD: Final = _NOT_BELIEVED | {
    b"cookie",
    b"exo-proxy-orig-host",
    b"exo-proxy-orig-port",
    b"host",
    b"origin",
    b"referer",
}
_PROTO: Final[Field] = (b"X-Forwarded-Proto", b"https")


def to_instance(
    fields: Fields, *, peer: bytes, trusted: bool, host: bytes, via: Field
) -> list[Field]:
    """Return the fields that the UAP sends to an instance.

    `peer` is the peer's address as text, or `unknown` (RFC 7239 section 6.2), `host` the authority
    as received, whose host is a name, and `via` comes from `via_field`. Host, Origin and Referer
    stay byte for byte. One line each of X-Forwarded-For, -Host, -Port and -Proto is set; the last
    is always https, which is what the page speaks, whoever is between. Of a trusted peer, the list
    of addresses goes on, -Host and -Port stay if they came once, and other fields of the kind pass;
    of any other peer none does.
    """
    kept = _strip(fields, _NOT_TO_INSTANCE if trusted else _NOT_BELIEVED, prefix=not trusted)
    port = host.partition(b":")[2] or b"443"
    if trusted:
        peer = b", ".join([*filter(None, fields.all(b"x-forwarded-for")), peer])
        host = _said_once(fields, b"x-forwarded-host", host)
        port = _said_once(fields, b"x-forwarded-port", port)
    kept += (
        (b"X-Forwarded-For", peer),
        (b"X-Forwarded-Host", host),
        (b"X-Forwarded-Port", port),
        _PROTO,
        via,
    )
    return kept


def to_cloud(fields: Fields, *, host: bytes, via: Field) -> list[Field]:
    """Return the fields that the CCP sends to a cloud's API; `host` is the target's authority.

    Host comes first (RFC 9110 section 7.2).
    """
    kept = _strip(fields, _NOT_TO_CLOUD, prefix=True)
    return [(b"Host", host), *kept, via]


def _strip(fields: Fields, drop: frozenset[bytes], *, prefix: bool) -> list[Field]:
    kept = fields.end_to_end(drop)
    # One search in all names at once, for what browsers hardly ever send, costs a third of asking
    # each name.
    if prefix and _PREFIX in b"\n".join([name for name, _ in kept]).lower():
        kept = [pair for pair in kept if not pair[0].lower().startswith(_PREFIX)]
    return kept


def _said_once(fields: Fields, name: bytes, otherwise: bytes) -> bytes:
    values = fields.all(name)
    return values[0] if len(values) == 1 and values[0] else otherwise


def client_address(
    fields: Fields, peer: IPAddress | None, trusted: Collection[IPNetwork]
) -> IPAddress | None:
    """Return the address of the client: the first from the right that is not trusted.

    `peer` is None for a Unix socket, whose permissions vouch for who connects. An element of
    X-Forwarded-For that is no address ends the walk at the hop before it, and so does the end of
    the list: what a trusted hop says counts, what others said before it does not. After a hundred
    hops it ends, too.
    """
    if peer is not None:
        peer = _unmapped(peer)
        if not _is_trusted(peer, trusted):
            return peer
    chain = b",".join(fields.all(b"x-forwarded-for"))
    for element in reversed(chain.rsplit(b",", _HOPS)):
        address = _address(element.strip(b" \t"))
        if address is None:
            return peer
        peer = address
        if not _is_trusted(peer, trusted):
            return peer
    return peer


def _is_trusted(address: IPAddress, trusted: Collection[IPNetwork]) -> bool:
    return any(address in network for network in trusted)


def _address(element: bytes) -> IPAddress | None:
    parts = _ELEMENT.fullmatch(element)
    if parts is None:
        return None
    try:
        return _unmapped(ip_address((parts["v4"] or parts["bracketed"] or parts["v6"]).decode()))
    except ValueError:
        return None


def _unmapped(address: IPAddress) -> IPAddress:
    # A socket of both families gives IPv4 peers in IPv6 form.
    if isinstance(address, IPv6Address) and address.ipv4_mapped is not None:
        return address.ipv4_mapped
    return address


def pseudonym_of(hostname: str) -> bytes:
    """Return the name that the proxy of a host gives itself in Via.

    The same for every process that serves the host, so that a loop through a balancer shows; it
    tells an upstream nothing about the host.
    """
    return b"exoproxy-" + sha256(hostname.encode()).hexdigest()[:12].encode()


def via_field(pseudonym: bytes, minor: int) -> Field:
    """Return the Via line for a request that came as HTTP/1.`minor` (RFC 9110 section 7.6.3).

    It follows those of earlier hops, as a line of its own.
    """
    return (b"Via", b"1.%d %b" % (minor, pseudonym))


def passed_here(fields: Fields, pseudonym: bytes) -> bool:
    """Tell whether Via names this proxy: the request has come back (RFC 9110 section 7.6.3)."""
    if b"via" not in fields:
        return False
    # An element is a protocol, a pseudonym and perhaps a comment; case does not matter here.
    elements = (element.split() for element in fields.tokens(b"via"))
    return any(len(words) > 1 and words[1] == pseudonym.lower() for words in elements)
