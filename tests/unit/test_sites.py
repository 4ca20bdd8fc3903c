"""From settings to sites: each value arrives where it decides."""

from ipaddress import IPv4Address, ip_address, ip_network
from pathlib import Path
from typing import Any

import pytest

from exoproxy.errors import TargetNotAllowed
from exoproxy.learned.learning import Learned
from exoproxy.pages.routes import PAGES
from exoproxy.proxy.decision import Forward, Reply
from exoproxy.rules.egress import Policy
from exoproxy.settings.model import Settings
from exoproxy.sites import instance_policy, learned_file, main_site, region_of, uap_site
from heads import peer, request

HERE = ip_address("198.41.0.4")
OWN = frozenset([HERE])


def settings(main: dict[str, Any] | None = None, **region: Any) -> Settings:
    """Return settings of both modes with some keys changed."""
    return Settings.model_validate(
        {
            "main": {"hostname": "my.example.org", "proxy": {"allow": ["a.org"]}, **(main or {})},
            "uap": {
                "allowed_origins": ["https://my.example.org"],
                "regions": {
                    "X": {
                        "hostname": "proxy.example.com",
                        "subnets": ["192.168.0.0/24", "fd00::/64"],
                        **region,
                    }
                },
            },
        }
    )


def allows(policy: Policy, address: str, port: int) -> bool:
    try:
        policy.judge(ip_address(address), port)
    except TargetNotAllowed:
        return False
    return True


def cloud_proxy(**keys: Any) -> Any:
    main = settings({"proxy": {"allow": ["a.org"], **keys}}).main
    assert main is not None
    return main_site(main, OWN).proxy


def test_the_main_host_has_its_name_and_files(tmp_path: Path) -> None:
    """And the overrides win over the root."""
    for folder in ("root", "overrides"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "config.js").write_text(folder)
    client = {"root": str(tmp_path / "root"), "overrides": str(tmp_path / "overrides")}
    main = settings({"client": client}).main
    assert main is not None
    site = main_site(main, OWN)
    reply = site.decide(request("GET /config.js", "Host: my.example.org"), peer())
    assert isinstance(reply, Reply)

    assert reply.content == b"overrides"
    assert site.serves("my.example.org")
    assert not site.serves("x.my.example.org")


def test_the_main_host_has_its_pages() -> None:
    """Those that are switched on; the application serves them all."""
    main = settings({"self_test": True}).main
    assert main is not None
    decision = main_site(main, OWN).decide(
        request("GET /.exoproxy/self-test", "Host: my.example.org"), peer()
    )
    assert isinstance(decision, Forward)

    assert decision.upstream == PAGES


def test_the_cloud_proxy_can_be_off() -> None:
    """main.proxy: null."""
    main = settings({"proxy": None}).main
    assert main is not None

    assert main_site(main, OWN).proxy is None


def test_the_cloud_proxy_has_its_settings() -> None:
    """Defaults are the safe ones, and each key turns one thing."""
    proxy = cloud_proxy()

    assert (proxy.path, proxy.any_public) == ("/proxy", False)
    assert (proxy.verify, proxy.merge_slashes, proxy.compress) == (True, True, True)
    assert cloud_proxy(path="/ccp").path == "/ccp"
    assert cloud_proxy(allow_any_public=True).any_public
    assert not cloud_proxy(verify=False).verify
    assert not cloud_proxy(merge_slashes=False).merge_slashes
    assert not cloud_proxy(compress=False).compress


@pytest.mark.parametrize(
    ("host", "port", "expected"),
    [
        ("keystone.example.org", 5000, True),
        ("keystone.example.org", 443, False),
        ("x.cloud.example.org", 1, True),
        ("fd00::5", 443, True),
        ("a.org", 443, False),
    ],
)
def test_the_cloud_proxy_allows_what_is_listed(host: str, port: int, expected: bool) -> None:
    """Patterns are read back from the settings in all their forms."""
    allow = ["keystone.example.org:5000", "*.cloud.example.org", "[fd00::5]"]

    assert cloud_proxy(allow=allow).allow.permits(host, port) is expected


def test_the_cloud_proxy_dials_public_and_listed_addresses() -> None:
    """Nothing else, and never itself; an API beside it on another port is none of its own."""
    policy = cloud_proxy(networks=["10.20.0.0/16"]).policy

    assert allows(policy, "198.41.0.5", 443)
    assert allows(policy, "10.20.0.5", 443)
    assert not allows(policy, "10.21.0.5", 443)
    assert not allows(policy, "127.0.0.1", 443)
    for own in (443, 80, 9180):
        assert not allows(policy, str(HERE), own)
    assert allows(policy, str(HERE), 5000)


