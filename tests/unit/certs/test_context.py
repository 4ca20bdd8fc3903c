"""TLS contexts: what is negotiated, and what is said of files that can't be used."""

import os
import ssl
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    KeySerializationEncryption,
    NoEncryption,
    PrivateFormat,
)

from exoproxy.certs.context import (
    CertificateProblem,
    covers,
    key_warnings,
    read_certificate,
    server_context,
    warnings_of,
)

NOW = datetime(2026, 11, 22, 12, tzinfo=UTC)
Key = ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey


def certificate_of(
    key: Key, *names: str, start: datetime = NOW, end: datetime = NOW + timedelta(days=9)
) -> x509.Certificate:
    """Return a self-signed certificate; without names it has no SAN."""
    name = x509.Name([])
    builder = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(start)
        .not_valid_after(end)
    )
    if names:
        listed: list[x509.GeneralName] = [
            x509.IPAddress(ip_address(name))
            if name[0].isdigit() or ":" in name
            else x509.DNSName(name)
            for name in names
        ]
        builder = builder.add_extension(x509.SubjectAlternativeName(listed), critical=True)
    return builder.sign(key, SHA256())


def key_pem(key: Key, encryption: KeySerializationEncryption | None = None) -> bytes:
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, encryption or NoEncryption())


@pytest.fixture(scope="module")
def key() -> ec.EllipticCurvePrivateKey:
    return ec.generate_private_key(ec.SECP256R1())


@pytest.fixture
def cert_file(tmp_path: Path, key: ec.EllipticCurvePrivateKey) -> Path:
    path = tmp_path / "cert.pem"
    path.write_bytes(certificate_of(key, "a.example.org").public_bytes(Encoding.PEM))
    return path


@pytest.fixture
def key_file(tmp_path: Path, key: ec.EllipticCurvePrivateKey) -> Path:
    path = tmp_path / "key.pem"
    path.write_bytes(key_pem(key))
    return path


@pytest.fixture
def client() -> ssl.SSLContext:
    """Return a client's context that offers whatever OpenSSL has, and verifies nothing."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    context.set_ciphers("ALL:@SECLEVEL=0")
    return context


def handshake(server: ssl.SSLContext, client: ssl.SSLContext) -> ssl.SSLObject:
    """Let both sides shake hands in memory; return the client's. Raises `ssl.SSLError`."""
    to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
    ends = [
        client.wrap_bio(to_client, to_server),
        server.wrap_bio(to_server, to_client, server_side=True),
    ]
    for _ in range(4):
        for end in ends:
            try:
                end.do_handshake()
            except ssl.SSLWantReadError:
                continue
    return ends[0]


class TestNegotiation:
    """Modern TLS and HTTP/1.1, nothing else."""

    @pytest.fixture
    def server(self, cert_file: Path, key_file: Path) -> ssl.SSLContext:
        return server_context(cert_file, key_file)

    @pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
    def test_version(
        self, server: ssl.SSLContext, client: ssl.SSLContext, version: ssl.TLSVersion
    ) -> None:
        """TLS 1.2 and 1.3 are spoken, without compression."""
        client.minimum_version = client.maximum_version = version
        end = handshake(server, client)

        assert end.version() == version.name.replace("_", ".")
        assert end.compression() is None

    @pytest.mark.filterwarnings("ignore:ssl.TLSVersion:DeprecationWarning")
    @pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1, ssl.TLSVersion.TLSv1_1])
    def test_old_version(
        self, server: ssl.SSLContext, client: ssl.SSLContext, version: ssl.TLSVersion
    ) -> None:
        """TLS 1.0 and 1.1 are refused."""
        client.minimum_version = client.maximum_version = version
        with pytest.raises(ssl.SSLError, match=r"VERSION|PROTOCOL"):
            handshake(server, client)

    @pytest.mark.parametrize(
        "suite",
        [
            "ECDHE-ECDSA-AES128-GCM-SHA256",
            "ECDHE-ECDSA-AES256-GCM-SHA384",
            "ECDHE-ECDSA-CHACHA20-POLY1305",
        ],
    )
    def test_suite(self, server: ssl.SSLContext, client: ssl.SSLContext, suite: str) -> None:
        """Each suite of ephemeral keys and authenticated encryption is spoken in TLS 1.2."""
        client.maximum_version = ssl.TLSVersion.TLSv1_2
        client.set_ciphers(suite)
        cipher = handshake(server, client).cipher()

        assert cipher is not None
        assert cipher[0] == suite

    @pytest.mark.parametrize(
        "suites",
        [
            "ECDHE-ECDSA-AES128-SHA256:ECDHE-ECDSA-AES128-SHA",
            "ECDHE-ECDSA-AES128-CCM",
            "aNULL:@SECLEVEL=0",
            "PSK",
        ],
    )
    def test_weak_suites(self, server: ssl.SSLContext, client: ssl.SSLContext, suites: str) -> None:
        """CBC, CCM, anonymous and pre-shared key suites are refused in TLS 1.2."""
        client.maximum_version = ssl.TLSVersion.TLSv1_2
        client.set_ciphers(suites)
        with pytest.raises(ssl.SSLError):
            handshake(server, client)

    def test_no_suite_without_forward_secrecy(self, server: ssl.SSLContext) -> None:
        """Every suite of TLS 1.2 has an ephemeral key, an authenticated cipher and no PSK."""
        suites = [suite for suite in server.get_ciphers() if suite["protocol"] == "TLSv1.2"]

        assert suites != []
        assert all(suite["aead"] and suite["kea"] == "kx-ecdhe" for suite in suites)

    @pytest.mark.parametrize(
        ("offered", "expected"),
        [
            (["http/1.1"], "http/1.1"),
            (["h2", "http/1.1"], "http/1.1"),
            (["h2"], None),
            (["junk"], None),
            ([], None),
        ],
    )
    def test_alpn(
        self,
        server: ssl.SSLContext,
        client: ssl.SSLContext,
        offered: list[str],
        expected: str | None,
    ) -> None:
        """HTTP/1.1 is chosen where it is offered, and HTTP/2 never."""
        if offered:
            client.set_alpn_protocols(offered)

        assert handshake(server, client).selected_alpn_protocol() == expected

    def test_options(self, server: ssl.SSLContext) -> None:
        """Renegotiation and compression are off, session tickets are on."""
        assert server.options & ssl.OP_NO_RENEGOTIATION
        assert server.options & ssl.OP_NO_COMPRESSION
        assert not server.options & ssl.OP_NO_TICKET

    def test_one_file_for_both(self, cert_file: Path, key_file: Path) -> None:
        """Key and certificate may be in one file, in either order."""
        key, certificate = key_file.read_bytes(), cert_file.read_bytes()
        for content in (key + certificate, certificate + key):
            key_file.write_bytes(content)
            server_context(key_file, key_file)


