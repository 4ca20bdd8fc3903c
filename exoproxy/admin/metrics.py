"""The metrics for Prometheus: what is counted and what is open, read when they are asked for.

Names and units follow https://prometheus.io/docs/practices/naming/. Labels are words of our own,
registered statuses and what the operator has named; nothing that a client or an upstream says
becomes one, so that the number of series is bounded.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Final

from prometheus_client import CollectorRegistry, ProcessCollector
from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    InfoMetricFamily,
    Metric,
)
from prometheus_client.exposition import choose_encoder
from prometheus_client.registry import Collector

from exoproxy import __version__
from exoproxy.admin import connections
from exoproxy.admin.certificate import standing
from exoproxy.admin.disk import OnDisk
from exoproxy.admin.running import Running
from exoproxy.errors import Side
from exoproxy.ops.traffic import AGES, DURATIONS, ERRORS, REFUSALS, Traffic
from exoproxy.uap import UapSite

_PROCESS: Final = ProcessCollector(registry=None)

_UPSTREAM_ERRORS: Final = frozenset(
    code for code, error in ERRORS.items() if error.side is Side.UPSTREAM
)


def process_metrics() -> list[Metric]:
    """Return what the kernel tells of the process; to be called in a thread.

    Counting ten thousand descriptors takes longer than the event loop has.
    """
    return list(_PROCESS.collect())


def exposition(
    running: Running, disk: OnDisk, process: Sequence[Metric], accept: str
) -> tuple[bytes, str]:
    """Return the metrics in the form that is asked for, and its media type.

    `accept` is the value of an Accept field or empty: OpenMetrics for those who ask for it, else
    the text format that everybody reads.
    """
    registry = CollectorRegistry(auto_describe=False)
    registry.register(_Collector(running, disk, process))
    encode, kind = choose_encoder(accept)
    return encode(registry), kind


class _Collector(Collector):
    """What one scrape gets."""

    def __init__(self, running: Running, disk: OnDisk, process: Sequence[Metric]) -> None:
        self._running = running
        self._disk = disk
        self._process = process

    def describe(self) -> Iterable[Metric]:
        """Return nothing: the registry has no other collector whose names could clash."""
        return ()

    def collect(self) -> Iterator[Metric]:
        """Yield all families."""
        running, traffic = self._running, self._running.traffic
        yield _info("exoproxy_build", "The version that runs.", {"version": __version__})
        yield from _of_requests(traffic)
        yield from _of_connections(running)
        yield from _of_tunnels(running)
        yield from _of_upstreams(running)
        yield from _of_certificate(running, self._disk)
        yield from _of_configuration(running)
        if isinstance(running.site, UapSite):
            yield _counter(
                "exoproxy_cookies_narrowed",
                "Cookies of instances that were kept from reaching other instances, by an edit.",
                running.site.cookies.count,
            )
        if self._disk.release is not None:
            yield _info(
                "exoproxy_client_release",
                "The release of the Exosphere client that is served.",
                {"release": self._disk.release},
            )
        yield from self._process


def _of_requests(traffic: Traffic) -> Iterator[Metric]:
    requests = CounterMetricFamily(
        "exoproxy_requests",
        "Finished requests, by HTTP status, and whose doing an error is (empty: there was none).",
        labels=["site", "route", "code", "side"],
    )
    routes: dict[str, tuple[list[int], float]] = {}
    for way in traffic.ways:
        requests.add_metric([way.site, way.route, way.code, way.side], sum(way.durations))
        counts, seconds = routes.get(way.route, ([0] * len(way.durations), 0.0))
        summed = [one + other for one, other in zip(counts, way.durations, strict=True)]
        routes[way.route] = summed, seconds + way.seconds
    yield requests
    durations = HistogramMetricFamily(
        "exoproxy_request_duration_seconds",
        "From a request's head to the end of its answer; for websockets, to the 101.",
        labels=["route"],
    )
    for route, (counts, seconds) in routes.items():
        durations.add_metric([route], _buckets(DURATIONS, counts), seconds)
    yield durations
    refusals = CounterMetricFamily(
        "exoproxy_refusals", "Requests that were turned away, by the error's code.", labels=["code"]
    )
    for code in sorted(REFUSALS):
        refusals.add_metric([code], traffic.errors[code])
    yield refusals


def _of_connections(running: Running) -> Iterator[Metric]:
    came = connections.accepted(running.servers)
    count, _ = connections.upstreams(running.servers)
    yield _gauges(
        "exoproxy_connections_open",
        "Open connections, of clients and to upstreams.",
        "side",
        {"client": running.caps.open, "upstream": count},
    )
    yield _gauge(
        "exoproxy_connections_arriving",
        "Open connections of clients whose handshake is not through.",
        came.arriving,
    )
    yield _gauge(
        "exoproxy_connections_limit",
        "Connections of clients that may be open at once.",
        running.caps.total,
    )
    yield _counter("exoproxy_connections_accepted", "Accepted connections.", came.accepted)
    yield _counter(
        "exoproxy_connections_refused",
        "Connections closed unheard: a cap, or no PROXY header that could be believed.",
        came.refused,
    )
    yield _counter(
        "exoproxy_connections_handshake_failures",
        "Connections whose TLS handshake failed.",
        came.handshake_failures,
    )


def _of_tunnels(running: Running) -> Iterator[Metric]:
    traffic, now = running.traffic, running.traffic.clock()
    count, oldest, received, sent = 0, now, traffic.received, traffic.sent
    for tunnel in connections.tunnels(running.servers):
        count += 1
        oldest = min(oldest, tunnel.record.ended)
        received += tunnel.received
        sent += tunnel.sent
    yield _counters(
        "exoproxy_bytes",
        "Bytes of content, received from clients and sent to them, websockets included.",
        "direction",
        {"received": received, "sent": sent},
    )
    yield _gauge("exoproxy_tunnels_open", "Open websockets.", count)
    yield _gauge(
        "exoproxy_tunnel_age_max_seconds", "Age of the oldest open websocket.", now - oldest
    )
    yield HistogramMetricFamily(
        "exoproxy_tunnel_age_seconds",
        "Age that websockets had reached when they were closed.",
        buckets=_buckets(AGES, traffic.ages),
        sum_value=traffic.ages_seconds,
    )


def _of_upstreams(running: Running) -> Iterator[Metric]:
    traffic = running.traffic
    count, idle = connections.upstreams(running.servers)
    yield _gauges(
        "exoproxy_upstream_connections",
        "Connections to upstreams: open in all (websockets' too), and idle among them.",
        "state",
        {"open": count, "idle": idle},
    )
    yield _counters(
        "exoproxy_upstream_requests",
        "Requests to upstreams, by whether a kept connection was there for them.",
        "connection",
        {"reused": traffic.reused, "dialled": traffic.dialled},
    )
    yield HistogramMetricFamily(
        "exoproxy_dial_duration_seconds",
        "Time to connect to an upstream: name, TCP and TLS; without dials that failed.",
        buckets=_buckets(DURATIONS, traffic.dials),
        sum_value=traffic.dial_seconds,
    )
    yield _counters(
        "exoproxy_upstream_failures",
        "Requests that failed at their upstream, by the error's code.",
        "code",
        {code: traffic.errors[code] for code in sorted(_UPSTREAM_ERRORS)},
    )


def _of_certificate(running: Running, disk: OnDisk) -> Iterator[Metric]:
    stands = standing(running, disk)
    ends = {"served": stands.served.not_after.timestamp()}
    if stands.stored is not None:
        ends["stored"] = stands.stored.not_valid_after_utc.timestamp()
    yield _gauges(
        "exoproxy_certificate_not_after_seconds",
        "When the certificate ends that is served, and the one that is stored; Unix time.",
        "state",
        ends,
    )
    yield _gauge(
        "exoproxy_certificate_temporary",
        "1 while a temporary self-signed certificate is served.",
        stands.served.temporary,
    )
    keeper = running.keeper
    if keeper is not None and stands.source == "acme":
        yield _counter(
            "exoproxy_certificate_attempts",
            "Runs of the process that gets certificates.",
            keeper.runs.all,
        )
        yield _counter(
            "exoproxy_certificate_attempt_failures",
            "Runs of the process that gets certificates that failed.",
            keeper.runs.failed,
        )


def _of_configuration(running: Running) -> Iterator[Metric]:
    configuration = running.configuration
    yield _counters(
        "exoproxy_configuration_reloads",
        "Reloads of the configuration.",
        "result",
        {"ok": configuration.reloads, "failed": configuration.failed_reloads},
    )
    yield _gauge(
        "exoproxy_configuration_last_reload_successful",
        "0 if the last reload left what was configured before in use.",
        configuration.problem is None,
    )
    yield _gauge(
        "exoproxy_configuration_loaded_timestamp_seconds",
        "When the configuration in use was read; Unix time.",
        configuration.loaded.timestamp(),
    )


def _counter(name: str, text: str, value: float) -> Metric:
    return CounterMetricFamily(name, text, value=value)


def _gauge(name: str, text: str, value: float) -> Metric:
    return GaugeMetricFamily(name, text, value=value)


def _counters(name: str, text: str, label: str, values: Mapping[str, float]) -> Metric:
    return _labelled(CounterMetricFamily, name, text, label, values)


def _gauges(name: str, text: str, label: str, values: Mapping[str, float]) -> Metric:
    return _labelled(GaugeMetricFamily, name, text, label, values)


def _labelled(
    kind: Callable[..., CounterMetricFamily | GaugeMetricFamily],
    name: str,
    text: str,
    label: str,
    values: Mapping[str, float],
) -> Metric:
    family = kind(name, text, labels=[label])
    for word, value in values.items():
        family.add_metric([word], value)
    return family


def _info(name: str, text: str, labels: dict[str, str]) -> Metric:
    return InfoMetricFamily(name, text, value=labels)


def _buckets(bounds: Sequence[float], counts: Sequence[int]) -> list[tuple[str, float]]:
    """Return the sums up to each bound, as a histogram shows them."""
    rows: list[tuple[str, float]] = []
    total = 0
    for bound, count in zip((*map(str, bounds), "+Inf"), counts, strict=True):
        total += count
        rows.append((bound, float(total)))
    return rows
