"""What an ACME authority says when it refuses (RFC 8555 section 6.7), told to an operator.

Pure. Each error that the RFCs name has its reason and what to do about it; any other is shown as
the authority put it. Called by `session` for answers, and by `issue` for what failed later.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from exoproxy.certs.problem import IssuanceProblem

_PREFIX: Final = "urn:ietf:params:acme:error:"
_SHOWN: Final = 300

# What is asked for where it makes a difference to what a refusal means.
REGISTER_BOUND: Final = "register an account that is bound to yours"


@dataclass(frozen=True, slots=True, kw_only=True)
class Complaint:
    """A problem document (RFC 9457) of an authority, cleaned for showing.

    `kind` is the error's name, such as `caa`, without the prefix of ACME's own; `domain` whom it is
    about, if that was said; `page` a URL for a person to read (RFC 8555 section 7.3.3).
    """

    kind: str
    detail: str = ""
    domain: str = ""
    page: str = ""


class Refusal(IssuanceProblem):
    """The authority answered, and the answer is no.

    `kind` is the error's name, empty if the answer named none, and `status` that of the answer.
    """

    def __init__(
        self, sentence: str, *, kind: str, status: int, retry_after: float | None = None
    ) -> None:
        super().__init__(sentence, retry_after=retry_after)
        self.kind = kind
        self.status = status

    @property
    def final(self) -> bool:
        """Whether the same request would be refused again: no busy authority, nor a page of HTML.

        That something does not exist is told without an ACME error by some.
        """
        if self.status in (404, 410):
            return True
        passing = ("", "rateLimited", "badNonce", "serverInternal", "userActionRequired")
        return 400 <= self.status < 500 and self.status != 429 and self.kind not in passing


# Error -> why, and what to do. For requests: accounts, orders, certificates.
_REQUESTS: Final[Mapping[str, tuple[str, str]]] = {
    "accountDoesNotExist": (
        "it does not know the account",
        "try again, and check that acme.directory is the authority that you mean",
    ),
    "alreadyReplaced": (
        "the certificate in use was renewed before, perhaps by another host",
        "check that no other host or certbot renews the same names from the same account",
    ),
    "badCSR": (
        "it does not take the certificate request",
        "choose another acme.key_type, and check that the host names are real DNS names",
    ),
    "badNonce": (
        "it rejects the number that protects each request from being repeated, again and again",
        "try again later; if it goes on, something between here and there repeats or keeps answers",
    ),
    "badPublicKey": (
        "it does not take the account's key",
        "move the account's folder out of accounts/ in the store, and the next attempt makes a new "
        "key",
    ),
    "badSignatureAlgorithm": (
        "it does not take signatures of the account's kind of key",
        "move the account's folder out of accounts/ in the store, and the next attempt makes a new "
        "key",
    ),
    "caa": (
        "a CAA record in DNS does not allow it to issue",
        "add a CAA record that names this authority, or remove the one that forbids it",
    ),
    "connection": (
        "it could not connect to the host",
        "make port 80 reachable from the internet, by IPv4 and IPv6 if the name has both addresses",
    ),
    "dns": (
        "it could not look the name up in DNS",
        "check that the name servers of the zone answer from everywhere and know the name",
    ),
    "dnssec": (
        "the name's DNSSEC signatures are wrong",
        "mend the zone's signatures, or the DS record at its parent",
    ),
    "externalAccountRequired": (
        "it wants its accounts bound to one that you have there",
        "get a key for external account binding from it, and set acme.eab_key_id and "
        "acme.eab_key_file",
    ),
    "invalidContact": (
        "it does not take the email address",
        "correct acme.email, or set it to null",
    ),
    "invalidProfile": (
        "it does not offer that certificate profile for this order",
        "choose another acme.profile, or null for its own choice",
    ),
    "malformed": (
        "it did not understand the request",
        "check the host names and acme.directory; if they are right, report this sentence as a "
        "fault of exoproxy or of the authority",
    ),
    "orderNotReady": (
        "it does not hold all names for proved",
        "try again",
    ),
    "rateLimited": (
        "too much was asked of it for this name or account",
        "wait, and find out what else asks for certificates for the same names",
    ),
    "rejectedIdentifier": (
        "it does not issue certificates for that name",
        "use a host name under a public domain that is yours, or another acme.directory",
    ),
    "serverInternal": (
        "it has a fault of its own",
        "try again later, and look at the authority's status page if it goes on",
    ),
    "tls": (
        "it could not speak TLS with the host",
        "check what redirects port 80 of that name to https",
    ),
    "unauthorized": (
        "it does not allow that to this account, which may have been deactivated",
        "move the account's folder out of accounts/ in the store, and the next attempt registers a "
        "new one",
    ),
    "unsupportedContact": (
        "it does not take that kind of contact",
        "correct acme.email, or set it to null",
    ),
    "unsupportedIdentifier": (
        "it does not issue for that kind of name",
        "use a DNS name as hostname",
    ),
    "userActionRequired": (
        "it wants you to do something first, such as to agree to new terms",
        "read what it says and do it there",
    ),
}

# The same where a request has a meaning of its own.
_WRONG_BINDING: Final = (
    "it did not give out that key for external account binding, or not with that id",
    "check acme.eab_key_id and acme.eab_key_file, or get a new pair from it",
)
_SPECIAL: Final[Mapping[tuple[str, str], tuple[str, str]]] = {
    (REGISTER_BOUND, "unauthorized"): _WRONG_BINDING,
    (REGISTER_BOUND, "malformed"): _WRONG_BINDING,
    (REGISTER_BOUND, "externalAccountRequired"): _WRONG_BINDING,
}

# The same for a name that could not be proved.
_WRONG_SERVER: Final = (
    "what it found at /.well-known/acme-challenge/ was not what it asked for",
    "check that port 80 of that name, by IPv4 and by IPv6, leads to this exoproxy and to no other "
    "server",
)
_PROOFS: Final[Mapping[tuple[str, str], tuple[str, str]]] = {
    ("dns-01", "unauthorized"): (
        "it did not find the value it asked for in the TXT record",
        "look for a TXT record of another program at that name and for a CNAME that leads "
        "elsewhere, and raise acme.dns.propagation_timeout if some name servers lag",
    ),
    ("dns-01", "dns"): (
        "it could not find the TXT record",
        "check that all name servers of the zone answer from everywhere, and raise "
        "acme.dns.propagation_timeout if some lag",
    ),
    ("http-01", "unauthorized"): _WRONG_SERVER,
    ("http-01", "malformed"): _WRONG_SERVER,
    ("http-01", "dns"): (
        "it could not find the address of the name",
        "give the name an A or AAAA record that leads to this host",
    ),
}


def complaint_of(document: object) -> Complaint | None:
    """Return what a problem document says, None if it is none.

    The first subproblem (RFC 8555 section 6.7.1) tells the name, and the kind where the document
    itself has none of ACME's own.
    """
    if not isinstance(document, Mapping) or not isinstance(document.get("type"), str):
        return None
    subproblems = document.get("subproblems")
    first = subproblems[0] if isinstance(subproblems, list) and subproblems else None
    inner = complaint_of(first)
    kind = clean(document["type"].removeprefix(_PREFIX))
    detail = clean(document.get("detail"))
    if inner and (kind == "compound" or kind not in _REQUESTS):
        kind, detail = inner.kind, inner.detail or detail
    identifier = document.get("identifier")
    name = identifier.get("value") if isinstance(identifier, Mapping) else None
    page = clean(document.get("instance"))
    return Complaint(
        kind=kind,
        detail=detail,
        domain=clean(name) or (inner.domain if inner else ""),
        page=page if page.startswith("https://") else "",
    )


def explain(complaint: Complaint, *, host: str, doing: str, wait: str = "") -> str:
    """Return the sentence for a request that was refused.

    `doing` completes "refused to …"; `wait` says when it may be tried again.
    """
    kind = complaint.kind
    reason, advice = _SPECIAL.get((doing, kind)) or _REQUESTS.get(kind) or _unknown(kind)
    about = f" ({complaint.domain})" if complaint.domain and complaint.domain not in doing else ""
    page = f"; see {complaint.page}" if complaint.page else ""
    return (
        f"{host} refused to {doing}{about}, because {reason}{_said(complaint)}: "
        f"{advice}{wait}{page}."
    )


def explain_proof(complaint: Complaint, *, host: str, domain: str, kind: str) -> str:
    """Return the sentence for a name that could not be proved, by a challenge of that kind."""
    # RFC 8555 names two errors for the same case.
    error = "unauthorized" if complaint.kind == "incorrectResponse" else complaint.kind
    reason, advice = _PROOFS.get((kind, error)) or _REQUESTS.get(error) or _unknown(error)
    return (
        f"{host} does not hold {domain} for proved by {kind}, because {reason}{_said(complaint)}: "
        f"{advice}."
    )


def clean(text: object) -> str:
    """Return foreign text as one bounded line of printable characters; "" if it is no text."""
    if not isinstance(text, str):
        return ""
    # Cut first: what is thrown away is never walked through. Colours of terminals and marks that
    # turn the direction of writing are not printable.
    line = " ".join("".join(c if c.isprintable() else " " for c in text[: 4 * _SHOWN]).split())
    return line if len(line) <= _SHOWN else f"{line[:_SHOWN]}…"


def _said(complaint: Complaint) -> str:
    detail = complaint.detail.rstrip(".").replace('"', "'")
    return f' (it says "{detail}")' if detail else ""


def _unknown(kind: str) -> tuple[str, str]:
    return (
        f"of an error that it calls {kind}",
        "do what it says, or try again later",
    )
