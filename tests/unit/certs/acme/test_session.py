"""Requests to an ACME server: every failure ends in one sentence."""

import socket
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import requests
import urllib3
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.asymmetric.types import PrivateKeyTypes
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

import authority as minica
from exoproxy.certs.acme import session as module
from exoproxy.certs.acme.refusal import Refusal
from exoproxy.certs.acme.session import Session, date
from exoproxy.certs.problem import IssuanceProblem
from ports import free_port
from scripted_acme import ADDRESS, Said, ScriptedAcme, scripted_acme

NOW = datetime(2026, 12, 1, 12, 0, tzinfo=UTC)


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> minica.Authority:
    """Who vouches for the server."""
    return minica.Authority(tmp_path_factory.mktemp("authority"))


@pytest.fixture(scope="module")
def server(authority: minica.Authority) -> Iterator[ScriptedAcme]:
    """A server that says what a test tells it to."""
    with scripted_acme(authority.serve(ADDRESS)) as acme:
        yield acme


@pytest.fixture
def expired(authority: minica.Authority) -> Iterator[ScriptedAcme]:
    """A server whose certificate has expired."""
    context = authority.serve(ADDRESS, ends=minica.NOW - minica.DAY)
    with scripted_acme(context) as acme:
        yield acme


@pytest.fixture
def session(server: ScriptedAcme, authority: minica.Authority) -> Session:
    """A session with that server, on the first of December."""
    return Session(server.directory, ca_file=authority.file, now=lambda: NOW)


def problem(session: Session, url: str) -> IssuanceProblem:
    """Return why something can't be had."""
    with pytest.raises(IssuanceProblem) as caught, session.asking("say hello"):
        session.get(url).json()

    assert str(caught.value).endswith(".")
    assert "\n" not in str(caught.value)
    return caught.value


def test_answer_is_returned(session: Session, server: ScriptedAcme) -> None:
    """What is an answer gets through."""
    with session.asking("say hello"):
        content = session.get(server.directory).json()

    assert content == server.offer()


@pytest.mark.parametrize(
    ("said", "part"),
    [
        (Said(content=b"<html>", content_type="text/html; charset=x"), "(status 200, text/html)"),
        (Said(content=b"{", content_type="application/json"), "(status 200, application/json)"),
        (Said(content=b"\xff\xfe"), "its answer is not ACME's"),
        (Said(content=b"[" * 100_000), "its answer is not ACME's"),
        (Said(status=404, content_type=""), "(status 404, no content type): check acme.directory"),
        (Said(status=418, content=b"[]"), "its answer is not ACME's (status 418"),
        (Said(status=403, content=b"[" * 100_000), "its answer is not ACME's (status 403"),
        (Said(status=500, content={}), "it is busy or out of order (status 500"),
        (Said(status=429, content=b""), "it is busy or out of order (status 429"),
        (Said(status=503, content_type="text/\x1b[31mhtml"), "(status 503, text/ [31mhtml)"),
    ],
)
def test_what_is_no_acme_is_told_as_such(
    session: Session, server: ScriptedAcme, said: Said, part: str
) -> None:
    """Gateways' pages, portals and garbage have a status and a form, and are never shown."""
    server.answers["/x"] = said
    found = problem(session, f"{server.origin}/x")

    assert isinstance(found, Refusal)
    assert found.kind == ""
    assert found.status == said.status
    assert part in str(found)


@pytest.mark.parametrize(
    ("status", "content", "kind"),
    [
        (403, {"type": "urn:ietf:params:acme:error:caa"}, "caa"),
        (409, {"type": "urn:ietf:params:acme:error:alreadyReplaced"}, "alreadyReplaced"),
        (400, {"type": "urn:ietf:params:acme:error:neverHeardOf"}, "neverHeardOf"),
        (400, {"type": "urn:ietf:params:acme:error:dns", "identifier": 7}, "dns"),
        (503, {"type": "urn:ietf:params:acme:error:serverInternal"}, "serverInternal"),
    ],
)
def test_refusal_keeps_its_name(
    session: Session, server: ScriptedAcme, status: int, content: dict[str, Any], kind: str
) -> None:
    """The error's name arrives whatever the library makes of the answer: 409, unknown, odd."""
    server.answers["/x"] = Said(status=status, content=content)
    found = problem(session, f"{server.origin}/x")

    assert isinstance(found, Refusal)
    assert (found.kind, found.status) == (kind, status)
    assert str(found).startswith(f"{session.host} refused to say hello, because ")


