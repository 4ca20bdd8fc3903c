"""The sections of the admin page, each from its part of the status; the last hour is `hour`'s."""

from collections.abc import Sequence
from typing import Final

from exoproxy.admin.blocks import ago, command, day, empty, facts, fold, section, sentence, table
from exoproxy.admin.figures import count, duration, moment, plural, share, size, span
from exoproxy.admin.markup import Html, join, tag
from exoproxy.admin.plot import ring, share_bar
from exoproxy.admin.value import (
    Age,
    Certificate,
    Client,
    Configuration,
    Connections,
    Health,
    Learned,
    Refusal,
    Route,
    Totals,
    Tunnels,
    Upstream,
)

# Where the certificate came from, in words.
SOURCES: Final = {
    "acme": "an ACME authority",
    "local": "the local authority",
    "files": "files that others renew",
}
# Of which the page shows these without being asked for more.
_FIRST: Final = 5


def verdict(health: Health, state: str) -> tuple[str, str]:
    """Return the health in a few words, and in one: `good`, `bad` or `leaving`."""
    if state == "draining":
        return "Draining: nothing new is taken", "leaving"
    problems = len(health["problems"])
    if health["ok"] and not problems:
        return "All is well", "good"
    if problems <= 1:
        return "One thing needs attention", "bad"
    return f"{problems} things need attention", "bad"


def well(health: Health, state: str, calm: str) -> Html:
    """Return the health: what is wrong and what to do, or the calm words."""
    words, tone = verdict(health, state)
    problems = [tag("li", sentence(each)) for each in health["problems"]]
    told = tag("ul", *problems) if problems else tag("p", calm)
    return tag(
        "section",
        tag("h2", words, id="health-title"),
        told,
        id="health",
        class_=f"wide {tone}",
        aria_labelledby="health-title",
    )


def certificate(value: Certificate) -> Html:
    """Return what is served to browsers, and what comes next for it."""
    days = value["days_left"]
    style = "own" if days <= 0 or value["temporary"] else "upstream" if days < 3 else "ok"
    left = (
        tag("strong", span(days * 86_400)) if days > 0 else tag("strong", "expired", class_="bad")
    )
    return section(
        "certificate",
        "Certificate",
        tag(
            "div",
            _ring(value, style),
            tag("p", left, tag("span", "left" if days > 0 else "")),
            class_="life",
        ),
        facts(
            ("Names", join(*(tag("span", name, class_="name") for name in value["names"]))),
            (
                "Issuer",
                "temporary and self-signed: browsers warn"
                if value["temporary"]
                else f"{value['issuer']}, from {SOURCES[value['source']]}",
            ),
            ("Valid until", day(value["not_after"])),
            _stored(value),
            ("Next", sentence(value["next"] or "nothing")),
            ("Failures", f"{plural(value['failures'], 'attempt')} in a row")
            if value["failures"]
            else None,
            ("Last error", sentence(value["last_error"])) if value["last_error"] else None,
        ),
    )


def _ring(value: Certificate, style: str) -> Html:
    """Return the part of its life that is left."""
    end = moment(value["not_after"])
    life = (end - moment(value["not_before"])).total_seconds()
    return ring(value["days_left"] * 86_400 / life if life > 0 else 0.0, style)


def _stored(value: Certificate) -> tuple[str, str] | None:
    if value["served_is_stored"] or value["stored_not_after"] is None:
        return None
    until = day(value["stored_not_after"])
    return "Stored", join("another one, valid until ", until, ", which is not served")


def tunnels(value: Tunnels) -> Html:
    """Return the open tunnels, by age and by name."""
    if not value["open"]:
        return section(
            "tunnels", "Tunnels", empty("No tunnel is open: no terminal, desktop or notebook.")
        )
    most = max(each["count"] for each in value["ages"]) if value["ages"] else 0
    rows = [
        (_ages(value["ages"], index), share_bar(each["count"], most), count(each["count"]))
        for index, each in enumerate(value["ages"])
    ]
    oldest = (
        (
            each["upstream"],
            each["client"],
            span(each["age"]),
            size(each["sent"]),
            size(each["received"]),
        )
        for each in value["oldest"]
    )
    return section(
        "tunnels",
        "Tunnels",
        table(f"{plural(value['open'], 'tunnel')} by age", ("Age", "", "#Open"), rows),
        fold(
            "oldest-tunnels",
            "The oldest",
            table(
                "The oldest tunnels, with the bytes of both directions",
                ("Upstream", "Client", "#Age", "#To the client", "#From the client"),
                oldest,
            ),
        ),
    )


def _ages(ages: Sequence[Age], index: int) -> str:
    below = ages[index - 1]["up_to"] if index else None
    up_to = ages[index]["up_to"]
    if up_to is None:
        return f"over {span(below or 0)}"
    return f"up to {span(up_to)}"


def refusals(found: Sequence[Refusal], now: str) -> Html:
    """Return what was refused, and the command that tells why."""
    if not found:
        return section(
            "refusals", "Refused", empty("Nothing was refused in the last hour."), wide=True
        )
    return section(
        "refusals",
        "Refused",
        tag("p", "The last hour by reason, the most frequent first.", class_="note"),
        tag("ol", *(_refusal(each, now) for each in found)),
        wide=True,
    )


