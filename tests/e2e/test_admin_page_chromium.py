"""The admin page in a real browser: it is quiet, fits, can be read, and stays as one left it."""

from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import pytest
from selenium.webdriver.common.by import By

import status_sample
from authority import Authority
from chromium import PROGRAMS, Browser, chromium, console, text, wait
from exoproxy.admin.page import page

pytestmark = pytest.mark.needs(*PROGRAMS)

SAMPLES: dict[str, Callable[[], dict[str, Any]]] = {
    "busy": status_sample.busy,
    "fresh": status_sample.fresh,
    "troubled": status_sample.troubled,
    "draining": status_sample.draining,
}

# The colours behind and before each text, and each mark of a plot beside its card's ground, as
# WCAG 2.2 reckons them (1.4.3 and 1.4.11): what falls short of its ratio.
CONTRASTS = """
const channel = (value) => value <= .04045 ? value / 12.92 : ((value + .055) / 1.055) ** 2.4;
const parts = (color) => color.match(/[0-9.]+/g).map(Number);
const luminance = ([r, g, b]) =>
  .2126 * channel(r / 255) + .7152 * channel(g / 255) + .0722 * channel(b / 255);
const ratio = (one, other) => {
  const [low, high] = [luminance(one), luminance(other)].sort((a, b) => a - b);
  return (high + .05) / (low + .05);
};
const ground = (element) => {
  for (let at = element; at; at = at.parentElement) {
    const [r, g, b, alpha = 1] = parts(getComputedStyle(at).backgroundColor);
    if (alpha === 1) return [r, g, b];
  }
  return [255, 255, 255];
};
const short = [];
for (const element of document.body.querySelectorAll("*:not(script, svg, svg *)")) {
  const says = [...element.childNodes].some((node) => node.nodeType === 3 && node.data.trim());
  if (!says || !element.checkVisibility()) continue;
  const found = ratio(parts(getComputedStyle(element).color), ground(element));
  if (found < 4.5) short.push(`${element.textContent.trim().slice(0, 40)}: ${found.toFixed(2)}`);
}
for (const mark of document.querySelectorAll("figure path:not(.grid), .ring .ok, .share .ok")) {
  const { fill, stroke } = getComputedStyle(mark);
  const color = fill === "none" ? stroke : fill;
  const found = ratio(parts(color), ground(mark.closest("section")));
  if (found < 3) short.push(`${mark.getAttribute("class")}: ${found.toFixed(2)}`);
}
return short;
"""
PLACES = """
const top = (element) => Math.round(element.getBoundingClientRect().top);
return [scrollY, ...[...document.querySelectorAll("section, figure, .tiles li")].map(top)];
"""


class Site:
    """A server of one page, which a test changes meanwhile."""

    def __init__(self) -> None:
        self.status = status_sample.busy()
        self.asked = 0
        site = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                site.asked += 1
                content, fields = page(site.status)
                self.send_response(200)
                for name, value in {**fields, "Content-Length": str(len(content))}.items():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(content)

            def log_message(self, *_: object) -> None:
                """Say nothing."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._thread = Thread(target=self._server.serve_forever, args=(0.05,))
        self._thread.start()
        self.url = f"http://127.0.0.1:{self._server.server_port}/"

    def close(self) -> None:
        """Answer no more."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


@pytest.fixture
def site() -> Iterator[Site]:
    site = Site()
    yield site
    site.close()