class TestProblems:
    """Each way in which the files can be wrong has its sentence."""

    def problem(self, cert_file: Path, key_file: Path) -> str:
        with pytest.raises(CertificateProblem) as problem:
            server_context(cert_file, key_file)
        return str(problem.value)

    def test_missing(self, cert_file: Path, key_file: Path, tmp_path: Path) -> None:
        """A missing file is named, and as what it was sought."""
        nowhere = tmp_path / "nowhere.pem"

        assert self.problem(nowhere, key_file) == (
            f"The certificate file {nowhere} does not exist: check its name in the configuration."
        )
        assert self.problem(cert_file, nowhere) == (
            f"The key file {nowhere} does not exist: check its name in the configuration."
        )

    @pytest.mark.parametrize(
        ("uid", "user"), [(0, "user root"), (4242, "the user with the id 4242")]
    )
    def test_unreadable(
        self,
        cert_file: Path,
        key_file: Path,
        monkeypatch: pytest.MonkeyPatch,
        uid: int,
        user: str,
    ) -> None:
        """A lack of permission names the user that lacks it."""
        reading: Callable[[Path], bytes] = Path.read_bytes

        def read_bytes(path: Path) -> bytes:
            if path == key_file:
                raise PermissionError(13, "Permission denied")
            return reading(path)

        monkeypatch.setattr(Path, "read_bytes", read_bytes)
        monkeypatch.setattr(os, "geteuid", lambda: uid)

        assert self.problem(cert_file, key_file) == (
            f"The key file {key_file} may not be read by {user}: grant it the permission to read "
            "the file and to enter its folders."
        )

    def test_folder(self, cert_file: Path, tmp_path: Path) -> None:
        """A folder in a file's place is told as such."""
        assert self.problem(cert_file, tmp_path) == (
            f"The key file {tmp_path} can't be read (Is a directory): name a PEM file."
        )

    @pytest.mark.parametrize(
        "content",
        [
            b"",
            b"junk \x00\xff",
            b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n",
            b"-----BEGIN CERTIFICATE-----\n",
            b"-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n",
        ],
    )
    def test_damaged(self, cert_file: Path, key_file: Path, content: bytes) -> None:
        """What is no PEM, or cut off, is told with the block that is needed."""
        damaged = cert_file.with_name("damaged.pem")
        damaged.write_bytes(content)

        assert self.problem(damaged, key_file) == (
            f"The file {damaged} holds no certificate in PEM form: it needs a block that starts "
            "with -----BEGIN CERTIFICATE-----, such as certbot's fullchain.pem has."
        )
        assert self.problem(cert_file, damaged) == (
            f"The file {damaged} holds no private key in PEM form: it needs a block that starts "
            "with -----BEGIN PRIVATE KEY-----, such as certbot's privkey.pem has."
        )

    def test_swapped(self, cert_file: Path, key_file: Path) -> None:
        """Certificate and key in each other's place are noticed."""
        assert "holds no certificate" in self.problem(key_file, cert_file)

    def test_encrypted(
        self, cert_file: Path, key_file: Path, key: ec.EllipticCurvePrivateKey
    ) -> None:
        """An encrypted key is refused, without a prompt, with the command that decrypts it."""
        key_file.write_bytes(key_pem(key, BestAvailableEncryption(b"secret")))

        assert self.problem(cert_file, key_file) == (
            f"The key in {key_file} is encrypted with a passphrase, which nobody is there to type: "
            f"decrypt it with `openssl pkey -in {key_file} -out NEW_FILE` and configure that file."
        )

    def test_other_key(self, cert_file: Path, key_file: Path) -> None:
        """A key of another certificate is refused, of the same kind or not."""
        expected = (
            f"The key in {key_file} does not belong to the first certificate in {cert_file}: use "
            "the key that the certificate was issued for, and put that certificate first."
        )
        key_file.write_bytes(key_pem(ec.generate_private_key(ec.SECP256R1())))

        assert self.problem(cert_file, key_file) == expected

    def test_key_too_small(self, cert_file: Path, key_file: Path) -> None:
        """What OpenSSL refuses comes with its reason and with what it takes."""
        small = rsa.generate_private_key(65537, 1024)  # noqa: S505 - what is refused
        key_file.write_bytes(key_pem(small))
        cert_file.write_bytes(certificate_of(small).public_bytes(Encoding.PEM))
        sentence = self.problem(cert_file, key_file)

        assert sentence.startswith(f"OpenSSL refuses {cert_file} with {key_file} (")
        assert sentence.endswith("an ECDSA P-256 key or an RSA key of 2048 bits or more.")

    def test_expired_is_no_error(
        self, cert_file: Path, key_file: Path, key: ec.EllipticCurvePrivateKey
    ) -> None:
        """An expired certificate is served: a warning in a browser beats silence."""
        old = certificate_of(key, start=NOW - timedelta(days=9), end=NOW - timedelta(days=1))
        cert_file.write_bytes(old.public_bytes(Encoding.PEM))

        assert isinstance(server_context(cert_file, key_file), ssl.SSLContext)


