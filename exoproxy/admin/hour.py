"""The last hour on the admin page: its figures, its four plots, and both as a table."""

from collections.abc import Callable, Sequence

from exoproxy.admin.blocks import fold, section, table
from exoproxy.admin.figures import count, duration, moment, plural, share, size
from exoproxy.admin.markup import Html, tag
from exoproxy.admin.plot import Plot, Series, bars, times
from exoproxy.admin.value import Connections, Minute, Tunnels

Hour = Sequence[Minute]


def tiles(hour: Hour, tunnels: Tunnels, connections: Connections) -> Html:
    """Return the figures that one looks at first."""
    requests = sum(each["requests"] for each in hour)
    faults = sum(each["upstream_errors"] + each["own_errors"] for each in hour)
    timed = next((each for each in reversed(hour) if each["p99"] is not None), None)
    when = f"at {_clock(timed)} UTC" if timed else "nothing measured yet"
    return tag(
        "ul",
        _tile("Requests", count(requests), f"{count(requests / max(1, len(hour)))} per minute"),
        _tile(
            "Upstream and own errors",
            count(faults),
            f"{share(faults, requests)} of requests" if requests else "no request yet",
        ),
        _tile("Median time", duration(timed["median"] if timed else None), when),
        _tile("Slowest 1 in 100", duration(timed["p99"] if timed else None), when),
        _tile("Tunnels", count(tunnels["open"]), "open now"),
        _tile("Connections", count(connections["clients"]), f"of {count(connections['limit'])}"),
        class_="tiles",
    )


def traffic(hour: Hour) -> Html:
    """Return the section with the plots."""
    figures = (_requests(hour), _errors(hour), _times(hour), _bytes(hour))
    return section(
        "hour",
        "The last hour",
        tag("div", *figures, class_="plots"),
        _as_table(hour),
        wide=True,
    )


def _requests(hour: Hour) -> Html:
    layers = [*_failures(hour), Series(style="ok", values=[_answered(each) for each in hour])]

    def draw(description: str, tips: Sequence[str]) -> Plot:
        return bars(layers, description=description, tips=tips, unit=count)

    return _figure(
        hour,
        "Requests per minute",
        _extent([each["requests"] for each in hour], count),
        [("answered", "ok"), *_WHOSE],
        draw,
        lambda each: f"{plural(each['requests'], 'request')}, {_whose(each)}",
    )


def _errors(hour: Hour) -> Html:
    def draw(description: str, tips: Sequence[str]) -> Plot:
        return bars(_failures(hour), description=description, tips=tips, unit=count)

    return _figure(
        hour,
        "Errors per minute",
        _extent([_failed(each) for each in hour], count),
        _WHOSE,
        draw,
        _whose,
    )


def _times(hour: Hour) -> Html:
    medians = [each["median"] for each in hour]
    slowest = [each["p99"] for each in hour]

    def draw(description: str, tips: Sequence[str]) -> Plot:
        lines = [Series(style="slow", values=slowest), Series(style="ok", values=medians)]
        return times(lines, description=description, tips=tips)

    return _figure(
        hour,
        "Time until answered",
        _extent([*medians, *slowest], duration),
        [("median", "ok"), ("slowest 1 in 100", "slow")],
        draw,
        lambda each: f"median {duration(each['median'])}, 1 in 100 above {duration(each['p99'])}",
    )


def _bytes(hour: Hour) -> Html:
    sent = [each["sent"] for each in hour]
    received = [each["received"] for each in hour]

    def draw(description: str, tips: Sequence[str]) -> Plot:
        layers = [Series(style="slow", values=received), Series(style="ok", values=sent)]
        return bars(layers, description=description, tips=tips, unit=size)

    return _figure(
        hour,
        "Bytes per minute",
        _extent([out + back for out, back in zip(sent, received, strict=True)], size),
        [("to clients", "ok"), ("from clients", "slow")],
        draw,
        lambda each: f"{size(each['sent'])} to clients, {size(each['received'])} from clients",
    )


_WHOSE = [("client's errors", "client"), ("upstream's", "upstream"), ("own", "own")]


def _failures(hour: Hour) -> list[Series]:
    """Return the errors by whose they are, the worst first: it is drawn at the bottom."""
    return [
        Series(style="own", values=[each["own_errors"] for each in hour]),
        Series(style="upstream", values=[each["upstream_errors"] for each in hour]),
        Series(style="client", values=[each["client_errors"] for each in hour]),
    ]


def _figure(
    hour: Hour,
    title: str,
    extent: str,
    legend: Sequence[tuple[str, str]],
    draw: Callable[[str, Sequence[str]], Plot],
    tip: Callable[[Minute], str],
) -> Html:
    """Return a plot with its words; `draw` gets its description, and a tooltip per minute."""
    when = f"from {_clock(hour[0])} to {_clock(hour[-1])} UTC" if hour else "of no minute yet"
    plot = draw(f"{title} {when}: {extent}.", [f"{_clock(each)} UTC: {tip(each)}" for each in hour])
    clocks = (hour[index] for index in (0, len(hour) // 2, -1)) if hour else ()
    return tag(
        "figure",
        tag(
            "figcaption",
            tag("h3", title),
            tag("span", extent, class_="extent"),
            tag(
                "span",
                *(tag("span", words, class_=f"key {style}") for words, style in legend),
                class_="legend",
            ),
        ),
        tag("div", *(tag("span", tick) for tick in plot.ticks), class_="ticks", aria_hidden="true"),
        plot.svg,
        tag(
            "div",
            *(tag("span", _clock(each)) for each in clocks),
            class_="clock",
            aria_hidden="true",
        ),
    )


def _as_table(hour: Hour) -> Html:
    rows = (
        (
            _clock(each),
            count(each["requests"]),
            count(each["client_errors"]),
            count(each["upstream_errors"]),
            count(each["own_errors"]),
            count(each["refused"]),
            duration(each["median"]),
            duration(each["p99"]),
            size(each["sent"]),
            size(each["received"]),
        )
        for each in reversed(hour)
    )
    return fold(
        "minutes",
        "Minute by minute",
        table(
            "Requests, errors by whose they are, times and bytes; the newest minute first, in UTC",
            (
                *("Minute", "#Requests", "#Client's errors", "#Upstream's", "#Own", "#Refused"),
                *("#Median", "#1 in 100", "#To clients", "#From clients"),
            ),
            rows,
        ),
    )


def _tile(name: str, figure: str, note: str) -> Html:
    return tag(
        "li",
        tag("span", name, class_="name"),
        tag("strong", figure),
        tag("span", note, class_="note"),
    )


def _extent(values: Sequence[float | None], unit: Callable[[float], str]) -> str:
    """Return the least and the greatest of the values that there are."""
    known = [value for value in values if value is not None]
    if not any(known):
        return "none"
    return f"{unit(min(known))} to {unit(max(known))}"


def _clock(each: Minute) -> str:
    return f"{moment(each['minute']):%H:%M}"


def _whose(each: Minute) -> str:
    return (
        f"errors: {count(each['client_errors'])} client's, "
        f"{count(each['upstream_errors'])} upstream's, {count(each['own_errors'])} own"
    )


def _failed(each: Minute) -> int:
    return each["client_errors"] + each["upstream_errors"] + each["own_errors"]


def _answered(each: Minute) -> int:
    return max(0, each["requests"] - _failed(each))
