"""Where does a challenge's record go, and which servers hold that zone?

The resolver is asked for what lies *above* the challenge's name alone: an answer that the name
does not exist would be kept there, for the authority to find should it use the same resolver. The
name itself is asked for at the zone's own servers. Called by the attempt (through `place_of`), by
`certs.propagation` and by `certs.caa`. All of it blocks, within bounds of number and time.
"""

import secrets
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from ipaddress import ip_address
from itertools import chain, zip_longest
from typing import Final

import dns.exception
import dns.name
from dns.flags import AA
from dns.message import Message
from dns.name import Name
from dns.rcode import NOERROR, NXDOMAIN
from dns.rcode import to_text as rcode_text
from dns.rdata import Rdata
from dns.rdataclass import IN
from dns.rdatatype import AAAA, CNAME, NS, SOA, A, RdataType
from dns.rdtypes.nsbase import NSBase

from exoproxy.certs.dns.question import Ask, NoAnswer, Server, ask, ask_all
from exoproxy.certs.dns.resolvers import Resolvers
from exoproxy.certs.problem import IssuanceProblem

# As many as the root has names, and nearly twice as many addresses: no zone in use has more.
_NAME_SERVERS: Final = 13
_ADDRESSES: Final = 24
# Where one answer is enough; the others follow if none of these is of use.
_ASKED_FIRST: Final = 3
# What resolvers follow, too; a delegation needs one or two.
_ALIASES: Final = 8
_REFERRALS: Final = 8
# Above a host name of that depth its zone begins somewhere.
_LEVELS: Final = 12


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where a TXT record goes: its zone's apex and its name, lower-case without a dot at the end.

    `name` is where the CNAMEs of the challenge's own name led, or that name.
    """

    zone: str
    name: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """What a zone's own servers say of a name; nothing if not `answered`.

    `zone` is the apex nearest to the name. `alias` is where a CNAME at the name points.
    """

    zone: Name
    answered: bool = False
    records: tuple[Rdata, ...] = ()
    alias: Name | None = None


class Dns:
    """The DNS as the resolvers and the zones' own servers tell it; zones are asked for once.

    `resolvers` are pairs of host name or address, and port; none for those of /etc/resolv.conf.
    """

    def __init__(self, resolvers: Sequence[tuple[str, int]], *, ask: Ask = ask) -> None:
        self._ask = ask
        self._resolvers = Resolvers(resolvers, ask)
        self._servers: dict[Name, tuple[Server, ...]] = {}
        self._silent: set[Server] = set()

    def place_of(self, name: str) -> Place:
        """Return where the TXT record for a challenge's name, `_acme-challenge.…`, has to stand.

        Without an answer from the zone's servers, the name counts as no CNAME: where it is one,
        the provider refuses the record. Raises `IssuanceProblem`.
        """
        owner = name_of(name)
        passed = [owner]
        while True:
            # The name may be a zone of its own: then the servers of the one above refer to it.
            finding = self.look_up(owner, SOA, zone=self.zone_of(_above(owner)))
            if finding.alias is None or self._by_wildcard(owner, finding):
                return Place(zone=text_of(finding.zone), name=text_of(owner))
            owner = finding.alias
            if owner in passed:
                raise IssuanceProblem(
                    f"The CNAME records of {name} lead in a circle, by {text_of(owner)}: let them "
                    "end at the name that the challenge's record shall have."
                )
            if len(passed) > _ALIASES:
                raise IssuanceProblem(
                    f"More than {_ALIASES} CNAME records follow each other from {name}, and "
                    "authorities give up on that: let it point to the last name at once."
                )
            passed.append(owner)

    def zone_of(self, name: Name) -> Name:
        """Return the apex of the zone that holds a name, as the resolvers tell it.

        Where they fail at a name, this is a zone above. Raises `IssuanceProblem` if there is none.
        """
        said: set[str] = set()
        above = name
        for _ in range(_LEVELS):
            if above == dns.name.root:
                break
            answer = self._resolvers.resolve(above, SOA)
            if answer is not None:
                said.add(rcode_text(answer.rcode()))
                if (apex := _apex(answer, above)) is not None:
                    return apex
            above = above.parent()
        if name != dns.name.root and not said:
            raise IssuanceProblem(
                f"No DNS resolver answers (asked: {self._resolvers}), so that the zone of "
                f"{text_of(name)} can't be found: mend /etc/resolv.conf, or name a resolver that "
                "this host reaches in acme.dns.resolvers."
            )
        rcodes = ", ".join(sorted(said)) or "nothing"
        raise IssuanceProblem(
            f"No DNS zone was found for {text_of(name)} ({self._resolvers} said {rcodes}): check "
            "the host name and that its domain is delegated; if the zone is a private one, name a "
            "resolver that knows it in acme.dns.resolvers."
        )

    def servers_of(self, zone: Name) -> tuple[Server, ...]:
        """Return the addresses of a zone's name servers; at most 24, one of each server's first.

        Empty if the resolvers name none.
        """
        if not self._servers.get(zone):
            answer = self._resolvers.resolve(zone, NS)
            self._servers[zone] = self._addressed(_targets(answer, zone, NS))
        return self._servers[zone]

    def ask_servers_of(
        self, zone: Name, name: Name, kind: RdataType
    ) -> list[tuple[Server, Message | NoAnswer]]:
        """Ask each of a zone's servers, at once, for what it knows of a name itself."""
        return ask_all(self._ask, self.servers_of(zone), name, kind)

    def look_up(self, name: Name, kind: RdataType, *, zone: Name) -> Finding:
        """Ask the servers of a zone above (or at) a name for its records, and go down from there.

        A CNAME is told, not followed. Neither resolvers' caches nor their failures matter here.
        """
        for _ in range(_REFERRALS):
            answer = self._answer_of(zone, name, kind)
            if answer is None:
                break
            if answer.flags & AA:
                return _finding(answer, name, kind, zone)
            zone, name_servers = _referral(answer, name, zone)
            self._servers[zone] = self._addressed(name_servers)
        return Finding(zone=zone)

    def _answer_of(self, zone: Name, name: Name, kind: RdataType) -> Message | None:
        """Return an answer by authority, else a referral to a zone below, else None."""
        # Each question would wait for those that said nothing to the last one.
        servers = sorted(self.servers_of(zone), key=lambda server: server in self._silent)
        first = [server for server in servers[:_ASKED_FIRST] if server not in self._silent]
        for some in (first, servers[len(first) :]):
            told = ask_all(self._ask, some, name, kind)
            self._silent.update(server for server, answer in told if isinstance(answer, NoAnswer))
            answers = [
                answer
                for _, answer in told
                if not isinstance(answer, NoAnswer) and answer.rcode() in (NOERROR, NXDOMAIN)
            ]
            for answer in answers:
                if answer.flags & AA:
                    return answer
            for answer in answers:
                if _owner(answer, NS, name, zone):
                    return answer
        return None

    def _by_wildcard(self, owner: Name, finding: Finding) -> bool:
        """Tell whether a wildcard made the CNAME: a record at the name itself then goes before.

        What redirects a whole domain (DNAME, RFC 6672) gives each name another target.
        """
        try:
            sibling = Name((secrets.token_hex(8).encode(), *owner.labels[1:]))
        except dns.name.NameTooLong:
            # A name of 250 characters is nobody's wildcard.
            return False
        return self.look_up(sibling, SOA, zone=finding.zone).alias == finding.alias

    def _addressed(self, names: Iterable[Name]) -> tuple[Server, ...]:
        """Return the servers of these names, first one address of each, then the others."""

        def of_name(name: Name) -> list[Server]:
            answers = ((kind, self._resolvers.resolve(name, kind)) for kind in (A, AAAA))
            addresses = [
                record.to_text()
                for kind, answer in answers
                for record in _records(answer, name, kind)
            ]
            return [
                Server(address=address, name=text_of(name))
                for address in addresses
                if _is_of_one_host(address)
            ]

        asked = sorted(set(names))[:_NAME_SERVERS]
        if not asked:
            return ()
        with ThreadPoolExecutor(len(asked)) as threads:
            found = list(threads.map(of_name, asked))
        in_turn = chain.from_iterable(zip_longest(*found))
        return tuple(server for server in in_turn if server is not None)[:_ADDRESSES]