@pytest.fixture(scope="module")
def browser(authority: Authority, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    home: Path = tmp_path_factory.mktemp("browser") / "home"
    with chromium(home, authority.file) as driver:
        yield driver


def look(browser: Browser, site: Site, *, scheme: str = "light", width: int = 1400) -> None:
    """Open the page on a screen of that width."""
    browser.execute_cdp_cmd(
        "Emulation.setEmulatedMedia",
        {"features": [{"name": "prefers-color-scheme", "value": scheme}]},
    )
    browser.execute_cdp_cmd(
        "Emulation.setDeviceMetricsOverride",
        {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": width < 600},
    )
    browser.get(site.url)


def run(browser: Browser, script: str) -> Any:
    return browser.execute_script(script)


def refreshed(browser: Browser, site: Site) -> None:
    """Wait until the page shows what the server says now."""
    site.status["version"] += "+"
    version = f"exoproxy {site.status['version']} "
    wait(browser, lambda b: version in text(b, ".head")[0], "it was not refreshed")


@pytest.mark.parametrize("name", SAMPLES)
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_can_be_read(browser: Browser, site: Site, scheme: str, name: str) -> None:
    """In both schemes every text has a contrast of 4.5, and every mark of a plot one of 3."""
    site.status = SAMPLES[name]()
    look(browser, site, scheme=scheme)
    run(browser, "document.querySelectorAll('details').forEach((each) => { each.open = true; })")

    assert run(browser, CONTRASTS) == []
    assert console(browser) == []


def test_schemes_differ(browser: Browser, site: Site) -> None:
    """Who likes it dark gets it dark."""
    grounds = []
    for scheme in ("light", "dark"):
        look(browser, site, scheme=scheme)
        grounds.append(run(browser, "return getComputedStyle(document.body).backgroundColor"))

    assert grounds == ["rgb(245, 246, 250)", "rgb(15, 17, 22)"]


@pytest.mark.parametrize("name", SAMPLES)
@pytest.mark.parametrize("width", [320, 360, 800, 1400])
def test_fits(browser: Browser, site: Site, width: int, name: str) -> None:
    """No screen has to be scrolled sideways, though names are long and everything is open."""
    site.status = SAMPLES[name]()
    site.status["hostname"] = f"{'long-' * 12}name.example.org"
    look(browser, site, width=width)
    run(browser, "document.querySelectorAll('details').forEach((each) => { each.open = true; })")
    wide = run(
        browser,
        "const { scrollWidth, clientWidth } = document.documentElement;"
        "return scrollWidth - clientWidth;",
    )

    assert wide <= 0


def test_stays_as_one_left_it(browser: Browser, site: Site) -> None:
    """A refresh brings new figures; what is open stays open, and where one is, one remains."""
    look(browser, site)
    run(
        browser,
        "document.getElementById('oldest-tunnels').open = true;"
        "document.querySelector('#oldest-tunnels summary').focus();",
    )
    site.status["tunnels"]["oldest"][0]["upstream"] = "192.168.0.77:5901"
    site.status["health"] = {"ok": False, "problems": ["Something is wrong."]}
    refreshed(browser, site)

    assert text(browser, "#oldest-tunnels tbody th")[0] == "192.168.0.77:5901"
    assert run(browser, "return document.getElementById('minutes').open") is False
    assert run(browser, "return document.activeElement.parentElement.id") == "oldest-tunnels"
    assert browser.title == "One thing needs attention · my-example.exosphere.app"
    assert console(browser) == []


@pytest.mark.parametrize("width", [360, 1400])
def test_nothing_jumps(browser: Browser, site: Site, width: int) -> None:
    """Figures that change move nothing else, and who has scrolled stays where he is."""
    look(browser, site, width=width)
    run(browser, "scrollTo(0, 700)")
    before = run(browser, PLACES)
    for minute in site.status["hour"]:
        minute["requests"] *= 100
        minute["p99"] /= 10
    refreshed(browser, site)

    assert before[0] == 700
    assert run(browser, PLACES) == before


def test_waits_for_who_selects(browser: Browser, site: Site) -> None:
    """A selection is not taken away; once it is gone, the figures are new again."""
    look(browser, site)
    command = browser.find_element(By.CSS_SELECTOR, ".command")
    command.click()
    selected = "exoproxy explain https://designate.example.org:9001/"

    assert run(browser, "return getSelection().toString()") == selected
    wait(browser, lambda b: text(b, "#refresh") == ["Waits while text is selected"], "no word")
    assert run(browser, "return getSelection().toString()") == selected
    run(browser, "getSelection().empty()")
    refreshed(browser, site)


def test_pauses_when_told(browser: Browser, site: Site) -> None:
    """The button stops it, and makes it go on at once."""
    look(browser, site)
    button = browser.find_element(By.ID, "pause")
    button.click()

    assert text(browser, "header") == ["exoproxy\nPaused\nGo on"]
    button.click()
    refreshed(browser, site)


def test_says_when_nobody_answers(browser: Browser, site: Site) -> None:
    """Old figures are not taken for new ones."""
    look(browser, site)
    site.close()
    wait(
        browser,
        lambda b: text(b, "#refresh") == ["No answer: these figures are old"],
        "it did not say that nobody answers",
    )

    assert text(browser, "#health h2") == ["All is well"]
    assert all("Failed to load resource" in line for line in console(browser))


def test_works_without_script(browser: Browser, site: Site) -> None:
    """All is there, and a link loads it again."""
    browser.execute_cdp_cmd("Emulation.setScriptExecutionDisabled", {"value": True})
    try:
        look(browser, site)

        assert text(browser, "header") == ["exoproxy\nLoad again"]
        assert text(browser, "#health h2") == ["All is well"]
        asked = site.asked
        browser.find_element(By.LINK_TEXT, "Load again").click()
        wait(browser, lambda _: site.asked > asked, "the link did not load it")
    finally:
        browser.execute_cdp_cmd("Emulation.setScriptExecutionDisabled", {"value": False})
