"""The self-test page's document: what it knows, and that nothing in it can break out."""

import json
import re
from base64 import b64encode
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest

from exoproxy.pages.self_test import data, deployment, page
from exoproxy.settings.model import Settings

MAIN: dict[str, Any] = {
    "hostname": "my.example.org",
    "proxy": {"allow": ["*.example.org", "keystone.example.org:5000", "nova.example.org"]},
    "self_test": True,
}
UAP = {
    "allowed_origins": ["https://my.example.org"],
    "regions": {
        "One": {"hostname": "one.example.net", "subnets": ["192.168.0.0/24"]},
        "Two": {
            "hostname": "two.example.net",
            "subnets": ["192.168.1.0/24"],
            "listen": ["127.0.0.1:8443"],
        },
    },
}


def settings(uap: object = UAP, **main: Any) -> Settings:
    return Settings.model_validate({"main": {**MAIN, **main}, "uap": uap})


def test_page_knows_hosts_and_paths_only() -> None:
    """What anyone may read of the deployment is one API host, the proxy's path, and the regions."""
    assert deployment(settings()) == {
        "host": "my.example.org",
        "proxy": {"path": "/proxy", "api": {"host": "keystone.example.org", "port": "5000"}},
        "regions": [
            {"name": "One", "authority": "one.example.net"},
            {"name": "Two", "authority": "two.example.net:8443"},
        ],
    }


@pytest.mark.parametrize(
    ("proxy", "expected"),
    [
        (None, None),
        ({"allow": ["*.example.org"]}, {"path": "/proxy", "api": None}),
        (
            {"allow": ["nova.example.org"], "path": "/ccp"},
            {"path": "/ccp", "api": {"host": "nova.example.org", "port": "443"}},
        ),
    ],
)
def test_proxy_is_tried_where_there_is_something_to_try(proxy: object, expected: object) -> None:
    """Without a proxy, or a single host in its list, the page is told so."""
    assert deployment(settings(proxy=proxy))["proxy"] == expected


def test_host_without_regions() -> None:
    """The main host's file may know no region."""
    assert deployment(settings(None))["regions"] == []


def test_data_can_not_end_its_element() -> None:
    """No value closes the script element or opens a comment, and JSON gives it back as it was."""
    value = ["</script><script>alert(1)</script>", "<!--", "]]>", "&lt;", "\u2028\u2029", "\"'\\"]
    text = data(value)

    assert not set("<>&\u2028\u2029") & set(text)
    assert json.loads(text) == value


def test_document_holds_the_data() -> None:
    """A script finds what the page knows in an element of its own."""
    content, _ = page(settings())
    found = re.search(r'<script type="application/json" [^>]*>(.*?)</script>', content.decode())

    assert found is not None
    assert json.loads(found[1]) == deployment(settings())
    assert "<title>Self-test of my.example.org</title>" in content.decode()


def test_policy_allows_this_script_and_style_only() -> None:
    """The policy names the hashes of what is in the document, and the hosts that are asked."""
    content, headers = page(settings())
    policy = dict(
        part.split(" ", 1) for part in headers["Content-Security-Policy"].split("; ") if " " in part
    )

    def hashed(pattern: str) -> str:
        found = re.search(pattern, content.decode(), re.DOTALL)
        assert found is not None
        return f"'sha256-{b64encode(sha256(found[1].encode()).digest()).decode()}'"

    assert policy["default-src"] == "'none'"
    assert policy["script-src"] == hashed(r'<script type="module">(.*?)</script>')
    assert policy["style-src"] == hashed(r"<style>(.*?)</style>")
    assert policy["connect-src"].split() == [
        "'self'",
        *("https://one.example.net", "https://*.one.example.net", "wss://*.one.example.net"),
        *("https://two.example.net:8443", "https://*.two.example.net:8443"),
        "wss://*.two.example.net:8443",
    ]
    assert policy["frame-ancestors"] == policy["form-action"] == policy["base-uri"] == "'none'"
    assert headers["Cache-Control"] == "no-store"
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert headers["Referrer-Policy"] == "no-referrer"


def test_nothing_is_loaded_and_nothing_is_inline() -> None:
    """No element loads from elsewhere; no handler or style stands in an attribute."""
    markup = re.sub(r"<(script|style)[^>]*>.*?</\1>", "", page(settings())[0].decode(), flags=re.S)

    assert re.findall(r"\s(?:src|srcset|action|on\w+|style)\s*=", markup) == []
    assert re.findall(r'href="([^"]*)"', markup) == ["data:,"]


def test_nothing_secret_is_in_the_page(tmp_path: Path) -> None:
    """Networks, addresses, files and what else the configuration holds stay here."""
    content, headers = page(
        settings(
            listen=["192.0.2.77:443"],
            client={"root": str(tmp_path / "canary")},
            proxy={**MAIN["proxy"], "networks": ["10.99.0.0/16"]},
            allowed_origins=["https://canary.example.com"],
        )
    )
    text = content.decode() + str(headers)

    for secret in ("192.0.2.77", "canary", "10.99", "192.168", "nova", "9180"):
        assert secret not in text
