"""What the ranges of the IP address space are for.

Here: a table of every special-purpose range, and the IPv4 addresses that an IPv6 address carries.
Not here: which of them may be dialled; `rules.egress` decides that and is the only caller.

Sources are IANA's registries "IPv4 Special-Purpose Address Space" and "IPv6 Special-Purpose
Address Space" (RFC 6890), those of multicast, and "IPv6 Address Space". The properties of
`ipaddress` won't do: they differ between Python's releases, and to those of 3.11
`::ffff:127.0.0.1` is no loopback address, while `192.0.0.192` and `64:ff9b::7f00:1` are global.

Where the registries name globally reachable blocks inside a special range (PCP and TURN anycast in
192.0.0.0/24; AMT, ORCHIDv2 and DRIP in 2001::/23), the whole range counts as special: those
services belong to the network that one is in, and none of them is a web server.
"""

from dataclasses import dataclass
from enum import Enum
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_network
from typing import Final

IPAddress = IPv4Address | IPv6Address
IPNetwork = IPv4Network | IPv6Network


class Reach(Enum):
    """From where the addresses of a range are reached."""

    ANYWHERE = "anywhere"
    SPECIAL = "special"  # from some network only, or by means of a protocol
    NOWHERE = "nowhere"


@dataclass(frozen=True, slots=True, kw_only=True)
class Range:
    """A part of the address space and what it is for; `str()` is written for people."""

    network: IPNetwork
    purpose: str
    reach: Reach
    text: str
    """The network as the registries write it; `str()` of it differs between Pythons."""

    def __str__(self) -> str:
        return f"{self.text} ({self.purpose})"


_PUBLIC: Final = {
    "0.0.0.0/0": "public IPv4",
    "2000::/3": "public IPv6",
    # Where DNS64 gives every IPv4 server such an address; the one inside is judged as well.
    "64:ff9b::/96": "IPv4 behind a NAT64, RFC 6052",
}

_SPECIAL: Final = {
    "10.0.0.0/8": "private use, RFC 1918",
    "100.64.0.0/10": "shared behind a carrier's NAT, RFC 6598",
    "127.0.0.0/8": "loopback, RFC 1122",
    "169.254.0.0/16": "link-local, where clouds serve instance metadata, RFC 3927",
    "172.16.0.0/12": "private use, RFC 1918",
    "192.0.0.0/24": "protocol assignments, RFC 6890",
    "192.0.2.0/24": "documentation, RFC 5737",
    "192.88.99.0/24": "former 6to4 relays, RFC 7526",
    "192.168.0.0/16": "private use, RFC 1918",
    "198.18.0.0/15": "benchmarks, RFC 2544",
    "198.51.100.0/24": "documentation, RFC 5737",
    "203.0.113.0/24": "documentation, RFC 5737",
    "240.0.0.0/4": "reserved, RFC 1112",
    # Everything but 2000::/3.
    "::/3": "not assigned for unicast, RFC 4291",
    "4000::/2": "not assigned for unicast, RFC 4291",
    "8000::/1": "not assigned for unicast, RFC 4291",
    "::/96": "IPv4-compatible, deprecated by RFC 4291",
    "::1/128": "loopback, RFC 4291",
    "::ffff:0:0/96": "IPv4-mapped, RFC 4291",
    "64:ff9b:1::/48": "a NAT64 of one's own network, RFC 8215",
    "100::/64": "discard only, RFC 6666",
    "100:0:0:1::/64": "dummy prefix, RFC 9780",
    "2001::/23": "protocol assignments, RFC 2928",
    "2001::/32": "Teredo, RFC 4380",
    "2001:db8::/32": "documentation, RFC 3849",
    "2002::/16": "6to4, RFC 3056",
    "3fff::/20": "documentation, RFC 9637",
    "5f00::/16": "segment routing, RFC 9602",
    "fc00::/7": "unique local, RFC 4193",
    "fe80::/10": "link-local, RFC 4291",
    "fec0::/10": "former site-local, RFC 3879",
}

# No host has such an address; 0.0.0.0 and :: even lead to whatever listens on this machine.
_NO_HOST: Final = {
    "0.0.0.0/8": "this host, RFC 791",
    "224.0.0.0/4": "multicast, RFC 5771",
    "255.255.255.255/32": "broadcast, RFC 919",
    "::/128": "unspecified, RFC 4291",
    "ff00::/8": "multicast, RFC 4291",
}

# The narrowest first: the first that holds an address is the one that speaks of it.
RANGES: Final = tuple(
    sorted(
        (
            Range(network=ip_network(text), purpose=purpose, reach=reach, text=text)
            for reach, table in (
                (Reach.ANYWHERE, _PUBLIC),
                (Reach.SPECIAL, _SPECIAL),
                (Reach.NOWHERE, _NO_HOST),
            )
            for text, purpose in table.items()
        ),
        key=lambda range_: range_.network.prefixlen,
        reverse=True,
    )
)

_NAT64: Final = IPv6Network("64:ff9b::/96")
_COMPATIBLE: Final = IPv6Network("::/96")


def range_of(address: IPAddress) -> Range:
    """Return the narrowest range that holds the address; there always is one."""
    return next(range_ for range_ in RANGES if address in range_.network)


def carried(address: IPAddress) -> list[IPv4Address]:
    """Return the IPv4 addresses to which an IPv6 address may lead, or an empty list.

    These are IPv4-mapped and IPv4-compatible (RFC 4291 section 2.5.5), NAT64 with the well-known
    prefix (RFC 6052), 6to4 (RFC 3056), and Teredo, which carries its server and its client
    (RFC 4380 section 4). Prefixes that a network chose for its own NAT64 can't be known here; such
    a network has to be listed to be reached at all, unless it lies in public space.
    """
    if isinstance(address, IPv4Address):
        return []
    if address.ipv4_mapped is not None:
        return [address.ipv4_mapped]
    if address.sixtofour is not None:
        return [address.sixtofour]
    if address.teredo is not None:
        return list(address.teredo)
    # In ::/96 are :: and ::1 too: as IPv4 they are 0.0.0.0 and 0.0.0.1, which lead nowhere else.
    if address in _NAT64 or (address in _COMPATIBLE and int(address) > 1):
        return [IPv4Address(int(address) & 0xFFFF_FFFF)]
    return []