def test_the_cloud_proxy_learns_where_it_may(tmp_path: Path) -> None:
    """What was learned outlives a site; with learn_endpoints: false it is without effect."""
    learned = Learned(tmp_path / "x.json")
    for keys, expected in (({}, learned), ({"learn_endpoints": False}, None)):
        main = settings({"proxy": {"allow": ["a.org"], **keys}}).main
        assert main is not None
        proxy = main_site(main, OWN, learned).proxy
        assert proxy is not None

        assert proxy.learned is expected


def test_what_was_learned_lies_in_the_state_folder(monkeypatch: pytest.MonkeyPatch) -> None:
    """One file for each main host; systemd's folder wins."""
    found = settings()
    assert found.main is not None
    monkeypatch.setenv("STATE_DIRECTORY", "/run/state")

    assert learned_file(found, found.main) == Path("/run/state/learned/my.example.org.json")


def test_the_cloud_proxys_own_ports_are_those_configured() -> None:
    """A listener that is switched off, or elsewhere, has no port here."""
    main = settings({"listen": ["0.0.0.0:8443"], "redirect_listen": [], "admin_listen": None}).main
    assert main is not None
    proxy = main_site(main, OWN).proxy
    assert proxy is not None

    assert [allows(proxy.policy, str(HERE), port) for port in (8443, 443, 80, 9180)] == [
        False,
        True,
        True,
        True,
    ]


@pytest.mark.parametrize("development", [False, True])
def test_origins_are_those_of_the_mode(development: bool) -> None:
    """Each mode has its own list, and its own developers' origins."""
    found = settings({"allowed_origins": ["https://b.example"], "development_origins": development})
    assert found.main is not None
    assert found.uap is not None
    main = main_site(found.main, OWN)
    uap = uap_site(
        found.uap.model_copy(update={"development_origins": development}),
        region_of(found, "X"),
        OWN,
    )

    def may_call(site: Any, origin: str, host: str) -> bool:
        return len(site.own_fields(request("GET /", f"Host: {host}", f"Origin: {origin}"))) > 1

    assert may_call(main, "https://b.example", "my.example.org")
    assert not may_call(main, "https://c.example", "my.example.org")
    assert may_call(main, "http://exosphere.localhost", "my.example.org") is development
    assert not may_call(main, "http://localhost:8000", "my.example.org")
    assert may_call(uap, "https://my.example.org", "proxy.example.com")
    assert not may_call(uap, "https://b.example", "proxy.example.com")
    assert may_call(uap, "http://localhost:8000", "proxy.example.com") is development


def test_a_region_reaches_its_instances() -> None:
    """Subnets and ports of the region, and nothing public."""
    region = region_of(settings(ports=[8888, "49152-65535"]), "X")
    policy = instance_policy(region, OWN)

    assert policy.networks == (ip_network("192.168.0.0/24"), ip_network("fd00::/64"))
    assert allows(policy, "192.168.0.5", 8888)
    assert allows(policy, "192.168.0.5", 65535)
    assert allows(policy, "fd00::5", 49152)
    assert not allows(policy, "192.168.0.5", 8889)
    assert not allows(policy, "192.168.0.5", 49151)
    assert not allows(policy, "192.168.1.5", 8888)
    assert not allows(policy, "198.41.0.5", 8888)


def test_a_region_never_reaches_its_own_host() -> None:
    """On no port: neither an interface's address nor one that only a NAT knows."""
    region = region_of(settings(own_addresses=["192.168.0.9"]), "X")
    policy = instance_policy(region, frozenset([IPv4Address("192.168.0.8")]))

    assert not allows(policy, "192.168.0.8", 22)
    assert not allows(policy, "192.168.0.9", 22)
    assert allows(policy, "192.168.0.10", 22)


def test_a_regions_site_decides_by_its_policy() -> None:
    """The site and the dialler have the same one."""
    found = settings()
    assert found.uap is not None
    site = uap_site(found.uap, region_of(found, "X"), OWN)
    host = "http-192-168-0-5-80.proxy.example.com"

    assert isinstance(site.decide(request("GET /", f"Host: {host}"), peer()), Forward)
    assert site.policy.networks == instance_policy(region_of(found, "X"), OWN).networks


def test_a_region_is_found_by_name() -> None:
    """The command has checked that it is there."""
    assert region_of(settings(), "X").hostname == "proxy.example.com"
    for found in (settings(), Settings()):
        with pytest.raises(KeyError):
            region_of(found, "Y")