@pytest.mark.parametrize(
    ("fields", "seconds", "part"),
    [
        ({}, None, ""),
        ({"Retry-After": "90"}, 90.0, "tried again at 2026-12-01 12:01:30 UTC."),
        ({"Retry-After": "0"}, 0.0, "tried again at 2026-12-01 12:00:00 UTC."),
        ({"Retry-After": "9" * 5000}, 604_800.0, "tried again at 2026-12-08 12:00:00 UTC."),
        ({"Retry-After": "-5"}, None, ""),
        ({"Retry-After": "٣"}, None, ""),
        ({"Retry-After": "soon"}, None, ""),
        (
            {"Retry-After": "Tue, 01 Dec 2026 13:00:00 GMT"},
            3600.0,
            "tried again at 2026-12-01 13:00:00 UTC.",
        ),
        (
            # By the server's clock, which is an hour behind.
            {
                "Retry-After": "Tue, 01 Dec 2026 11:30:00 GMT",
                "Date": "Tue, 01 Dec 2026 11:00:00 GMT",
            },
            1800.0,
            "tried again at 2026-12-01 12:30:00 UTC.",
        ),
        ({"Retry-After": "Tue, 01 Dec 2020 13:00:00 GMT"}, 0.0, "2026-12-01 12:00:00 UTC."),
        ({"Retry-After": "Tue, 01 Dec 2996 13:00:00 GMT"}, 604_800.0, "2026-12-08 12:00:00 UTC."),
    ],
)
def test_wait_that_is_asked_for_is_kept(
    session: Session,
    server: ScriptedAcme,
    fields: dict[str, str],
    seconds: float | None,
    part: str,
) -> None:
    """Retry-After in either form, bounded to a week, is told and passed on; garbage is none."""
    content = {"type": "urn:ietf:params:acme:error:rateLimited"}
    encoded = {name: value.encode().decode("latin-1") for name, value in fields.items()}
    server.answers["/x"] = Said(status=429, content=content, fields=encoded)
    found = problem(session, f"{server.origin}/x")

    assert found.retry_after == seconds
    assert part in str(found)
    assert ("it may be tried again" in str(found)) is (seconds is not None)


def test_plain_http_is_never_spoken(session: Session, server: ScriptedAcme) -> None:
    """A redirect to a URL without TLS is not followed."""
    away = {"Location": f"http://127.0.0.1:{free_port()}/"}
    server.answers["/x"] = Said(status=302, fields=away)

    assert "it leads to an address without HTTPS" in str(problem(session, f"{server.origin}/x"))


def test_circle_of_redirects_ends(session: Session, server: ScriptedAcme) -> None:
    """Redirects are not followed for ever."""
    server.answers["/x"] = Said(status=302, fields={"Location": "/x"})

    assert "it leads nowhere" in str(problem(session, f"{server.origin}/x"))


def test_answer_is_bounded(session: Session, server: ScriptedAcme) -> None:
    """More than a mebibyte is not read."""
    server.answers["/x"] = Said(content=b" " * (2**20 + 1))

    assert "its answer has no end" in str(problem(session, f"{server.origin}/x"))


