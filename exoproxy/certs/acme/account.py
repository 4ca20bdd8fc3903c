"""The account at an authority that orders certificates (RFC 8555 section 7.3).

A stored account is used as it is, without asking; one that the authority has lost is registered
anew, once. Called by `issue`; where accounts are kept is `accounts`.
"""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Final

from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
)

from exoproxy.certs.acme.authority import Authority, Binding
from exoproxy.certs.certbot.accounts import Account, Accounts
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


class Registrar:
    """Has requests signed by an account: the stored one, or one that it registers."""

    def __init__(
        self,
        authority: Authority,
        accounts: Accounts,
        *,
        email: str | None,
        binding: Binding | None,
        say: Callable[[str], None],
    ) -> None:
        """`email` and `binding` are for an account that has to be registered."""
        self._authority = authority
        self._accounts = accounts
        self._email = email
        self._binding = binding
        self._say = say

    def sign_in_if_known(self) -> bool:
        """Let the stored account sign, and tell whether there is one."""
        account = self._accounts.load()
        if account is None:
            return False
        self._authority.sign_with(account.key, account.uri)
        return True

    def sign_in(self) -> None:
        """Let the stored account sign, or a new one. Raises `IssuanceProblem`."""
        if not self.sign_in_if_known():
            self._register(_new_key())

    def sign_in_again(self) -> None:
        """Register the key of an account anew that the authority has lost.

        Raises `IssuanceProblem`.
        """
        lost = self._accounts.load()
        self._register(_new_key() if lost is None else lost.key)

    def _register(self, key: bytes) -> None:
        authority = self._authority
        if authority.needs_binding and self._binding is None:
            raise IssuanceProblem(
                f"{authority.host} binds its accounts to one that you have there: get a key for "
                "external account binding (EAB) from it, and set acme.eab_key_id and "
                "acme.eab_key_file."
            )
        terms = f", agreeing to its terms of service: {authority.terms}" if authority.terms else ""
        self._say(f"Registering an account at {authority.host}{terms}")
        url = authority.register(key, email=self._email, binding=self._binding)
        self._accounts.save(Account.of(key=key, uri=url), self._email)


def _new_key() -> bytes:
    key = ec.generate_private_key(ec.SECP256R1())
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
