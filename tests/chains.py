"""Keys and chains as an ACME authority issues them, for tests of what keeps them."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID

from exoproxy.certs.certbot.renewal_conf import Renewal

NOW = datetime.now(UTC).replace(microsecond=0)
DAY = timedelta(days=1)
DIRECTORY = "https://acme.example/directory"
RENEWAL = Renewal(
    server=DIRECTORY,
    account="0123456789abcdef0123456789abcdef",
    key_type="ecdsa-p256",
    authenticator="dns-cloudflare",
    options={"dns_cloudflare_credentials": "/etc/exoproxy/cloudflare.token"},
)

Key = ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey

_CA_KEY = ec.generate_private_key(ec.SECP256R1())
_CA_NAME = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "Intermediate of the tests")])


@dataclass(frozen=True, slots=True, kw_only=True)
class Chain:
    """A key and, in PEM, the chain that was issued for it."""

    key: bytes
    fullchain: bytes

    @property
    def certificate(self) -> x509.Certificate:
        return x509.load_pem_x509_certificate(self.fullchain)


def chain_for(
    *names: str,
    key: Key | None = None,
    start: datetime = NOW - DAY,
    end: datetime = NOW + 60 * DAY,
    names_issuer: bool = False,
) -> Chain:
    """Return a new key, or the one given, with a certificate for names and an intermediate one.

    Without `names_issuer` the certificate does not name its issuer's key, and has no ARI id.
    """
    key = key or ec.generate_private_key(ec.SECP256R1())
    alternatives = x509.SubjectAlternativeName([x509.DNSName(name) for name in names])
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, names[0])])
    builder = _builder(subject, key, start, end).add_extension(alternatives, critical=False)
    if names_issuer:
        identifier = x509.AuthorityKeyIdentifier.from_issuer_public_key(_CA_KEY.public_key())
        builder = builder.add_extension(identifier, critical=False)
    leaf = builder.sign(_CA_KEY, SHA256())
    intermediate = _builder(_CA_NAME, _CA_KEY, start, end).sign(_CA_KEY, SHA256())
    return Chain(
        key=pem_of(key),
        fullchain=leaf.public_bytes(Encoding.PEM) + intermediate.public_bytes(Encoding.PEM),
    )


def pem_of(key: Key) -> bytes:
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())


def _builder(
    subject: x509.Name, key: Key, start: datetime, end: datetime
) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(_CA_NAME)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(start)
        .not_valid_after(end)
    )
