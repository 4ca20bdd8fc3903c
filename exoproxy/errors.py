"""Everything that can go wrong with a request, as one tree.

ProxyError
├── ClientError                 the client's doing
│   ├── BadRequest              400 bad-request
│   │   ├── BadHost             400 bad-host
│   │   └── BadFraming          400 bad-framing
│   ├── LoginRefused            401 login-refused
│   ├── OriginNotAllowed        403 origin-not-allowed
│   ├── TargetNotAllowed        403 target-not-allowed
│   ├── NotFound                404 not-found
│   ├── NoInstanceName          404 no-instance-name
│   ├── MethodNotAllowed        405 method-not-allowed
│   ├── RequestTimeout          408 request-timeout
│   ├── ContentTooLarge         413 content-too-large
│   ├── TargetTooLong           414 target-too-long
│   ├── ExpectationFailed       417 expectation-failed
│   ├── Misdirected             421 misdirected-request
│   ├── TooManyRefusals         429 too-many-refusals
│   ├── FieldsTooLarge          431 fields-too-large
│   ├── ClientGone              499 client-gone (logged, never sent)
│   ├── CodingNotImplemented    501 coding-not-implemented
│   ├── VersionNotSupported     505 version-not-supported
│   └── LoopDetected            508 loop-detected
├── UpstreamError               the other side's doing
│   ├── UpstreamName            502 upstream-name
│   ├── UpstreamRefused         502 upstream-refused
│   ├── UpstreamUnreachable     502 upstream-unreachable
│   ├── UpstreamTls             502 upstream-tls
│   │   └── UpstreamCertificate 502 upstream-certificate
│   ├── UpstreamAnswer          502 upstream-answer
│   ├── UpstreamClosed          502 upstream-closed
│   └── UpstreamTimeout         504 upstream-timeout
└── OwnError                    ours
    ├── Internal                500 internal-error
    ├── NotInstalled            503 client-not-installed
    └── Overloaded              503 overloaded

Who raises: `wire` and `rules` for what they judge, `net` for what the network did. Who catches:
only `proxy`, which turns an error into an answer (`proxy.problem`) or, once a head was sent, into
an abort.
"""

from copy import copy
from enum import Enum
from typing import ClassVar, Self


class Side(Enum):
    """Whose doing an error is; the access log and the metrics carry it."""

    CLIENT = "client"
    UPSTREAM = "upstream"
    OWN = "own"


class ProxyError(Exception):
    """An error with an answer.

    `code` is the value of `X-Exoproxy-Error`, `status` the HTTP status, `retry` the seconds after
    which a browser's page tries again by itself (None: never), and `hint` what the reader can do,
    `advice` unless the raiser knows better. The sentence and the hint are shown to people: they
    never hold bytes of the request. `counts`: it is a refusal that `limits.refusals_per_client`
    counts.
    """

    code: ClassVar[str]
    status: ClassVar[int]
    side: ClassVar[Side]
    default: ClassVar[str]
    advice: ClassVar[str] = ""
    retry: ClassVar[int | None] = None
    counts: ClassVar[bool] = False

    def __init__(self, sentence: str = "", *, hint: str = "") -> None:
        self.sentence = sentence or self.default
        self.hint = hint or self.advice
        super().__init__(self.sentence)

    def anew(self) -> Self:
        """Return the same error without a traceback: to keep it, and to raise what was kept."""
        return copy(self)


class ClientError(ProxyError):
    """The request can't be served as it is.

    A refusal, but for what slow networks, large files and users who leave bring about.
    """

    side = Side.CLIENT
    counts = True


class BadRequest(ClientError):
    """The request breaks the grammar of HTTP (RFC 9112)."""

    code, status = "bad-request", 400
    default = "The request is not valid HTTP."


class BadHost(BadRequest):
    """The Host field is missing, doubled or no authority (RFC 9112 section 3.2)."""

    code = "bad-host"
    default = "The Host field is missing or not valid."


class BadFraming(BadRequest):
    """The end of the content can't be told for sure (RFC 9112 section 6)."""

    code = "bad-framing"
    default = "The length of the request's content is not stated in a valid way."


class LoginRefused(ClientError):
    """What came from an identity provider is not what a federated login brings back.

    Without WWW-Authenticate, unlike RFC 9110 section 15.5.2: there is no scheme to answer by.
    """

    code, status = "login-refused", 401
    default = "The login did not come back with what is needed."
    advice = (
        "Please log in again from Exosphere. If it stays like this, the operator should see that "
        "Keystone's trusted_dashboard names this address."
    )


class OriginNotAllowed(ClientError):
    """A page of another site calls, and that site is not listed."""

    code, status = "origin-not-allowed", 403
    default = "This web origin may not use the proxy."


class TargetNotAllowed(ClientError):
    """Policy forbids to dial the host, address or port."""

    code, status = "target-not-allowed", 403
    default = "The target is not among those that this proxy may reach."


class NotFound(ClientError):
    """No file and no route."""

    code, status = "not-found", 404
    default = "There is nothing at this address."


class NoInstanceName(ClientError):
    """The host name carries no instance's address and port."""

    code, status = "no-instance-name", 404
    default = "This host name does not name an instance."


class MethodNotAllowed(ClientError):
    """The method has no meaning here; `allow` names those that have."""

    code, status = "method-not-allowed", 405
    default = "This method is not served here."

    def __init__(self, sentence: str = "", *, hint: str = "", allow: str = "GET, HEAD") -> None:
        super().__init__(sentence, hint=hint)
        self.allow = allow


