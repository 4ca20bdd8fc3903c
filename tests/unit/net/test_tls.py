"""What a failed handshake means, and the name that a client asked for.

That contexts verify what they should is proved with real handshakes, in `test_dial`.
"""

import ssl
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from authority import Authority
from exoproxy.errors import UpstreamCertificate, UpstreamTls
from exoproxy.net.tls import (
    handshake_failure,
    open_context,
    remember_server_name,
    server_name,
    silence_broken_server_names,
    verifying_context,
)


def tls_error(reason: str) -> ssl.SSLError:
    error = ssl.SSLError(1, "text")
    error.reason = reason
    return error


def certificate_error(code: int) -> ssl.SSLCertVerificationError:
    error = ssl.SSLCertVerificationError(1, "text")
    error.verify_code = code
    return error


@pytest.mark.parametrize(
    ("code", "sentence", "hinted"),
    [
        (9, "it is not valid yet", False),
        (10, "it has expired", False),
        (18, "it is self-signed", True),
        (20, "its issuer is not known here", True),
        (62, "it is for another name", False),
        (64, "it is for another address", False),
        (26, "it could not be verified", False),
    ],
)
def test_certificate_faults(code: int, sentence: str, hinted: bool) -> None:
    """The sentence says what is wrong, and the hint what can be done about an issuer."""
    failure = handshake_failure(certificate_error(code))

    assert isinstance(failure, UpstreamCertificate)
    assert failure.sentence == f"The server's certificate is not accepted: {sentence}."
    assert bool(failure.hint) is hinted


@pytest.mark.parametrize(
    ("error", "sentence", "hinted"),
    [
        (tls_error("WRONG_VERSION_NUMBER"), "does not speak TLS on that port", True),
        (tls_error("TLSV1_ALERT_PROTOCOL_VERSION"), "no version of TLS from 1.2 on", False),
        (tls_error("SSLV3_ALERT_HANDSHAKE_FAILURE"), "did not complete a TLS handshake", False),
        (ConnectionResetError(), "closed the connection during the TLS handshake", True),
        (ssl.SSLEOFError(8, "text"), "closed the connection during the TLS handshake", True),
    ],
)
def test_other_faults(error: OSError, sentence: str, hinted: bool) -> None:
    """A server that may speak plain HTTP is told from one that fails at TLS."""
    failure = handshake_failure(error)

    assert type(failure) is UpstreamTls
    assert sentence in failure.sentence
    assert ("http-" in failure.hint) is hinted


@pytest.mark.parametrize("context", [verifying_context(), open_context()], ids=["verify", "open"])
def test_contexts_speak_http_over_tls_from_1_2_on(context: ssl.SSLContext) -> None:
    """Neither context falls back to a version of TLS that is broken."""
    assert context.minimum_version == ssl.TLSVersion.TLSv1_2


def test_verifying_context_verifies() -> None:
    """The verifying context wants a valid certificate for the very host."""
    context = verifying_context()

    assert (context.verify_mode, context.check_hostname) == (ssl.CERT_REQUIRED, True)


def test_wrong_ca_file_is_an_error(tmp_path: Path) -> None:
    """A file that is missing or holds no certificate is not passed over."""
    (tmp_path / "empty.pem").write_text("nothing")
    with pytest.raises(FileNotFoundError):
        verifying_context(tmp_path / "missing.pem")
    with pytest.raises(ssl.SSLError):
        verifying_context(tmp_path / "empty.pem")


def client_hello(name: str | None) -> bytes:
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    client = open_context().wrap_bio(incoming, outgoing, server_hostname=name)
    with pytest.raises(ssl.SSLWantReadError):
        client.do_handshake()
    return outgoing.read()


def serve_hello(context: ssl.SSLContext, hello: bytes) -> ssl.SSLObject:
    incoming = ssl.MemoryBIO()
    incoming.write(hello)
    server = context.wrap_bio(incoming, ssl.MemoryBIO(), server_side=True)
    with pytest.raises(ssl.SSLWantReadError):
        server.do_handshake()
    return server


@pytest.mark.parametrize(
    ("asked", "expected"),
    [("a.example", "a.example"), ("A.Example", "a.example"), (None, None)],
)
def test_server_name_is_remembered(
    authority: Authority, asked: str | None, expected: str | None
) -> None:
    """The name of the handshake is kept in lower case, and its absence too."""
    context = authority.serve("example")
    remember_server_name(context)

    assert server_name(serve_hello(context, client_hello(asked))) == expected


def test_no_name_without_memory(authority: Authority) -> None:
    """A context that does not remember, and a plain connection, have no name."""
    plain = serve_hello(authority.serve("example"), client_hello("a.example"))

    assert (server_name(plain), server_name(None)) == (None, None)


def test_broken_server_name_is_silent(
    authority: Authority, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A name that is not ASCII ends the handshake and prints nothing; other reports go on."""
    reports: list[Any] = []
    monkeypatch.setattr(sys, "unraisablehook", reports.append)
    silence_broken_server_names()
    context = authority.serve("example")
    remember_server_name(context)
    incoming = ssl.MemoryBIO()
    incoming.write(client_hello("a.example").replace(b"a.example", b"\xff.example"))
    server = context.wrap_bio(incoming, ssl.MemoryBIO(), server_side=True)
    with pytest.raises(ssl.SSLError):
        server.do_handshake()
    silent = list(reports)
    other = SimpleNamespace(exc_type=ValueError, object=b"")
    sys.unraisablehook(cast("sys.UnraisableHookArgs", other))

    assert silent == []
    assert reports == [other]
