"""What our own listeners serve, held against what is stored."""

import errno
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from authority import Authority
from exoproxy.certs.probe import LOCAL_HEADER
from exoproxy.live.finding import Finding
from exoproxy.live.served import findings
from exoproxy.settings.model import Settings
from pretended_network import Pretended, holder

NAME = "my.example.org"
OURS = [holder("exoproxy", ours=True)]


@pytest.fixture(name="file")
def certificate_file(tmp_path: Path) -> Path:
    return Authority(tmp_path).issue(NAME)


def told(file: Path, network: Pretended, **keys: Any) -> list[Finding]:
    main = {
        "hostname": NAME,
        "proxy": None,
        "certificate": {"cert_file": str(file), "key_file": str(file)},
    }
    return list(findings(Settings.model_validate({"main": main, **keys}), network))


def test_the_stored_one_is_served(file: Path) -> None:
    """Who listens everywhere is asked on loopback."""
    der = x509.load_pem_x509_certificate(file.read_bytes()).public_bytes(Encoding.DER)
    network = Pretended(held=OURS, fingerprint=sha256(der).hexdigest())
    [finding] = told(file, network)

    assert (finding.subject, finding.kind) == (NAME, "ok")
    assert network.asked == [("127.0.0.1:443", b"", NAME)]


@pytest.mark.parametrize(
    ("served", "expected"),
    [
        ("another", "is served with another certificate than the one that is stored: `systemctl "),
        (OSError(errno.ECONNRESET, "Reset"), "completes no TLS handshake at 0.0.0.0:443 (Reset), "),
    ],
)
def test_tells_that_it_is_not(file: Path, served: str | OSError, expected: str) -> None:
    """With the unit that is to be looked at."""
    [finding] = told(file, Pretended(held=OURS, fingerprint=served))

    assert finding.kind == "failed"
    assert finding.sentence.startswith(expected)
    assert "exoproxy-main.service" in finding.sentence


def test_nothing_stored_is_a_note(tmp_path: Path) -> None:
    """A service answers at once with a temporary certificate."""
    [finding] = told(tmp_path / "none.pem", Pretended(held=OURS, fingerprint="temporary"))

    assert finding.kind == "note"


def test_others_are_not_asked(file: Path) -> None:
    """What listens there may be anything."""
    network = Pretended(held=[holder("nginx")])

    assert told(file, network) == []
    assert network.asked == []


@pytest.mark.parametrize(("trusted", "asked"), [("127.0.0.0/8", 1), ("10.0.0.0/8", 0)])
def test_speaks_the_proxy_protocol(file: Path, trusted: str, asked: int) -> None:
    """Where that is on, and who asks is believed; else it is said that nobody was asked."""
    network = Pretended(held=OURS, fingerprint="x")
    [finding] = told(file, network, proxy_protocol=True, trusted_proxies=[trusted])

    assert network.asked == [("127.0.0.1:443", LOCAL_HEADER, NAME)] * asked
    assert finding.kind == ("failed" if asked else "note")


def test_another_mode_may_be_the_one_that_runs(file: Path) -> None:
    """The file is for several hosts, whose modes listen alike."""
    der = x509.load_pem_x509_certificate(file.read_bytes()).public_bytes(Encoding.DER)
    region = {"hostname": "p.example.net", "subnets": ["192.168.0.0/24"]}
    uap = {"allowed_origins": [], "regions": {"X": region}}
    network = Pretended(held=OURS, fingerprint=sha256(der).hexdigest())

    assert [each.subject for each in told(file, network, uap=uap)] == [NAME]
