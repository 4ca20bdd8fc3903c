"""What is counted of requests and tunnels, and that no client makes up what it is counted as."""

from typing import Any

import pytest

from exoproxy.errors import Overloaded, ProxyError
from exoproxy.net.dial import OWN, Upstream
from exoproxy.ops.traffic import (
    AGES,
    DURATIONS,
    ERRORS,
    MOST_TARGETS,
    MOST_UPSTREAMS,
    REFUSALS,
    Traffic,
    code_of,
    target_of,
)
from exoproxy.proxy.record import Record
from exoproxy.wire.head import RequestHead
from heads import peer, request

INSTANCE = Upstream("http", "192.168.0.5", 8888, verify=False)


@pytest.fixture
def traffic() -> Traffic:
    return Traffic(lambda: 100.0)


def record(asked: RequestHead | None = None, seconds: float = 0.003, **values: Any) -> Record:
    values = {"site": "uap", "status": 200, "route": "instance", **values}
    return Record(id="r", peer=peer(), request=asked, started=10.0, ended=10.0 + seconds, **values)


def refused(host: str = "a.example.org", code: str = "no-instance-name", **values: Any) -> Record:
    asked = request("GET /", f"Host: {host}")
    values = {"route": "refused", "status": 404, "side": "client", "detail": "No.", **values}
    return record(asked, code=code, **values)


def ways(traffic: Traffic) -> dict[tuple[str, str, str, str], int]:
    return {(way.site, way.route, way.code, way.side): sum(way.durations) for way in traffic.ways}


def test_requests_count_by_their_end(traffic: Traffic) -> None:
    """Site, route, status and side tell requests apart."""
    for each in (record(), record(), record(status=304), refused()):
        traffic.count(each)

    assert ways(traffic) == {
        ("uap", "instance", "200", ""): 2,
        ("uap", "instance", "304", ""): 1,
        ("uap", "refused", "404", "client"): 1,
    }


def test_durations_fall_into_their_interval(traffic: Traffic) -> None:
    """A duration counts at the first bound that is not below it, however long it is."""
    for seconds in (0.0, 0.0001, 0.4, 4000.0):
        traffic.count(record(seconds=seconds))
    (way,) = traffic.ways

    assert way.durations[0] == 2
    assert way.durations[DURATIONS.index(0.5)] == 1
    assert way.durations[-1] == 1
    assert way.seconds == pytest.approx(4000.4001)


def test_bytes_and_connections_are_summed(traffic: Traffic) -> None:
    """Content both ways; a request took a kept connection, or one was dialled for it."""
    traffic.count(record(received=1, sent=10, upstream=INSTANCE, reused=True))
    traffic.count(record(received=2, sent=20, upstream=INSTANCE, dialled=0.02))
    traffic.count(record(upstream=INSTANCE))  # dialled within the clock's step
    traffic.count(record(sent=40))

    assert (traffic.received, traffic.sent) == (3, 70)
    assert (traffic.reused, traffic.dialled) == (1, 2)
    assert traffic.dials[DURATIONS.index(0.025)] == 1
    assert traffic.dial_seconds == pytest.approx(0.02)


def test_a_failed_dial_is_none(traffic: Traffic) -> None:
    """How long a dial took that led nowhere says nothing of how long dials take."""
    failed = record(upstream=INSTANCE, code="upstream-timeout", side="upstream", status=504)
    traffic.count(failed)

    assert traffic.dialled == sum(traffic.dials) == 0


def test_a_tunnel_counts_at_both_ends(traffic: Traffic) -> None:
    """Its request counts when it is opened; its bytes and age when it is closed."""
    tunnel = record(status=101, upstream=INSTANCE, dialled=0.001)
    traffic.count(tunnel)
    tunnel.tunnel, tunnel.ended, tunnel.received, tunnel.sent = True, 10.0 + 700, 5, 50
    traffic.count(tunnel)

    assert ways(traffic) == {("uap", "instance", "101", ""): 1}
    assert traffic.ages[AGES.index(3600.0)] == 1
    assert traffic.ages_seconds == pytest.approx(700)
    assert (traffic.received, traffic.sent, traffic.dialled) == (5, 50, 1)