class RequestTimeout(ClientError):
    """The head or the content came too slowly."""

    code, status = "request-timeout", 408
    default = "The request did not arrive in time."
    counts = False


class ContentTooLarge(ClientError):
    """A configured limit on the content was passed."""

    code, status = "content-too-large", 413
    default = "The request's content is larger than this server accepts."
    counts = False


class TargetTooLong(ClientError):
    """The request target passes its limit."""

    code, status = "target-too-long", 414
    default = "The address is longer than this server accepts."


class ExpectationFailed(ClientError):
    """An Expect other than 100-continue (RFC 9110 section 10.1.1)."""

    code, status = "expectation-failed", 417
    default = "The request expects something that this server does not know."


class Misdirected(ClientError):
    """The host is not served here (RFC 9110 section 15.5.20)."""

    code, status = "misdirected-request", 421
    default = "This server does not serve that host name."


class TooManyRefusals(ClientError):
    """A request that would be refused, of a client that was refused too often (RFC 6585 section 4).

    `wait` are the seconds until the next refusal is worth a sentence again.
    """

    code, status = "too-many-refusals", 429
    default = "Too many requests from this address had to be refused."
    counts = False

    def __init__(self, sentence: str = "", *, hint: str = "", wait: int = 1) -> None:
        super().__init__(sentence, hint=hint)
        self.wait = wait


class FieldsTooLarge(ClientError):
    """The head, one of its fields or their number passes its limit (RFC 6585 section 5)."""

    code, status = "fields-too-large", 431
    default = "The request's header fields are larger than this server accepts."


class ClientGone(ClientError):
    """The client left before the answer was complete; there is nobody to tell."""

    code, status = "client-gone", 499
    default = "The client closed the connection."
    counts = False


class CodingNotImplemented(ClientError):
    """A transfer coding other than chunked (RFC 9112 section 6.1)."""

    code, status = "coding-not-implemented", 501
    default = "The transfer coding is not known here."


class VersionNotSupported(ClientError):
    """A major version other than 1 on this connection (RFC 9110 section 15.6.6)."""

    code, status = "version-not-supported", 505
    default = "This server speaks HTTP/1.1."


class LoopDetected(ClientError):
    """The request has passed here before (RFC 9110 section 7.6.3)."""

    code, status = "loop-detected", 508
    default = "The request has come back to the proxy that sent it."


class UpstreamError(ProxyError):
    """The server behind the proxy could not be reached or did not answer properly."""

    side = Side.UPSTREAM
    status = 502


class UpstreamName(UpstreamError):
    """The name has no address."""

    code = "upstream-name"
    default = "The server's name has no address in the DNS."


class UpstreamRefused(UpstreamError):
    """The host is there, the port is not."""

    code = "upstream-refused"
    default = "The server refused the connection: nothing listens on that port yet."
    advice = (
        "What runs on an instance may take some minutes to start. If it stays like this, see that "
        "it runs, and that it listens on this port at every address (0.0.0.0), not at localhost "
        "alone."
    )
    retry = 5


class UpstreamUnreachable(UpstreamError):
    """No route, or the network says no."""

    code = "upstream-unreachable"
    default = "The server can't be reached over the network."
    advice = "An instance may still be starting, or be shut off or shelved: Exosphere shows which."
    retry = 5


class UpstreamTls(UpstreamError):
    """The TLS handshake with the server failed."""

    code = "upstream-tls"
    default = "The server did not complete a TLS handshake."


class UpstreamCertificate(UpstreamTls):
    """The server's certificate is not valid for it."""

    code = "upstream-certificate"
    default = "The server's certificate could not be verified."


class UpstreamAnswer(UpstreamError):
    """The answer breaks the grammar or the framing of HTTP."""

    code = "upstream-answer"
    default = "The server's answer is not valid HTTP."


class UpstreamClosed(UpstreamError):
    """The connection ended before an answer came."""

    code = "upstream-closed"
    default = "The server closed the connection without an answer."
    advice = "It may be restarting, or speak another protocol on this port."
    retry = 5


class UpstreamTimeout(UpstreamError):
    """No connection, or no answer, within the deadline."""

    code, status = "upstream-timeout", 504
    default = "The server did not answer in time."
    advice = (
        "An instance may still be starting, or its security groups may not let this port through."
    )
    retry = 5


class OwnError(ProxyError):
    """The proxy itself can't serve the request now."""

    side = Side.OWN


class Internal(OwnError):
    """A defect in exoproxy; the log has the traceback under the request id."""

    code, status = "internal-error", 500
    default = "The proxy failed; its log tells more under the request id."


class NotInstalled(OwnError):
    """There is no Exosphere client to serve.

    The address is right and the lack will pass: 503 keeps it out of caches and search engines, and
    tells those who watch the host. A browser shows the client as soon as it is there.
    """

    code, status = "client-not-installed", 503
    default = "The Exosphere client is not installed on this server yet."
    advice = (
        "Its operator installs it with “exoproxy client install SOURCE”, where SOURCE is a git "
        "address, a folder or an archive of the client. It needs no restart."
    )
    retry = 10


class Overloaded(OwnError):
    """A cap on connections is reached."""

    code, status = "overloaded", 503
    default = "The proxy has as many connections as it may hold; please try again."
    retry = 5
