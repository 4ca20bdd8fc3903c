"""The status of a running process, set for a terminal: what the page shows, in some 30 lines.

Pure. All text passes `rules.printable`: it comes from another process.
"""

import textwrap
from collections.abc import Iterator, Sequence
from typing import Final

from exoproxy.admin.figures import ago, count, duration, moment, plural, share, size, span
from exoproxy.admin.value import (
    Certificate,
    Client,
    Configuration,
    Connections,
    Health,
    Learned,
    Minute,
    Refusal,
    Status,
    Tunnels,
    Upstream,
)
from exoproxy.rules.printable import printable

# Lines longer than that are hard to read, however wide the terminal is.
_WIDEST: Final = 110
_NARROWEST: Final = 50
_LABEL: Final = 15
# The page and --json have them all.
_MOST: Final = 5

SPARKS: Final = "▁▂▃▄▅▆▇█"
_ASCII_SPARKS: Final = "_.:-=+*#"

# A label with what stands behind it; without one it goes on.
Row = tuple[str, str]


def report(status: Status, width: int, *, unicode: bool = True) -> str:
    """Return the status for a terminal of `width` columns, with a final line end.

    With `unicode` the bars of the last hour are `SPARKS`, else ASCII.
    """
    width = max(_NARROWEST, min(width, _WIDEST))
    lines = [_head(status), ""]
    for label, words in _rows(status, SPARKS if unicode else _ASCII_SPARKS):
        lines += textwrap.wrap(
            printable(words),
            width,
            initial_indent=f"{label:{_LABEL}}",
            subsequent_indent=" " * _LABEL,
            break_long_words=False,
            break_on_hyphens=False,
        )
    return "\n".join(lines) + "\n"


def healthy(health: Health) -> bool:
    """Return whether nothing is wrong."""
    return health["ok"] and not health["problems"]


def _head(status: Status) -> str:
    mode = "main" if status["mode"] == "main" else f"uap, region {status['region']}"
    up = span((moment(status["now"]) - moment(status["started"])).total_seconds())
    return printable(f"{status['hostname']} ({mode}), exoproxy {status['version']}, up {up}")


def _rows(status: Status, sparks: str) -> Iterator[Row]:
    now = status["now"]
    if status["state"] == "draining":
        yield "state", "draining: it finishes what is open and takes nothing new"
    yield from _health(status["health"])
    yield from _certificate(status["certificate"])
    yield from _traffic(status["hour"], sparks)
    yield from _connections(status["connections"])
    yield from _tunnels(status["tunnels"])
    yield from _upstreams(status["upstreams"], now)
    yield from _refusals(status["refusals"], now)
    yield from _learned(status["learned"])
    yield from _client(status["client"], now)
    yield from _configuration(status["configuration"], now)


def _health(health: Health) -> Iterator[Row]:
    if healthy(health):
        yield "health", "all is well"
        return
    yield from _labelled("health", health["problems"] or ["not well, and it does not say why"])


def _certificate(value: Certificate) -> Iterator[Row]:
    days = value["days_left"]
    issuer = "temporary, self-signed" if value["temporary"] else value["issuer"]
    end = f"{moment(value['not_after']):%Y-%m-%d %H:%M} UTC"
    left = f"{span(days * 86_400)} left, until {end}" if days > 0 else f"expired on {end}"
    yield "certificate", f"{left}; {issuer}; for {', '.join(value['names'])}"
    if not value["served_is_stored"] and value["stored_not_after"] is not None:
        yield "", "another one is stored, and not served"
    if value["next"]:
        yield "", f"next: {value['next']}"
    if value["failures"]:
        yield "", f"{plural(value['failures'], 'attempt')} failed in a row"
    if value["last_error"]:
        yield "", f"error: {value['last_error']}"


