"""What is told about certificates by ACME before one is asked for."""

import os
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from authority import DAY, NOW, Authority
from exoproxy.certs.certbot.renewal_conf import Renewal
from exoproxy.certs.preflight import of_issuance
from exoproxy.certs.store import Store
from exoproxy.settings.model import Settings

MAIN = "my.example.net"
RENEWAL = Renewal(server="https://a.example", account="a", key_type="ecdsa-p256", authenticator="x")


@pytest.fixture(autouse=True)
def _no_state_directory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("STATE_DIRECTORY", raising=False)


@pytest.fixture(name="token")
def token_file(tmp_path: Path) -> Path:
    path = tmp_path / "cloudflare.token"
    path.write_text("abcDEF_123\n")
    path.chmod(0o600)
    return path


@pytest.fixture(name="store")
def empty_store(tmp_path: Path) -> Store:
    return Store(tmp_path / "state" / "acme")


def told(
    token: Path,
    acme: dict[str, Any] | None = None,
    environment: dict[str, str] | None = None,
    **main: Any,
) -> list[str]:
    """Return what is told of a main host that all is well with but for the changes."""
    dns = {"token_file": str(token), **(acme or {}).pop("dns", {})}
    content = {
        "state_dir": str(token.parent / "state"),
        "acme": {"dns": dns, **(acme or {})},
        "main": {"hostname": MAIN, "proxy": None, **main},
    }
    return list(of_issuance(Settings.model_validate(content), environment or {}, NOW))


def put(store: Store, authority: Authority, name: str, ends: Any = NOW + DAY) -> None:
    pem = authority.issue(name, ends=ends).read_bytes()
    mark = pem.index(b"-----BEGIN PRIVATE KEY-----")
    store.save(MAIN, key=pem[mark:], fullchain=pem[:mark], renewal=RENEWAL)


def test_says_nothing_where_all_is_well(token: Path, store: Store, tmp_path: Path) -> None:
    """Neither before the first start nor with a certificate that serves."""
    assert told(token) == []
    store.folder.mkdir(parents=True)
    put(store, Authority(tmp_path), MAIN)
    assert told(token) == []


def test_says_nothing_where_nobody_asks(tmp_path: Path) -> None:
    """Without a certificate by ACME, nothing of it is looked at."""
    missing = tmp_path / "missing"

    assert told(missing, {"directory": "letsencrypt-staging"}, certificate="local") == []


@pytest.mark.parametrize(
    "directory",
    ["letsencrypt-staging", "https://acme-staging-v02.api.letsencrypt.org/directory"],
)
def test_warns_of_certificates_for_trying(token: Path, directory: str) -> None:
    """Staging works, and no browser takes what it issues."""
    [warning] = told(token, {"directory": directory})

    assert warning.startswith("acme.directory: is Let's Encrypt's staging")


def test_warns_of_a_missing_account_key(token: Path) -> None:
    """Without the key that binds the account, nothing is ever issued."""
    binding = {"eab_key_id": "kid", "eab_key_file": "/nonexistent/key"}

    assert told(token, binding) == ["acme.eab_key_file: there is no file /nonexistent/key"]


@pytest.mark.parametrize(
    ("content", "mode", "expected"),
    [
        (None, 0, "does not exist: put Cloudflare's API token there"),
        ("", 0o600, "is empty"),
        ("one\ntwo\n", 0o600, "has 2 lines"),
        ("dns_cloudflare_email = a@example.org\n", 0o600, "holds a global API key"),
        ("abcDEF_123\n", 0o644, "can be read or written by every user"),
    ],
    ids=["missing", "empty", "several", "global key", "wide"],
)
def test_warns_of_a_token(token: Path, content: str | None, mode: int, expected: str) -> None:
    """Each way in which the file can be wrong is told at its key, and the token is not."""
    token.unlink()
    if content is not None:
        token.write_text(content)
        token.chmod(mode)
    [warning] = told(token)

    assert warning.startswith("acme.dns.token_file: ")
    assert expected in warning
    assert "abcDEF" not in warning


def test_warns_of_a_tsig_key(token: Path) -> None:
    """For rfc2136 the file holds another kind of secret."""
    [warning] = told(token, {"dns": {"provider": "rfc2136", "server": "ns1.example.org"}})

    assert "holds no TSIG keys" in warning


def test_a_credential_of_systemd_wins(token: Path, tmp_path: Path) -> None:
    """A blank one, which the units hand over for want of a file, counts as none."""
    environment = {"CREDENTIALS_DIRECTORY": str(tmp_path / "credentials")}
    credential = tmp_path / "credentials" / "cloudflare.token"
    credential.parent.mkdir()
    credential.write_text("\n")
    credential.chmod(0o600)
    assert told(token, environment=environment) == []
    credential.write_text("not a token")

    [warning] = told(token, environment=environment)
    assert str(credential) in warning


def test_a_secret_that_is_kept_from_us_is_no_reason_to_open_it(
    token: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Root's file is as it should be: who checks is told to use sudo, not to widen the mode."""
    monkeypatch.setattr(os, "access", lambda path, _: path != token)
    [warning] = told(token)

    assert f"{token} may not be read by" in warning
    assert "run this with sudo" in warning


def test_http_01_needs_no_secret(token: Path) -> None:
    """Where port 80 is ours, nothing is said."""
    token.unlink()

    assert told(token, {"challenge": "http-01"}) == []


def test_http_01_needs_port_80(token: Path) -> None:
    """Another port may be right behind a balancer, so that it is a warning."""
    [warning] = told(token, {"challenge": "http-01"}, redirect_listen=["127.0.0.1:8080"])

    assert warning.startswith("main.redirect_listen: http-01 is asked for on port 80")
    assert "sends port 80 on to 127.0.0.1:8080" in warning


@pytest.mark.parametrize("made", ["state", "state/acme"])
def test_warns_of_a_store_that_can_not_be_written(
    token: Path, tmp_path: Path, made: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The folder itself, or where it is to be made."""
    (tmp_path / made).mkdir(parents=True)
    monkeypatch.setattr(os, "access", lambda path, _: path == token)
    [warning] = told(token)

    assert warning.startswith(f"acme.store: {tmp_path / made} may not be written by")


def test_warns_of_a_store_that_is_closed(
    token: Path, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Who may not look is told what to do."""
    store.folder.mkdir(parents=True)

    def denied(_: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(os, "scandir", denied)
    [warning] = told(token)

    assert warning.startswith(f"acme.store: The store {store.folder} can't be read by")


@pytest.mark.parametrize(
    ("name", "ends", "expected"),
    [
        (MAIN, NOW - timedelta(hours=1), "The certificate expired on "),
        ("other.example.net", NOW + DAY, f"The certificate does not cover {MAIN}"),
    ],
)
def test_warns_of_what_is_stored(
    token: Path, store: Store, tmp_path: Path, name: str, ends: Any, expected: str
) -> None:
    """What browsers refuse is told at the key that it is served for."""
    store.folder.mkdir(parents=True)
    put(store, Authority(tmp_path), name, ends)
    [warning] = told(token)

    assert warning.startswith(f"main.certificate: {expected}")
