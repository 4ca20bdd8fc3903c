"""`certificate: local`: an own CA and a certificate by it, for a laptop or an intranet.

A person imports the CA into a browser once. So that this import is safe, the CA can vouch for the
configured names alone (name constraints, RFC 5280 section 4.2.1.10) and for servers alone; who
steals its key gains nothing elsewhere. The price: other names need another CA and another import.

In the folder are
    ca.pem       the CA's certificate, to import; a copy of what is in ca-key.pem
    ca-key.pem   the CA's key and certificate
    leaf.pem     the server's key and certificate
A key and its certificate share a file, because two files can't be replaced in one step.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from ipaddress import IPv4Network, IPv6Network, ip_address, ip_network
from pathlib import Path
from typing import Final

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from exoproxy.certs.context import (
    CertificateProblem,
    covers,
    is_key_of,
    read_certificate,
    read_key,
)
from exoproxy.certs.files import locked, replace_file

CA_LIFE: Final = timedelta(days=3650)
# As short as a public CA's: browsers refuse more than 398 days, and a start renews it anyway.
LEAF_LIFE: Final = timedelta(days=90)
# The clock of a laptop that was asleep, or of a client, may be behind.
_BACKDATED: Final = timedelta(days=1)

_EVERY_ADDRESS: Final = (IPv4Network("0.0.0.0/0"), IPv6Network("::/0"))


@dataclass(frozen=True, slots=True, kw_only=True)
class LocalCertificate:
    """Where the certificate, its key (the same file) and the CA's certificate are.

    `new_ca` tells that the CA was made just now: browsers don't trust it before it is imported.
    """

    cert_file: Path
    key_file: Path
    ca_file: Path
    new_ca: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class _Pair:
    key: ec.EllipticCurvePrivateKey
    certificate: x509.Certificate

    def pem(self) -> bytes:
        form = (Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        return self.key.private_bytes(*form) + self.certificate.public_bytes(Encoding.PEM)


def local_certificate(folder: Path, names: Sequence[str], now: datetime) -> LocalCertificate:
    """Return a certificate for `names` by this folder's own CA; make what is missing or old.

    `names` are DNS names in ASCII, wildcards among them, and IP addresses; `now` is aware. A leaf
    is used again while it covers the names and has a third of its life left. Processes may call
    this at the same time. Raises `CertificateProblem`.
    """
    subjects = [_general_name(name) for name in names]
    ca_file, leaf_file = folder / "ca.pem", folder / "leaf.pem"
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        folder.chmod(0o700)
        with locked(folder):
            ca = _stored(folder / "ca-key.pem", "another CA, to be imported into browsers again")
            new_ca = False
            if ca is None or not _serves(ca.certificate, subjects, now):
                ca, new_ca = _new_ca(subjects, now), True
                replace_file(folder / "ca-key.pem", ca.pem(), mode=0o600)
            public = ca.certificate.public_bytes(Encoding.PEM)
            if not ca_file.exists() or ca_file.read_bytes() != public:
                replace_file(ca_file, public, mode=0o644)
            leaf = _stored(leaf_file, "another certificate by the same CA")
            if leaf is None or not _is_good(leaf.certificate, ca.certificate, names, now):
                replace_file(leaf_file, _new_leaf(ca, subjects, now).pem(), mode=0o600)
    except OSError as error:
        raise CertificateProblem(
            f"The local certificate can't be kept in {folder} ({error.strerror}): give exoproxy's "
            "user a folder there that it can write, or set state_dir to another one."
        ) from error
    return LocalCertificate(cert_file=leaf_file, key_file=leaf_file, ca_file=ca_file, new_ca=new_ca)


def _stored(path: Path, successor: str) -> _Pair | None:
    """Return what an earlier start kept, None if there is nothing yet.

    Raises `CertificateProblem`, with the `successor` that the next start would make.
    """
    if not path.exists():
        return None
    try:
        key, certificate = read_key(path), read_certificate(path)
        if isinstance(key, ec.EllipticCurvePrivateKey) and is_key_of(key, certificate):
            return _Pair(key=key, certificate=certificate)
        reason = "Its key is no ECDSA key, or does not belong to its certificate."
    except CertificateProblem as error:
        reason = str(error)
    raise CertificateProblem(
        f"The file {path} is damaged: delete it, and the next start makes {successor}. {reason}"
    )


def _serves(ca: x509.Certificate, subjects: Sequence[x509.GeneralName], now: datetime) -> bool:
    """Tell whether a CA may vouch for all names for as long as a leaf lives."""
    if not ca.not_valid_before_utc <= now <= ca.not_valid_after_utc - LEAF_LIFE:
        return False
    try:
        constraints = ca.extensions.get_extension_for_class(x509.NameConstraints).value
    except x509.ExtensionNotFound:
        # Put here by an operator: a CA without constraints may vouch for any name.
        return True
    permitted = constraints.permitted_subtrees or []
    return all(any(_within(subject, subtree) for subtree in permitted) for subject in subjects)


def _within(subject: x509.GeneralName, subtree: x509.GeneralName) -> bool:
    if isinstance(subject, x509.IPAddress) and isinstance(subtree, x509.IPAddress):
        return ip_network(subject.value) == subtree.value
    if isinstance(subject, x509.DNSName) and isinstance(subtree, x509.DNSName):
        return f".{subject.value}".endswith(f".{subtree.value}")
    return False


def _is_good(
    leaf: x509.Certificate, ca: x509.Certificate, names: Sequence[str], now: datetime
) -> bool:
    """Tell whether a leaf can be used again."""
    try:
        leaf.verify_directly_issued_by(ca)
    except (ValueError, TypeError, InvalidSignature):
        return False
    third = (leaf.not_valid_after_utc - leaf.not_valid_before_utc) / 3
    return leaf.not_valid_before_utc <= now <= leaf.not_valid_after_utc - third and all(
        covers(leaf, name) for name in names
    )


def _new_ca(subjects: Sequence[x509.GeneralName], now: datetime) -> _Pair:
    key = ec.generate_private_key(ec.SECP256R1())
    serial = x509.random_serial_number()
    # The date and number tell apart two of these in a browser's list.
    name = _name(f"exoproxy local CA {now:%Y-%m-%d} {serial & 0xFFFFFF:06x}")
    builder = (
        _builder(name, name, key, serial, now, CA_LIFE)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_usage(signs_certificates=True), critical=True)
        .add_extension(_constraints(subjects), critical=True)
    )
    return _Pair(key=key, certificate=builder.sign(key, SHA256()))


def _new_leaf(ca: _Pair, subjects: Sequence[x509.GeneralName], now: datetime) -> _Pair:
    key = ec.generate_private_key(ec.SECP256R1())
    serial = x509.random_serial_number()
    authority = x509.AuthorityKeyIdentifier.from_issuer_public_key(ca.key.public_key())
    issuer = ca.certificate.subject
    builder = (
        _builder(_name("exoproxy local certificate"), issuer, key, serial, now, LEAF_LIFE)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_usage(signs_certificates=False), critical=True)
        .add_extension(x509.SubjectAlternativeName(subjects), critical=False)
        .add_extension(authority, critical=False)
    )
    return _Pair(key=key, certificate=builder.sign(ca.key, SHA256()))


def _builder(
    subject: x509.Name,
    issuer: x509.Name,
    key: ec.EllipticCurvePrivateKey,
    serial: int,
    now: datetime,
    life: timedelta,
) -> x509.CertificateBuilder:
    """Return what a CA and a leaf have in common."""
    public = key.public_key()
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(public)
        .serial_number(serial)
        .not_valid_before(now - _BACKDATED)
        .not_valid_after(now - _BACKDATED + life)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(public), critical=False)
    )


def _constraints(subjects: Sequence[x509.GeneralName]) -> x509.NameConstraints:
    """Return constraints to these names; a wildcard stands for the names below its parent.

    A kind of name that is not mentioned is not constrained at all, so both kinds are: without
    addresses every address is excluded, without names only `invalid` (RFC 2606) is permitted.
    """
    hosts = {
        subject.value.removeprefix("*.")
        for subject in subjects
        if isinstance(subject, x509.DNSName)
    }
    networks: list[x509.GeneralName] = [
        x509.IPAddress(ip_network(subject.value))
        for subject in subjects
        if isinstance(subject, x509.IPAddress)
    ]
    permitted: list[x509.GeneralName] = [
        x509.DNSName(host) for host in sorted(hosts or {"invalid"})
    ]
    everywhere = [x509.IPAddress(network) for network in _EVERY_ADDRESS]
    return x509.NameConstraints(
        permitted_subtrees=permitted + networks,
        excluded_subtrees=None if networks else everywhere,
    )


def _general_name(name: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ip_address(name))
    except ValueError:
        pass
    try:
        return x509.DNSName(name.lower())
    except ValueError as error:
        raise CertificateProblem(
            f"The local certificate can't name {name!r}: write the name in ASCII, a foreign one as "
            "xn--…"
        ) from error


def _name(common_name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name)])


def _usage(*, signs_certificates: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not signs_certificates,
        key_cert_sign=signs_certificates,
        crl_sign=signs_certificates,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )
