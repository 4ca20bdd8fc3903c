"""What an operator should know about a valid configuration."""

import json
import os
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID

from exoproxy.check import summary, warnings
from exoproxy.settings.load import load
from exoproxy.settings.model import Settings

NOW = datetime(2026, 11, 22, tzinfo=UTC)


@pytest.fixture(name="files")
def certificate_files(tmp_path: Path) -> dict[str, str]:
    """Return the certificate files for my.example.net, valid around NOW."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "test")])
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(NOW - timedelta(days=1))
        .not_valid_after(NOW + timedelta(days=30))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("my.example.net")]), False)
        .sign(key, hashes.SHA256())
    )
    cert_file, key_file = tmp_path / "cert.pem", tmp_path / "key.pem"
    cert_file.write_bytes(certificate.public_bytes(Encoding.PEM))
    key_file.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    key_file.chmod(0o600)
    return {"cert_file": str(cert_file), "key_file": str(key_file)}


@pytest.fixture(name="main")
def quiet_main(tmp_path: Path, files: dict[str, str]) -> dict[str, Any]:
    """Return a main host that nothing is to be said about."""
    root = tmp_path / "client"
    root.mkdir()
    (root / "index.html").touch()
    (root / "config.js").write_text('var config = {cloudCorsProxyUrl: "/proxy"};')
    clouds = [
        {"userAppProxy": [{"region": None, "hostname": hostname}]}
        for hostname in ("proxy.example.com", "proxy.example.net")
    ]
    (root / "cloud_configs.js").write_text(f"cloud_configs = {json.dumps({'clouds': clouds})}")
    return {
        "hostname": "my.example.net",
        "certificate": files,
        "client": {"root": str(root), "overrides": str(tmp_path / "overrides")},
        "proxy": {"allow": ["keystone.example.com"]},
    }


def told(content: dict[str, Any]) -> list[str]:
    content = {"acme": {"dns": {"token_file": "/nonexistent/token"}}, **content}
    return warnings(Settings.model_validate(content), NOW)


def region(**keys: Any) -> dict[str, Any]:
    content = {
        "hostname": "proxy.example.com",
        "subnets": ["192.168.0.0/24"],
        "certificate": "local",
        **keys,
    }
    return {"uap": {"allowed_origins": ["https://my.example.net"], "regions": {"X": content}}}


def test_says_nothing_where_all_is_well(main: dict[str, Any]) -> None:
    """A sound configuration gets no warning."""
    assert told({"main": main, **region()}) == []


@pytest.mark.parametrize(
    ("keys", "expected"),
    [
        ({"certificate": "acme"}, "acme.dns.token_file: The file /nonexistent/token does not"),
        ({"admin_listen": "0.0.0.0:9180"}, "main.admin_listen: 0.0.0.0:9180 is no loopback"),
        ({"client": {"root": "/nonexistent"}}, "main.client.root: there is no folder /nonexistent"),
        (
            {"client": {"root": "/proc/self/fd"}},
            "main.client.root: /proc/self/fd has no index.html",
        ),
        ({"proxy": {"allow_any_public": True}}, "main.proxy.allow_any_public: anyone who finds"),
        (
            {"proxy": {"allow": ["*.com"]}},
            "main.proxy.allow[0]: *.com holds every host below the top-level domain com",
        ),
        (
            {"proxy": {"allow": ["a.org"], "verify": False}},
            "main.proxy.verify: is false",
        ),
        ({"hostname": "my-example.exosphere.app"}, "main.hostname: is still the example's"),
    ],
    ids=repr,
)
def test_warns_of_the_main_host(main: dict[str, Any], keys: dict[str, Any], expected: str) -> None:
    """Each doubtful value is told at its key."""
    assert any(each.startswith(expected) for each in told({"main": {**main, **keys}}))


@pytest.mark.parametrize(
    ("keys", "expected"),
    [
        ({"certificate": "acme"}, "acme.dns.token_file: The file /nonexistent/token does not"),
        ({"admin_listen": "[::]:9181"}, "uap.regions.X.admin_listen: [::]:9181 is no loopback"),
        ({"subnets": ["0.0.0.0/0"]}, "uap.regions.X.subnets[0]: 0.0.0.0/0 is much wider"),
        ({"subnets": ["2000::/3"]}, "uap.regions.X.subnets[0]: 2000::/3 is much wider"),
        ({"hostname": "proxy.example.net"}, "uap.regions.X.hostname: shares example.net with"),
    ],
    ids=repr,
)
def test_warns_of_a_region(main: dict[str, Any], keys: dict[str, Any], expected: str) -> None:
    """Each doubtful value is told at its key."""
    [warning] = told({"main": main, **region(**keys)})

    assert warning.startswith(expected)


def test_takes_an_index_from_the_overrides(main: dict[str, Any], tmp_path: Path) -> None:
    """The client's first page may stand in either folder."""
    (tmp_path / "client/index.html").unlink()
    (tmp_path / "overrides").mkdir()
    (tmp_path / "overrides/index.html").touch()

    assert told({"main": main}) == []


