"""The last hour by minutes, and what it says of how long requests take."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from exoproxy.ops.hour import MINUTES, Figures, Hour, OfRoute, figures, quantile
from exoproxy.ops.traffic import DURATIONS, Traffic
from exoproxy.proxy.record import Record
from heads import peer

NOON = datetime(2026, 5, 4, 12, 0, 20, tzinfo=UTC)
MINUTE = timedelta(minutes=1)


def of(requests: int, **counts: Any) -> Figures:
    return Figures(requests=requests, **counts)


def requests(hour: Hour, now: datetime, passed: Figures) -> list[int]:
    """Return the requests of the last minutes in which there were any."""
    return [each.requests for _, each in hour.minutes(now, passed) if each.requests]


def counted(*records: Record) -> Traffic:
    traffic = Traffic(lambda: 0.0)
    for each in records:
        traffic.count(each)
    return traffic


def record(seconds: float = 0.003, **values: Any) -> Record:
    values = {"status": 200, "route": "instance", **values}
    return Record(
        id="r", site="uap", peer=peer(), request=None, started=5.0, ended=5.0 + seconds, **values
    )


def test_minutes_are_differences() -> None:
    """Each minute has what came in it, the running one what has come so far."""
    hour = Hour()
    hour.mark(NOON, of(100))
    hour.mark(NOON + MINUTE, of(130))
    minutes = list(hour.minutes(NOON + MINUTE, of(137)))

    assert len(minutes) == MINUTES
    assert [(begun.isoformat(), each.requests) for begun, each in minutes[-2:]] == [
        ("2026-05-04T12:00:00+00:00", 30),
        ("2026-05-04T12:01:00+00:00", 7),
    ]
    assert {each.requests for _, each in minutes[:-2]} == {0}


def test_a_minute_is_marked_once() -> None:
    """Marks within a minute change nothing: its begin is what counts."""
    hour = Hour()
    hour.mark(NOON, of(0))
    hour.mark(NOON + timedelta(seconds=30), of(5))

    assert requests(hour, NOON + timedelta(seconds=31), of(6)) == [6]


def test_keeps_an_hour() -> None:
    """After an hour a minute is forgotten."""
    hour = Hour()
    for minute in range(200):
        hour.mark(NOON + minute * MINUTE, of(minute * 10))

    now = NOON + 199 * MINUTE
    assert requests(hour, now, of(1999)) == [*[10] * 59, 9]
    assert hour.last(10, now, of(1999)).requests == 99


def test_a_missed_minute_belongs_to_the_one_before() -> None:
    """When the process was held up, nothing is lost and nothing counts twice."""
    hour = Hour()
    hour.mark(NOON, of(0))
    hour.mark(NOON + 3 * MINUTE, of(30))

    assert requests(hour, NOON + 3 * MINUTE, of(34)) == [30, 4]
    assert hour.last(60, NOON + 3 * MINUTE, of(34)).requests == 34


@pytest.mark.parametrize("jump", [-90 * MINUTE, 90 * MINUTE, timedelta(days=400)])
def test_a_clock_that_is_set_begins_a_new_hour(jump: timedelta) -> None:
    """What came before the clock was set has no minute any more; what comes after has."""
    hour = Hour()
    hour.mark(NOON, of(0))
    hour.mark(NOON + jump, of(50))

    assert requests(hour, NOON + jump, of(53)) == [3]


def test_without_marks_there_is_nothing() -> None:
    """What was never marked is no minute's."""
    hour = Hour()

    assert requests(hour, NOON, of(9)) == []
    assert hour.last(10, NOON, of(9)).requests == 0


def test_figures_add_up() -> None:
    """Sides, routes and refusals are sums over what was counted."""
    traffic = counted(
        record(received=3, sent=5),
        record(side="upstream", code="upstream-refused", status=502),
        record(side="client", code="no-instance-name", status=404, route="refused"),
        record(side="own", code="internal-error", status=500, route="static"),
    )
    found = figures(traffic, received=100, sent=1000)

    assert (found.requests, found.refused) == (4, 1)
    assert (found.client_errors, found.upstream_errors, found.own_errors) == (1, 1, 1)
    assert (found.received, found.sent) == (103, 1005)
    assert {route: each.errors for route, each in found.routes.items()} == {
        "instance": 1,
        "refused": 1,
        "static": 1,
    }
    assert sum(found.routes["instance"].durations) == 2
    assert found.errors == {"upstream-refused": 1, "no-instance-name": 1, "internal-error": 1}


def test_a_difference_is_field_by_field() -> None:
    """What came between two moments holds for every figure, new routes and codes included."""
    before = figures(counted(record(sent=1)))
    after = figures(
        counted(record(sent=1), record(sent=7), record(route="own", side="own", code="overloaded"))
    )
    between = after.whole_since(before)

    assert (between.requests, between.sent, between.own_errors, between.refused) == (2, 7, 1, 1)
    assert sum(between.durations) == 2
    assert between.routes["own"].errors == 1
    assert sum(between.routes["instance"].durations) == 1
    assert between.errors == {"overloaded": 1}
    assert after.whole_since(after).routes["own"] == OfRoute()


def test_quantiles_lie_in_their_interval() -> None:
    """A median of a hundred requests of 3 ms lies between the bounds around 3 ms."""
    traffic = counted(*[record(0.003)] * 99, record(4.0))
    durations = figures(traffic).durations
    median, p99 = quantile(0.5, durations), quantile(0.999, durations)

    assert median is not None
    assert p99 is not None
    assert 0.0025 < median < 0.005
    assert 2.5 < p99 <= 5


def test_quantiles_at_the_edges() -> None:
    """Of no request there is none, and what took longest took at least the last bound."""
    assert quantile(0.5, figures(counted()).durations) is None
    assert quantile(0.5, figures(counted(record(4000.0))).durations) == DURATIONS[-1]