def test_every_error_has_a_place() -> None:
    """All codes of the tree are known, those of parents included."""
    assert {"bad-request", "bad-host", "upstream-tls", "upstream-certificate"} <= set(ERRORS)
    assert all(issubclass(error, ProxyError) for error in ERRORS.values())
    assert {"target-not-allowed", Overloaded.code} <= REFUSALS
    assert REFUSALS.isdisjoint({"client-gone", "not-found", "internal-error", "upstream-timeout"})


def test_refusals_are_ranked_by_target(traffic: Traffic) -> None:
    """Who asks why a user is refused finds the host, and the sentence that was said last."""
    for host in ("a.example.org", "b.example.org", "a.example.org"):
        traffic.count(refused(host))
    (first, second) = traffic.refused_targets["no-instance-name"].rows(10, 99)

    assert (first.key, first.count, first.note) == ("a.example.org", 2, "No.")
    assert (second.key, second.count) == ("b.example.org", 1)
    assert traffic.errors["no-instance-name"] == 3
    assert traffic.refused["no-instance-name"].count(10) == 3


def test_failures_are_ranked_by_upstream(traffic: Traffic) -> None:
    """An upstream that fails is told with its last error; one of our own is none."""
    failed: dict[str, Any] = {"status": 502, "side": "upstream"}
    traffic.count(record(upstream=INSTANCE, code="upstream-refused", **failed))
    traffic.count(record(upstream=INSTANCE, code="upstream-closed", **failed))
    own = Upstream(OWN, "pages", 0, verify=False)
    traffic.count(record(upstream=own, code="upstream-closed", **failed))
    (row,) = traffic.failing.rows(10, 99)

    assert (row.key, row.count, row.note) == (INSTANCE, 2, "upstream-closed")


def test_a_client_that_leaves_is_no_refusal(traffic: Traffic) -> None:
    """It counts as its own error, and is not ranked."""
    traffic.count(record(code="client-gone", side="client", status=0))

    assert ways(traffic) == {("uap", "instance", "none", "client"): 1}
    assert traffic.refused == {}


@pytest.mark.parametrize(
    ("status", "label"), [(200, "200"), (418, "418"), (0, "none"), (299, "2xx"), (999, "9xx")]
)
def test_made_up_statuses_count_by_class(status: int, label: str) -> None:
    """An instance can't make a series of each number that it thinks of."""
    assert code_of(status) == label


def test_made_up_statuses_share_a_way(traffic: Traffic) -> None:
    """All of one class are counted together."""
    for status in (*range(271, 300), *range(600, 1000)):
        traffic.count(record(status=status))

    assert set(ways(traffic).values()) == {29, 100}
    assert len(traffic.ways) == 5


def test_the_target_of_the_cloud_proxy_is_the_api() -> None:
    """What a request below /proxy is for is in its control fields, and nowhere else."""
    control = ("exo-proxy-orig-host: Nova.example.org", "exo-proxy-orig-port: 8774")
    asked = request("GET /proxy/v2", "Host: my.example.org", *control)

    assert target_of(record(asked, site="main")) == "Nova.example.org:8774"
    assert target_of(record(asked, site="uap")) == "my.example.org"
    assert target_of(record(None)) == ""
    only_host = request("GET /proxy/v2", "Host: my.example.org", control[0])
    assert target_of(record(only_host, site="main")) == "Nova.example.org"


def test_targets_are_escaped_and_short() -> None:
    """Whatever a client writes there, a row is one short line of printable ASCII."""
    control = ('exo-proxy-orig-host: \xff"<script>' + "x" * 5000, "exo-proxy-orig-port: 1")
    target = target_of(
        record(request("GET /proxy/", "Host: my.example.org", *control), site="main")
    )

    assert target.startswith("\\xFF\\x22<script>")
    assert len(target) < 400
    assert target.isprintable()


def test_hostile_clients_grow_nothing(traffic: Traffic) -> None:
    """However many hosts, fields and addresses are tried, every table keeps its bound."""
    for number in range(5000):
        traffic.count(refused(f"x{number}.example.org", received=number))
        there = Upstream("http", "192.168.0.5", 1 + number, verify=False)
        traffic.count(record(upstream=there, code="upstream-refused", side="upstream", status=502))

    assert len(traffic.ways) == 2
    assert len(traffic.refused_targets["no-instance-name"]) == MOST_TARGETS
    assert len(traffic.failing) == MOST_UPSTREAMS
    assert set(traffic.errors) == set(ERRORS)
