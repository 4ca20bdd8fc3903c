"""Signed requests to an ACME server, whose every failure ends in one sentence.

Over acme's `ClientNetwork`, which signs (RFC 8555 section 6.2) and keeps nonces. What is added:
answers are bounded in size and time, more tries for a rejected nonce, Retry-After, and
`IssuanceProblem` for whatever the library, requests or Python raise at a strange answer. Called by
`authority`, in the short-lived process that issues: everything blocks.
"""

import io
import ssl
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import Any, Final, TypeVar
from urllib.parse import urlsplit

import requests
import urllib3
from acme import client, errors, messages
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import load_pem_private_key
from josepy.errors import Error as JoseError
from josepy.interfaces import JSONDeSerializable
from josepy.jwa import ES256, ES384, ES512, RS256
from josepy.jwk import JWK, JWKEC, JWKRSA

from exoproxy import __version__
from exoproxy.certs.acme.refusal import Refusal, clean, complaint_of, explain
from exoproxy.certs.problem import IssuanceProblem

# Seconds until a connection stands, and until the next bytes come.
_PATIENCE: Final = 30
# An answer as a whole: the largest is a chain of certificates, of some 10 KB.
_ANSWER_SECONDS: Final = 60.0
_ANSWER_BYTES: Final = 2**20
# Tries of a request whose nonce is rejected. The library makes two of each.
_NONCE_TRIES: Final = 5
# No wait that an authority asks for is longer than the longest period of a rate limit.
_LONGEST_WAIT: Final = 7 * 86_400.0

_Error = TypeVar("_Error", bound=BaseException)

_CURVES: Final = {"secp256r1": ES256, "secp384r1": ES384, "secp521r1": ES512}

# Whatever a strange answer makes the library, and reading what it returns, raise.
_STRANGE: Final = (
    errors.Error,
    JoseError,
    ValueError,
    TypeError,
    KeyError,
    AttributeError,
    RecursionError,
)


