"""Accounts: stored ones, new ones, lost ones, bound ones."""

from pathlib import Path
from typing import cast

import pytest

from exoproxy.certs.acme.account import Registrar, read_binding
from exoproxy.certs.acme.authority import Authority, Binding
from exoproxy.certs.certbot.accounts import Accounts
from exoproxy.certs.problem import IssuanceProblem

URL = "https://ca.example/directory"
BINDING = Binding(key_id="kid-1", key="AAAA")


class FakeAuthority:
    """Registers everything, under numbers."""

    host = "ca.example"
    terms = "https://ca.example/terms"

    def __init__(self, *, needs_binding: bool = False) -> None:
        self.needs_binding = needs_binding
        self.registered: list[tuple[bytes, str | None, Binding | None]] = []
        self.signing: list[tuple[bytes, str | None]] = []

    def register(self, key: bytes, *, email: str | None, binding: Binding | None) -> str:
        """Take an account."""
        self.registered.append((key, email, binding))
        return f"https://ca.example/account/{len(self.registered)}"

    def sign_with(self, key: bytes, account: str | None) -> None:
        """Take note who signs."""
        self.signing.append((key, account))


def registrar(
    authority: FakeAuthority,
    store: Path,
    *,
    binding: Binding | None = None,
    said: list[str] | None = None,
) -> Registrar:
    """Return what an attempt starts with."""
    return Registrar(
        cast(Authority, authority),
        Accounts(store, URL),
        email="admin@example.org",
        binding=binding,
        say=([] if said is None else said).append,
    )


def test_first_account_is_registered_and_stored(tmp_path: Path) -> None:
    """Without an account a key is made and registered, and both are stored."""
    authority, said = FakeAuthority(), list[str]()
    registrar(authority, tmp_path, said=said).sign_in()
    stored = Accounts(tmp_path, URL).load()

    assert stored is not None
    assert authority.registered == [(stored.key, "admin@example.org", None)]
    assert stored.uri == "https://ca.example/account/1"
    assert said == [
        "Registering an account at ca.example, agreeing to its terms of service: "
        "https://ca.example/terms"
    ]


def test_stored_account_signs_unasked(tmp_path: Path) -> None:
    """A later process registers nothing."""
    registrar(FakeAuthority(), tmp_path).sign_in()
    stored = Accounts(tmp_path, URL).load()
    authority = FakeAuthority()
    registrar(authority, tmp_path).sign_in()

    assert stored is not None
    assert authority.registered == []
    assert authority.signing == [(stored.key, stored.uri)]


def test_nothing_is_registered_to_look_on(tmp_path: Path) -> None:
    """Who only wants to know an order does not need a new account."""
    authority = FakeAuthority()

    assert not registrar(authority, tmp_path).sign_in_if_known()
    assert authority.registered == []


def test_lost_account_keeps_its_key(tmp_path: Path) -> None:
    """What the authority forgot is registered again in the same place."""
    authority = FakeAuthority()
    account = registrar(authority, tmp_path)
    account.sign_in()
    account.sign_in_again()
    stored = Accounts(tmp_path, URL).load()

    assert stored is not None
    assert stored.uri == "https://ca.example/account/2"
    assert authority.registered[0] == authority.registered[1]


def test_binding_is_needed_where_the_authority_says_so(tmp_path: Path) -> None:
    """Without a binding nothing is registered, with one it goes along."""
    authority = FakeAuthority(needs_binding=True)
    with pytest.raises(IssuanceProblem, match=r"set acme\.eab_key_id and acme\.eab_key_file\.$"):
        registrar(authority, tmp_path).sign_in()

    assert authority.registered == []

    registrar(authority, tmp_path, binding=BINDING).sign_in()

    assert authority.registered[0][2] == BINDING


@pytest.mark.parametrize(
    ("content", "key"),
    [
        (b"zWNDZM6eQGHWpSRTPal5eIUYFTu7EajV", "zWNDZM6eQGHWpSRTPal5eIUYFTu7EajV"),
        (b"  zWNDZM6eQGHWpSRTPal5eIUYFTu7EajV \r\n", "zWNDZM6eQGHWpSRTPal5eIUYFTu7EajV"),
        (b"zWNDZM6eQGHWpSRTPal5eIUYFTu7Ea+/==\n", "zWNDZM6eQGHWpSRTPal5eIUYFTu7Ea-_"),
    ],
)
def test_key_of_a_binding_is_read(tmp_path: Path, content: bytes, key: str) -> None:
    """Blanks around it, padding, and the other alphabet of base64 are understood."""
    file = tmp_path / "eab.key"
    file.write_bytes(content)

    assert read_binding("kid-1", file) == Binding(key_id="kid-1", key=key)


@pytest.mark.parametrize(
    "content", [b"", b"short", b"a key with blanks in between", b"\xff" * 40, b"A" * 5000]
)
def test_what_is_no_key_is_told_and_not_shown(tmp_path: Path, content: bytes) -> None:
    """The sentence names the file and the form, and never the content."""
    file = tmp_path / "eab.key"
    file.write_bytes(content)
    with pytest.raises(IssuanceProblem) as caught:
        read_binding("kid-1", file)

    assert str(caught.value) == (
        f"acme.eab_key_file {file} does not hold a key in base64url: put the key alone into it, in "
        "one line, as the authority gave it out."
    )


def test_missing_key_of_a_binding_is_told(tmp_path: Path) -> None:
    """The sentence names the setting and the reason."""
    with pytest.raises(IssuanceProblem, match=r"eab_key_file .* \(No such file or directory\)"):
        read_binding("kid-1", tmp_path / "eab.key")
