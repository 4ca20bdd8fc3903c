"""ACME accounts, in certbot's files."""

import json
import os
import stat
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from chains import DIRECTORY, Key, pem_of
from exoproxy.certs.certbot.accounts import Account, Accounts
from exoproxy.certs.problem import IssuanceProblem

URI = "https://acme.example/account/7"
# As certbot writes it; the id of an account is the MD5 of its public key in PEM.
CERTBOTS_KEY = {
    "d": "e9hMEDrnhzYcFnSlLx2zgTY6DUNfHzSxLGhult7BGhI",
    "x": "7sKO6eTt7U1RJsFN3tzcUaRWIa8Q5XQ0OMbOgBpBlDc",
    "y": "vYfJrRnHdURp4XyuClCfi-xHn1clY4-ZAjeK5vTZyJw",
    "crv": "P-256",
    "kty": "EC",
}


@pytest.fixture(scope="module")
def key() -> ec.EllipticCurvePrivateKey:
    return ec.generate_private_key(ec.SECP256R1())


@pytest.fixture
def accounts(tmp_path: Path) -> Accounts:
    return Accounts(tmp_path, DIRECTORY)


@pytest.fixture
def account(key: ec.EllipticCurvePrivateKey) -> Account:
    return Account.of(key=pem_of(key), uri=URI)


def folder_of(store: Path, account: Account) -> Path:
    return store / "accounts" / "acme.example" / "directory" / account.id


@pytest.mark.parametrize(
    "key",
    [
        ec.generate_private_key(ec.SECP256R1()),
        ec.generate_private_key(ec.SECP384R1()),
        rsa.generate_private_key(65537, 2048),
    ],
    ids=["P-256", "P-384", "RSA"],
)
def test_what_was_saved_is_loaded(accounts: Accounts, key: Key) -> None:
    """Accounts with keys of each kind come back as they were."""
    account = Account.of(key=pem_of(key), uri=URI)
    accounts.save(account, "you@example.org")

    assert accounts.load() == account


def test_files(accounts: Accounts, account: Account, tmp_path: Path) -> None:
    """The files are certbot's in name, place and form, and their owner's alone."""
    accounts.save(account, "you@example.org")
    folder = folder_of(tmp_path, account)

    assert sorted(os.listdir(folder)) == ["meta.json", "private_key.json", "regr.json"]
    assert json.loads((folder / "regr.json").read_bytes()) == {
        "body": {"contact": ["mailto:you@example.org"]},
        "uri": URI,
    }
    assert set(json.loads((folder / "meta.json").read_bytes())) == {"creation_dt", "creation_host"}
    assert set(json.loads((folder / "private_key.json").read_bytes())) == set(CERTBOTS_KEY)
    modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in (folder, *folder.iterdir())}
    assert modes == {
        account.id: 0o700,
        "meta.json": 0o600,
        "private_key.json": 0o400,
        "regr.json": 0o600,
    }


def test_id_is_certbots(accounts: Accounts, tmp_path: Path) -> None:
    """An account has the id that certbot gives it; a wrong folder name does not matter."""
    folder = tmp_path / "accounts" / "acme.example" / "directory" / "any"
    folder.mkdir(parents=True)
    (folder / "private_key.json").write_text(json.dumps(CERTBOTS_KEY), encoding="utf-8")
    (folder / "meta.json").write_text("{}", encoding="utf-8")
    (folder / "regr.json").write_text(json.dumps({"body": {}, "uri": URI}), encoding="utf-8")
    account = accounts.load()

    assert account is not None
    assert account.id == "f086fec677ac38e3811ffcb46310eab1"
    assert account.uri == URI


def test_saved_again(accounts: Accounts, account: Account, tmp_path: Path) -> None:
    """A changed URL is written, and when the account was made stays."""
    accounts.save(account, None)
    meta = folder_of(tmp_path, account) / "meta.json"
    meta.write_text('{"creation_dt": "2020-01-01T00:00:00Z"}', encoding="utf-8")
    changed = Account.of(key=account.key, uri="https://acme.example/account/8")
    accounts.save(changed, None)

    assert accounts.load() == changed
    assert "2020" in meta.read_text(encoding="utf-8")