def _refusal(each: Refusal, now: str) -> Html:
    return tag(
        "li",
        tag(
            "div",
            tag("h3", sentence(each["sentence"])),
            tag("p", sentence(each["hint"]), class_="note") if each["hint"] else "",
            tag("code", each["code"]),
        ),
        tag(
            "div",
            tag("p", "Last: ", each["target"]) if each["target"] else "",
            command(each["explain"]) if each["explain"] else "",
        ),
        tag("p", tag("strong", plural(each["count"], "time")), ", ", ago(each["last"], now)),
    )


def routes(found: Sequence[Route]) -> Html:
    """Return the last hour by route."""
    if not found:
        return section("routes", "Routes", empty("No request has come in the last hour."))
    rows = (
        (
            each["route"],
            count(each["requests"]),
            share(each["errors"], each["requests"]),
            duration(each["median"]),
            duration(each["p99"]),
        )
        for each in found
    )
    return section(
        "routes",
        "Routes",
        table(
            "The last hour by route",
            ("Route", "#Requests", "#Errors", "#Median", "#1 in 100"),
            rows,
        ),
    )


def upstreams(found: Sequence[Upstream], value: Connections, now: str) -> Html:
    """Return the connections kept to the other side, and what failed there."""
    kept = f"{count(value['upstream_open'])} open, {count(value['upstream_idle'])} of them idle"
    if not found:
        return section("upstreams", "Upstreams", empty("Nothing has been asked of any upstream."))
    rows = (
        (
            join(each["upstream"], _failure(each, now)),
            count(each["open"]),
            count(each["idle"]),
            count(each["failures"]),
        )
        for each in found
    )
    return section(
        "upstreams",
        "Upstreams",
        table(
            f"Connections to upstreams: {kept}; those that fail first",
            ("Upstream", "#Open", "#Idle", "#Failures"),
            rows,
        ),
    )


def _failure(each: Upstream, now: str) -> Html:
    last = each["last_failure"]
    if last is None:
        return Html()
    return tag("p", "last ", tag("code", last["code"]), " ", ago(last["at"], now), class_="note")


def learned(found: Sequence[Learned] | None, now: str) -> Html:
    """Return the endpoints that catalogues named; nothing in a mode that learns none."""
    if found is None:
        return Html()
    rows = (
        (
            join(
                each["endpoint"],
                tag("p", f"by {each['by']}, ", ago(each["last_named"], now), class_="note"),
            ),
            ago(each["expires"], now),
        )
        for each in found
    )
    return section(
        "learned",
        "Learned endpoints",
        table(
            "Endpoints that /proxy may reach because a catalogue named them",
            ("Endpoint", "#Expires"),
            rows,
        )
        if found
        else empty("No catalogue has named an endpoint yet: the first login does."),
    )


def client(value: Client | None, now: str) -> Html:
    """Return the release of the Exosphere client; nothing in a mode that serves none."""
    if value is None:
        return Html()
    return section(
        "client",
        "Exosphere client",
        facts(
            (
                "Release",
                value["release"]
                or sentence("not one of `exoproxy client install`: what lies in the folder"),
            ),
            ("Installed", ago(value["installed"], now)) if value["installed"] else None,
            ("Folder", tag("code", value["root"])),
        ),
    )


def configuration(value: Configuration, now: str) -> Html:
    """Return the file in use, and what of its newer content is not."""
    pending = [tag("code", key) for key in value["pending"]]
    return section(
        "configuration",
        "Configuration",
        facts(
            ("File", tag("code", value["file"])),
            ("Loaded", ago(value["loaded"], now)),
            ("Last reload", tag("span", sentence(value["problem"]), class_="bad"))
            if value["problem"]
            else None,
            ("Waits for a restart", tag("span", *pending, class_="list")) if pending else None,
        ),
    )


def since_start(totals: Totals, value: Connections, started: str, now: str) -> Html:
    """Return the counts of the whole run."""
    tried = totals["reused"] + totals["dialled"]
    return section(
        "totals",
        "Since the start",
        facts(
            ("Started", ago(started, now)),
            ("Requests", count(totals["requests"])),
            (
                "Errors",
                f"{count(totals['client_errors'])} client's, {count(totals['upstream_errors'])} "
                f"upstream's, {count(totals['own_errors'])} own",
            ),
            ("Refused", count(totals["refused"])),
            ("Bytes", f"{size(totals['sent'])} to clients, {size(totals['received'])} from them"),
            ("Upstream reuse", f"{share(totals['reused'], tried)} of connections taken"),
            (
                "Connections",
                f"{count(value['accepted'])} accepted, {count(value['refused'])} refused, "
                f"{count(value['handshake_failures'])} failed handshakes",
            ),
            ("Cookies made host-only", count(totals["cookies_changed"]))
            if totals["cookies_changed"]
            else None,
        ),
        wide=True,
    )
