"""May this target be dialled?

Three questions, asked in this order, each before anything is sent anywhere: is the host a name or
an address at all (`host_address`), may its name be asked for (`AllowList`), and may the address be
dialled (`Policy.judge`, for every address that the DNS gave). `net.dial` asks the last one, the
sites the others, and `exoproxy explain` all three; the reasons are written for its readers.

Not here: what the ranges of the address space are (`rules.address_space`), and DNS (`net.resolve`).
An answer is the same for the same target as long as a policy lives, so callers may keep it.
"""

import re
from collections.abc import Container, Iterable
from dataclasses import dataclass
from ipaddress import AddressValueError, IPv4Address, IPv6Address
from typing import Final, Self

from exoproxy.errors import BadRequest, TargetNotAllowed
from exoproxy.rules.address_space import IPAddress, IPNetwork, Reach, carried, range_of

# RFC 1123 section 2.1: letters, digits, hyphens, and no hyphen at either end.
_LABEL: Final = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?")
_MAX_NAME: Final = 253  # RFC 1035 section 2.3.4, without the dot of the root
# A last label of this form makes the C library, and every browser, read an IPv4 address from the
# whole: 127.1, 0177.0.0.1, 0x7f000001, 2130706433.
_NUMBER: Final = re.compile(r"[0-9]+|0[xX][0-9A-Fa-f]*")