class Session:
    """A connection to one ACME server. `host` is its name, for sentences."""

    def __init__(
        self,
        directory_url: str,
        *,
        ca_file: Path | None,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        """Connect nowhere yet. `ca_file` is trusted instead of the system's authorities.

        Raises `IssuanceProblem` if `ca_file` can't be used.
        """
        self.host = clean(urlsplit(directory_url).netloc)
        self.now = now
        self._last: requests.Response | None = None
        self._net = client.ClientNetwork(
            verify_ssl=_trust(ca_file),  # type: ignore[arg-type] # requests takes a path as well
            user_agent=f"exoproxy/{__version__}",
            timeout=_PATIENCE,
        )
        session = self._net.session
        # No proxies, passwords or authorities from the environment and ~/.netrc.
        session.trust_env = False
        # RFC 8555 section 6.1: HTTPS alone, wherever a directory or a redirect leads.
        del session.adapters["http://"]
        session.hooks["response"].append(self._take)

    def sign_with(self, key: bytes, account: str | None) -> JWK:
        """Sign from now on with an account's key (PEM), as `account` (URL) once it has one.

        Returns the key as the library has it. Raises `IssuanceProblem`.
        """
        try:
            private = load_pem_private_key(key, password=None)
        except (ValueError, TypeError) as error:
            raise IssuanceProblem(
                f"The stored key of the account at {self.host} is damaged: move the account's "
                "folder out of accounts/ in the store, and the next attempt makes a new one."
            ) from error
        if isinstance(private, ec.EllipticCurvePrivateKey) and private.curve.name in _CURVES:
            self._net.key = JWKEC(key=private)
            self._net.alg = _CURVES[private.curve.name]
        elif isinstance(private, rsa.RSAPrivateKey):
            self._net.key = JWKRSA(key=private)
            self._net.alg = RS256
        else:
            raise IssuanceProblem(
                f"The stored key of the account at {self.host} is of a kind that ACME does not "
                "know: move the account's folder out of accounts/ in the store, and the next "
                "attempt makes a new one."
            )
        self._net.account = None
        if account:
            self._net.account = messages.RegistrationResource(
                uri=account, body=messages.Registration()
            )
        return self._net.key

    def get(self, url: str) -> requests.Response:
        """Return the answer to a plain GET; call it within `asking`."""
        return self._net.get(url)

    def post(
        self, url: str, message: JSONDeSerializable | None, *, new_nonce: str
    ) -> requests.Response:
        """Return the answer to a signed POST, or to POST-as-GET if there is no message.

        Call it within `asking`. A rejected nonce is a reason to try again (RFC 8555 section 6.5).
        """
        for _ in range(_NONCE_TRIES - 1):
            try:
                return self._net.post(url, message, new_nonce_url=new_nonce)
            except messages.Error as error:
                if not str(error.typ).endswith(":badNonce"):
                    raise
        return self._net.post(url, message, new_nonce_url=new_nonce)

    @contextmanager
    def asking(self, doing: str) -> Iterator[None]:
        """Turn whatever goes wrong inside into `IssuanceProblem`, refusals into `Refusal`.

        `doing` completes "refused to …". What is inside sends requests and reads their answers.
        """
        self._last = None
        try:
            yield
        except IssuanceProblem:
            raise
        except requests.exceptions.JSONDecodeError as error:
            raise self._refusal(doing) from error
        except (requests.RequestException, urllib3.exceptions.HTTPError, OSError) as error:
            raise IssuanceProblem(
                f"{self.host} could not be asked to {doing}: {_unreachable(error)}."
            ) from error
        except _STRANGE as error:
            raise self._refusal(doing) from error

    def retry_after(self, response: requests.Response) -> float | None:
        """Return the seconds of Retry-After (RFC 9110 section 10.2.3), bounded; None if none."""
        value = response.headers.get("Retry-After", "").strip()
        if value.isascii() and value.isdigit():
            # A year has eight digits: more need not be read.
            seconds = float(value[:9])
        elif moment := date(value):
            # By the clock that wrote it, as ours may be wrong.
            seconds = (moment - (date(response.headers.get("Date")) or self.now())).total_seconds()
        else:
            return None
        return min(max(seconds, 0.0), _LONGEST_WAIT)

    def _take(self, response: requests.Response, **_: Any) -> None:
        """Read an answer within bounds and remember it: requests calls this before it reads."""
        deadline = time.monotonic() + _ANSWER_SECONDS
        content = bytearray()
        # Whatever has come, however little: waiting for more of it could outlast the deadline.
        while piece := response.raw.read1(2**14, decode_content=True):
            content += piece
            if len(content) > _ANSWER_BYTES or time.monotonic() > deadline:
                response.raw.close()
                raise _Endless
        response.raw = io.BytesIO(content)
        self._last = response

    def _refusal(self, doing: str) -> IssuanceProblem:
        """Return what the last answer says, which the library made an exception of.

        The library's own exceptions lose what matters: of a 409 everything, of any other error
        status the Retry-After, of a type that it does not list the type.
        """
        response = self._last
        if response is None:
            return IssuanceProblem(f"{self.host} could not be asked to {doing}: try again later.")
        status = response.status_code
        retry_after = self.retry_after(response)
        wait = ""
        if retry_after is not None:
            at = datetime.fromtimestamp(self.now().timestamp() + retry_after, UTC)
            wait = f"; it may be tried again at {at:%Y-%m-%d %H:%M:%S} UTC"
        try:
            complaint = None if response.ok else complaint_of(response.json())
        except (ValueError, RecursionError):
            complaint = None
        if complaint is not None:
            sentence = explain(complaint, host=self.host, doing=doing, wait=wait)
            kind = complaint.kind
        else:
            sentence, kind = self._no_acme(response, doing, wait), ""
        return Refusal(sentence, kind=kind, status=status, retry_after=retry_after)

    def _no_acme(self, response: requests.Response, doing: str, wait: str) -> str:
        status = response.status_code
        form = clean(response.headers.get("Content-Type")).partition(";")[0] or "no content type"
        if status == 429 or status >= 500:
            return (
                f"{self.host} could not be asked to {doing}, because it is busy or out of order "
                f"(status {status}, {form}): try again later, and look at the authority's status "
                f"page if it goes on{wait}."
            )
        return (
            f"{self.host} was asked to {doing}, and its answer is not ACME's (status {status}, "
            f"{form}): check acme.directory, and that nothing between here and there answers in "
            f"the authority's place{wait}."
        )


class _Endless(OSError):
    """An answer is larger or slower than any that is meant."""


def date(value: str | None) -> datetime | None:
    """Return the moment of a date field (RFC 9110 section 5.6.7); None if it is not one."""
    try:
        moment = parsedate_to_datetime(value or "")
        return moment.astimezone(UTC) if moment.tzinfo else moment.replace(tzinfo=UTC)
    except (ValueError, OverflowError):
        return None


def _trust(ca_file: Path | None) -> str | bool:
    """Return what requests verifies by: the file, else the system's authorities.

    requests' own bundle serves where the system has none.
    """
    if ca_file is None:
        paths = ssl.get_default_verify_paths()
        return paths.cafile or paths.capath or True
    try:
        ssl.create_default_context(cafile=ca_file)
    except (OSError, ValueError) as error:
        reason = clean(getattr(error, "strerror", "")) or "it holds no certificate in PEM form"
        raise IssuanceProblem(
            f"acme.ca_file {ca_file} can't be used ({reason}): name a readable file with the "
            "certificate of the authority that the ACME server's own certificate comes from."
        ) from error
    return str(ca_file)


def _unreachable(error: BaseException) -> str:
    """Return why nothing came back, and what to do, as the end of a sentence."""
    if isinstance(error, _Endless):
        return "its answer has no end; check acme.directory"
    if refused := _caused(error, ssl.SSLCertVerificationError):
        if refused.verify_code in (9, 10):  # X509_V_ERR_CERT_NOT_YET_VALID, …_HAS_EXPIRED
            return (
                f"by this machine's clock its TLS certificate is not valid "
                f"({clean(refused.verify_message)}); set the clock"
            )
        return (
            f"its TLS certificate is not trusted ({clean(refused.verify_message)}); for a private "
            "authority set acme.ca_file, else something between here and there intercepts TLS"
        )
    if _caused(error, urllib3.exceptions.NameResolutionError):
        return "its name can't be resolved; check this machine's DNS and acme.directory"
    if refused_connection := _caused(error, urllib3.exceptions.NewConnectionError):
        reason = refused_connection.__cause__
        named = clean(getattr(reason, "strerror", "")) or "no connection"
        return f"no connection to it ({named}); check the network and the firewall"
    if isinstance(error, requests.Timeout) or _caused(error, urllib3.exceptions.TimeoutError):
        return "it did not answer in time; check that this machine reaches it by HTTPS"
    if isinstance(error, requests.exceptions.InvalidSchema):
        return "it leads to an address without HTTPS; check acme.directory"
    if isinstance(error, (requests.TooManyRedirects, requests.exceptions.InvalidURL)):
        return "it leads nowhere; check acme.directory"
    return "the connection broke before the answer was there; try again later"


def _caused(error: BaseException | None, kind: type[_Error]) -> _Error | None:
    """Return the first of that kind among an exception and those that it was made of."""
    while error is not None and not isinstance(error, kind):
        error = error.__cause__ or error.__context__
    return error
