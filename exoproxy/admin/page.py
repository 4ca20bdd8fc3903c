"""The admin page: the status of the running process, for people.

One document without anything from elsewhere: its style and script are allowed by their hashes, and
every text of the status is escaped by `markup`. It is whole without its script, which only puts
the newest <main> in place of the old one every few seconds. Made anew for each request for it.
"""

from functools import cache
from pathlib import Path
from typing import Any, Final, cast

from exoproxy.admin import sections
from exoproxy.admin.figures import moment, plural, share, span
from exoproxy.admin.hour import tiles, traffic
from exoproxy.admin.markup import Html, join, tag, text
from exoproxy.admin.value import Status
from exoproxy.pages.policy import fields

_FOLDER: Final = Path(__file__).parent
# Of the tab's icon, a dot: seen in both schemes.
_TONES: Final = {"good": "%2316a34a", "bad": "%23dc2626", "leaving": "%23d97706"}


def page(status: dict[str, Any]) -> tuple[bytes, dict[str, str]]:
    """Return the document for a status (see `value.Status`), and its fields."""
    known = cast("Status", status)
    style, script = _read("page.css"), _read("page.js")
    words, tone = sections.verdict(known["health"], known["state"])
    document = _read("page.html")
    # The data comes last: what it holds is replaced no more.
    for mark, content in (
        ("{style}", style),
        ("{script}", script),
        ("{tone}", _TONES[tone]),
        ("{title}", text(f"{words} · {known['hostname']}")),
        ("{main}", _main(known)),
    ):
        before, _, after = document.partition(mark)
        document = before + content + after
    return document.encode(), fields(style, script)


def _main(status: Status) -> Html:
    now = status["now"]
    uptime = span((moment(now) - moment(status["started"])).total_seconds())
    return tag(
        "main",
        tag(
            "div",
            tag("h1", status["hostname"]),
            tag("p", f"{place(status)} · exoproxy {status['version']} · up {uptime}"),
            tag(
                "p",
                "As of ",
                tag("time", f"{moment(now):%-d %b %Y, %H:%M:%S} UTC", datetime=now),
                class_="now",
            ),
            class_="head",
        ),
        sections.well(status["health"], status["state"], calm(status)),
        tiles(status["hour"], status["tunnels"], status["connections"]),
        traffic(status["hour"]),
        sections.certificate(status["certificate"]),
        sections.tunnels(status["tunnels"]),
        sections.refusals(status["refusals"], now),
        sections.routes(status["routes"]),
        sections.upstreams(status["upstreams"], status["connections"], now),
        sections.learned(status["learned"], now),
        sections.client(status["client"], now),
        sections.configuration(status["configuration"], now),
        sections.since_start(status["totals"], status["connections"], status["started"], now),
    )


def place(status: Status) -> str:
    """Return which part of a deployment the process is."""
    if status["mode"] == "main":
        return "Main host"
    return f"User Application Proxy of region {status['region']}"


def calm(status: Status) -> Html:
    """Return a sentence on what goes well."""
    days = status["certificate"]["days_left"]
    requests = sum(each["requests"] for each in status["hour"])
    faults = sum(each["upstream_errors"] + each["own_errors"] for each in status["hour"])
    served: tuple[str, ...] = ("no request in the last hour.",)
    if requests:
        served = (
            _figure(plural(requests, "request")),
            " in the last hour, ",
            _figure(share(faults, requests)),
            " failed here or upstream.",
        )
    return join("The certificate lasts ", _figure(span(days * 86_400)), "; ", *served)


def _figure(words: str) -> Html:
    return tag("span", words, class_="figure")


@cache
def _read(name: str) -> str:
    return (_FOLDER / name).read_text(encoding="utf-8")
