"""From a certificate and its key on disk to the TLS context that new connections get.

Every way in which the two files can be wrong has its sentence, because OpenSSL's own ("PEM lib")
tell nobody what to do. Called by what serves, at start, on reload and after a renewal; what keeps
and renews the files is elsewhere in `certs`.

A context's session ticket keys live as long as the context: who serves makes a new one at least
once a day (RFC 9325 section 3.4), which is also when a certificate that grew old is noticed.
"""

import os
import pwd
import ssl
import stat
from base64 import urlsafe_b64encode
from collections.abc import Sequence
from datetime import datetime
from ipaddress import ip_address
from pathlib import Path
from typing import Final

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.types import PrivateKeyTypes
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    PublicFormat,
    load_pem_private_key,
)

# RFC 9325 section 4.2: for TLS 1.2 ephemeral keys and authenticated encryption only. TLS 1.3 has
# nothing else.
_TLS_1_2_SUITES: Final = "ECDHE+AESGCM:ECDHE+CHACHA20:!PSK"


class CertificateProblem(Exception):
    """A certificate or key can't be used; the message is a sentence that says what to do."""


def server_context(cert_file: Path, key_file: Path) -> ssl.SSLContext:
    """Return a context for connections from clients, for HTTP/1.1.

    `cert_file` holds the certificate and the intermediate ones after it, `key_file` its key; both
    are PEM and may be one file. Raises `CertificateProblem`.
    """
    certificate = read_certificate(cert_file)
    key = read_key(key_file)
    if not is_key_of(key, certificate):
        raise CertificateProblem(
            f"The key in {key_file} does not belong to the first certificate in {cert_file}: use "
            "the key that the certificate was issued for, and put that certificate first."
        )
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_ciphers(_TLS_1_2_SUITES)
    context.options |= ssl.OP_NO_COMPRESSION | ssl.OP_NO_RENEGOTIATION
    # A client that offers other protocols alone is served without ALPN, as HTTP/1.1.
    context.set_alpn_protocols(["http/1.1"])
    try:
        # The password keeps OpenSSL from asking for one at the terminal.
        context.load_cert_chain(cert_file, key_file, password="")
    except (ssl.SSLError, OSError) as error:
        raise CertificateProblem(
            f"OpenSSL refuses {cert_file} with {key_file} ({error}): ask for a certificate with "
            "an ECDSA P-256 key or an RSA key of 2048 bits or more."
        ) from error
    return context


def read_certificate(cert_file: Path) -> x509.Certificate:
    """Return the first certificate of a PEM file. Raises `CertificateProblem`."""
    content = _read(cert_file, "certificate")
    try:
        return x509.load_pem_x509_certificates(content)[0]
    except ValueError as error:
        raise CertificateProblem(
            f"The file {cert_file} holds no certificate in PEM form: it needs a block that starts "
            "with -----BEGIN CERTIFICATE-----, such as certbot's fullchain.pem has."
        ) from error


def read_key(key_file: Path) -> PrivateKeyTypes:
    """Return the private key of a PEM file. Raises `CertificateProblem`."""
    content = _read(key_file, "key")
    try:
        return load_pem_private_key(content, password=None)
    except TypeError as error:
        raise CertificateProblem(
            f"The key in {key_file} is encrypted with a passphrase, which nobody is there to type: "
            f"decrypt it with `openssl pkey -in {key_file} -out NEW_FILE` and configure that file."
        ) from error
    except (ValueError, UnsupportedAlgorithm) as error:
        raise CertificateProblem(
            f"The file {key_file} holds no private key in PEM form: it needs a block that starts "
            "with -----BEGIN PRIVATE KEY-----, such as certbot's privkey.pem has."
        ) from error


def is_key_of(key: PrivateKeyTypes, certificate: x509.Certificate) -> bool:
    """Tell whether a private key belongs to a certificate."""
    form = (Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    return key.public_key().public_bytes(*form) == certificate.public_key().public_bytes(*form)


def warnings_of(certificate: x509.Certificate, names: Sequence[str], now: datetime) -> list[str]:
    """Return sentences on what clients will object to; none if they will not.

    `names` are the host names and addresses that the certificate is to serve, and `now` is aware.
    """
    found = []
    if now < certificate.not_valid_before_utc:
        found.append(
            f"The certificate is valid from {certificate.not_valid_before_utc:%Y-%m-%d %H:%M} UTC "
            "on only: check this machine's clock."
        )
    if now > certificate.not_valid_after_utc:
        found.append(
            f"The certificate expired on {certificate.not_valid_after_utc:%Y-%m-%d %H:%M} UTC, and "
            "browsers refuse it: renew it."
        )
    if missing := [name for name in names if not covers(certificate, name)]:
        found.append(
            f"The certificate does not cover {', '.join(missing)}, and browsers refuse it there: "
            "get one that names them."
        )
    return found


def key_warnings(key_file: Path) -> list[str]:
    """Return a sentence if others than the key's owner and group may read or write it."""
    mode = stat.S_IMODE(key_file.stat().st_mode)
    if not mode & (stat.S_IROTH | stat.S_IWOTH):
        return []
    return [
        f"The key {key_file} can be read or written by every user of this machine (mode {mode:o}): "
        f"run `chmod o= {key_file}`, and think about a new key."
    ]


def covers(certificate: x509.Certificate, name: str) -> bool:
    """Tell whether a certificate is valid for a name (RFC 9525 section 6).

    `name` is a DNS name, an IP address, or a wildcard name, which only itself covers.
    """
    try:
        alternatives = certificate.extensions.get_extension_for_class(
            x509.SubjectAlternativeName
        ).value
    except (x509.ExtensionNotFound, x509.DuplicateExtension, ValueError):
        return False
    try:
        return ip_address(name) in alternatives.get_values_for_type(x509.IPAddress)
    except ValueError:
        pass
    listed = {listed.lower() for listed in alternatives.get_values_for_type(x509.DNSName)}
    name = name.lower()
    _, _, parent = name.partition(".")
    return name in listed or f"*.{parent}" in listed


def ari_id(certificate: x509.Certificate) -> str:
    """Return what a certificate is called in renewal information and orders (RFC 9773 section 4.1).

    Empty if it does not name its issuer's key.
    """
    try:
        issuer = certificate.extensions.get_extension_for_class(x509.AuthorityKeyIdentifier)
    except (x509.ExtensionNotFound, x509.DuplicateExtension, ValueError):
        return ""
    if not issuer.value.key_identifier:
        return ""
    serial = certificate.serial_number
    # As DER has it: with a leading zero where the first bit would else be a sign.
    content = serial.to_bytes(serial.bit_length() // 8 + 1, "big")
    return ".".join(
        urlsafe_b64encode(part).rstrip(b"=").decode()
        for part in (issuer.value.key_identifier, content)
    )


def _read(path: Path, what: str) -> bytes:
    try:
        return path.read_bytes()
    except FileNotFoundError as error:
        raise CertificateProblem(
            f"The {what} file {path} does not exist: check its name in the configuration."
        ) from error
    except PermissionError as error:
        raise CertificateProblem(
            f"The {what} file {path} may not be read by {process_user()}: grant it the permission "
            "to read the file and to enter its folders."
        ) from error
    except OSError as error:
        raise CertificateProblem(
            f"The {what} file {path} can't be read ({error.strerror}): name a PEM file."
        ) from error


def process_user() -> str:
    """Return who this process is, for a sentence on permissions."""
    uid = os.geteuid()
    try:
        return f"user {pwd.getpwuid(uid).pw_name}"
    except KeyError:
        return f"the user with the id {uid}"
