"""What is said of the client's scripts as they are served."""

import json
import os
from pathlib import Path
from typing import Any

import pytest

from exoproxy.client.configuration import warnings
from exoproxy.settings.model import Settings

OURS = 'userAppProxy: [{region: null, hostname: "proxy.example.com"}]'
CONFIG = 'var config = {cloudCorsProxyUrl: "/proxy"};'
CLOUDS = f'var cloud_configs = {{clouds: [{{keystoneHostname: "keystone.example.com", {OURS}}}]}};'


class Deployed:
    """A client in two folders, and the settings that it is held against."""

    def __init__(self, folder: Path) -> None:
        self.root = folder / "root"
        self.overrides = folder / "overrides"
        self.root.mkdir()
        self.overrides.mkdir()
        self.config = self.root / "config.js"
        self.clouds = self.root / "cloud_configs.js"
        self.config.write_text(CONFIG)
        self.clouds.write_text(CLOUDS)

    def told(
        self, *, proxy: dict[str, Any] | None = None, switched_off: bool = False, **hostnames: str
    ) -> list[str]:
        """Return the warnings; `hostnames` are the regions', else the one of `OURS`."""
        content = {
            "main": {
                "hostname": "my.example.net",
                "client": {"root": str(self.root), "overrides": str(self.overrides)},
                "proxy": None
                if switched_off
                else {
                    "allow": ["keystone.example.com:5000", "*.cloud.example.org"],
                    **(proxy or {}),
                },
            },
            "uap": {
                "allowed_origins": ["https://my.example.net"],
                "regions": {
                    name: {"hostname": hostname, "subnets": ["192.168.0.0/24"]}
                    for name, hostname in (hostnames or {"X": "proxy.example.com"}).items()
                },
            },
        }
        settings = Settings.model_validate(content)
        assert settings.main
        assert settings.uap
        return list(warnings(settings.main, settings.uap.regions))


@pytest.fixture(name="client")
def sound_client(tmp_path: Path) -> Deployed:
    return Deployed(tmp_path)


def test_says_nothing_of_a_sound_client(client: Deployed) -> None:
    """What fits is not mentioned."""
    assert client.told() == []


@pytest.mark.parametrize(
    "url",
    [
        "/PROXY",
        "/proxy/",
        "proxy",
        "https://my.example.net/proxy",
        "https://MY.example.net:8443/proxy",
    ],
)
def test_other_words_for_the_proxy_will_do(client: Deployed, url: str) -> None:
    """A URL that leads a browser to the proxy is not complained about."""
    client.config.write_text(f"var config = {{cloudCorsProxyUrl: '{url}'}};")

    assert client.told() == []


@pytest.mark.parametrize("content", ["", "cloudCorsProxyUrl: null"])
def test_warns_of_a_client_without_a_proxy(client: Deployed, content: str) -> None:
    """The client then calls the cloud itself, without a word."""
    client.config.write_text(f"var config = {{{content}}};")
    [warning] = client.told(proxy={"path": "/ccp"})

    assert warning.startswith(f"main.client: {client.config} sets no cloudCorsProxyUrl, so ")
    assert warning.endswith('write `cloudCorsProxyUrl: "/ccp"`')


@pytest.mark.parametrize(
    "url",
    [
        "/ccp",
        "/proxy/v3",
        "/proxy?to=",
        "//proxy",
        "http://my.example.net/proxy",
        "https://try.exosphere.app/proxy",
        "https://my.example.net.evil.org/proxy",
        "https://[/proxy",
        "",
    ],
)
def test_warns_of_another_proxy(client: Deployed, url: str) -> None:
    """Another path or host than this one's is named, and what to write."""
    client.config.write_text(f"var config = {{cloudCorsProxyUrl: '{url}'}};")

    assert client.told() == [
        f'main.client: {client.config} sets cloudCorsProxyUrl to "{url}", which is not this '
        'host\'s /proxy; write `cloudCorsProxyUrl: "/proxy"`'
    ]


@pytest.mark.parametrize(
    "value", ["7", "{}", "[]", "true", f"'{'x' * 200_000}'"], ids=lambda v: v[:9]
)
def test_odd_value_is_shown_in_short(client: Deployed, value: str) -> None:
    """A value of another type, or without an end, makes one sentence all the same."""
    client.config.write_text(f"var config = {{cloudCorsProxyUrl: {value}}};")
    [warning] = client.told()

    assert "sets cloudCorsProxyUrl to " in warning
    assert len(warning) < 500


def test_proxy_switched_off_needs_no_mention(client: Deployed) -> None:
    """Without /proxy there is no URL to hold the client to."""
    client.config.write_text("var config = {cloudCorsProxyUrl: null};")

    assert client.told(switched_off=True) == []


def test_overrides_win(client: Deployed) -> None:
    """The script that is served is the one that is judged."""
    (client.overrides / "config.js").write_text("var config = {};")
    [warning] = client.told()

    assert str(client.overrides / "config.js") in warning


def test_folder_of_that_name_is_no_script(client: Deployed) -> None:
    """What is no file is passed over, as when serving."""
    (client.overrides / "config.js").mkdir()
    os.mkfifo(client.overrides / "cloud_configs.js")

    assert client.told() == []


