"""Keys that are wrong together."""

from typing import Any

import pytest
from pydantic import ValidationError

from exoproxy.settings.location import dotted
from exoproxy.settings.model import Settings

PROXY = {"allow": ["keystone.example.org"]}
RFC2136 = {"provider": "rfc2136", "server": "ns1.example.org"}


def main(**keys: Any) -> dict[str, Any]:
    return {"main": {"hostname": "my.example.org", "proxy": PROXY, **keys}}


def uap(*hostnames: str, **keys: Any) -> dict[str, Any]:
    regions = {
        f"R{number}": {"hostname": hostname, "subnets": ["192.168.0.0/24"], **keys}
        for number, hostname in enumerate(hostnames)
    }
    return {"uap": {"allowed_origins": [], "regions": regions}}


def found(content: dict[str, Any]) -> list[str]:
    """Return the contradictions in settings, each as `KEY: sentence`."""
    try:
        Settings.model_validate(content)
    except ValidationError as error:
        [details] = error.errors()
        return [f"{dotted(each.about[0])}: {each.sentence}" for each in details["ctx"]["found"]]
    return []


@pytest.mark.parametrize(
    "content",
    [
        {},
        main(),
        main(proxy={"allow_any_public": True}),
        main(proxy=None),
        main(proxy={**PROXY, "path": "/oidc"}),
        main(proxy={**PROXY, "path": "/oidc-redirector"}, oidc_redirector=False),
        {**main(), **uap("proxy.example.org", "other.example.org")},
        # The proxy's wildcard is below the main host: it takes no name of ours.
        {**main(), **uap("proxy.my.example.org")},
        main(listen=["127.0.0.1:443", "127.0.0.2:443"], redirect_listen=[]),
        main(listen=["0.0.0.0:443", "[::]:443"], admin_listen=None),
        {"limits": {"request_head": 32768, "buffer_low": 65535, "buffer_high": 65536}},
        {"acme": {"challenge": "http-01"}, **main()},
        {"acme": {"challenge": "http-01"}, **uap("proxy.example.org", certificate="local")},
        {"acme": {"challenge": "http-01"}, **main(redirect_listen=[], certificate="local")},
        # A router in front may send port 80 to another.
        {"acme": {"challenge": "http-01"}, **main(redirect_listen=["0.0.0.0:8080"])},
        {"acme": {"dns": RFC2136, "eab_key_id": "kid-1", "eab_key_file": "/etc/eab"}},
        {"proxy_protocol": True, "trusted_proxies": ["10.0.0.0/28"]},
    ],
    ids=repr,
)
def test_finds_nothing_where_all_is_right(content: dict[str, Any]) -> None:
    """What can be meant is taken."""
    assert found(content) == []


@pytest.mark.parametrize(
    ("content", "key", "part"),
    [
        ({"limits": {"buffer_low": 262144}}, "limits.buffer_low", "should be less than"),
        ({"limits": {"buffer_high": 65536}}, "limits.buffer_high", "should be less than"),
        ({"limits": {"request_target": 65537}}, "limits.request_target", "is more than"),
        ({"limits": {"request_field": 65537}}, "limits.request_field", "is more than"),
        ({"limits": {"response_head": 65535}}, "limits.response_head", "is more than"),
        (main(proxy={}), "main.proxy.allow", "names no host"),
        (
            main(proxy={**PROXY, "verify": False, "ca_file": "/ca.pem"}),
            "main.proxy.verify",
            "ca_file would be ignored",
        ),
        (
            main(proxy={**PROXY, "path": "/OIDC-redirector"}),
            "main.proxy.path",
            "federated logins",
        ),
        (main(admin_listen="127.0.0.1:443"), "main.admin_listen", "taken by 0.0.0.0:443 of main.l"),
        (main(redirect_listen=["[::1]:443"]), "main.redirect_listen[0]", "of main.listen[1]"),
        (main(listen=["127.0.0.1:1", "127.0.0.1:1"]), "main.listen[1]", "of main.listen[0]"),
        (uap("a.org", listen=["0.0.0.0:80"]), "uap.regions.R0.redirect_listen[0]", "is taken by"),
        ({**main(), **uap("my.example.org")}, "uap.regions.R0.hostname", "lies within"),
        ({**main(), **uap("example.org")}, "uap.regions.R0.hostname", "set cookies"),
        (uap("a.example.org", "a.example.org"), "uap.regions.R1.hostname", "of region R0 already"),
        (uap("a.example.org", "b.a.example.org"), "uap.regions.R1.hostname", "choose siblings"),
        (uap("b.a.example.org", "a.example.org"), "uap.regions.R1.hostname", "choose siblings"),
        (
            {"acme": {"challenge": "http-01"}, **uap("proxy.example.org")},
            "acme.challenge",
            "wildcard certificate of region R0",
        ),
        (
            {"acme": {"challenge": "http-01"}, **main(redirect_listen=[])},
            "acme.challenge",
            "on port 80",
        ),
        ({"acme": {"dns": {"provider": "rfc2136"}}}, "acme.dns.server", "is missing"),
        ({"acme": {"dns": {"server": "ns1.example.org"}}}, "acme.dns.server", "is for rfc2136"),
        (
            {"acme": {"dns": {**RFC2136, "zone_id": "0" * 32}}},
            "acme.dns.zone_id",
            "is for Cloudflare",
        ),
        (
            {"acme": {"dns": {**RFC2136, "api_url": "https://127.0.0.1"}}},
            "acme.dns.api_url",
            "is for Cloudflare",
        ),
        ({"acme": {"eab_key_id": "kid-1"}}, "acme.eab_key_file", "is missing"),
        ({"acme": {"eab_key_file": "/etc/eab"}}, "acme.eab_key_id", "is missing"),
        ({"proxy_protocol": True}, "proxy_protocol", "trusted_proxies is empty"),
        ({"trusted_proxies": ["10.0.0.0/8", "::/0"]}, "trusted_proxies[1]", "every client"),
    ],
    ids=repr,
)
def test_finds_each_contradiction_once(content: dict[str, Any], key: str, part: str) -> None:
    """Each is told at the key to change; where only one is written, at that one."""
    contradictions = found(content)

    assert [each.partition(": ")[0] for each in contradictions] == [key]
    assert part in contradictions[0]


def test_finds_several_at_once() -> None:
    """One contradiction does not hide the next."""
    content = {"limits": {"buffer_low": 262144}, **main(proxy={}), "proxy_protocol": True}

    assert len(found(content)) == 3
