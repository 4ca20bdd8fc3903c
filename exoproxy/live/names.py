"""Do the host names, and the wildcards, lead to this host?

The DNS is asked, and not /etc/hosts, which often has the host's own name at 127.0.1.1. An address
that no interface here has may be right all the same, as a cloud's floating IP is: that is a note
with how to be sure, unless something else says that it is wrong.
"""

import secrets
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from typing import Final

from exoproxy.certs.problem import IssuanceProblem
from exoproxy.live.finding import Finding, Kind, failed, note, ok
from exoproxy.live.network import IPAddress, Network
from exoproxy.live.units import are_for_one
from exoproxy.rules.address_space import Reach, range_of
from exoproxy.settings.location import dotted
from exoproxy.settings.model import Settings
from exoproxy.settings.sites import Main, Region

# One label may have a record of its own; that two random ones do is a wildcard.
_LABELS: Final = 2
_SHOWN: Final = 4
_UNUSABLE: Final = ("loopback", "documentation", "link-local")


@dataclass(frozen=True, slots=True, kw_only=True)
class _Situation:
    """What a name's addresses are judged by.

    `here` are the addresses that are this host's, `chosen` those that the mode listens on by name.
    `ours`: the mode is this host's, and not another's of the same file. `balanced`: load balancers
    stand in front. `has_six`: this host has a public IPv6 address. `key` is where addresses are
    listed that this host can't see, "" for nowhere.
    """

    here: Collection[IPAddress]
    chosen: Collection[IPAddress]
    ours: bool
    balanced: bool
    has_six: bool
    key: str


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
    situation = _Situation(
        here=here,
        chosen=chosen,
        ours=are_for_one(settings) or any(each in here for each in addresses),
        balanced=bool(settings.trusted_proxies),
        has_six=any(each.version == 6 and _is_public(each) for each in here),
        key=key,
    )
    yield _judged(subject, addresses, situation)
    if situation.balanced:
        return
    families = {listener.address.version for listener in site.listen}
    for version in sorted({address.version for address in addresses} - families):
        record, wildcard = ("A", "0.0.0.0:443") if version == 4 else ("AAAA", "[::]:443")
        yield failed(
            subject,
            f"has an {record} record, and nothing here listens on IPv{version}: add "
            f'"{wildcard}" to its `listen:`, or remove the record',
        )


def _judged(subject: str, addresses: list[IPAddress], situation: _Situation) -> Finding:
    here, balanced = situation.here, situation.balanced
    special = [each for each in addresses if each not in situation.chosen and not _is_public(each)]
    for address in special:
        range_ = range_of(address)
        unusable = any(word in range_.purpose for word in _UNUSABLE)
        if unusable or (address not in here and situation.ours and not balanced):
            return failed(
                subject,
                f"has {address} in the DNS, an address in {range_}, by which no user gets here: "
                "publish this host's public address",
            )
    private = [each for each in special if each in here]
    if private and not balanced:
        return note(
            subject,
            f"points here, to {private[0]} in {range_of(private[0])}: only who is in that network "
            "gets here; for users elsewhere publish the public address",
        )
    elsewhere = [each for each in addresses if each not in here and each not in situation.chosen]
    if not elsewhere:
        return ok(subject, f"points here ({_listed(addresses)})")
    if balanced:
        return note(
            subject,
            f"has {_listed(elsewhere)}, which is not this host's: right if it is that of the load "
            "balancer whose network is in trusted_proxies",
        )
    if situation.ours and (wrong := _wrong_family(subject, addresses, elsewhere, situation)):
        return wrong
    other = "" if situation.ours else "another host serves it, or "
    key = situation.key
    listed = f", and list it in {key}, so that the UAP never dials itself" if key else ""
    return note(
        subject,
        f"has {_listed(elsewhere)}, which no interface of this host has: right if {other}that is "
        f"this one's floating IP (compare with `openstack server list`{listed}); to be sure, open "
        f"https://{subject}/ from another machine and look for the request in "
        "`journalctl -u 'exoproxy-*'`",
    )


def _wrong_family(
    subject: str, addresses: list[IPAddress], elsewhere: list[IPAddress], situation: _Situation
) -> Finding | None:
    """Find an IPv6 address that is not here: unlike IPv4's, it is hardly ever translated."""
    six = [each for each in elsewhere if each.version == 6]
    if six and not situation.has_six:
        return failed(
            subject,
            f"has the AAAA record {_listed(six)}, and this host has no public IPv6: whoever has "
            "IPv6 gets no answer; remove the record, or give this host that address",
        )
    if six and len(six) == len(elsewhere) < len(addresses):
        return failed(
            subject,
            f"leads here by IPv4 and elsewhere by IPv6 ({_listed(six)}): it works for some users "
            "only; correct the AAAA record",
        )
    return None


def _is_public(address: IPAddress) -> bool:
    return range_of(address).reach is Reach.ANYWHERE


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