def test_warns_of_a_missing_script(client: Deployed) -> None:
    """A page that loads both can't do without one."""
    client.clouds.unlink()
    [warning] = client.told()

    assert warning.startswith("main.client: there is no cloud_configs.js in ")

    client.config.unlink()
    [warning] = client.told()

    assert warning.startswith("main.client: there is no config.js in ")


def test_warns_of_a_link_out(client: Deployed, tmp_path: Path) -> None:
    """A link that is not followed when serving is not followed here; inside, it is."""
    (tmp_path / "other.js").write_text(CONFIG)
    (client.overrides / "config.js").symlink_to(tmp_path / "other.js")
    [warning] = client.told()

    assert "is a link out of the document root" in warning

    (client.overrides / "config.js").unlink()
    (client.overrides / "config.js").symlink_to(client.config)

    assert client.told() == []


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        ("var config = {a: b};", "line 1 has a mistake, or an expression instead of a plain value"),
        ("var config = {};" + " " * 10_000_000, "it is larger than 262,144 bytes"),
        ("var config = {a:" + "[" * 100_000, "its object has no end"),
    ],
    ids=["expression", "large", "deep"],
)
def test_unreadable_script_is_not_judged(client: Deployed, content: str, reason: str) -> None:
    """What can't be known gives one sentence, and none about what it might hold."""
    client.config.write_text(content)
    client.clouds.write_text("var cloud_configs = {};")

    assert client.told() == [
        f"main.client: {client.config} can't be read ({reason}), so it was not checked"
    ]


def test_script_that_may_not_be_read_is_not_judged(
    client: Deployed, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another user's folder is no mistake in the configuration."""

    def refuse(path: Path) -> os.stat_result:
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr("exoproxy.client.configuration.os.stat", refuse)
    [warning] = client.told()

    assert warning.endswith("config.js can't be read (Permission denied), so it was not checked")


def test_warns_of_a_region_in_no_cloud(client: Deployed) -> None:
    """Its users would have no shells and desktops."""
    assert client.told(X="proxy.example.com", Y="other.example.com") == [
        f"uap.regions.Y.hostname: other.example.com is the userAppProxy of no cloud in "
        f"{client.clouds}, so the client offers no shells and desktops there; "
        "`exoproxy client config` prints what to write"
    ]


def test_warns_of_a_misspelt_hostname(client: Deployed) -> None:
    """A hostname in a cloud of this deployment that no region has is told, with the nearest."""
    client.clouds.write_text(CLOUDS.replace("proxy.example", "porxy.example"))

    assert client.told()[1:] == [
        f'main.client: {client.clouds} has the userAppProxy "porxy.example.com" in a cloud of '
        "yours, and no region below uap.regions has that hostname; did you mean proxy.example.com?"
    ]


@pytest.mark.parametrize(
    ("keystone", "others", "count"),
    [
        ("keystone.example.com", [], 1),
        ("KEYSTONE.example.com", [], 1),
        ("api.cloud.example.org", [], 1),
        ("cloud.example.org", [], 0),
        ("js2.jetstream-cloud.org", [], 0),
        ("js2.jetstream-cloud.org", ["proxy.example.com"], 1),
    ],
)
def test_clouds_of_others_are_theirs(
    client: Deployed, keystone: str, others: list[str], count: int
) -> None:
    """Builds come with clouds of others; ours are those that `allow` or a region here names."""
    proxies = [{"region": None, "hostname": each} for each in [*others, "qqq.example.net"]]
    cloud = json.dumps({"keystoneHostname": keystone, "userAppProxy": proxies})
    client.clouds.write_text(CLOUDS.replace("clouds: [", f"clouds: [{cloud},"))

    assert len([each for each in client.told() if "qqq.example.net" in each]) == count


def test_clouds_of_config_js_win(client: Deployed) -> None:
    """The client merges both objects, and `config` is the last."""
    client.config.write_text('var config = {cloudCorsProxyUrl: "/proxy", clouds: []};')
    [warning] = client.told()

    assert f"of no cloud in {client.config}" in warning


@pytest.mark.parametrize(
    "clouds",
    [
        "null",
        "7",
        "{}",
        "[7, null, []]",
        "[{}]",
        "[{userAppProxy: null}]",
        "[{userAppProxy: 'proxy.example.com'}]",
        "[{userAppProxy: [7, {}, {hostname: null}]}]",
        "[{keystoneHostname: 7, userAppProxy: [{hostname: {}}]}]",
    ],
)
def test_odd_clouds_hold_no_region(client: Deployed, clouds: str) -> None:
    """Values of other types are what the client does not understand either."""
    client.clouds.write_text(f"var cloud_configs = {{clouds: {clouds}}};")
    [warning] = client.told()

    assert warning.startswith("uap.regions.X.hostname: ")


def test_regions_of_another_file_are_not_judged(client: Deployed) -> None:
    """A main host with a file of its own knows no regions."""
    client.clouds.unlink()
    main = Settings.model_validate(
        {
            "main": {
                "hostname": "my.example.net",
                "client": {"root": str(client.root), "overrides": str(client.overrides)},
                "proxy": {"allow": ["a.org"]},
            }
        }
    ).main
    assert main

    assert list(warnings(main, {})) == []
