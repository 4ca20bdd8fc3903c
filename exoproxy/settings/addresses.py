"""Addresses, networks, ports and listeners as they stand in a configuration file."""

import ipaddress
import re
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network

from exoproxy.settings.text import instead, parse_port, shown, text_of

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network


def parse_address(value: object) -> Address:
    """Return an IP address in its canonical form; no zone, no IPv4 dressed up as IPv6."""
    if isinstance(value, IPv4Address | IPv6Address):
        return value
    text = text_of(value, "an IP address, e.g. 203.0.113.7 or 2001:db8::7")
    if "/" in text:
        write = instead(parse_address, text.partition("/")[0], "203.0.113.7")
        raise ValueError(f"{shown(text)} is a network; {write}")
    try:
        address = ipaddress.ip_address(text)
    except ValueError:
        raise ValueError(
            f"{shown(text)} should be an IP address, e.g. 203.0.113.7 or 2001:db8::7"
        ) from None
    if isinstance(address, IPv6Address):
        if address.ipv4_mapped:
            raise ValueError(f"{shown(text)} is an IPv4 address; write {address.ipv4_mapped}")
        if address.scope_id:
            raise ValueError(f"{shown(text)} has a zone; write the address without it")
    return address


def parse_network(value: object) -> Network:
    """Return a network of either family; a prefix is required, host bits are refused."""
    if isinstance(value, IPv4Network | IPv6Network):
        return value
    text = text_of(value, "a network, e.g. 192.168.0.0/24")
    start, slash, prefix = text.partition("/")
    try:
        address = parse_address(start)
    except ValueError:
        raise ValueError(
            f"{shown(text)} should be a network, e.g. 192.168.0.0/24 or 2001:db8::/64"
        ) from None
    if not slash:
        raise ValueError(
            f"{shown(text)} has no prefix length; write {address}/{address.max_prefixlen} for this "
            "one address, or the network that you mean, e.g. 192.168.0.0/24"
        )
    if not re.fullmatch(r"0|[1-9][0-9]{0,2}", prefix) or int(prefix) > address.max_prefixlen:
        raise ValueError(
            f"{shown(text)} should have a prefix length from 0 to {address.max_prefixlen} after "
            "the slash, e.g. 192.168.0.0/24 or 2001:db8::/64"
        )
    network = ipaddress.ip_network(f"{address}/{prefix}", strict=False)
    if network.network_address != address:
        raise ValueError(f"{shown(text)} is an address inside a network; write {network}")
    return network


@dataclass(frozen=True, slots=True)
class ListenAddress:
    """Where a listener stands: an address of this host (or "any", `0.0.0.0` or `::`) and a port."""

    address: Address
    port: int

    @staticmethod
    def parse(value: object) -> "ListenAddress":
        """Return the listener's address for `ADDRESS:PORT`, IPv6 in brackets."""
        if isinstance(value, ListenAddress):
            return value
        wanted = "an address and a port, e.g. 0.0.0.0:443 or [::]:443"
        if isinstance(value, int) and not isinstance(value, bool) and 0 < value < 65536:
            raise ValueError(f"{value} should be {wanted}; for all addresses write 0.0.0.0:{value}")
        text = text_of(value, wanted)
        host, colon, port = text.rpartition(":")
        bracketed = host.startswith("[") and host.endswith("]")
        if text.count(":") > 1 and not bracketed:
            raise ValueError(f"{shown(text)} should be {wanted}: IPv6 stands in brackets")
        if host == "localhost":
            raise ValueError(f"{shown(text)} should begin with an address; write 127.0.0.1:{port}")
        if host in {"", "*"} and port.isdigit():
            raise ValueError(f"{shown(text)} should be {wanted}; for all write 0.0.0.0:{port}")
        if not colon:
            raise ValueError(f"{shown(text)} should be {wanted}")
        try:
            address = parse_address(host[1:-1] if bracketed else host)
        except ValueError as error:
            raise ValueError(f"{error}; this should be {wanted}") from None
        if bracketed != (address.version == 6):
            raise ValueError(f"{shown(text)} should be {wanted}: brackets are for IPv6")
        return ListenAddress(address, parse_port(port, text))

    def overlaps(self, other: "ListenAddress") -> bool:
        """Tell whether both can't be bound at once; IPv6 listeners take no IPv4 (V6ONLY)."""
        return (
            self.port == other.port
            and self.address.version == other.address.version
            and (
                self.address == other.address
                or self.address.is_unspecified
                or other.address.is_unspecified
            )
        )

    def __str__(self) -> str:
        host = f"[{self.address}]" if self.address.version == 6 else str(self.address)
        return f"{host}:{self.port}"


@dataclass(frozen=True, slots=True)
class PortRange:
    """Ports from `first` to `last`, both included."""

    first: int
    last: int

    @staticmethod
    def parse(value: object) -> "PortRange":
        """Return the range for `FIRST-LAST` or a single port."""
        if isinstance(value, PortRange):
            return value
        if isinstance(value, int) and not isinstance(value, bool):
            value = str(value)
        text = text_of(value, 'a port or a range of ports, e.g. 8888 or "1-65535"')
        start, dash, end = text.partition("-")
        first = parse_port(start, text)
        last = parse_port(end, text) if dash else first
        if last < first:
            raise ValueError(f"{shown(text)} runs backwards; write {last}-{first}")
        return PortRange(first, last)

    def __str__(self) -> str:
        return f"{self.first}-{self.last}" if self.last != self.first else str(self.first)
