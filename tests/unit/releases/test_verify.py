"""Whether a folder holds a client that a browser could load."""

import time
from contextlib import suppress
from pathlib import Path

import pytest

from exoproxy.releases.problem import ReleaseProblem
from exoproxy.releases.verify import check

PAGE = """<!doctype html><html><head><base href="/" />
<link rel="stylesheet" href="assets/a.css?v=1" /><link rel="icon" href="not-there.svg" />
<script type="text/javascript" src="./elm-web.js"></script>
<script src="config.js"></script><script src="https://elsewhere.example/x.js"></script>
<script>inline()</script></head><body></body></html>"""
CONFIG = """"use strict";
/** @type {Exosphere.Configuration} */
var config = {
  // The proxy of this deployment.
  cloudCorsProxyUrl: '/proxy', "logo": null,
};
"""


@pytest.fixture(name="client")
def built_client(tmp_path: Path) -> Path:
    client = tmp_path / "client"
    (client / "assets").mkdir(parents=True)
    (client / "index.html").write_text(PAGE)
    (client / "elm-web.js").write_text("1")
    (client / "assets" / "a.css").write_text("a{}")
    (client / "config.js").write_text(CONFIG)
    return client


def checked(client: Path) -> list[str]:
    told: list[str] = []
    check(client, client.parent / "overrides", told.append)
    return told


def test_a_good_client(client: Path) -> None:
    """What the page loads from here is there; icons and other hosts' scripts don't count."""
    assert checked(client) == []


@pytest.mark.parametrize("name", ["elm-web.js", "assets/a.css", "config.js"])
def test_missing_and_empty_files(client: Path, name: str) -> None:
    """A script or a style that is missing, empty or a folder is named."""
    (client / name).write_text("")
    with pytest.raises(ReleaseProblem, match=f"loads '{name}', which is missing or empty"):
        checked(client)
    (client / name).unlink()
    with pytest.raises(ReleaseProblem, match=f"loads '{name}', which is missing or empty"):
        checked(client)
    (client / name).mkdir()
    with pytest.raises(ReleaseProblem, match=f"loads '{name}', which is missing or empty"):
        checked(client)


def test_overrides_count(client: Path) -> None:
    """A configuration that is in the overrides alone is there for the page."""
    (client / "config.js").unlink()
    overrides = client.parent / "overrides"
    overrides.mkdir()
    (overrides / "config.js").write_text(CONFIG)

    assert checked(client) == []


@pytest.mark.parametrize(
    "page", ["", "<p>no", "{}", "\0" * 100, "<!doctype svg>", "not a page <script>"]
)
def test_no_page(client: Path, page: str) -> None:
    """What is no HTML document is refused."""
    (client / "index.html").write_text(page)
    with pytest.raises(ReleaseProblem, match="is no HTML page"):
        checked(client)


def test_unreadable_pages(client: Path) -> None:
    """A page that is missing, or far too large, is refused."""
    (client / "index.html").write_text(PAGE + " " * 1024 * 1024)
    with pytest.raises(ReleaseProblem, match="is larger than 1024 KiB"):
        checked(client)
    (client / "index.html").unlink()
    with pytest.raises(ReleaseProblem, match=r"index.html can't be read"):
        checked(client)


@pytest.mark.parametrize(
    "url", ["%2e%2e/%2e%2e/etc/passwd", "..%2f..%2fetc%2fpasswd", "a%00.js", "http://[::1/x.js"]
)
def test_hostile_addresses(client: Path, url: str) -> None:
    """No address in the page makes the check look outside the client, or fail."""
    (client / "index.html").write_text(f"<html><script src='{url}'></script>")
    with pytest.raises(ReleaseProblem, match=r"leads out of it|is no address|is missing"):
        checked(client)


@pytest.mark.parametrize(
    "script",
    [
        "var config = { a: 1 b: 2 };",
        "var config = { a: 'x };",
        "var config = { a: 1;",
        "var other = { a: 1 };",
        "<!doctype html><title>404",
        "var config = [1];",
    ],
)
def test_broken_configuration(client: Path, script: str) -> None:
    """A forgotten comma, quote or bracket is found before users find it."""
    (client / "config.js").write_text(script)
    with pytest.raises(ReleaseProblem, match=r"The client's config.js is no configuration"):
        checked(client)


@pytest.mark.parametrize(
    "script",
    ["var config = { a: `x` };", "var config = make();", "var config = { ...other, a: 1 };"],
)
def test_computed_configuration(client: Path, script: str) -> None:
    """What only running it would tell is not judged, and that is said."""
    (client / "config.js").write_text(script)
    [told] = checked(client)

    assert told.startswith("Could not judge the client's config.js: ")


def test_other_configuration_is_judged_too(client: Path) -> None:
    """The clouds' file need not be named by the page."""
    (client / "cloud_configs.js").write_text("var cloud_configs = { clouds: [ };")
    with pytest.raises(ReleaseProblem, match=r"cloud_configs.js"):
        checked(client)


@pytest.mark.parametrize("piece", ['"\\', "/* ", "`\\"])
def test_judging_takes_little_time(client: Path, piece: str) -> None:
    """Quotes and comments that never end are looked at once, not once for each of them."""
    (client / "config.js").write_text(piece * (100 * 1024))
    before = time.process_time()
    with suppress(ReleaseProblem):
        checked(client)

    assert time.process_time() - before < 5
