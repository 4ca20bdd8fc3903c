"""What an ACME authority can be asked for (RFC 8555 section 7), in values of `order`.

Only this and `session` know the libraries acme and josepy; what is asked for, and when, is decided
in `account`, `issue` and `ari`. Everything blocks, and raises `IssuanceProblem` with one sentence,
`Refusal` if the authority answered.
"""

import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final, Self
from urllib.parse import urljoin

import requests
from acme import messages
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding
from josepy.b64 import b64encode
from josepy.interfaces import JSONDeSerializable
from josepy.jwk import JWK

from exoproxy.certs.acme.order import Authorization, Challenge, Order
from exoproxy.certs.acme.refusal import REGISTER_BOUND, clean, complaint_of
from exoproxy.certs.acme.session import Session, date
from exoproxy.certs.problem import IssuanceProblem

_TOKEN: Final = re.compile(r"[A-Za-z0-9_-]{1,256}")  # RFC 8555 section 8.1


@dataclass(frozen=True, slots=True, kw_only=True)
class Binding:
    """What binds an account to one that the operator has at the authority (section 7.3.4).

    `key` is the MAC key in base64url without padding.
    """

    key_id: str
    key: str = field(repr=False)


class Authority:
    """An ACME server whose directory has been read, and who signs the requests to it.

    `host` is its name, for sentences. `clock_skew` is how many seconds this machine's clock is
    ahead of the authority's. `profiles` are those on offer with what each is, `caa_identities` the
    names that CAA records know the authority by, and `terms` where its terms of service are, "" if
    it tells of none. `renewal_info` is the URL below which it tells when to renew (RFC 9773).
    """

    def __init__(self, directory_url: str, *, ca_file: Path | None = None) -> None:
        """Read the directory. `ca_file` is trusted instead of the system's authorities."""
        self.url = directory_url
        self._session = Session(directory_url, ca_file=ca_file)
        self.host = self._session.host
        self._key: JWK  # there from `sign_with` on, which comes before all that is signed
        with self._session.asking("tell what it offers"):
            answer = self._session.get(directory_url)
            directory = answer.json()
            self._new_nonce = _text(directory, "newNonce")
            self._new_account = _text(directory, "newAccount")
            self._new_order = _text(directory, "newOrder")
            self.renewal_info = _optional_text(directory, "renewalInfo")
            meta = directory.get("meta") or {}
            self.terms = clean(meta.get("termsOfService"))
            self.needs_binding = meta.get("externalAccountRequired") is True
            profiles = meta.get("profiles") or {}
            self.profiles = {clean(name): clean(about) for name, about in profiles.items()}
            self.caa_identities = tuple(clean(name) for name in meta.get("caaIdentities") or ())
        theirs = date(answer.headers.get("Date"))
        self.clock_skew = (datetime.now(UTC) - theirs).total_seconds() if theirs else 0.0

    def sign_with(self, key: bytes, account: str | None) -> None:
        """Sign from now on with an account's key (PEM), as `account` (URL) once it has one."""
        self._key = self._session.sign_with(key, account)

    def register(self, key: bytes, *, email: str | None, binding: Binding | None) -> str:
        """Register a key as an account, sign with it from now on, and return the account's URL.

        A key that is registered already keeps its account (section 7.3.1).
        """
        self.sign_with(key, None)
        wanted: dict[str, Any] = {"termsOfServiceAgreed": True}
        if email:
            wanted["contact"] = [f"mailto:{email}"]
        if binding:
            wanted["externalAccountBinding"] = messages.ExternalAccountBinding.from_data(
                account_public_key=self._key.public_key(),
                kid=binding.key_id,
                hmac_key=binding.key,
                directory=messages.Directory({"newAccount": self._new_account}),
            )
        with self._session.asking(REGISTER_BOUND if binding else "register an account"):
            answer = self._post(self._new_account, wanted)
            url = _location(answer)
            status = answer.json().get("status", "valid")
        if status != "valid":
            raise IssuanceProblem(
                f"{self.host} calls the account of the stored key {clean(status)}: move the "
                "account's folder out of accounts/ in the store, and the next attempt registers a "
                "new one."
            )
        self.sign_with(key, url)
        return url

    def new_order(
        self, names: Sequence[str], *, profile: str | None, replaces: str | None
    ) -> Order:
        """Order a certificate (section 7.4), as one of a profile, in place of another one."""
        wanted: dict[str, Any] = {
            "identifiers": [{"type": "dns", "value": name} for name in names],
        }
        if profile:
            wanted["profile"] = profile
        if replaces:
            wanted["replaces"] = replaces
        with self._session.asking(f"take an order for {', '.join(names)}"):
            answer = self._post(self._new_order, wanted)
            return _order(_location(answer), answer.json())

    def order(self, url: str) -> tuple[Order, float | None]:
        """Return how far an order is, and in how many seconds to ask again if that was said."""
        with self._session.asking("tell how far the order is"):
            answer = self._post(url, None)
            return _order(url, answer.json()), self._session.retry_after(answer)

    def authorization(self, url: str) -> tuple[Authorization, float | None]:
        """Return what the authority makes of one name, and in how many seconds to ask again."""
        with self._session.asking("tell what has to be proved"):
            answer = self._post(url, None)
            return self._authorization(url, answer.json()), self._session.retry_after(answer)

    def answer(self, challenge: Challenge) -> None:
        """Tell that a challenge is prepared and may be looked at (section 7.5.1)."""
        with self._session.asking(f"look at the proof for {challenge.domain}"):
            self._post(challenge.url, {})

    def finalize(
        self, order: Order, request: x509.CertificateSigningRequest
    ) -> tuple[Order, float | None]:
        """Ask for the certificate of an order whose names are all proved (section 7.4).

        Returns how far it is, and in how many seconds to ask if that was said.
        """
        content = b64encode(request.public_bytes(Encoding.DER)).decode()
        with self._session.asking("issue the certificate"):
            answer = self._post(order.finalize, {"csr": content})
            return _order(order.url, answer.json()), self._session.retry_after(answer)

    def certificate(self, url: str) -> bytes:
        """Return the chain that was issued (section 7.4.2), as it was sent."""
        with self._session.asking("hand out the certificate"):
            return self._post(url, None).content

    def suggestion(self, identifier: str) -> tuple[Any, float | None]:
        """Return the renewal information (RFC 9773 section 4) that is told of a certificate.

        That is JSON as it came, with the seconds of its Retry-After. Only with `renewal_info`.
        """
        with self._session.asking("tell when to renew"):
            answer = self._session.get(f"{(self.renewal_info or '').rstrip('/')}/{identifier}")
            return answer.json(), self._session.retry_after(answer)

    def _post(self, url: str, content: dict[str, Any] | None) -> requests.Response:
        message = None if content is None else _Message(content)
        return self._session.post(url, message, new_nonce=self._new_nonce)

    def _authorization(self, url: str, document: Any) -> Authorization:
        domain = clean(_text(document["identifier"], "value"))
        offered = document["challenges"]
        complaints = [complaint_of(challenge.get("error")) for challenge in offered]
        return Authorization(
            url=url,
            domain=domain,
            status=_text(document, "status"),
            challenges=tuple(
                challenge for each in offered if (challenge := self._challenge(domain, each))
            ),
            offered=tuple(clean(_text(challenge, "type")) for challenge in offered),
            complaint=next((complaint for complaint in complaints if complaint), None),
        )

    def _challenge(self, domain: str, document: Any) -> Challenge | None:
        """Return what is to be proved and how, None for a kind that exoproxy can't."""
        kind = document.get("type")
        if kind not in ("dns-01", "http-01"):
            return None
        token = _text(document, "token")
        if not _TOKEN.fullmatch(token):
            raise ValueError("the token has characters that have no place in a path")
        # RFC 8555 sections 8.1 and 8.4.
        value = f"{token}.{b64encode(self._key.thumbprint()).decode()}"
        if kind == "dns-01":
            value = b64encode(hashlib.sha256(value.encode()).digest()).decode()
        return Challenge(
            kind=kind,
            domain=domain,
            token=token,
            value=value,
            record=f"_acme-challenge.{domain}" if kind == "dns-01" else "",
            url=_text(document, "url"),
            pending=document.get("status") == "pending",
        )


