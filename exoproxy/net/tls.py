"""TLS contexts towards upstreams, what a failed handshake means, and the name a client asked for.

The contexts that serve clients are made by `certs`, which calls `remember_server_name` once on
each. Called by `dial` and `listen` for the rest.
"""

import ssl
import sys
from pathlib import Path
from typing import Final

from exoproxy.errors import UpstreamCertificate, UpstreamTls
from exoproxy.net.transport import FAST

# X509_V_ERR_* of OpenSSL's x509_vfy.h -> what is wrong with the certificate.
_CERTIFICATE_FAULTS: Final = {
    7: "its signature is not its issuer's",
    9: "it is not valid yet",
    10: "it has expired",
    18: "it is self-signed",
    19: "its chain ends in a self-signed certificate that is not trusted here",
    20: "its issuer is not known here",
    21: "its issuer is not known here, or the server leaves out an intermediate certificate",
    62: "it is for another name",
    64: "it is for another address",
}
_UNTRUSTED_ISSUER: Final = frozenset({18, 19, 20, 21})

# What OpenSSL says of an answer that is no TLS record. `HTTP/1.1 400` read as a record has the
# version 0x5454; later releases name the record layer instead.
_NOT_TLS: Final = frozenset(
    {"WRONG_VERSION_NUMBER", "HTTP_REQUEST", "PACKET_LENGTH_TOO_LONG", "RECORD_LAYER_FAILURE"}
)
_OLD_TLS: Final = frozenset(
    {"UNSUPPORTED_PROTOCOL", "TLSV1_ALERT_PROTOCOL_VERSION", "TLSV13_ALERT_PROTOCOL_VERSION"}
)

_PLAIN_HINT: Final = "If that port speaks plain HTTP, use the name that begins with http-."


def verifying_context(ca_file: Path | None = None) -> ssl.SSLContext:
    """Return a context that trusts the system's authorities and those in `ca_file` (PEM).

    The certificate must be valid for the host dialled, by DNS name or by IP address (RFC 9110
    section 4.3.4). Raises OSError when the file can't be read, ssl.SSLError when it holds no
    certificate.
    """
    context = ssl.create_default_context()
    # On by default from Python 3.13 on, and refuses authorities that browsers and curl accept:
    # private ones of clouds often lack a key identifier. All Pythons shall judge alike.
    context.verify_flags &= ~ssl.VERIFY_X509_STRICT
    if ca_file is not None:
        context.load_verify_locations(ca_file)
    return _for_http(context)


def open_context() -> ssl.SSLContext:
    """Return a context that accepts every certificate.

    For instances, whose certificates are self-signed: TLS keeps a passive listener out there, and
    nothing more.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return _for_http(context)


def _for_http(context: ssl.SSLContext) -> ssl.SSLContext:
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_alpn_protocols(["http/1.1"])
    return context


def handshake_failure(error: OSError) -> UpstreamTls:
    """Say what a failed handshake with an upstream means to a person."""
    if isinstance(error, ssl.SSLCertVerificationError):
        fault = _CERTIFICATE_FAULTS.get(error.verify_code, "it could not be verified")
        hint = ""
        if error.verify_code in _UNTRUSTED_ISSUER:
            hint = "If a private authority issues it, the operator can trust that authority."
        return UpstreamCertificate(f"The server's certificate is not accepted: {fault}.", hint=hint)
    reason = getattr(error, "reason", None)
    if reason in _NOT_TLS:
        return UpstreamTls("The server does not speak TLS on that port.", hint=_PLAIN_HINT)
    if reason in _OLD_TLS:
        return UpstreamTls("The server offers no version of TLS from 1.2 on.")
    if isinstance(error, ConnectionError | ssl.SSLEOFError | ssl.SSLZeroReturnError):
        return UpstreamTls(
            "The server closed the connection during the TLS handshake.", hint=_PLAIN_HINT
        )
    return UpstreamTls()


class _ServerSide(ssl.SSLObject):
    """The server's end of a TLS connection, which knows the name the client asked for."""

    server_name: str | None = None


def remember_server_name(context: ssl.SSLContext) -> None:
    """Let connections of a server's context know the name that their client asked for (SNI).

    The name is stored and never judged: which hosts are served is decided by the request
    (RFC 9110 section 7.4).
    """
    if FAST:
        return
    context.sslobject_class = _ServerSide
    context.sni_callback = _store_server_name


def _store_server_name(
    connection: ssl.SSLSocket | ssl.SSLObject, name: str | None, _context: ssl.SSLContext
) -> None:
    if isinstance(connection, _ServerSide) and name is not None:
        connection.server_name = name.lower()


def server_name(connection: object) -> str | None:
    """Return the lower-case SNI of a transport's `ssl_object`, if its context remembers it."""
    return connection.server_name if isinstance(connection, _ServerSide) else None


def silence_broken_server_names() -> None:
    """Keep names (SNI) that are not ASCII from printing a traceback each.

    CPython refuses such a handshake rightly, but reports it to `sys.unraisablehook`, so that any
    client could fill the log. The service calls this once, at its start.
    """
    report = sys.unraisablehook

    def hook(unraisable: "sys.UnraisableHookArgs") -> None:
        broken_name = unraisable.exc_type is UnicodeDecodeError and isinstance(
            unraisable.object, bytes
        )
        if not broken_name:
            report(unraisable)

    sys.unraisablehook = hook
