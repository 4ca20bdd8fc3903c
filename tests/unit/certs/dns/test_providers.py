"""From the settings to a provider."""

import subprocess
import sys
from pathlib import Path

import pytest

from cloudflare_api import CloudflareApi, Permissions
from exoproxy.certs.dns.providers import provider_of
from exoproxy.certs.problem import IssuanceProblem
from exoproxy.settings.acme import Dns

TOKEN = "v1_Sn3b-AbCdEfGhIjKlMnOpQrStUvWxYz012345678"
KEY = 'key "exo" { algorithm hmac-sha256; secret "c2VjcmV0c2VjcmV0"; };'


@pytest.fixture
def token_file(tmp_path: Path) -> Path:
    path = tmp_path / "token"
    path.write_text(TOKEN, encoding="utf-8")
    path.chmod(0o600)
    return path


@pytest.fixture
def key_file(tmp_path: Path) -> Path:
    path = tmp_path / "key"
    path.write_text(KEY, encoding="utf-8")
    path.chmod(0o600)
    return path


def test_cloudflare(token_file: Path) -> None:
    """Cloudflare is the provider by default, at its own endpoint or the one that is set."""
    warned: list[str] = []
    providers = [
        provider_of(Dns.model_validate({"token_file": str(token_file)} | more), {}, warned.append)
        for more in ({}, {"api_url": "http://127.0.0.1:8080/client/v4"})
    ]

    assert [repr(provider) for provider in providers] == [
        "<Cloudflare at https://api.cloudflare.com/client/v4>",
        "<Cloudflare at http://127.0.0.1:8080/client/v4>",
    ]
    assert warned == []


def test_zone_id(tmp_path: Path) -> None:
    """A zone's id is handed on, so that no zone is listed."""
    path, zone_id = tmp_path / "token", "0123456789abcdef" * 2
    path.write_text(TOKEN, encoding="utf-8")
    with CloudflareApi({"example.test": zone_id}, tokens={TOKEN: Permissions()}) as api:
        settings = {"token_file": str(path), "zone_id": zone_id, "api_url": api.url}
        provider_of(Dns.model_validate(settings), {}, lambda _: None).check("example.test")

        assert [call.path for call in api.calls] == [f"/client/v4/zones/{zone_id}/dns_records"]


def test_rfc2136(key_file: Path) -> None:
    """A name server is what rfc2136 names, and its file a TSIG key."""
    settings = Dns.model_validate(
        {"provider": "rfc2136", "token_file": str(key_file), "server": "ns.example.org"}
    )

    assert repr(provider_of(settings, {}, pytest.fail)) == "<Rfc2136 at ns.example.org:53>"


def test_rfc2136_without_server(key_file: Path) -> None:
    """Without a server there is nothing to ask, and the missing key is named."""
    settings = Dns.model_validate({"provider": "rfc2136", "token_file": str(key_file)})
    with pytest.raises(IssuanceProblem) as problem:
        provider_of(settings, {}, pytest.fail)

    assert str(problem.value) == (
        "acme.dns.server is missing: for rfc2136 name the zone's primary name server, e.g. "
        "`server: ns1.example.org`."
    )


@pytest.mark.parametrize(
    ("provider", "credential", "content"),
    [("cloudflare", "cloudflare.token", TOKEN), ("rfc2136", "tsig.key", KEY)],
)
def test_credential(tmp_path: Path, provider: str, credential: str, content: str) -> None:
    """A credential of systemd takes the place of the file that is set."""
    (tmp_path / credential).write_text(content, encoding="utf-8")
    (tmp_path / credential).chmod(0o400)
    settings = Dns.model_validate(
        {"provider": provider, "token_file": "/nowhere", "server": "127.0.0.1"}
    )
    environment = {"CREDENTIALS_DIRECTORY": str(tmp_path)}

    assert provider_of(settings, environment, pytest.fail)


def test_wide_mode(token_file: Path) -> None:
    """A file that every user may read is used, with a warning."""
    token_file.chmod(0o644)
    warned: list[str] = []
    provider_of(Dns.model_validate({"token_file": str(token_file)}), {}, warned.append)

    assert len(warned) == 1
    assert str(token_file) in warned[0]


def test_sdk_is_loaded_where_it_is_needed() -> None:
    """Importing the factory, or a name server's provider, loads no SDK."""
    program = (
        "import sys, exoproxy.certs.dns.providers, exoproxy.certs.dns.rfc2136;"
        "sys.exit('cloudflare' in sys.modules or 'httpx' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", program], check=False)  # noqa: S603 - our own

    assert done.returncode == 0