class _Message(JSONDeSerializable):
    """The content of a request as it is sent.

    acme's own messages lack `replaces` and some others, and an empty one would be sent as none.
    """

    def __init__(self, content: dict[str, Any]) -> None:
        self._content = content

    def to_partial_json(self) -> dict[str, Any]:
        """Return the content: josepy calls this."""
        return self._content

    @classmethod
    def from_json(cls, jobj: Any) -> Self:
        """Return a message with that content."""
        return cls(jobj)


def _order(url: str, document: Any) -> Order:
    return Order(
        url=url,
        status=_text(document, "status"),
        authorizations=tuple(str(each) for each in document["authorizations"]),
        finalize=_text(document, "finalize"),
        certificate=_optional_text(document, "certificate"),
        complaint=complaint_of(document.get("error")),
    )


def _location(answer: requests.Response) -> str:
    """Return where a resource was made; a missing one raises `KeyError`, for `Session.asking`."""
    return urljoin(answer.url, answer.headers["Location"])


def _text(document: Any, name: str) -> str:
    """Return a member that must be text. Raises `TypeError` or `KeyError`, for `Session.asking`."""
    value = document[name]
    if not isinstance(value, str):
        raise TypeError(f"{name} is no text")
    return value


def _optional_text(document: Any, name: str) -> str | None:
    return None if document.get(name) is None else _text(document, name)
