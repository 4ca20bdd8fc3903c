"""`exoproxy main` with a client in a real browser: first load, later loads, edits, routes."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from authority import Authority
from chromium import PROGRAMS, Browser, chromium, console, text, wait
from deployment import MAIN_NAME, Deployment, Site
from peers import until
from stand_in_client import SCRIPT, SCRIPT_BYTES, write_client

pytestmark = pytest.mark.needs(*PROGRAMS)

PAGE = f"https://{MAIN_NAME}/"
# What the page asks for; the browser's own are the worker, the icon and the manifest.
PARTS = {
    "/",
    "/assets/css/stand-in.css",
    "/assets/img/logo-alt.svg",
    "/banners.json",
    "/cloud_configs.js",
    "/config.js",
    "/elm-web.js",
    "/fonts/open-sans-400-700.css",
    "/ports.js",
    "/version.json",
}


@pytest.fixture
def overrides(tmp_path: Path) -> Path:
    folder = tmp_path / "overrides"
    folder.mkdir()
    return folder


@pytest.fixture
def site(deployment: Deployment, tmp_path: Path, overrides: Path) -> Site:
    """The main host with a client as an update leaves it, and nothing of the operator's yet."""
    write_client(tmp_path / "release")
    return deployment.main(client=tmp_path / "release")


@pytest.fixture
def browser(site: Site, authority: Authority, tmp_path: Path) -> Iterator[Browser]:
    rule = f"--host-resolver-rules=MAP {MAIN_NAME} 127.0.0.1:{site.port}"
    with chromium(tmp_path / "home", authority.file, rule) as driver:
        yield driver


def shown(browser: Browser) -> dict[str, str]:
    """Return what the page shows, once it is there with its picture, and its worker is ready."""
    wait(
        browser,
        lambda b: b.execute_script("return document.querySelector('img')?.complete"),
        "the client did not start",
    )
    browser.execute_async_script("navigator.serviceWorker.ready.then(arguments[0])")
    return dict(zip(text(browser, "dt"), text(browser, "dd"), strict=True))


async def answers(site: Site) -> dict[str, Any]:
    """Return the status of each part of the page, once all of them are in the access log."""

    def logged() -> dict[str, Any]:
        return {line["target"].partition("?")[0]: line["status"] for line in site.served()}

    await until(lambda: logged().keys() >= PARTS)
    return {path: status for path, status in logged().items() if path in PARTS}


def from_now(site: Site) -> Site:
    """Return the site with an access log that begins here."""
    return replace(site, since=site.output.stat().st_size)


async def test_client_loads_without_a_complaint(browser: Browser, site: Site) -> None:
    """Every part comes, the worker is registered, and the console stays empty."""
    browser.get(PAGE)
    page = shown(browser)
    scope = browser.execute_async_script(
        "navigator.serviceWorker.getRegistration().then((r) => arguments[0](r.scope))"
    )
    found = await answers(site)

    assert console(browser) == []
    assert text(browser, "h1") == ["Stand-in"]
    assert page["cloudCorsProxyUrl"] == "https://proxy.example.com/proxy"
    assert scope == PAGE
    assert found == dict.fromkeys(PARTS, 200)


async def test_second_load_is_from_the_browser_s_cache(browser: Browser, site: Site) -> None:
    """Each part is asked for anew, and its content is not sent again."""
    browser.get(PAGE)
    shown(browser)
    site = from_now(site)
    browser.get(PAGE)
    shown(browser)
    found = await answers(site)
    sent, size = browser.execute_script(
        "const [e] = performance.getEntriesByName(new URL(arguments[0], document.baseURI).href);"
        "return [e.transferSize, e.decodedBodySize]",
        SCRIPT,
    )

    # The query of version.json is another one each time.
    assert found == {**dict.fromkeys(PARTS, 304), "/version.json": 200}
    assert size == SCRIPT_BYTES
    assert sent < 2000
    assert console(browser) == []


def test_edit_shows_after_one_reload(browser: Browser, site: Site, overrides: Path) -> None:
    """The operator's config.js takes the release's place without a command, and so do its edits."""
    browser.get(PAGE)
    shown(browser)
    config = overrides / "config.js"
    seen = []
    for title in ("Our cloud", "Our clouD"):
        config.write_text(f"var config = {{cloudCorsProxyUrl: '/proxy', appTitle: '{title}'}};")
        browser.refresh()
        seen.append((shown(browser)["cloudCorsProxyUrl"], text(browser, "h1")))
    config.unlink()
    browser.refresh()
    shown(browser)

    assert seen == [("/proxy", ["Our cloud"]), ("/proxy", ["Our clouD"])]
    assert text(browser, "h1") == ["Stand-in"]


@pytest.mark.parametrize(
    "route",
    [
        "home",
        "projects/0a1b/regions/Region.One/servers",
        "projects/0a1b/regions/RegionOne/servers/192.168.0.7",
        "login/openstack?next=a.js",
    ],
)
def test_route_of_the_client_is_the_page(browser: Browser, route: str) -> None:
    """A route works from the first load on, and again under the worker's control."""
    browser.get(PAGE + route)
    first = shown(browser)
    browser.refresh()
    controlled = browser.execute_script("return navigator.serviceWorker.controller !== null")

    assert controlled
    assert shown(browser) == first
    assert first["path"] == "/" + route.partition("?")[0]
    assert console(browser) == []


def test_unknown_asset_is_no_page(browser: Browser, site: Site) -> None:
    """What a page asks for and is not there is 404, with and without the worker."""
    browser.get(PAGE)
    shown(browser)
    browser.refresh()
    shown(browser)
    ask = (
        "const [path, done] = arguments;"
        "fetch(path).then((a) => a.text().then((t) => done([a.status, /<div id=.cont/.test(t)])))"
    )
    paths = ("assets/missing.js", "assets/img/missing.PNG", "servers/192.168.0.7")
    found = [browser.execute_async_script(ask, f"/{path}") for path in paths]

    assert found == [[404, False], [404, False], [200, True]]
    assert Counter(line["status"] for line in site.served())[404] == 2