def test_warns_of_what_the_client_says(main: dict[str, Any], tmp_path: Path) -> None:
    """The client's own configuration is held against this one."""
    (tmp_path / "client/config.js").write_text('var config = {cloudCorsProxyUrl: "/ccp"};')
    [warning] = told({"main": main, **region()})

    assert warning.startswith(f"main.client: {tmp_path}/client/config.js sets cloudCorsProxyUrl")


def test_says_that_a_folder_may_not_be_read(
    main: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whom the service's folders are closed to is told so, and nothing about their content."""

    root, look = main["client"]["root"], os.stat

    def refuse(path: Any, **options: Any) -> os.stat_result:
        if str(path) == root:
            raise PermissionError(13, "Permission denied", root)
        return look(path, **options)

    monkeypatch.setattr(os, "stat", refuse)
    [warning] = told({"main": main})

    assert warning.startswith(f"main.client: this user may not read {root}, ")


def test_warns_of_files_that_are_no_certificate(main: dict[str, Any]) -> None:
    """A missing file is told by `check`, not by the service that does not start."""
    main["certificate"] = {"cert_file": "/nonexistent/c.pem", "key_file": "/nonexistent/k.pem"}
    [warning] = told({"main": main})

    assert warning.startswith("main.certificate: ")
    assert "/nonexistent/c.pem" in warning


def test_warns_of_a_certificate_that_browsers_refuse(files: dict[str, str]) -> None:
    """A region's certificate has to cover the wildcard too."""
    [warning] = told(region(certificate=files))

    assert "proxy.example.com, *.proxy.example.com" in warning


def test_warns_of_a_key_that_everyone_reads(main: dict[str, Any], files: dict[str, str]) -> None:
    """A key is a secret."""
    Path(files["key_file"]).chmod(0o644)
    [warning] = told({"main": main})

    assert f"The key {files['key_file']} can be read" in warning


def test_warns_of_what_was_not_edited(tmp_path: Path) -> None:
    """Every placeholder of the example file that is nobody's name is told."""
    path = Path(__file__).parents[2] / "config/exoproxy.example.yaml"
    unedited = [each.split(":")[0] for each in warnings(load(path), NOW) if "example's" in each]

    assert unedited == [
        "acme.email",
        "main.hostname",
        "main.proxy.allow",
        "uap.allowed_origins",
        "uap.regions.RegionOne.hostname",
    ]


def test_warns_of_a_file_that_serves_nothing() -> None:
    """A file without main and uap is valid and useless."""
    assert told({}) == ["there is neither main nor uap, so no host can use this file"]


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        ({}, "/x.yaml is valid: nothing to serve"),
        (region(), "/x.yaml is valid: region X"),
        (
            {"main": {"hostname": "my.example.net", "proxy": None}},
            "/x.yaml is valid: main host my.example.net",
        ),
    ],
    ids=repr,
)
def test_sums_up(content: dict[str, Any], expected: str) -> None:
    """One sentence says what the file configures."""
    assert summary(Path("/x.yaml"), Settings.model_validate(content)) == expected