def _traffic(hour: Sequence[Minute], sparks: str) -> Iterator[Row]:
    requests = [each["requests"] for each in hour]
    total = sum(requests)
    if not total:
        yield "last hour", "no request"
        return
    client, upstream, own = (
        sum(each["client_errors"] for each in hour),
        sum(each["upstream_errors"] for each in hour),
        sum(each["own_errors"] for each in hour),
    )
    yield "last hour", spark(requests, sparks)
    yield "", f"{plural(total, 'request')}, {count(max(requests))} in the busiest minute"
    if failed := upstream + own:
        yield "", spark([each["upstream_errors"] + each["own_errors"] for each in hour], sparks)
        yield "", f"{share(failed, total)} failed: {count(upstream)} upstream, {count(own)} here"
    if client:
        yield "", f"{plural(client, 'error')} of clients"
    if timed := next((each for each in reversed(hour) if each["p99"] is not None), None):
        yield (
            "",
            f"answered in {duration(timed['median'])}, 1 in 100 above {duration(timed['p99'])} "
            f"(at {moment(timed['minute']):%H:%M} UTC)",
        )
    sent, received = sum(each["sent"] for each in hour), sum(each["received"] for each in hour)
    yield "", f"{size(sent)} to clients, {size(received)} from them"


def spark(values: Sequence[float], sparks: str = SPARKS) -> str:
    """Return numbers as a row of small bars; of the lowest kind are zeros alone."""
    most = max(values, default=0)
    last = len(sparks) - 1
    return "".join(
        sparks[max(1, round(value / most * last)) if value > 0 else 0] for value in values
    )


def _connections(value: Connections) -> Iterator[Row]:
    yield (
        "connections",
        f"{value['clients']} of {value['limit']} from clients; {value['upstream_open']} to "
        f"upstreams, {value['upstream_idle']} of them idle",
    )


def _tunnels(value: Tunnels) -> Iterator[Row]:
    if not value["open"]:
        yield "tunnels", "none open"
        return
    ages = value["oldest"]
    oldest = f", the oldest for {span(ages[0]['age'])} to {ages[0]['upstream']}" if ages else ""
    yield "tunnels", f"{value['open']} open{oldest}"


def _upstreams(found: Sequence[Upstream], now: str) -> Iterator[Row]:
    failing = [(each, last) for each in found if (last := each["last_failure"]) is not None]
    words = [
        f"{each['upstream']}: {plural(each['failures'], 'failure')}, the last {last['code']} "
        f"{ago(last['at'], now)}"
        for each, last in failing[:_MOST]
    ]
    yield from _labelled("upstreams", words or ["none has failed"])


def _refusals(found: Sequence[Refusal], now: str) -> Iterator[Row]:
    words = []
    for each in found[:_MOST]:
        target = f": {each['target']}" if each["target"] else ""
        last = ago(each["last"], now)
        words.append(f"{plural(each['count'], 'time')} {each['code']}, last {last}{target}")
        words += [f"  {each['explain']}"] if each["explain"] else []
    if (more := len(found) - _MOST) > 0:
        words.append(f"and {plural(more, 'other reason')}")
    yield from _labelled("refused", words or ["nothing in the last hour"])


def _learned(found: Sequence[Learned] | None) -> Iterator[Row]:
    if found is None:
        return
    names = [each["endpoint"] for each in found]
    yield "learned", ", ".join(names) or "no endpoint yet: the first login brings them"


def _client(value: Client | None, now: str) -> Iterator[Row]:
    if value is None:
        return
    installed = f", installed {ago(value['installed'], now)}" if value["installed"] else ""
    yield "client", f"{value['release'] or 'no release'} in {value['root']}{installed}"


def _configuration(value: Configuration, now: str) -> Iterator[Row]:
    yield "configuration", f"{value['file']}, loaded {ago(value['loaded'], now)}"
    if value["problem"]:
        yield "", f"the last reload failed: {value['problem']}"
    if value["pending"]:
        yield "", f"takes a restart: {', '.join(value['pending'])}"


def _labelled(label: str, words: Sequence[str]) -> Iterator[Row]:
    for index, each in enumerate(words):
        yield ("" if index else label), each
