"""A certificate's key, the request for it, and the check of what was issued.

Pure but for the randomness of keys. Called by `issue`.
"""

from collections.abc import Sequence

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)

from exoproxy.certs.acme.order import Issued, KeyType
from exoproxy.certs.context import covers, is_key_of


def new_key(key_type: KeyType) -> bytes:
    """Return a new private key, PEM. RSA keys take up to seconds."""
    key: ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey
    match key_type:
        case "ecdsa-p256":
            key = ec.generate_private_key(ec.SECP256R1())
        case "ecdsa-p384":
            key = ec.generate_private_key(ec.SECP384R1())
        case "rsa-2048":
            key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
        case "rsa-4096":
            key = rsa.generate_private_key(public_exponent=65537, key_size=4096)
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())


def signing_request(key: bytes, names: Sequence[str]) -> x509.CertificateSigningRequest:
    """Return the request for a certificate of these DNS names, for a key in PEM.

    Raises `ValueError` if the key is none.
    """
    private = load_pem_private_key(key, password=None)
    if not isinstance(private, (ec.EllipticCurvePrivateKey, rsa.RSAPrivateKey)):
        raise ValueError("a certificate's key is an ECDSA or an RSA key")
    alternatives = x509.SubjectAlternativeName([x509.DNSName(name) for name in names])
    builder = x509.CertificateSigningRequestBuilder(subject_name=x509.Name([]))
    return builder.add_extension(alternatives, critical=False).sign(private, hashes.SHA256())


def checked(chain: bytes, key: bytes, names: Sequence[str]) -> Issued:
    """Return what was issued, if it is what was asked for.

    `chain` is as the authority sent it. What is returned holds its certificates alone. Raises
    `ValueError` with what is wrong, to be put after "it".
    """
    try:
        certificates = x509.load_pem_x509_certificates(chain)
    except ValueError as error:
        raise ValueError("holds no certificate in PEM form") from error
    try:
        fits = is_key_of(load_pem_private_key(key, password=None), certificates[0])
    except UnsupportedAlgorithm:
        # A kind of key that nobody here has made.
        fits = False
    if not fits:
        raise ValueError("belongs to another key")
    if missing := [name for name in names if not covers(certificates[0], name)]:
        raise ValueError(f"does not cover {', '.join(missing)}")
    fullchain = b"".join(each.public_bytes(Encoding.PEM) for each in certificates)
    return Issued(key=key, fullchain=fullchain)
