"""The addresses by which this process itself can be reached.

The UAP must never dial them: a request would come back to the proxy that sent it. What is not
here: the judgement (`rules.egress`). Called by `service` at its start and at each reload, since
interfaces come and go.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address, ip_address

import ifaddr


@dataclass(frozen=True, slots=True)
class OwnAddresses:
    """A container of addresses: `addresses`, and with `loopback` every loopback address."""

    addresses: frozenset[IPv4Address | IPv6Address]
    loopback: bool

    def __contains__(self, address: object) -> bool:
        return address in self.addresses or (
            self.loopback and isinstance(address, IPv4Address | IPv6Address) and address.is_loopback
        )


def own_addresses(
    listening: Iterable[IPv4Address | IPv6Address],
    *,
    adapters: Iterable[ifaddr.Adapter] | None = None,
) -> OwnAddresses:
    """Return the addresses that lead to this process, given those it listens on.

    They are the interfaces' and the given ones. Who listens on a wildcard is reached by the whole
    loopback range too; who does not leaves `127.0.0.2` to others.
    """
    own = set(listening)
    loopback = any(address.is_unspecified for address in own)
    for adapter in ifaddr.get_adapters() if adapters is None else adapters:
        for interface in adapter.ips:
            # ifaddr gives an IPv6 address as (address, flow information, scope).
            text = interface.ip if isinstance(interface.ip, str) else interface.ip[0]
            own.add(ip_address(text.partition("%")[0]))
    return OwnAddresses(frozenset(own), loopback)
