"""A certificate's key, its request, and what was issued."""

import ssl
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding, load_pem_private_key

from authority import Authority
from exoproxy.certs.acme.leaf import checked, new_key, signing_request
from exoproxy.certs.acme.order import KeyType

NAMES = ("a.example.org", "*.a.example.org")


@pytest.mark.parametrize(
    ("key_type", "kind", "size"),
    [
        ("ecdsa-p256", ec.EllipticCurvePrivateKey, 256),
        ("ecdsa-p384", ec.EllipticCurvePrivateKey, 384),
        ("rsa-2048", rsa.RSAPrivateKey, 2048),
        ("rsa-4096", rsa.RSAPrivateKey, 4096),
    ],
)
def test_key_is_of_its_kind(key_type: KeyType, kind: type, size: int) -> None:
    """Each configurable kind of key is what it says."""
    key = load_pem_private_key(new_key(key_type), password=None)

    assert isinstance(key, kind)
    assert getattr(key, "key_size", None) == size


def test_request_has_all_names_and_no_subject() -> None:
    """Names are alternative names alone; a common name would be bounded to 64 characters."""
    request = signing_request(new_key("ecdsa-p256"), NAMES)
    alternatives = request.extensions.get_extension_for_class(x509.SubjectAlternativeName)

    assert tuple(alternatives.value.get_values_for_type(x509.DNSName)) == NAMES
    assert list(request.subject) == []
    assert request.is_signature_valid


@pytest.mark.parametrize("key", [b"", b"damaged"])
def test_request_needs_a_key(key: bytes) -> None:
    """A damaged key is no key."""
    with pytest.raises(ValueError, match=r"."):
        signing_request(key, NAMES)


@pytest.fixture
def pair(tmp_path: Path) -> tuple[bytes, bytes]:
    """A certificate for both names, and its key."""
    content = Authority(tmp_path).issue(*NAMES).read_bytes()
    certificate, mark, key = content.partition(b"-----BEGIN PRIVATE KEY-----")
    return certificate, mark + key


def test_chain_is_taken_without_what_stands_around_it(pair: tuple[bytes, bytes]) -> None:
    """Only certificates are stored, whatever an authority writes between them."""
    certificate, key = pair
    issued = checked(b"Hello\n" + certificate + b"and\n" + certificate, key, NAMES)

    assert issued.fullchain == certificate * 2
    assert issued.key == key
    assert "PRIVATE" not in repr(issued)


def test_chain_for_another_key_is_not_taken(pair: tuple[bytes, bytes]) -> None:
    """What nobody could serve is not stored."""
    with pytest.raises(ValueError, match="belongs to another key"):
        checked(pair[0], new_key("ecdsa-p256"), NAMES)


def test_chain_for_a_key_of_an_unknown_kind_is_not_taken(pair: tuple[bytes, bytes]) -> None:
    """It can't be one for ours."""
    certificate = x509.load_pem_x509_certificate(pair[0]).public_bytes(Encoding.DER)
    # The OID of the curve P-256 (RFC 5480 section 2.1.1.1), and one that is nobody's.
    p256, nobody = bytes.fromhex("2a8648ce3d030107"), bytes.fromhex("2a8648ce3d03017f")
    other = ssl.DER_cert_to_PEM_cert(certificate.replace(p256, nobody)).encode()
    with pytest.raises(ValueError, match="belongs to another key"):
        checked(other, pair[1], NAMES)


def test_chain_for_other_names_is_not_taken(pair: tuple[bytes, bytes]) -> None:
    """Every name must be covered, and those that are not are told."""
    with pytest.raises(ValueError, match=r"does not cover b\.example\.org$"):
        checked(*pair, ("a.example.org", "b.example.org"))


@pytest.mark.parametrize("chain", [b"", b"<html>", b"-----BEGIN CERTIFICATE-----\nAAAA"])
def test_what_is_no_chain_is_not_taken(pair: tuple[bytes, bytes], chain: bytes) -> None:
    """An empty answer and a page of HTML are no certificates."""
    with pytest.raises(ValueError, match="holds no certificate"):
        checked(chain, pair[1], NAMES)
