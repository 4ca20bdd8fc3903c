"""The values of an order for a certificate (RFC 8555 section 7.1), free of any library.

`Wish` comes from who wants a certificate and `Issued` goes back; `Challenge` is what has to be
proved in between. `Order` and `Authorization` are what the authority tells about them.
"""

from dataclasses import dataclass, field
from typing import Literal

from exoproxy.certs.acme.refusal import Complaint

ChallengeKind = Literal["dns-01", "http-01"]
KeyType = Literal["ecdsa-p256", "ecdsa-p384", "rsa-2048", "rsa-4096"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Wish:
    """The certificate that is wanted, and how the names are proved.

    `names` are DNS names in lower case, wildcards as `*.example.org`; the first is what the
    certificate is called by. `replaces` is the ARI identifier (RFC 9773 section 4.1) of the
    certificate that this one renews.
    """

    names: tuple[str, ...]
    challenge: ChallengeKind = "dns-01"
    key_type: KeyType = "ecdsa-p256"
    profile: str | None = None
    replaces: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Challenge:
    """What the authority wants to see for one name (RFC 8555 section 8).

    `domain` is without `*.`, so that a host and its wildcard have a challenge each for the same
    domain. For dns-01 `record` is the name of the TXT record, and `value` one of its values; for
    http-01 `value` is the content of `/.well-known/acme-challenge/TOKEN`, and `record` is empty.
    `pending`: the authority has not been told yet that it may look.
    """

    kind: ChallengeKind
    domain: str
    token: str
    value: str
    record: str
    url: str
    pending: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Authorization:
    """What the authority makes of one name so far. `offered` are the kinds of all challenges."""

    url: str
    domain: str
    status: str
    challenges: tuple[Challenge, ...]
    offered: tuple[str, ...]
    complaint: Complaint | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """How far an order is. All but `status` and `complaint` are URLs."""

    url: str
    status: str
    authorizations: tuple[str, ...]
    finalize: str
    certificate: str | None = None
    complaint: Complaint | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Issued:
    """A certificate with the ones between it and the root, and its key; both PEM."""

    key: bytes = field(repr=False)
    fullchain: bytes
