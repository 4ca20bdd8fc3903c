"""ACME accounts in the store, as certbot keeps them.

    accounts/HOST/PATH/ID/private_key.json    the account's key (JWK, RFC 7517)
                          regr.json           the account's URL
                          meta.json           when and where it was made

HOST/PATH is the directory's URL, ID the MD5 of the public key. Called by what issues and by
`takeover`, never by the serving process: josepy is heavy. Writing needs the store's lock.
"""

import hashlib
import json
import socket
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Final, Self
from urllib.parse import urlsplit

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePrivateKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
)
from josepy.errors import Error
from josepy.jwk import JWK, JWKEC, JWKRSA

from exoproxy.certs.folder import explained, opened, warn_once
from exoproxy.certs.problem import IssuanceProblem

_KEY: Final = "private_key.json"
_REGISTRATION: Final = "regr.json"
_META: Final = "meta.json"
_LIMIT: Final = 1 << 16

Key = EllipticCurvePrivateKey | RSAPrivateKey


@dataclass(frozen=True, slots=True, kw_only=True)
class Account:
    """An account: certbot's id of it, its private key (PEM) and its URL at the authority."""

    id: str
    key: bytes = field(repr=False)
    uri: str

    @classmethod
    def of(cls, *, key: bytes, uri: str) -> Self:
        """Return the account with this key (ECDSA or RSA, PEM), under the id it must have."""
        public = _private_key(key).public_key()
        spki = public.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
        return cls(id=hashlib.md5(spki, usedforsecurity=False).hexdigest(), key=key, uri=uri)


class Accounts:
    """The accounts at one authority."""

    def __init__(self, store_folder: Path, directory_url: str) -> None:
        """Take the store's folder and the URL of the authority's directory.

        Raises `IssuanceProblem` if the URL leads out of the store.
        """
        url = urlsplit(directory_url)
        parts = [url.netloc, *filter(None, url.path.split("/"))]
        if not url.netloc or not {".", ".."}.isdisjoint(parts) or "\0" in directory_url:
            raise IssuanceProblem(
                "The URL of the ACME directory names no host, or has a path with dots alone: "
                "correct acme.directory."
            )
        self._store = store_folder
        self._below = ("accounts", *parts)
        self._folder = store_folder.joinpath(*self._below)

    def load(self, preferred: str = "") -> Account | None:
        """Return the account, if there is one that can be used.

        Of several it is the one with the id `preferred`, or else the one that was made last.
        """
        accounts = {account.id: (made, account) for made, account in self._all()}
        if preferred in accounts:
            return accounts[preferred][1]
        return max(accounts.values(), key=lambda each: each[0])[1] if accounts else None

    def save(self, account: Account, email: str | None) -> None:
        """Write an account so that certbot can use it, too. Raises `IssuanceProblem`."""
        jwk = _to_jwk(_private_key(account.key))
        registration = {
            "body": {"contact": [f"mailto:{email}"]} if email else {},
            "uri": account.uri,
        }
        meta = {
            "creation_dt": f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ}",
            "creation_host": socket.gethostname(),
        }
        below = (*self._below, account.id)
        with explained(self._folder), opened(self._store, *below) as folder:
            folder.write(_KEY, jwk.encode(), mode=0o400)
            if _META not in folder.names():
                folder.write(_META, json.dumps(meta).encode(), mode=0o600)
            folder.write(_REGISTRATION, json.dumps(registration).encode(), mode=0o600)

    def _all(self) -> Iterator[tuple[str, Account]]:
        """Yield each account that can be used, after when it was made."""
        try:
            # certbot lets the folders of Let's Encrypt's second directory be links to the first's.
            with opened(self._folder, make=False) as folder:
                ids = folder.names()
        except FileNotFoundError:
            return
        except OSError as error:
            warn_once(f"The accounts in {self._folder} can't be read: {error.strerror}.")
            return
        for name in ids:
            try:
                yield _read(self._folder / name)
            except (FileNotFoundError, NotADirectoryError):
                # A path may go on below this folder, or a write was cut off.
                continue
            except (OSError, ValueError, RecursionError) as error:
                warn_once(f"The account in {self._folder / name} is skipped: {error}.")


def _read(path: Path) -> tuple[str, Account]:
    """Return when an account was made, and the account.

    Raises `OSError`, `ValueError`, and `RecursionError` for JSON that is nested too deeply.
    """
    with opened(path, make=False) as folder:
        files = {name: folder.read(name, limit=_LIMIT) for name in (_KEY, _REGISTRATION, _META)}
    registration, meta = json.loads(files[_REGISTRATION]), json.loads(files[_META])
    if not isinstance(registration, dict) or not isinstance(uri := registration.get("uri"), str):
        raise ValueError("regr.json names no URL")
    made = meta.get("creation_dt", "") if isinstance(meta, dict) else ""
    key = _from_jwk(files[_KEY].decode())
    pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    return str(made), Account.of(key=pem, uri=uri)


def _from_jwk(text: str) -> Key:
    """Return the private key of a JWK. Raises `ValueError`."""
    try:
        # Wrapped by josepy so that keys can be compared; the methods of keys pass through.
        key = JWK.json_loads(text).key
    except (Error, ValueError, KeyError, TypeError, UnsupportedAlgorithm):
        raise ValueError("private_key.json holds no key") from None
    if not hasattr(key, "private_bytes"):
        raise ValueError("private_key.json holds no private key")
    pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    return _private_key(pem)


def _to_jwk(key: Key) -> str:
    jwk = JWKRSA(key=key) if isinstance(key, RSAPrivateKey) else JWKEC(key=key)
    return jwk.json_dumps()


def _private_key(pem: bytes) -> Key:
    key = load_pem_private_key(pem, password=None)
    if not isinstance(key, Key):
        raise ValueError("an account's key is an ECDSA or RSA key")
    return key
