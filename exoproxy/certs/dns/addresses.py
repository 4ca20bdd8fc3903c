"""Which addresses a name has in the DNS: not in /etc/hosts, and for both families.

Called by `exoproxy check --live`; who serves and dials asks the system's resolver (`net.resolve`).
"""

from collections.abc import Sequence
from ipaddress import IPv4Address, IPv6Address, ip_address
from typing import Final

import dns.exception
from dns.message import QueryMessage
from dns.rcode import NOERROR, NXDOMAIN
from dns.rcode import to_text as rcode_text
from dns.rdatatype import AAAA, A

from exoproxy.certs.dns.question import Ask, ask
from exoproxy.certs.dns.resolvers import Resolvers
from exoproxy.certs.dns.zones import name_of
from exoproxy.certs.problem import IssuanceProblem

# Of each family; no host has as many.
_MOST: Final = 16


def addresses_of(
    name: str, resolvers: Sequence[tuple[str, int]], *, ask: Ask = ask
) -> list[IPv4Address | IPv6Address]:
    """Return a name's addresses after CNAMEs, IPv4 first; empty if it has none.

    `resolvers` are as those of `zones.Dns`. Raises `IssuanceProblem` if nobody tells.
    """
    asked = Resolvers(resolvers, ask)
    found: list[IPv4Address | IPv6Address] = []
    for kind in (A, AAAA):
        answer = asked.resolve(name_of(name), kind)
        if answer is None:
            raise IssuanceProblem(
                f"No DNS resolver answers (asked: {asked}): mend /etc/resolv.conf, or name a "
                "resolver that this host reaches in acme.dns.resolvers."
            )
        if answer.rcode() not in (NOERROR, NXDOMAIN):
            raise IssuanceProblem(
                f"The DNS resolvers ({asked}) say {rcode_text(answer.rcode())} of {name}: check "
                "that its domain is delegated to name servers that answer."
            )
        found += _records(answer)
    return found


def _records(answer: object) -> list[IPv4Address | IPv6Address]:
    if not isinstance(answer, QueryMessage):
        return []
    try:
        rrset = answer.resolve_chaining().answer
    except dns.exception.DNSException:
        # CNAMEs in a circle, or too many: no resolver finds an address behind them.
        return []
    return [ip_address(record.to_text()) for record in list(rrset or ())[:_MOST]]
