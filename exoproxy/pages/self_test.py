"""The self-test page: tries the deployment from the browser of whoever opens it.

All is in one document: nothing is loaded from elsewhere, the script and the style
are allowed by their hashes, and what the page knows of the deployment is data that can't end its
element. What is asked, and what the answers mean, is in `self_test.js`.
"""

import json
from collections.abc import Awaitable, Callable
from functools import cache
from html import escape
from pathlib import Path
from typing import Any, Final

from aiohttp import web

from exoproxy.pages.policy import fields
from exoproxy.settings.model import Settings
from exoproxy.settings.sites import Main, Region

_FOLDER: Final = Path(__file__).parent


def self_test(
    current: Callable[[], Settings],
) -> Callable[[web.Request], Awaitable[web.Response]]:
    """Return the handler of the page; `current` returns the settings of the moment."""

    async def show(_: web.Request) -> web.Response:
        content, headers = page(current())
        return web.Response(body=content, headers=headers)

    return show


def page(settings: Settings) -> tuple[bytes, dict[str, str]]:
    """Return the document, and its fields."""
    known = deployment(settings)
    style, script = _read("self_test.css"), _read("self_test.js")
    document = _read("self_test.html")
    for mark, text in (
        ("{host}", escape(known["host"])),
        ("{style}", style),
        ("{script}", script),
        ("{deployment}", data(known)),
    ):
        document = document.replace(mark, text, 1)
    return document.encode(), fields(style, script, _asked(known["regions"]))


def deployment(settings: Settings) -> dict[str, Any]:
    """Return what the page needs to know, and nothing more: hosts, ports and paths."""
    main = settings.main
    if main is None:
        raise ValueError("the main host is not configured")
    regions = settings.uap.regions if settings.uap else {}
    return {
        "host": main.hostname,
        "proxy": _proxy(main),
        "regions": [
            {"name": name, "authority": authority(region)} for name, region in regions.items()
        ],
    }


def _proxy(main: Main) -> dict[str, Any] | None:
    if main.proxy is None:
        return None
    singles = [pattern for pattern in main.proxy.allow if not pattern.subdomains]
    api = {"host": singles[0].host, "port": str(singles[0].port or 443)} if singles else None
    return {"path": main.proxy.path, "api": api}


def authority(region: Region | Main) -> str:
    """Return HOST, or HOST:PORT, by which browsers reach a site."""
    port = region.listen[0].port
    return region.hostname if port == 443 else f"{region.hostname}:{port}"


def data(value: object) -> str:
    """Return JSON that can stand in a script element: none of its bytes can end that."""
    text = json.dumps(value)
    for character in "<>&":
        text = text.replace(character, f"\\u{ord(character):04x}")
    return text


def _asked(regions: list[dict[str, str]]) -> list[str]:
    """Return what the script asks beside its own host: each region, and names below it."""
    hosts = [each["authority"] for each in regions]
    return [
        f"{scheme}://{below}{host}"
        for host in hosts
        for scheme, below in (("https", ""), ("https", "*."), ("wss", "*."))
    ]


@cache
def _read(name: str) -> str:
    return (_FOLDER / name).read_text(encoding="utf-8")
