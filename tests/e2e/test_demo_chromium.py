"""`exoproxy demo` in a real browser, which trusts the demo's CA and nothing else that is new."""

import re
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from selenium.webdriver.common.by import By

from chromium import PROGRAMS, Browser, chromium, console, text, wait

pytestmark = pytest.mark.needs(*PROGRAMS)


@dataclass(frozen=True, slots=True, kw_only=True)
class Demo:
    """A running demo, as its guide describes it."""

    page: str
    instance: str
    ca_file: Path


@pytest.fixture
def demo(
    start_exoproxy: Callable[..., tuple[subprocess.Popen[bytes], Path]], tmp_path: Path
) -> Demo:
    cache = tmp_path / "cache"
    _, output = start_exoproxy("demo", says="Stop with", env={"XDG_CACHE_HOME": str(cache)})
    page, instance = re.findall(r"^ +(https://\S+/)$", output.read_text("utf-8"), re.MULTILINE)
    (ca_file,) = cache.rglob("ca.pem")
    return Demo(page=page, instance=instance, ca_file=ca_file)


@pytest.fixture
def browser(demo: Demo, tmp_path: Path) -> Iterator[Browser]:
    with chromium(tmp_path / "home", demo.ca_file) as driver:
        yield driver


def test_page_gets_everything_through_both_proxies(browser: Browser, demo: Demo) -> None:
    """The page loads, and cloud API, websocket and event stream reach it without a complaint."""
    browser.get(demo.page)
    wait(browser, lambda b: "Trying" not in text(b, "h1")[0], "the checks did not end")

    assert text(browser, "h1") == ["Everything gets through."]
    assert text(browser, "#requests td:nth-child(2)") == ["201", "200", "200"]
    assert len(browser.find_elements(By.CSS_SELECTOR, ".card.good")) == 3
    assert console(browser) == []


def test_large_answer_of_the_cloud_is_compressed(browser: Browser, demo: Demo) -> None:
    """What the cloud sends plain, the browser gets compressed."""
    browser.get(demo.page)
    wait(browser, lambda b: "JSON" in text(b, "#cloud-note")[0], "the images did not come")
    sent, plain = browser.execute_script(
        "const [e] = performance.getEntriesByType('resource').filter(e => /images/.test(e.name));"
        "return [e.encodedBodySize, e.decodedBodySize]"
    )

    assert plain > 200_000
    assert sent < plain / 5


def test_words_come_back_over_the_websocket(browser: Browser, demo: Demo) -> None:
    """What a person types goes to the instance and back."""
    browser.get(demo.page)
    wait(browser, lambda b: b.find_elements(By.CSS_SELECTOR, "#echo.good"), "no websocket")
    browser.find_element(By.ID, "message").send_keys("hello, instance\n")
    wait(browser, lambda b: text(b, "#log li"), "no echo")

    assert text(browser, "#log li")[0].startswith("hello, instance")


def test_refusal_is_told_in_a_sentence(browser: Browser, demo: Demo) -> None:
    """A host that isn't allowed gives 403 with a code and a sentence, without being dialled."""
    browser.get(demo.page)
    wait(browser, lambda b: b.find_elements(By.CSS_SELECTOR, "#cloud.good"), "no cloud")
    browser.find_element(By.ID, "refuse").click()
    wait(browser, lambda b: text(b, "#refusal")[0], "no answer")

    assert text(browser, "#refusal")[0].startswith("403")
    assert "target-not-allowed" in text(browser, "#refusal")[0]


def test_instance_works_under_its_own_name(browser: Browser, demo: Demo) -> None:
    """The instance's page, cookie, websocket and clock work as if nothing were in between."""
    browser.get(demo.instance)
    wait(browser, lambda b: text(b, "#log li") and ":" in text(b, "#time")[0], "no echo or clock")
    browser.refresh()
    wait(browser, lambda b: len(text(b, "dd")) > 1, "no fields")
    fields = dict(zip(text(browser, "dt"), text(browser, "dd"), strict=True))

    assert fields["Host"] == demo.instance.removeprefix("https://").removesuffix("/")
    assert fields["X-Forwarded-Proto"] == "https"
    assert fields["visits, by cookie"] == "2"
    assert console(browser) == []


def test_instance_that_does_not_answer_has_a_page(browser: Browser, demo: Demo) -> None:
    """A port where nobody listens gives a page that says so, not the browser's own."""
    port = demo.instance.rpartition("-")[2].partition(".")[0]
    browser.get(demo.instance.replace(f"-{port}.", "-9.", 1))

    assert browser.execute_script("return document.contentType") == "text/html"
    assert "502" in text(browser, "body")[0]


def test_route_of_the_client_is_the_page(browser: Browser, demo: Demo) -> None:
    """A path that is no file is the client's own affair: it gets the page."""
    browser.get(f"{demo.page}any/route/of/the/client")
    wait(browser, lambda b: text(b, "h1") == ["Everything gets through."], "the page did not work")

    assert console(browser) == []


def connect_from_self_test(browser: Browser, demo: Demo, port: str, path: str) -> str:
    """Let the page open a websocket; return what it says of it."""
    browser.get(f"{demo.page}.exoproxy/self-test")
    wait(browser, lambda b: "Trying" not in text(b, "h1")[0], "the checks did not end")
    for field, typed in (("address", "127.0.0.2"), ("port", port), ("path", f"{path}\n")):
        browser.find_element(By.ID, field).send_keys(typed)
    wait(browser, lambda b: "".join(text(b, "#instance-checks .reason")), "no outcome")
    return text(browser, "#instance-checks .check")[0]


def test_self_test_finds_nothing_wrong(browser: Browser, demo: Demo) -> None:
    """All is green, a websocket to the instance too, and the page itself makes no error."""
    port = demo.instance.rpartition("-")[2].partition(".")[0]
    said = connect_from_self_test(browser, demo, port, "echo")

    assert text(browser, "h1") == ["What was tried works."]
    assert text(browser, ".state") == ["works"] * 7
    assert "It opened within" in said
    # Chromium's own words: these answers are what the checks ask for.
    assert [line for line in console(browser) if "status of 404" not in line] == []


@pytest.mark.parametrize(
    ("path", "reason"),
    [("request", "The instance answers with status 200"), ("nowhere", "status 404")],
)
def test_self_test_tells_an_answer_from_a_websocket(
    browser: Browser, demo: Demo, path: str, reason: str
) -> None:
    """An instance that answers, but not with a websocket, is red with what to try."""
    port = demo.instance.rpartition("-")[2].partition(".")[0]
    said = connect_from_self_test(browser, demo, port, path)

    assert said.startswith("fails")
    assert reason in said
    assert "Name the path" in said


def test_self_test_tells_why_the_uap_refuses(browser: Browser, demo: Demo) -> None:
    """What the browser keeps from scripts, the UAP's answer to the same address tells."""
    said = connect_from_self_test(browser, demo, "9", "")

    assert said.startswith("fails")
    assert "502 upstream-refused" in said
    assert "What runs on an instance may take some minutes" in said
