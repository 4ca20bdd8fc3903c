"""The self-test page in a real browser: what is wrong with a deployment is red, with a reason."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from authority import Authority
from chromium import PROGRAMS, Browser, chromium, console, text, wait
from deployment import CLOUD, MAIN_NAME, UAP_NAME, Deployment, Site
from ports import free_port

pytestmark = pytest.mark.needs(*PROGRAMS)


@pytest.fixture
def site(deployment: Deployment) -> Site:
    """A main host without config.js, of two regions: one is not told of its origin, one is off."""
    uap = deployment.uap()
    regions = {
        name: {
            "hostname": hostname,
            "subnets": ["192.168.0.0/24"],
            "listen": [f"127.0.0.1:{port}"],
        }
        for name, hostname, port in (
            ("Here", UAP_NAME, uap.port),
            ("There", "there.example.org", free_port()),
        )
    }
    return deployment.main(
        part={"self_test": True}, uap={"allowed_origins": [], "regions": regions}
    )


@pytest.fixture
def browser(authority: Authority, tmp_path: Path) -> Iterator[Browser]:
    rule = "--host-resolver-rules=MAP *.example.org 127.0.0.1"
    with chromium(tmp_path / "home", authority.file, rule) as driver:
        yield driver


def test_each_failure_has_its_reason(browser: Browser, site: Site) -> None:
    """Every line that fails says what is wrong and what to do; the page itself makes no error."""
    origin = f"https://{MAIN_NAME}:{site.port}"
    browser.get(f"{origin}/.exoproxy/self-test")
    wait(browser, lambda b: "Trying" not in text(b, "h1")[0], "the checks did not end")
    page, script, setting, cloud, here, below, there, _ = text(browser, ".check")

    assert text(browser, "h1") == ["7 things do not work."]
    assert page.startswith("works")
    assert "404 not-found" in script
    assert 'Write cloudCorsProxyUrl: "/proxy" in config.js.' in setting
    assert f"{CLOUD}:443: 502 upstream-refused" in cloud
    for line in (here, below):
        assert "The certificate is good, but the answer is withheld" in line
        assert f"List {origin} under uap.allowed_origins" in line
    assert "No connection" in there
    assert "Open https://there.example.org:" in there
    # Chromium reports what the checks ask for and do not get; nothing else is there.
    expected = ("Failed to load resource", "blocked by CORS policy")
    assert [line for line in console(browser) if not any(each in line for each in expected)] == []
