"""The last hour in figures and plots."""

import re
from typing import Any

import pytest

import status_sample
from exoproxy.admin.hour import tiles, traffic
from exoproxy.admin.value import Status


def minute(**values: Any) -> Any:
    return {
        "minute": "2026-05-04T14:07:00+00:00",
        "requests": 0,
        "client_errors": 0,
        "upstream_errors": 0,
        "own_errors": 0,
        "refused": 0,
        "received": 0,
        "sent": 0,
        "median": None,
        "p99": None,
        **values,
    }


def text_of(html: str) -> str:
    return " ".join(re.sub(r"<[^>]*>", " ", html).split())


def shown(hour: list[Any]) -> str:
    status: Status = status_sample.busy()  # type: ignore[assignment]
    return text_of(tiles(hour, status["tunnels"], status["connections"]))


def test_figures_of_the_hour() -> None:
    """What clients did wrong is not counted as a failure, and times are those of the last minute
    that has any."""
    hour = [
        minute(requests=90, client_errors=9, upstream_errors=4, own_errors=1),
        minute(requests=10, median=0.012, p99=0.5),
        minute(),
    ]

    assert shown(hour) == (
        "Requests 100 33 per minute Upstream and own errors 5 5 % of requests "
        "Median time 12 ms at 14:07 UTC Slowest 1 in 100 500 ms at 14:07 UTC "
        "Tunnels 147 open now Connections 412 of 8.2 k"
    )


@pytest.mark.parametrize("hour", [[], [minute()]])
def test_nothing_has_come_yet(hour: list[Any]) -> None:
    """Without a request, nothing is divided by nothing."""
    told = shown(hour)

    assert "Requests 0 0 per minute" in told
    assert "no request yet" in told
    assert "Median time - nothing measured yet" in told
    assert traffic(hour).count("<figure>") == 4


def test_plots_have_words() -> None:
    """Each plot says its extent, in sight and to who can't see it; each minute has its own."""
    html = traffic(
        [minute(requests=7, upstream_errors=2, sent=4_000, median=0.1, p99=0.2), minute(requests=1)]
    )

    assert re.findall(r'role="img" aria-label="([^"]*)"', html) == [
        "Requests per minute from 14:07 to 14:07 UTC: 1 to 7.",
        "Errors per minute from 14:07 to 14:07 UTC: 0 to 2.",
        "Time until answered from 14:07 to 14:07 UTC: 100 ms to 200 ms.",
        "Bytes per minute from 14:07 to 14:07 UTC: 0 B to 4 kB.",
    ]
    assert "14:07 UTC: 7 requests, errors: 0 client&#x27;s, 2 upstream&#x27;s, 0 own" in html
    assert "14:07 UTC: median 100 ms, 1 in 100 above 200 ms" in html


def test_more_errors_than_requests() -> None:
    """An error counted a minute after its request leaves no bar below zero."""
    assert "v--" not in traffic([minute(requests=1, own_errors=2)])


def test_table_has_every_minute() -> None:
    """All that the plots show can be read, the newest first."""
    html = traffic(status_sample.busy()["hour"])

    assert html.count('<th scope="row">') == 60
    assert html.index('<th scope="row">14:07') < html.index('<th scope="row">13:08')