class TestWarnings:
    """What clients will object to."""

    def test_none(self, cert_file: Path) -> None:
        """A valid certificate for the names gives no warning."""
        assert warnings_of(read_certificate(cert_file), ["a.example.org"], NOW) == []

    def test_not_yet_valid(self, cert_file: Path) -> None:
        """A certificate of the future points at the clock."""
        certificate = read_certificate(cert_file)

        assert warnings_of(certificate, [], NOW - timedelta(seconds=1)) == [
            "The certificate is valid from 2026-11-22 12:00 UTC on only: check this machine's "
            "clock."
        ]

    def test_expired(self, cert_file: Path) -> None:
        """An expired certificate says since when."""
        certificate = read_certificate(cert_file)

        assert warnings_of(certificate, [], NOW + timedelta(days=9, seconds=1)) == [
            "The certificate expired on 2026-12-01 12:00 UTC, and browsers refuse it: renew it."
        ]

    def test_names(self, cert_file: Path) -> None:
        """All names that are not covered are in one sentence."""
        certificate = read_certificate(cert_file)

        assert warnings_of(certificate, ["b.org", "a.example.org", "*.b.org"], NOW) == [
            "The certificate does not cover b.org, *.b.org, and browsers refuse it there: get one "
            "that names them."
        ]

    @pytest.mark.parametrize(
        ("mode", "expected"),
        [
            (0o600, 0),
            (0o640, 0),
            (0o660, 0),
            (0o644, 1),
            (0o602, 1),
        ],
    )
    def test_key_mode(self, key_file: Path, mode: int, expected: int) -> None:
        """A key is for its owner and group alone."""
        key_file.chmod(mode)
        warnings = key_warnings(key_file)

        assert len(warnings) == expected
        assert all(f"(mode {mode:o}): run `chmod o= {key_file}`" in text for text in warnings)


@pytest.mark.parametrize(
    ("listed", "name", "expected"),
    [
        (["a.org"], "a.org", True),
        (["a.org"], "A.org", True),
        (["A.org"], "a.org", True),
        (["a.org"], "b.a.org", False),
        (["a.org"], "org", False),
        (["*.a.org"], "b.a.org", True),
        (["*.a.org"], "*.a.org", True),
        (["*.a.org"], "a.org", False),
        (["*.a.org"], "c.b.a.org", False),
        (["*.a.org"], "*.b.a.org", False),
        (["b.a.org"], "*.a.org", False),
        (["localhost"], "localhost", True),
        (["127.0.0.1"], "127.0.0.1", True),
        (["127.0.0.1"], "127.0.0.2", False),
        (["::1"], "0:0::1", True),
        (["*.0.0.1"], "127.0.0.1", False),
        ([], "a.org", False),
    ],
)
def test_covers(
    key: ec.EllipticCurvePrivateKey, listed: list[str], name: str, expected: bool
) -> None:
    """A wildcard covers one label, an address only itself, and no name covers an address."""
    assert covers(certificate_of(key, *listed), name) is expected
