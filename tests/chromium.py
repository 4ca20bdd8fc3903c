"""Chromium, headless, with a home of its own that trusts one authority and nothing else new."""

import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from selenium import webdriver
from selenium.webdriver.common.by import By
from selenium.webdriver.support.ui import WebDriverWait

# For `pytest.mark.needs`.
PROGRAMS = ("chromium", "chromedriver", "certutil")
PAGE_SECONDS = 20

Browser = webdriver.Chrome


@contextmanager
def chromium(home: Path, ca_file: Path, *arguments: str) -> Iterator[Browser]:
    """Start the browser; `home` must not exist yet, `ca_file` is the authority's (PEM)."""
    database = home / ".pki" / "nssdb"
    database.mkdir(parents=True)
    _certutil("-N", "--empty-password", database=database)
    trust = ["-n", "authority of the test", "-t", "C,,", "-i", str(ca_file)]
    _certutil("-A", *trust, database=database)
    # Selenium would else look for, and download, a browser and a driver.
    os.environ["SE_OFFLINE"] = "true"
    options = webdriver.ChromeOptions()
    options.binary_location = shutil.which("chromium") or ""
    for argument in (
        "--headless",
        "--no-sandbox",
        "--disable-gpu",
        "--disable-quic",
        "--no-first-run",
        "--disable-background-networking",
        "--disable-component-update",
        "--disable-sync",
        "--window-size=1200,1000",
        f"--user-data-dir={home / 'profile'}",
        *arguments,
    ):
        options.add_argument(argument)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    service = webdriver.ChromeService(
        shutil.which("chromedriver"), env={**os.environ, "HOME": str(home)}
    )
    driver = webdriver.Chrome(options=options, service=service)
    try:
        driver.set_page_load_timeout(PAGE_SECONDS)
        yield driver
    finally:
        driver.quit()


def _certutil(*arguments: str, database: Path) -> None:
    subprocess.run(  # noqa: S603 - arguments of our own
        ["certutil", *arguments, "-d", f"sql:{database}"],  # noqa: S607 - from PATH
        check=True,
        capture_output=True,
        timeout=30,
    )


def console(browser: Browser) -> list[str]:
    """Return what the page's console holds since the last call; Chromium's own words too."""
    log = browser.execute("getLog", {"type": "browser"})
    return [entry["message"] for entry in log["value"]]


def text(browser: Browser, selector: str) -> list[str]:
    """Return the text of each element that a CSS selector finds."""
    return [element.text for element in browser.find_elements(By.CSS_SELECTOR, selector)]


def wait(browser: Browser, condition: Callable[[Browser], object], what: str) -> None:
    """Wait for what a page does by itself; fails with the sentence and the page's text."""
    WebDriverWait(browser, PAGE_SECONDS).until(
        condition, f"{what}; the page: {text(browser, 'body')}"
    )
