"""Do the host names, and the wildcards, lead to this host?

The DNS is asked, and not /etc/hosts, which often has the host's own name at 127.0.1.1. An address
that no interface here has may be right all the same, as a cloud's floating IP is: that is a note
with how to be sure, unless something else says that it is wrong.
"""

import secrets
from collections.abc import Collection, Iterator
from typing import Final

from exoproxy.certs.problem import IssuanceProblem
from exoproxy.live.finding import Finding, Kind, failed, note, ok
from exoproxy.live.network import IPAddress, Network
from exoproxy.rules.address_space import Reach, range_of
from exoproxy.settings.location import dotted
from exoproxy.settings.model import Settings
from exoproxy.settings.sites import Main, Region

# One label may have a record of its own; that two random ones do is a wildcard.
_LABELS: Final = 2
_SHOWN: Final = 4
_UNUSABLE: Final = ("loopback", "documentation", "link-local")


def findings(settings: Settings, network: Network) -> Iterator[Finding]:
    """Yield a finding for each host name and each wildcard."""
    here = network.own_addresses().addresses
    if main := settings.main:
        yield from _of_name(settings, main, "", here, network)
    for name, region in settings.uap.regions.items() if settings.uap else ():
        key = f"{dotted(('uap', 'regions', name))}.own_addresses"
        known = here | frozenset(region.own_addresses)
        yield from _of_name(settings, region, key, known, network)
        yield _of_wildcard(settings, region, network)


def _of_name(
    settings: Settings, site: Main | Region, key: str, here: Collection[IPAddress], network: Network
) -> Iterator[Finding]:
    subject = site.hostname
    try:
        addresses = network.published(subject, settings.acme.dns)
    except IssuanceProblem as problem:
        yield failed(subject, f"can't be looked up: {problem}")
        return
    if not addresses:
        yield failed(
            subject,
            "has no address in the DNS; add an A record with this host's public address, and an "
            "AAAA record if it has IPv6",
        )
        return
    # Who listens on an address by its name wants it to be reached there, wherever that is.
    chosen = {listener.address for listener in site.listen if not listener.address.is_unspecified}
    yield _judged(subject, addresses, here, chosen, key, network, bool(settings.trusted_proxies))
    families = {listener.address.version for listener in site.listen}
    for version in sorted({address.version for address in addresses} - families):
        record, wildcard = ("A", "0.0.0.0:443") if version == 4 else ("AAAA", "[::]:443")
        yield failed(
            subject,
            f"has an {record} record, and nothing here listens on IPv{version}: add "
            f'"{wildcard}" to its `listen:`, or remove the record',
        )


def _judged(
    subject: str,
    addresses: list[IPAddress],
    here: Collection[IPAddress],
    chosen: Collection[IPAddress],
    key: str,
    network: Network,
    balanced: bool,
) -> Finding:
    for address in addresses:
        range_ = range_of(address)
        if address in chosen or range_.reach is Reach.ANYWHERE:
            continue
        if address not in here or any(word in range_.purpose for word in _UNUSABLE):
            return failed(
                subject,
                f"has {address} in the DNS, an address in {range_}, by which no user gets here: "
                "publish this host's public address",
            )
        return note(
            subject,
            f"points here, to {address} in {range_}: only who is in that network gets here; for "
            "users elsewhere publish the public address",
        )
    elsewhere = [each for each in addresses if each not in here and each not in chosen]
    if not elsewhere:
        return ok(subject, f"points here ({_listed(addresses)})")
    if balanced:
        return note(
            subject,
            f"has {_listed(elsewhere)}, which is not this host's: right if it is that of the load "
            "balancer whose network is in trusted_proxies",
        )
    if wrong := _wrong_family(subject, addresses, elsewhere, network):
        return wrong
    listed = f", and list it in {key}, so that the UAP never dials itself" if key else ""
    return note(
        subject,
        f"has {_listed(elsewhere)}, which no interface of this host has: right if that is its "
        f"floating IP (compare with `openstack server list`{listed}); to be sure, open "
        f"https://{subject}/ from another machine and look for the request in "
        "`journalctl -u 'exoproxy-*'`",
    )


def _wrong_family(
    subject: str, addresses: list[IPAddress], elsewhere: list[IPAddress], network: Network
) -> Finding | None:
    """Find an IPv6 address that is not here: unlike IPv4's, it is hardly ever translated."""
    six = [each for each in elsewhere if each.version == 6]
    if not six:
        return None
    if not any(
        each.version == 6 and range_of(each).reach is Reach.ANYWHERE
        for each in network.own_addresses().addresses
    ):
        return failed(
            subject,
            f"has the AAAA record {_listed(six)}, and this host has no public IPv6: whoever has "
            "IPv6 gets no answer; remove the record, or give this host that address",
        )
    if len(six) == len(elsewhere) < len(addresses):
        return failed(
            subject,
            f"leads here by IPv4 and elsewhere by IPv6 ({_listed(six)}): it works for some users "
            "only; correct the AAAA record",
        )
    return None


def _of_wildcard(settings: Settings, region: Region, network: Network) -> Finding:
    subject = f"*.{region.hostname}"
    try:
        own = set(network.published(region.hostname, settings.acme.dns))
        found = [
            set(network.published(f"{secrets.token_hex(6)}.{region.hostname}", settings.acme.dns))
            for _ in range(_LABELS)
        ]
    except IssuanceProblem as problem:
        return failed(subject, f"can't be looked up: {problem}")
    if not all(found):
        return failed(
            subject,
            "has no address in the DNS, so that no instance can be reached by its name; add a "
            f"wildcard record `{subject}` with the addresses of {region.hostname}",
        )
    other = next((each for each in found if each != own), None)
    if other is not None:
        return failed(
            subject,
            f"leads to {_listed(other)}, and {region.hostname} to {_listed(own) or 'nowhere'}: "
            "give both the same addresses",
        )
    return Finding(kind=Kind.OK, subject=subject, sentence=f"leads where {region.hostname} does")


def _listed(addresses: Collection[IPAddress]) -> str:
    shown = sorted(map(str, addresses))
    more = f" and {len(shown) - _SHOWN} more" if len(shown) > _SHOWN else ""
    return f"{', '.join(shown[:_SHOWN])}{more}"
