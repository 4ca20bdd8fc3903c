"""The account at an authority that orders certificates (RFC 8555 section 7.3).

A stored account is used as it is, without asking; one that the authority has lost is registered
anew, once. Called by `issue`; where accounts are kept is `accounts`.
"""

import hashlib
import re
from collections.abc import Callable
from pathlib import Path
from typing import Final

from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
)

from exoproxy.certs.accounts import Account, Accounts
from exoproxy.certs.authority import Authority, Binding
from exoproxy.certs.problem import IssuanceProblem

# RFC 4648 section 5; some authorities show the other alphabet, or padding.
_BASE64: Final = re.compile(r"[A-Za-z0-9+/_-]{16,1024}={0,2}")


def read_binding(key_id: str, file: Path) -> Binding:
    """Return the key for external account binding that a file holds, in base64url.

    Raises `IssuanceProblem`, whose sentence never repeats the content.
    """
    try:
        with file.open("rb") as opened:
            content = opened.read(4096)
    except OSError as error:
        raise IssuanceProblem(
            f"acme.eab_key_file {file} can't be read ({error.strerror}): name the file with the "
            "key that the authority gave you, and let this user read it."
        ) from error
    text = content.decode("ascii", "replace").strip()
    if not _BASE64.fullmatch(text):
        raise IssuanceProblem(
            f"acme.eab_key_file {file} does not hold a key in base64url: put the key alone into "
            "it, in one line, as the authority gave it out."
        )
    return Binding(key_id=key_id, key=text.rstrip("=").translate(str.maketrans("+/", "-_")))


def sign_in(
    authority: Authority,
    accounts: Accounts,
    *,
    email: str | None,
    binding: Binding | None,
    say: Callable[[str], None],
) -> Account:
    """Let the stored account sign, or a new one if there is none; return it.

    Raises `IssuanceProblem`.
    """
    account = accounts.load()
    if account is None:
        return _register(authority, accounts, _new_key(), email=email, binding=binding, say=say)
    authority.sign_with(account.key, account.uri)
    return account


def sign_in_anew(
    authority: Authority,
    accounts: Accounts,
    lost: Account,
    *,
    email: str | None,
    binding: Binding | None,
    say: Callable[[str], None],
) -> Account:
    """Register again the key of an account that the authority does not know any more.

    Raises `IssuanceProblem`.
    """
    accounts.forget(lost)
    return _register(authority, accounts, lost.key, email=email, binding=binding, say=say)


def _register(
    authority: Authority,
    accounts: Accounts,
    key: bytes,
    *,
    email: str | None,
    binding: Binding | None,
    say: Callable[[str], None],
) -> Account:
    if authority.needs_binding and binding is None:
        raise IssuanceProblem(
            f"{authority.host} binds its accounts to one that you have there: get a key for "
            "external account binding (EAB) from it, and set acme.eab_key_id and "
            "acme.eab_key_file."
        )
    terms = f", agreeing to its terms of service: {authority.terms}" if authority.terms else ""
    say(f"Registering an account at {authority.host}{terms}")
    uri = authority.register(key, email=email, binding=binding)
    account = Account(id=_id_of(key), key=key, uri=uri)
    accounts.save(account, email)
    return account


def _new_key() -> bytes:
    key = ec.generate_private_key(ec.SECP256R1())
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())


def _id_of(key: bytes) -> str:
    """Return certbot's name for the folder of an account with this key."""
    private = load_pem_private_key(key, password=None)
    public = private.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    return hashlib.md5(public, usedforsecurity=False).hexdigest()