def test_of_several(accounts: Accounts, account: Account, tmp_path: Path) -> None:
    """The one that is preferred is taken, or else the one that was made last."""
    made = {"2019": "2019-01-01T00:00:00Z", "2021": "2021-01-01T00:00:00Z", "2020": "2020"}
    ids = {}
    for year, at in made.items():
        each = Account.of(key=pem_of(ec.generate_private_key(ec.SECP256R1())), uri=URI)
        accounts.save(each, None)
        meta = folder_of(tmp_path, each) / "meta.json"
        meta.write_text(json.dumps({"creation_dt": at}), encoding="utf-8")
        ids[year] = each.id
    last, preferred, unknown = (accounts.load(), accounts.load(ids["2019"]), accounts.load("x"))

    assert last is not None
    assert preferred is not None
    assert (last.id, preferred.id) == (ids["2021"], ids["2019"])
    assert unknown == last


def test_authorities_are_apart(accounts: Accounts, account: Account, tmp_path: Path) -> None:
    """An account at one authority is none at another, even on the same host."""
    accounts.save(account, None)

    assert Accounts(tmp_path, f"{DIRECTORY}/eab").load() is None
    assert Accounts(tmp_path, "https://acme.example:8443/directory").load() is None
    assert Accounts(tmp_path, f"{DIRECTORY}/").load() == account


@pytest.mark.parametrize("name", ["private_key.json", "regr.json", "meta.json"])
def test_incomplete_account(
    accounts: Accounts,
    account: Account,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
    name: str,
) -> None:
    """An account that lacks a file is none, as for certbot."""
    accounts.save(account, None)
    (folder_of(tmp_path, account) / name).unlink()

    assert accounts.load() is None
    assert caplog.messages == []


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("private_key.json", ""),
        ("private_key.json", "[]"),
        ("private_key.json", "5"),
        ("private_key.json", "\xff"),
        ("private_key.json", "[" * 60_000),
        ("private_key.json", json.dumps({"kty": "oct", "k": "QUJDRA"})),
        ("private_key.json", json.dumps({**CERTBOTS_KEY, "crv": "P-999"})),
        ("private_key.json", json.dumps({**CERTBOTS_KEY, "x": "AA"})),
        ("private_key.json", json.dumps({k: v for k, v in CERTBOTS_KEY.items() if k != "d"})),
        ("private_key.json", json.dumps(CERTBOTS_KEY) + " " * (1 << 16)),
        ("regr.json", "{"),
        ("regr.json", "[]"),
        ("regr.json", "{}"),
        ("regr.json", '{"uri": 5}'),
        ("meta.json", "{"),
    ],
)
def test_damaged_account(
    accounts: Accounts,
    account: Account,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
    name: str,
    content: str,
) -> None:
    """A damaged account is skipped with one sentence, which repeats nothing of its key."""
    accounts.save(account, None)
    path = folder_of(tmp_path, account) / name
    path.unlink()
    path.write_text(content, encoding="latin-1")
    for _ in range(2):
        assert accounts.load() is None

    (message,) = caplog.messages
    assert message.startswith(f"The account in {path.parent} is skipped: ")
    assert CERTBOTS_KEY["d"] not in message


def test_link_for_a_file(accounts: Accounts, account: Account, tmp_path: Path) -> None:
    """A link in the place of a file is not read through."""
    accounts.save(account, None)
    path = folder_of(tmp_path, account) / "regr.json"
    path.rename(tmp_path / "elsewhere")
    path.symlink_to(tmp_path / "elsewhere")

    assert accounts.load() is None


def test_link_of_certbots(accounts: Accounts, account: Account, tmp_path: Path) -> None:
    """The folders of an authority's accounts may be links, as certbot makes them."""
    accounts.save(account, None)
    (tmp_path / "accounts" / "other.example").mkdir()
    (tmp_path / "accounts" / "other.example" / "directory").symlink_to(
        tmp_path / "accounts" / "acme.example" / "directory"
    )
    other = Accounts(tmp_path, "https://other.example/directory")

    assert other.load() == account
    with pytest.raises(IssuanceProblem, match="stands a link"):
        other.save(account, None)


@pytest.mark.parametrize(
    "url", ["", "acme.example/directory", "https:///directory", "https://../a", "https://a/../b"]
)
def test_url_that_leads_elsewhere(tmp_path: Path, url: str) -> None:
    """A URL whose parts are no names of folders is refused."""
    with pytest.raises(IssuanceProblem, match=r"correct acme\.directory"):
        Accounts(tmp_path, url)


def test_key_of_another_kind(account: Account) -> None:
    """A key that certbot could not use is refused; no key is printed."""
    key = ed25519.Ed25519PrivateKey.generate()
    pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    with pytest.raises(ValueError, match="ECDSA or RSA"):
        Account.of(key=pem, uri=URI)

    assert "PRIVATE" not in repr(account)
