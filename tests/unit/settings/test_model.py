"""The settings as a whole: keys, defaults and forms."""

from collections.abc import Iterator
from ipaddress import ip_network
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from exoproxy.settings.addresses import PortRange
from exoproxy.settings.model import Settings
from exoproxy.settings.names import HostPattern
from exoproxy.settings.part import Part, part_of
from exoproxy.settings.sites import CertificateFiles

MINIMUM: dict[str, Any] = {
    "main": {"hostname": "my.example.org", "proxy": {"allow": ["keystone.example.org:5000"]}},
    "uap": {
        "allowed_origins": ["https://my.example.org"],
        "regions": {"X": {"hostname": "proxy.example.org", "subnets": ["192.168.0.0/24"]}},
    },
}

LISTEN = ["0.0.0.0:443", "[::]:443"]
REDIRECT = ["0.0.0.0:80", "[::]:80"]

# The contract: every key and every default.
DEFAULTS: dict[str, Any] = {
    "state_dir": "/var/lib/exoproxy",
    "acme": {
        "email": None,
        "directory": "letsencrypt",
        "staging_directory": "letsencrypt-staging",
        "eab_key_id": None,
        "eab_key_file": None,
        "store": None,
        "ca_file": None,
        "challenge": "dns-01",
        "key_type": "ecdsa-p256",
        "profile": None,
        "dns": {
            "provider": "cloudflare",
            "token_file": "/etc/exoproxy/cloudflare.token",
            "server": None,
            "zone_id": None,
            "api_url": None,
            "resolvers": [],
            "propagation_timeout": 180,
        },
    },
    "main": {
        "hostname": "my.example.org",
        "listen": LISTEN,
        "redirect_listen": REDIRECT,
        "certificate": "acme",
        "client": {
            "root": "/var/lib/exoproxy/client/current",
            "overrides": "/etc/exoproxy/client",
        },
        "proxy": {
            "path": "/proxy",
            "allow": ["keystone.example.org:5000"],
            "learn_endpoints": True,
            "allow_any_public": False,
            "networks": [],
            "ca_file": None,
            "verify": True,
            "merge_slashes": True,
            "compress": True,
        },
        "allowed_origins": [],
        "development_origins": False,
        "oidc_redirector": True,
        "self_test": False,
        "admin_listen": "127.0.0.1:9180",
    },
    "uap": {
        "allowed_origins": ["https://my.example.org"],
        "development_origins": False,
        "regions": {
            "X": {
                "hostname": "proxy.example.org",
                "listen": LISTEN,
                "redirect_listen": REDIRECT,
                "certificate": "acme",
                "subnets": ["192.168.0.0/24"],
                "own_addresses": [],
                "ports": ["1-65535"],
                "admin_listen": "127.0.0.1:9181",
            }
        },
    },
    "limits": {
        "connections": 10000,
        "connections_per_client": 1000,
        "connections_per_upstream": 512,
        "refusals_per_client": 300,
        "request_target": 32768,
        "request_field": 32768,
        "request_head": 65536,
        "request_fields": 100,
        "response_field": 65536,
        "response_head": 262144,
        "response_fields": 256,
        "body": 0,
        "buffer_low": 65536,
        "buffer_high": 262144,
        "handshake_timeout": 10,
        "head_timeout": 15,
        "body_timeout": 300,
        "connect_timeout": 10,
        "answer_timeout": 300,
        "idle_timeout": 75,
        "upstream_idle_timeout": 55,
        "upstream_idle_connections": 64,
        "upstream_idle_total": 1024,
        "tunnel_idle_timeout": 0,
        "half_close_timeout": 30,
        "linger_timeout": 10,
        "linger_bytes": 1048576,
        "interim_responses": 8,
        "drain": 30,
        "handover": 43_200,
        "keepalive_idle": 60,
        "keepalive_interval": 15,
        "keepalive_probes": 4,
        "user_timeout": 120,
    },
    "trusted_proxies": [],
    "proxy_protocol": False,
    "log": {"format": "auto", "access": True, "access_format": "auto"},
}


def test_has_the_keys_and_defaults_of_the_contract() -> None:
    """Operators' files and other people's scripts rely on each of them."""
    assert Settings.model_validate(MINIMUM).model_dump(mode="json") == DEFAULTS


def test_reads_what_it_writes() -> None:
    """The written form of settings is a configuration of the same settings."""
    settings = Settings.model_validate(MINIMUM)

    assert Settings.model_validate(settings.model_dump(mode="json")) == settings


def test_holds_parsed_values() -> None:
    """Rules and listeners get addresses, networks and patterns, not text."""
    settings = Settings.model_validate(MINIMUM)
    assert settings.main is not None
    assert settings.main.proxy is not None
    assert settings.uap is not None
    region = settings.uap.regions["X"]

    assert settings.state_dir == Path("/var/lib/exoproxy")
    assert settings.main.listen[1].port == 443
    assert settings.main.proxy.allow == (HostPattern("keystone.example.org", 5000),)
    assert region.subnets == (ip_network("192.168.0.0/24"),)
    assert region.ports == (PortRange(1, 65535),)


def test_takes_certificate_files() -> None:
    """A certificate is a word, or two files."""
    files = {"cert_file": "/c.pem", "key_file": "/k.pem"}
    main = {**MINIMUM["main"], "certificate": files}
    settings = Settings.model_validate({"main": main})
    assert settings.main is not None

    assert settings.main.certificate == CertificateFiles(
        cert_file=Path("/c.pem"), key_file=Path("/k.pem")
    )


def test_takes_null_for_what_can_be_switched_off() -> None:
    """The proxy and the administration site can be left out."""
    settings = Settings.model_validate(
        {"main": {"hostname": "my.example.org", "proxy": None, "admin_listen": None}}
    )
    assert settings.main is not None

    assert settings.main.proxy is None
    assert settings.main.admin_listen is None


@pytest.mark.parametrize("name", ["--help", "a b", "", "a/b"])
def test_refuses_a_region_that_no_command_line_can_name(name: str) -> None:
    """A region's name is an argument of the command."""
    region = MINIMUM["uap"]["regions"]["X"]
    with pytest.raises(ValidationError, match="letters, digits"):
        Settings.model_validate({"uap": {"allowed_origins": [], "regions": {name: region}}})


def test_cannot_hold_a_contradiction() -> None:
    """Settings that exist are free of contradictions, wherever they come from."""
    with pytest.raises(ValidationError, match=r"buffer_low .* should be less"):
        Settings.model_validate({"limits": {"buffer_low": 300_000}})


def test_describes_every_key() -> None:
    """No key is without its meaning."""

    def undescribed(part: type[Part]) -> Iterator[str]:
        for key, field in part.model_fields.items():
            if not field.description:
                yield f"{part.__name__}.{key}"
            if inner := part_of(field.annotation):
                yield from undescribed(inner)

    assert list(undescribed(Settings)) == []
