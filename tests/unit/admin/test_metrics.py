"""The metrics: true figures, names as Prometheus wants them, and a bounded number of series."""

import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import replace
from random import Random
from typing import Any, cast

import pytest
from prometheus_client.openmetrics.parser import text_string_to_metric_families as read_open
from prometheus_client.parser import text_string_to_metric_families as read_text

from exoproxy.admin.disk import OnDisk
from exoproxy.admin.metrics import exposition, process_metrics
from exoproxy.errors import ProxyError
from exoproxy.net.dial import Upstream
from exoproxy.ops.traffic import ERRORS
from exoproxy.proxy.outbound import Outbound
from exoproxy.proxy.record import Record
from heads import peer, request
from process import (
    DAY,
    INSTANCE,
    Process,
    certificate,
    keeper,
    process,
    record,
    server,
    serving,
    tunnel,
)

Series = dict[tuple[str, tuple[tuple[str, str], ...]], float]


def scrape(running: Process, disk: OnDisk | None = None) -> str:
    content, kind = exposition(running, disk or OnDisk(), process_metrics(), "")

    assert kind.startswith("text/plain; version=0.0.4")
    return content.decode()


def series(text: str) -> Series:
    return {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in read_text(text)
        for sample in family.samples
    }


def value(found: Series, name: str, **labels: str) -> float:
    return found[name, tuple(sorted(labels.items()))]


def busy() -> Process:
    """Return a UAP that has seen most of what there is to see."""
    old, new = certificate(20 * DAY), certificate(80 * DAY)
    running = process(
        servers=[
            server([tunnel(40.0, received=3, sent=4), tunnel(90.0)], accepted=9, failures=2),
            server(accepted=1, refused=5),
        ],
        certificate=serving(old),
        keeper=keeper(new),
    )
    running.site.cookies.count = 6  # type: ignore[union-attr]
    running.configuration = replace(
        running.configuration, reloads=2, failed_reloads=1, problem="wrong"
    )
    for _ in range(3):
        running.caps.enter()
        running.servers[0].engine.pool.opened(INSTANCE)
    running.servers[0].engine.pool.put(INSTANCE, cast(Outbound, _Kept()), 0.0)
    count = running.traffic.count
    for _ in range(2):
        count(record(upstream=INSTANCE, reused=True, received=10, sent=100))
    count(record(upstream=INSTANCE, dialled=0.02, status=404))
    count(record("x.example", route="refused", status=404, code="no-instance-name", side="client"))
    count(record(upstream=INSTANCE, status=502, code="upstream-refused", side="upstream"))
    count(record(status=101, ended=799.0, tunnel=True, received=1, sent=2))
    return running


class _Kept:
    idle_since = 0.0

    def retire(self) -> None: ...


def test_figures() -> None:
    """Each family says what happened."""
    running = busy()
    found = series(scrape(running))
    way = {"site": "uap", "route": "instance"}

    assert value(found, "exoproxy_requests_total", **way, code="200", side="") == 2
    assert value(found, "exoproxy_requests_total", **way, code="502", side="upstream") == 1
    duration = "exoproxy_request_duration_seconds"
    assert value(found, f"{duration}_count", route="instance") == 4
    assert value(found, f"{duration}_bucket", route="instance", le="0.0025") == 0
    assert value(found, f"{duration}_bucket", route="instance", le="0.005") == 4
    assert value(found, f"{duration}_sum", route="instance") == pytest.approx(0.012)
    assert value(found, "exoproxy_refusals_total", code="no-instance-name") == 1
    assert value(found, "exoproxy_refusals_total", code="target-not-allowed") == 0
    assert value(found, "exoproxy_upstream_failures_total", code="upstream-refused") == 1
    assert value(found, "exoproxy_connections_open", side="client") == 3
    assert value(found, "exoproxy_connections_open", side="upstream") == 3
    assert value(found, "exoproxy_connections_arriving") == 2
    assert value(found, "exoproxy_connections_limit") == 100
    assert value(found, "exoproxy_connections_accepted_total") == 10
    assert value(found, "exoproxy_connections_refused_total") == 5
    assert value(found, "exoproxy_connections_handshake_failures_total") == 2
    assert value(found, "exoproxy_bytes_total", direction="received") == 24
    assert value(found, "exoproxy_bytes_total", direction="sent") == 206
    assert value(found, "exoproxy_tunnels_open") == 2
    assert value(found, "exoproxy_tunnel_age_max_seconds") == 60
    assert value(found, "exoproxy_tunnel_age_seconds_bucket", le="3600.0") == 1
    assert value(found, "exoproxy_tunnel_age_seconds_bucket", le="600.0") == 0
    assert value(found, "exoproxy_upstream_connections", state="open") == 3
    assert value(found, "exoproxy_upstream_connections", state="idle") == 1
    assert value(found, "exoproxy_upstream_requests_total", connection="reused") == 2
    assert value(found, "exoproxy_upstream_requests_total", connection="dialled") == 1
    assert value(found, "exoproxy_dial_duration_seconds_sum") == 0.02
    served, stored = (
        value(found, "exoproxy_certificate_not_after_seconds", state=state)
        for state in ("served", "stored")
    )
    assert stored - served == 60 * 86_400
    assert value(found, "exoproxy_certificate_temporary") == 0
    assert value(found, "exoproxy_certificate_attempts_total") == 7
    assert value(found, "exoproxy_certificate_attempt_failures_total") == 3
    assert value(found, "exoproxy_configuration_reloads_total", result="ok") == 2
    assert value(found, "exoproxy_configuration_reloads_total", result="failed") == 1
    assert value(found, "exoproxy_configuration_last_reload_successful") == 0
    assert value(found, "exoproxy_cookies_narrowed_total") == 6
    assert value(found, "process_open_fds") > 0
    assert value(found, "process_start_time_seconds") > 0


