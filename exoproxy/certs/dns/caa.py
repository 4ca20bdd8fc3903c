"""Does a CAA record forbid the authority to issue for a name (RFC 8659)?

Asked before an order: the authority would refuse it, and count that as a failure. It has the last
word: whatever can't be found out here forbids nothing. Called by the attempt.
"""

from collections.abc import Sequence
from typing import Final

from dns.name import Name, root
from dns.rdatatype import CAA as CAA_TYPE
from dns.rdtypes.ANY.CAA import CAA

from exoproxy.certs.dns.zones import Dns, name_of, text_of
from exoproxy.certs.problem import IssuanceProblem

# An authority must not issue if a record of another tag is marked critical (RFC 8659 section 4.1);
# issuemail is RFC 9495's.
_KNOWN_TAGS: Final = {b"issue", b"issuewild", b"iodef", b"issuemail"}
_CRITICAL: Final = 128
_ALIASES: Final = 8
# Of the records at fault a sentence shows so many characters.
_SHOWN: Final = 200


def forbidden(
    dns: Dns, name: str, wildcard: bool, identities: Sequence[str], method: str | None = None
) -> str | None:
    """Return the sentence on the CAA records that forbid the authority, with what to write.

    `name` is without `*.`; `wildcard` asks for the names below it. `identities` are the authority's
    caaIdentities; without any, only records that forbid every authority count. `method` is the
    challenge's kind, e.g. dns-01, to be held against validationmethods (RFC 8657); other
    parameters are for the authority to judge. None if it may issue, or nothing is known.
    """
    try:
        owner, records = _relevant(dns, name_of(name))
    except IssuanceProblem:
        # Who needs the DNS for more will meet it again.
        return None
    return judge(records, text_of(owner), name, wildcard, identities, method)


def judge(
    records: Sequence[CAA],
    owner: str,
    name: str,
    wildcard: bool,
    identities: Sequence[str],
    method: str | None = None,
) -> str | None:
    """Do as `forbidden` on the relevant records, which stand at `owner`."""
    subject = f"*.{name}" if wildcard else name
    for record in records:
        if record.flags & _CRITICAL and record.tag.lower() not in _KNOWN_TAGS:
            return (
                f"The CAA record {_shown([record])} of {owner} forbids every certificate for "
                f"{subject}, because it is marked critical and authorities don't know its tag: "
                "write it with 0 for 128, or remove it."
            )
    tag = b"issuewild" if wildcard and _of(records, b"issuewild") else b"issue"
    issuers = _of(records, tag)
    if not issuers:
        return None
    allowed = {identity.lower() for identity in identities}
    instead = f'{owner}. CAA 0 {tag.decode()} "{identities[0] if identities else "AUTHORITY"}"'
    named = [record for record in issuers if _issuer(record) in allowed]
    if not named and (identities or not any(map(_issuer, issuers))):
        authority = identities[0] if identities else "every authority"
        return (
            f"The CAA {_shown(issuers)} of {owner} forbids {authority} to issue for {subject}: add "
            f"the record {instead}"
            + ("." if identities else ", with the name that your authority documents.")
        )
    if named and method and not any(_takes(record, method) for record in named):
        return (
            f"The CAA {_shown(named)} of {owner} allows no challenge of kind {method} for "
            f"{subject}: add {method} to its validationmethods."
        )
    return None


def _relevant(dns: Dns, name: Name) -> tuple[Name, list[CAA]]:
    """Return the nearest CAA records at or above a name (RFC 8659 section 3), and their owner."""
    while name != root:
        owner, records = _at(dns, name)
        # Of a name that nobody answers for, what stands further up might not count.
        if records or records is None:
            return owner, records or []
        name = name.parent()
    return root, []


def _at(dns: Dns, name: Name) -> tuple[Name, list[CAA] | None]:
    """Return the CAA records of a name, or of where its CNAMEs lead; None if unknown."""
    for _ in range(_ALIASES):
        finding = dns.look_up(name, CAA_TYPE, zone=dns.zone_of(name))
        if not finding.answered:
            break
        if finding.alias is None:
            return name, [record for record in finding.records if isinstance(record, CAA)]
        name = finding.alias
    return name, None


def _of(records: Sequence[CAA], tag: bytes) -> list[CAA]:
    return [record for record in records if record.tag.lower() == tag]


def _issuer(record: CAA) -> str:
    """Return the authority that a record names, empty for none (RFC 8659 section 4.2)."""
    return record.value.decode("latin-1").partition(";")[0].strip(" \t").lower()


def _takes(record: CAA, method: str) -> bool:
    """Tell whether a record's validationmethods, should it have any, hold a method (RFC 8657)."""
    parameters = record.value.decode("latin-1").split(";")[1:]
    for parameter in parameters:
        key, _, listed = parameter.partition("=")
        if key.strip(" \t").lower() == "validationmethods":
            return method in (entry.strip(" \t") for entry in listed.split(","))
    return True


def _shown(records: Sequence[CAA]) -> str:
    texts = ", ".join(record.to_text() for record in records)
    return texts if len(texts) <= _SHOWN else f"{texts[:_SHOWN]}…"