_PATTERN: Final = re.compile(r"(?P<host>\[[^\]]*\]|[^:/]*)(?::(?P<port>[^:/]*))?")
_PORT: Final = re.compile(r"[1-9][0-9]{0,4}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """Which addresses and ports may be dialled.

    `networks` are the listed ones, of both families. `public` also allows every address that is
    reachable from anywhere; the CCP sets it, having judged the name, and the UAP does not. `ports`
    are ranges, as `range(1, 65536)`. `own` are the addresses of this machine, and others under
    which it can be reached; they are refused on `own_ports`, or on every port if that is None.

    A gateway or another neighbour of the instances can't be told from one of them: list narrower
    networks, or put it into `own`.
    """

    networks: tuple[IPNetwork, ...]
    public: bool
    ports: tuple[range, ...] = (range(1, 65536),)
    own: Container[IPAddress] = frozenset()
    own_ports: frozenset[int] | None = None

    def judge(self, address: IPAddress, port: int) -> None:
        """Return if the address and port may be dialled; raise TargetNotAllowed with the reason.

        An IPv6 address that carries an IPv4 one leads to it, so both must be allowed.
        """
        self.allowing(address, port)

    def allowing(self, address: IPAddress, port: int) -> IPNetwork | None:
        """Judge, and return the listed network that allows the address; None if it is public."""
        if not any(port in ports for ports in self.ports):
            raise TargetNotAllowed(
                "The port is not among those that this proxy may reach.",
                hint="The operator lists ports in the configuration.",
            )
        if isinstance(address, IPv6Address) and address.scope_id is not None:
            raise TargetNotAllowed("The address is bound to one interface of the proxy's machine.")
        network = self._allowing(address, port, "The address")
        for inner in carried(address):
            self._allowing(inner, port, "The IPv4 address inside the IPv6 address")
        return network

    def _allowing(self, address: IPAddress, port: int, what: str) -> IPNetwork | None:
        if address in self.own and (self.own_ports is None or port in self.own_ports):
            raise TargetNotAllowed(f"{what} is the proxy's own.")
        range_ = range_of(address)
        if range_.reach is Reach.NOWHERE:
            raise TargetNotAllowed(f"{what} lies in {range_}, where no host is.")
        public = range_.reach is Reach.ANYWHERE
        if public and self.public:
            return None
        # A listed network opens a special-purpose range only from inside: whoever lists 0.0.0.0/0
        # means the Internet, and not the loopback interface.
        opening = [
            network
            for network in self.networks
            if address in network and (public or _within(network, range_.network))
        ]
        if not opening and public:
            raise TargetNotAllowed(
                f"{what} lies outside the networks that this proxy may reach.",
                hint="The operator lists networks in the configuration.",
            )
        if not opening:
            raise TargetNotAllowed(
                f"{what} lies in {range_}, and no listed network inside that range holds it.",
                hint=f"The operator can list a network inside {range_.text}.",
            )
        holding = [network for network in opening if not _is_edge(address, network)]
        if not holding:
            raise TargetNotAllowed(
                f"{what} is the first or last of a listed network: "
                "it means the network itself, its routers or all its hosts.",
                hint="If a host has this address, the operator can list it with its full length.",
            )
        return holding[0]


def _within(inner: IPNetwork, outer: IPNetwork) -> bool:
    # Both hold the same address, so they are of one family and nested one way or the other.
    return inner.prefixlen >= outer.prefixlen


def _is_edge(address: IPAddress, network: IPNetwork) -> bool:
    """Tell whether no single host has the address in that network.

    The first address is the network's own in IPv4 and any of its routers in IPv6 (RFC 4291 section
    2.6.1), the last is IPv4's broadcast. Networks of one or two addresses have neither (RFC 3021).
    """
    if network.num_addresses <= 2:
        return False
    if address == network.network_address:
        return True
    return address.version == 4 and address == network.broadcast_address


def host_address(host: str) -> IPAddress | None:
    """Return the address that a host is, or None for a name to look up.

    `host` is without a port; an IPv6 address may stand in brackets. Raises BadRequest for what is
    neither name nor address, and TargetNotAllowed for what `getaddrinfo` would take for an address
    though it isn't written as one, and for an address with a scope (RFC 4007 section 11).
    """
    if ":" in host or host.startswith("["):
        return _ipv6(host)
    labels = host.split(".")
    if len(host) > _MAX_NAME or not all(_LABEL.fullmatch(label) for label in labels):
        raise BadRequest("The target's host is neither a host name nor an IP address.")
    if not _NUMBER.fullmatch(labels[-1]):
        return None
    try:
        return IPv4Address(host)
    except AddressValueError:
        raise TargetNotAllowed(
            "The target's host looks like a number and is no IPv4 address.",
            hint="Write an IPv4 address as four decimal numbers without leading zeros.",
        ) from None


def _ipv6(host: str) -> IPv6Address:
    if host.startswith("[") and host.endswith("]"):
        host = host[1:-1]
    try:
        address = IPv6Address(host)
    except AddressValueError:
        raise BadRequest("The target's host is no IPv6 address.") from None
    if address.scope_id is not None:
        raise TargetNotAllowed("The target's host is an address bound to one interface.")
    return address


@dataclass(frozen=True, slots=True, kw_only=True)
class AllowList:
    """The hosts that may be asked for by name; `parse` makes one.

    `hosts` are allowed on any port, `services` on theirs; `suffixes` allow every name below them,
    and not themselves. Look-ups cost the same however many there are.
    """

    hosts: frozenset[str] = frozenset()
    services: frozenset[tuple[str, int]] = frozenset()
    suffixes: frozenset[str] = frozenset()

    @classmethod
    def parse(cls, patterns: Iterable[str]) -> Self:
        """Read `HOST`, `HOST:PORT` and `*.SUFFIX`; an IPv6 HOST stands in brackets.

        Raises ValueError with a sentence for the first pattern that is none of these.
        """
        hosts: set[str] = set()
        services: set[tuple[str, int]] = set()
        suffixes: set[str] = set()
        for pattern in patterns:
            if pattern.startswith("*."):
                suffixes.add(_suffix(pattern.removeprefix("*.")))
                continue
            parts = _PATTERN.fullmatch(pattern)
            if parts is None:
                raise ValueError(
                    "a pattern is HOST, HOST:PORT or *.SUFFIX, with an IPv6 address in brackets"
                )
            host, port = _host(parts["host"]), parts["port"]
            if port is None:
                hosts.add(host)
            else:
                services.add((host, _port(port)))
        return cls(
            hosts=frozenset(hosts), services=frozenset(services), suffixes=frozenset(suffixes)
        )

    def permits(self, host: str, port: int) -> bool:
        """Tell whether the host may be asked for on that port.

        `host` is a lower-case name, or an address as `str()` writes it.
        """
        return self.match(host, port) is not None

    def match(self, host: str, port: int) -> str | None:
        """Return the pattern that permits the host on that port, or None."""
        shown = f"[{host}]" if ":" in host else host
        if host in self.hosts:
            return shown
        if (host, port) in self.services:
            return f"{shown}:{port}"
        while host := host.partition(".")[2]:
            if host in self.suffixes:
                return f"*.{host}"
        return None


def _host(text: str) -> str:
    try:
        address = host_address(text)
    except (BadRequest, TargetNotAllowed):
        raise ValueError("this is neither a host name nor an IP address") from None
    return text.lower() if address is None else str(address)


def _suffix(text: str) -> str:
    if ":" in text:
        raise ValueError("a pattern that starts with *. holds for every port and names none")
    host = _host(text)
    # The end of an address says nothing about where it lies: *.0.0.1 would hold 127.0.0.1.
    if host_address(host) is not None:
        raise ValueError("after *. stands a domain name, not an IP address")
    return host


def _port(text: str) -> int:
    if not _PORT.fullmatch(text) or int(text) > 65535:
        raise ValueError("a port is a number between 1 and 65535, as in keystone.example.org:5000")
    return int(text)
