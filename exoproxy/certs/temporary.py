"""A certificate for the time in which there is none: signed by itself, never on a disk.

With it every listener answers at once, so that monitoring, redirects and http-01 work while the
authority is at it. Browsers warn of it, and rightly so. Called by `serving`.
"""

import os
import ssl
from collections.abc import Sequence
from datetime import datetime, timedelta
from pathlib import Path
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID

from exoproxy.certs.context import server_context

# A context is made anew each day. Who trusts this certificate for once shall not do so for long.
_LIFE: Final = timedelta(days=2)
# Clients' clocks may be behind.
_BACKDATED: Final = timedelta(days=1)


def temporary(names: Sequence[str], now: datetime) -> tuple[ssl.SSLContext, x509.Certificate]:
    """Return a context with a new self-signed certificate for DNS names; `now` is aware."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "exoproxy temporary certificate")])
    alternatives = x509.SubjectAlternativeName([x509.DNSName(each) for each in names])
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - _BACKDATED)
        .not_valid_after(now + _LIFE)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(alternatives, critical=False)
        .sign(key, SHA256())
    )
    # OpenSSL's interface in Python takes files alone; this one is in memory and has no name.
    memory = os.memfd_create("certificate")
    with open(memory, "wb") as file:
        file.write(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
        file.write(certificate.public_bytes(Encoding.PEM))
        file.flush()
        path = Path(f"/proc/self/fd/{memory}")
        return server_context(path, path), certificate
