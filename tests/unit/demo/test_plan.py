"""What the demo plans fits together: names, ports, configuration, page and guide."""

import json
import shlex
from pathlib import Path
from urllib.parse import urlsplit

import pytest
import yaml

from exoproxy.demo.plan import CERTIFICATE_NAMES, DOCUMENT_ROOT, Plan
from exoproxy.settings.load import load

# A name with a space; nothing is written there.
FOLDER = Path("/somewhere/exoproxy demo")


@pytest.fixture
def plan() -> Plan:
    return Plan(
        main_port=8443,
        uap_port=8444,
        keystone_port=5000,
        services_port=8774,
        instance_port=8888,
        certificate=FOLDER / "leaf.pem",
        ca_file=FOLDER / "ca.pem",
        folder=FOLDER / "run",
    )


def test_configuration_is_valid(plan: Plan, tmp_path: Path) -> None:
    """The configuration is one that an operator could have written."""
    file = tmp_path / "exoproxy.yaml"
    file.write_text(yaml.safe_dump(plan.configuration()), encoding="utf-8")

    settings = load(file)

    assert settings.main is not None
    assert settings.uap is not None
    assert settings.main.hostname in CERTIFICATE_NAMES
    assert {region.hostname for region in settings.uap.regions.values()} <= set(CERTIFICATE_NAMES)


def test_configuration_allows_no_more_than_the_demo_needs(plan: Plan) -> None:
    """`/proxy` may dial the cloud on 127.0.0.1, the UAP the instance, and neither anything else."""
    configuration = plan.configuration()
    proxy = configuration["main"]["proxy"]
    (region,) = configuration["uap"]["regions"].values()

    assert proxy["allow"] == ["cloud.localhost:5000", "cloud.localhost:8774"]
    assert proxy["networks"] == ["127.0.0.1/32"]
    assert region["subnets"] == ["127.0.0.2/32"]


def test_everything_listens_on_loopback(plan: Plan) -> None:
    """No listener can be reached from another machine."""
    configuration = plan.configuration()
    (region,) = configuration["uap"]["regions"].values()

    assert configuration["main"]["listen"] == ["127.0.0.1:8443", "[::1]:8443"]
    assert region["listen"] == ["127.0.0.1:8444", "[::1]:8444"]
    assert configuration["main"]["redirect_listen"] == region["redirect_listen"] == []


def test_page_learns_where_things_are(plan: Plan) -> None:
    """`config.js` is one assignment of a JSON object with the cloud and the UAP."""
    value = plan.config_js().removeprefix("window.exoproxyDemo = ").removesuffix(";\n")

    assert json.loads(value) == {
        "keystone": "https://cloud.localhost:5000/v3",
        "user": "demo",
        "password": "demo",
        "userAppProxy": "proxy.localhost:8444",
        "cloudCorsProxyUrl": "/proxy",
    }


def test_page_asks_nothing_of_other_hosts() -> None:
    """The page's files name no host, so that it works without a network and tells nobody."""
    namespaces = "http://www.w3.org/2000/svg"
    named = {
        path.name
        for path in DOCUMENT_ROOT.iterdir()
        for text in [path.read_text(encoding="utf-8").replace(namespaces, "")]
        if "http://" in text or 'src="//' in text or "url(" in text.replace("url(#sky)", "")
    }

    assert named == set()


def test_guide_gives_commands_that_a_shell_reads_as_meant(plan: Plan) -> None:
    """The CA's path survives its space, and each curl command names one address of the demo."""
    lines = [shlex.split(line) for line in plan.guide().splitlines() if line.startswith("    ")]
    hosts = {urlsplit(words[-1]).hostname for words in lines if words[0] == "curl"}

    assert ["ca=/somewhere/exoproxy demo/ca.pem"] in lines
    assert hosts == {"exosphere.localhost", "http-127-0-0-2-8888.proxy.localhost"}