def name_of(text: str) -> Name:
    """Return the absolute name for a text without a dot at the end. Raises `IssuanceProblem`."""
    try:
        return dns.name.from_text(text)
    except dns.exception.DNSException as error:
        raise IssuanceProblem(
            f"{text} can't be a name in the DNS ({error}): a label has 63 characters at most, a "
            "name 253, the challenge's label _acme-challenge included."
        ) from error


def text_of(name: Name) -> str:
    """Return a name in lower case without a dot at the end; odd bytes are escaped."""
    return name.to_text(omit_final_dot=True).lower()


def _above(name: Name) -> Name:
    return dns.name.root if name == dns.name.root else name.parent()


def _records(answer: Message | None, name: Name, kind: RdataType) -> list[Rdata]:
    """Return the records of that very name; others in an answer prove nothing."""
    rrset = answer and answer.get_rrset(answer.answer, name, IN, kind)
    return list(rrset or ())


def _targets(answer: Message | None, name: Name, kind: RdataType) -> list[Name]:
    """Return the names that records of kind NS or CNAME point to."""
    records = _records(answer, name, kind)
    return [record.target for record in records if isinstance(record, NSBase)]


def _apex(answer: Message, name: Name) -> Name | None:
    """Return the zone's apex that an answer to a question for SOA tells, if it does."""
    if _records(answer, name, SOA):
        return name
    if answer.answer:
        # After a CNAME, the SOA is that of its target's zone.
        return None
    # Of a name that does not exist at all, the root says so.
    return _owner(answer, SOA, name, dns.name.root)


def _finding(answer: Message, name: Name, kind: RdataType, zone: Name) -> Finding:
    alias = next(iter(_targets(answer, name, CNAME)), None)
    if alias is None:
        # A server may hold a zone below, too (RFC 2308 section 3 puts its SOA there).
        below = name if _records(answer, name, SOA) else _owner(answer, SOA, name, zone)
        zone = below or zone
    return Finding(
        zone=zone, answered=True, records=tuple(_records(answer, name, kind)), alias=alias
    )


def _referral(answer: Message, name: Name, zone: Name) -> tuple[Name, list[Name]]:
    """Return the zone below that an answer refers to, and its servers' names."""
    owner = _owner(answer, NS, name, zone) or zone
    rrset = answer.get_rrset(answer.authority, owner, IN, NS)
    return owner, [record.target for record in rrset or () if isinstance(record, NSBase)]


def _owner(answer: Message, kind: RdataType, name: Name, above: Name) -> Name | None:
    """Return whose record of a kind the authority section holds: below `above`, at or over name."""
    for rrset in answer.authority:
        owner = rrset.name
        if rrset.rdtype == kind and name.is_subdomain(owner) and owner != above:
            return owner if owner.is_subdomain(above) else None
    return None


def _is_of_one_host(address: str) -> bool:
    found = ip_address(address)
    return not (found.is_multicast or found.is_unspecified or address == "255.255.255.255")
