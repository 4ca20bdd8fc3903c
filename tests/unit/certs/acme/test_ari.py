"""Renewal windows, and what a certificate is called in them (RFC 9773)."""

from datetime import UTC, datetime, timedelta
from typing import Any, cast

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec

from exoproxy.certs.acme.ari import Suggestion, ask
from exoproxy.certs.acme.authority import Authority
from exoproxy.certs.context import ari_id
from exoproxy.certs.problem import IssuanceProblem

WINDOW = {"start": "2026-12-01T00:00:00Z", "end": "2026-12-03T02:00:00+02:00"}


class FakeAuthority:
    """Suggests what a test says."""

    host = "ca.example"
    renewal_info: str | None = "https://ca.example/renewal-info"

    def __init__(self, document: Any, retry_after: float | None = None) -> None:
        self.document = document
        self.retry_after = retry_after
        self.asked: list[str] = []

    def suggestion(self, identifier: str) -> tuple[Any, float | None]:
        """Return what was chosen, or raise it."""
        self.asked.append(identifier)
        if isinstance(self.document, Exception):
            raise self.document
        return self.document, self.retry_after


def asked(authority: FakeAuthority, certificate: x509.Certificate) -> Suggestion | None:
    """Ask, as an attempt does."""
    return ask(cast(Authority, authority), certificate)


def signed(serial: int, issuer: x509.AuthorityKeyIdentifier | None) -> x509.Certificate:
    """Return a certificate with that number, issued by that key."""
    key = ec.generate_private_key(ec.SECP256R1())
    now = datetime.now(UTC)
    builder = (
        x509.CertificateBuilder()
        .subject_name(x509.Name([]))
        .issuer_name(x509.Name([]))
        .public_key(key.public_key())
        .serial_number(serial)
        .not_valid_before(now)
        .not_valid_after(now + timedelta(days=1))
    )
    if issuer is not None:
        builder = builder.add_extension(issuer, critical=False)
    return builder.sign(key, hashes.SHA256())


def key_id(content: bytes | None) -> x509.AuthorityKeyIdentifier:
    """Return what names an issuer's key."""
    if content is None:
        issuer = [x509.DirectoryName(x509.Name([]))]
        return x509.AuthorityKeyIdentifier(None, issuer, 1)
    return x509.AuthorityKeyIdentifier(content, None, None)


@pytest.fixture
def certificate() -> x509.Certificate:
    """A certificate with the values of RFC 9773 section 4.1."""
    issuer = key_id(bytes.fromhex("69885b6b87464041e1b37b847ba0ae2cde01c8d4"))
    return signed(0x87654321, issuer)


@pytest.mark.parametrize(
    ("serial", "end"),
    [(1, "AQ"), (0x7F, "fw"), (0x80, "AIA"), (0x7FFF, "f_8"), (0x8000, "AIAA")],
)
def test_serial_is_as_der_has_it(serial: int, end: str) -> None:
    """A serial number keeps the zero before a first bit that is set, and has no other."""
    assert ari_id(signed(serial, key_id(b"\x01\x02\x03"))) == f"AQID.{end}"


def test_identifier_is_the_rfc_s(certificate: x509.Certificate) -> None:
    """The RFC's example has the RFC's identifier."""
    assert ari_id(certificate) == "aYhba4dGQEHhs3uEe6CuLN4ByNQ.AIdlQyE"


@pytest.mark.parametrize("issuer", [None, key_id(None), key_id(b"")])
def test_certificate_that_names_no_key_has_no_identifier(
    issuer: x509.AuthorityKeyIdentifier | None,
) -> None:
    """Such a certificate is renewed by its age, and its authority is not asked."""
    certificate = signed(1, issuer)
    authority = FakeAuthority({"suggestedWindow": WINDOW})

    assert ari_id(certificate) == ""
    assert asked(authority, certificate) is None
    assert authority.asked == []


def test_window_is_in_utc(certificate: x509.Certificate) -> None:
    """Times of any zone are the same moments in UTC, and the wait is passed on."""
    authority = FakeAuthority({"suggestedWindow": WINDOW}, retry_after=21600.0)

    assert asked(authority, certificate) == Suggestion(
        start=datetime(2026, 12, 1, tzinfo=UTC),
        end=datetime(2026, 12, 3, tzinfo=UTC),
        retry_after=21600.0,
    )
    assert authority.asked == ["aYhba4dGQEHhs3uEe6CuLN4ByNQ.AIdlQyE"]


def test_explanation_is_logged(
    certificate: x509.Certificate, caplog: pytest.LogCaptureFixture
) -> None:
    """An authority that changes a window for a reason says where to read it (section 4.2)."""
    page = {"explanationURL": "https://ca.example/\x1b[31mincident"}
    authority = FakeAuthority({"suggestedWindow": WINDOW, **page})

    assert asked(authority, certificate) is not None
    assert caplog.messages == [
        "ca.example explains when to renew: https://ca.example/ [31mincident"
    ]


def test_authority_without_renewal_information_is_not_asked(
    certificate: x509.Certificate, caplog: pytest.LogCaptureFixture
) -> None:
    """Where the directory names no renewalInfo there is no window, and nothing to log."""
    authority = FakeAuthority({})
    authority.renewal_info = None

    assert asked(authority, certificate) is None
    assert authority.asked == []
    assert caplog.messages == []


@pytest.mark.parametrize(
    "document",
    [
        None,
        [],
        "soon",
        {},
        {"suggestedWindow": None},
        {"suggestedWindow": []},
        {"suggestedWindow": {"start": WINDOW["start"]}},
        {"suggestedWindow": {"start": WINDOW["end"], "end": WINDOW["start"]}},
        {"suggestedWindow": {"start": WINDOW["start"], "end": WINDOW["start"]}},
        {"suggestedWindow": {"start": "2026-12-01T00:00:00", "end": WINDOW["end"]}},
        {"suggestedWindow": {"start": "yesterday", "end": WINDOW["end"]}},
        {"suggestedWindow": {"start": 7, "end": WINDOW["end"]}},
        {"suggestedWindow": {"start": "0001-01-01T00:00:00+23:59", "end": WINDOW["end"]}},
    ],
)
def test_garbage_is_no_window(
    document: object, certificate: x509.Certificate, caplog: pytest.LogCaptureFixture
) -> None:
    """What is not a window with its end after its start is logged, and counts as none."""
    assert asked(FakeAuthority(document), certificate) is None
    assert len(caplog.messages) == 1
    assert caplog.messages[0].startswith("ca.example suggests no usable time for renewal (")


def test_authority_that_can_not_tell_hinders_nothing(
    certificate: x509.Certificate, caplog: pytest.LogCaptureFixture
) -> None:
    """A failure is logged, and the certificate is renewed by its age."""
    assert asked(FakeAuthority(IssuanceProblem("No network.")), certificate) is None
    assert caplog.messages == ["The time for renewal could not be asked for: No network."]