def test_slow_answer_is_bounded(
    session: Session, server: ScriptedAcme, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An answer that comes in drops is given up as soon as its time is over."""
    monkeypatch.setattr(module, "_ANSWER_SECONDS", 0.1)
    server.answers["/x"] = Said(content=b" " * 1000, pause=0.02)
    began = time.monotonic()

    assert "its answer has no end" in str(problem(session, f"{server.origin}/x"))
    assert time.monotonic() - began < 10


def test_server_that_is_not_trusted_is_told(server: ScriptedAcme, tmp_path: Path) -> None:
    """Without trust in its certificate nothing is asked, and the setting is named."""
    other = tmp_path / "other"
    other.mkdir()
    session = Session(server.directory, ca_file=minica.Authority(other).file)

    assert "is not trusted" in str(problem(session, server.directory))
    assert "set acme.ca_file" in str(problem(session, server.directory))


def test_system_s_authorities_are_trusted_by_default(server: ScriptedAcme) -> None:
    """Without a file the system's authorities decide, and they don't know this server."""
    session = Session(server.directory, ca_file=None)

    assert "is not trusted" in str(problem(session, server.directory))


def test_operator_s_own_authorities_are_the_system_s(
    server: ScriptedAcme, authority: minica.Authority, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An authority that was added to the system's is trusted, other than by requests' own list."""
    monkeypatch.setenv("SSL_CERT_FILE", str(authority.file))
    session = Session(server.directory, ca_file=None)
    with session.asking("say hello"):
        answer = session.get(server.directory)

    assert answer.ok


def test_expired_certificate_points_to_the_clock(
    authority: minica.Authority, expired: ScriptedAcme
) -> None:
    """A certificate that is not valid now may be due to this machine's clock."""
    session = Session(expired.directory, ca_file=authority.file)
    found = str(problem(session, expired.directory))

    assert "is not valid (certificate has expired); set the clock." in found


def test_refused_connection_is_told(authority: minica.Authority) -> None:
    """Where nobody listens, the network's own reason is named."""
    url = f"https://127.0.0.1:{free_port()}/directory"
    found = str(problem(Session(url, ca_file=authority.file), url))

    assert "no connection to it (Connection refused); check the network" in found


def test_unknown_name_is_told(authority: minica.Authority, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the name has no address, DNS is named."""

    def unknown(*_: object, **__: object) -> None:
        raise socket.gaierror(-2, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", unknown)
    url = "https://ca.example/directory"
    found = str(problem(Session(url, ca_file=authority.file), url))

    assert found == (
        "ca.example could not be asked to say hello: its name can't be resolved; check this "
        "machine's DNS and acme.directory."
    )


@pytest.mark.parametrize(
    "error",
    [requests.ConnectTimeout(), requests.ReadTimeout(), urllib3.exceptions.ReadTimeoutError],
)
def test_silence_is_told(session: Session, error: Any) -> None:
    """A server that does not answer in time is told as such, wherever the time ran out."""
    if isinstance(error, type):
        error = error(None, "/", "Read timed out.")
    with pytest.raises(IssuanceProblem, match=r"did not answer in time"), session.asking("x"):
        raise error


def test_environment_is_not_asked(
    session: Session, server: ScriptedAcme, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither proxies nor other authorities come from the environment."""
    monkeypatch.setenv("HTTPS_PROXY", f"http://127.0.0.1:{free_port()}")
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", "/nowhere")
    with session.asking("say hello"):
        answer = session.get(server.directory)

    assert answer.ok


@pytest.mark.parametrize(
    ("content", "part"),
    [(None, "No such file or directory"), (b"no PEM", "no certificate"), (b"", "certificate")],
)
def test_file_that_can_not_be_trusted_is_named(
    tmp_path: Path, content: bytes | None, part: str
) -> None:
    """A ca_file that is missing or holds no certificate is told before anything is asked."""
    file = tmp_path / "ca.pem"
    if content is not None:
        file.write_bytes(content)
    with pytest.raises(IssuanceProblem) as caught:
        Session("https://ca.example/directory", ca_file=file)

    assert str(caught.value).startswith(f"acme.ca_file {file} can't be used (")
    assert part in str(caught.value)


def pem(key: PrivateKeyTypes) -> bytes:
    """Return a key as it is stored."""
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())


@pytest.mark.parametrize(
    "key",
    [
        ec.generate_private_key(ec.SECP256R1()),
        ec.generate_private_key(ec.SECP384R1()),
        ec.generate_private_key(ec.SECP521R1()),
        rsa.generate_private_key(public_exponent=65537, key_size=2048),
    ],
    ids=["P-256", "P-384", "P-521", "RSA"],
)
def test_each_kind_of_account_key_signs(
    session: Session, server: ScriptedAcme, key: PrivateKeyTypes
) -> None:
    """Keys that certbot or exoproxy made are used with the algorithm that is theirs."""
    session.sign_with(pem(key), f"{server.origin}/account/1")
    server.answers["/order"] = Said(content={"status": "pending"})
    with session.asking("x"):
        answer = session.post(f"{server.origin}/order", None, new_nonce=f"{server.origin}/nonce")

    assert answer.json() == {"status": "pending"}


@pytest.mark.parametrize(
    "key", [b"", b"no key", pem(ed25519.Ed25519PrivateKey.generate())], ids=["", "text", "other"]
)
def test_key_that_can_not_sign_has_its_sentence(session: Session, key: bytes) -> None:
    """A damaged key, and one that ACME does not know, is told without being shown."""
    with pytest.raises(IssuanceProblem) as caught:
        session.sign_with(key, None)

    assert "move the account's folder out of accounts/ in the store" in str(caught.value)
    assert "PRIVATE" not in str(caught.value)


def test_rejected_nonce_is_tried_again(session: Session, server: ScriptedAcme) -> None:
    """Nine rejections are no reason to give up."""
    rejected = Said(status=400, content={"type": "urn:ietf:params:acme:error:badNonce"})
    server.answers["/order"] = [*(rejected for _ in range(9)), Said(content={})]
    session.sign_with(pem(ec.generate_private_key(ec.SECP256R1())), None)
    with session.asking("x"):
        answer = session.post(f"{server.origin}/order", None, new_nonce=f"{server.origin}/nonce")

    assert answer.ok


def test_other_problems_pass(session: Session) -> None:
    """What has a sentence already keeps it, and what is no failure of an answer is not hidden."""
    with pytest.raises(IssuanceProblem, match=r"^Disk full\.$"), session.asking("x"):
        raise IssuanceProblem("Disk full.")
    with pytest.raises(KeyboardInterrupt), session.asking("x"):
        raise KeyboardInterrupt


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        ("Tue, 01 Dec 2026 12:00:00 GMT", NOW),
        ("Tue, 01 Dec 2026 14:00:00 +0200", NOW),
        ("Tue, 01 Dec 2026 12:00:00 -0000", NOW),
        ("Tue, 99 Dec 2026 12:00:00 GMT", None),
        ("Tue, 01 Dec 99999 12:00:00 GMT", None),
        ("Fri, 31 Dec 9999 23:59:59 -1200", None),
        ("noon", None),
        ("", None),
        (None, None),
    ],
)
def test_dates_are_moments(text: str | None, moment: datetime | None) -> None:
    """A date of HTTP is aware; what is none is None."""
    assert date(text) == moment