def test_what_there_is_none_of_has_no_series() -> None:
    """A certificate that others bring has no attempts, and a UAP no client."""
    found = {name for name, _ in series(scrape(process()))}

    assert "exoproxy_certificate_attempts_total" not in found
    assert "exoproxy_client_release_info" not in found
    assert "exoproxy_build_info" in found


def test_the_release_is_a_label() -> None:
    """The operator named it."""
    found = series(scrape(process(), OnDisk(release="20261122T200540Z-master")))

    assert value(found, "exoproxy_client_release_info", release="20261122T200540Z-master") == 1


def test_openmetrics_for_those_who_ask() -> None:
    """Prometheus asks for it first, and reads it."""
    accept = "application/openmetrics-text;version=1.0.0,text/plain;version=0.0.4;q=0.5"
    content, kind = exposition(busy(), OnDisk(), process_metrics(), accept)
    # The parser of prometheus_client is without types.
    families = {family.name for family in read_open(content.decode())}  # type: ignore[no-untyped-call]

    assert kind.startswith("application/openmetrics-text; version=1.0.0")
    assert {"exoproxy_requests", "exoproxy_tunnel_age_seconds", "exoproxy_build"} <= families


@pytest.mark.needs("promtool")
def test_promtool_has_nothing_to_say() -> None:
    """Names, units and helps are as https://prometheus.io/docs/practices/naming/ has them."""
    promtool = shutil.which("promtool")
    assert promtool is not None
    said = subprocess.run(  # noqa: S603 - a program of Debian's
        [promtool, "check", "metrics"],
        input=scrape(busy(), OnDisk(release="20261122T200540Z-master")),
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )

    assert (said.returncode, said.stderr, said.stdout) == (0, "", "")


def test_each_family_is_explained_once() -> None:
    """Every family has a type and a sentence, and none comes twice."""
    families = list(read_text(scrape(busy())))
    names = [family.name for family in families]

    assert len(names) == len(set(names))
    assert all(family.documentation.endswith(".") for family in families)
    assert all(family.type != "unknown" for family in families)
    assert all(name.startswith(("exoproxy_", "process_")) for name in names)


def hostile() -> Iterator[Record]:
    """Yield what clients and instances send that would like to be labels."""
    random = Random(9112)
    codes: list[tuple[str, type[ProxyError]]] = list(ERRORS.items())
    for number in range(3000):
        noise = f"{random.getrandbits(64):x}"
        code, error = random.choice(codes)
        method = random.choice(("GET", "BREW", "PROPFIND"))
        asked = request(
            f"{method} /{noise}?{noise}={noise}",
            f"Host: {noise}.example",
            f"exo-proxy-orig-host: {noise}",
            f"exo-proxy-orig-port: {number}",
            f"User-Agent: {noise}",
            f"Origin: https://{noise}.example",
        )
        failed: dict[str, Any] = {"code": code, "side": error.side.value, "detail": noise}
        yield Record(
            id=noise,
            site=random.choice(("main", "uap", "redirect")),
            peer=peer(f"2001:db8::{number:x}", server_name=f"{noise}.example"),
            request=asked,
            started=99.0,
            ended=99.0 + random.random() * 400,
            route=random.choice(("instance", "proxy", "refused")),
            # A status of the upstream's is its own business: three digits.
            status=random.randrange(200, 1000),
            upstream=Upstream("http", f"{noise}.example", 1 + number, verify=False),
            **(failed if number % 2 else {}),
        )


def test_no_label_comes_from_outside() -> None:
    """Thousands of hostile requests make no more series than our own words allow for."""
    running = process()
    for each in hostile():
        running.traffic.count(each)
    found = series(scrape(running))
    labels: dict[str, set[str]] = {}
    for _, pairs in found:
        for label, word in pairs:
            labels.setdefault(label, set()).add(word)

    assert labels.pop("site") == {"main", "uap", "redirect"}
    assert labels.pop("route") == {"instance", "proxy", "refused"}
    assert labels.pop("side") == {"", "client", "upstream", "own"}
    statuses = {word for word in labels.pop("code") if word not in ERRORS}
    assert len(statuses) < 70
    assert all(len(word) == 3 and word[0].isdigit() for word in statuses)
    assert labels.keys() == {"connection", "direction", "le", "result", "state", "version"}
    assert all(len(words) < 30 for words in labels.values())
    assert len(found) < 3 * 3 * 70 * 4
