"""The addresses by which this process itself can be reached.

The UAP must never dial them: a request would come back to the proxy that sent it. What is not
here: the judgement (`rules.egress`). Called by `service` at its start and at each reload, since
interfaces come and go.
"""

from collections.abc import Iterable
from ipaddress import (
    IPv4Address,
    IPv4Network,
    IPv6Address,
    IPv6Network,
    ip_address,
    ip_network,
)

import ifaddr

_LOOPBACK: frozenset[IPv4Network | IPv6Network] = frozenset(
    {IPv4Network("127.0.0.0/8"), IPv6Network("::1/128")}
)


def own_addresses(
    listening: Iterable[IPv4Address | IPv6Address],
    *,
    adapters: Iterable[ifaddr.Adapter] | None = None,
) -> frozenset[IPv4Network | IPv6Network]:
    """Return the networks that lead to this process, given the addresses it listens on.

    They are those addresses and the interfaces'. Who listens on a wildcard is reached by the whole
    loopback range too; who does not leaves `127.0.0.2` to others.
    """
    listening = tuple(listening)
    own: set[IPv4Network | IPv6Network] = {ip_network(address) for address in listening}
    for adapter in ifaddr.get_adapters() if adapters is None else adapters:
        for address in adapter.ips:
            # ifaddr gives an IPv6 address as (address, flow information, scope).
            text = address.ip if isinstance(address.ip, str) else address.ip[0]
            own.add(ip_network(ip_address(text.partition("%")[0])))
    if any(address.is_unspecified for address in listening):
        own |= _LOOPBACK
    return frozenset(own)
