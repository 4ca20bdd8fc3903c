"""The status as a value: its form, its figures, and that nothing in it is a client's to shape."""

import json
import shlex
from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from exoproxy.admin.disk import OnDisk
from exoproxy.admin.status import MOST_ROWS, OLDEST, gather, passed
from exoproxy.learned.learning import Learned
from exoproxy.net.caps import Caps
from exoproxy.net.dial import Upstream
from exoproxy.ops.hour import Hour
from exoproxy.rules.catalogue import Endpoint
from exoproxy.rules.renewal import Wait
from exoproxy.settings.model import Settings
from exoproxy.sites import main_site
from heads import peer, request
from process import (
    DAY,
    INSTANCE,
    NAME,
    NOW,
    Process,
    certificate,
    keeper,
    process,
    record,
    server,
    serving,
    tunnel,
)
from status_form import faults

MAIN: dict[str, Any] = {
    "main": {"hostname": "my.example.org", "proxy": None, "client": {"root": "/srv/client"}}
}


def status(
    running: Process, disk: OnDisk | None = None, hour: Hour | None = None
) -> dict[str, Any]:
    """Return the status, as JSON carries it; it is always of the form."""
    if hour is None:
        hour = Hour()
        hour.mark(NOW, passed(running))
    found = gather(running, disk or OnDisk(), hour, NOW)
    assert list(faults(found)) == []
    read: dict[str, Any] = json.loads(json.dumps(found, allow_nan=False))
    return read


def test_a_process_that_has_just_begun() -> None:
    """Nothing has come yet, and every key is there."""
    found = status(process())

    assert (found["mode"], found["region"], found["hostname"]) == ("uap", "IU", NAME)
    assert found["state"] == "serving"
    assert found["health"] == {"ok": True, "problems": []}
    assert len(found["hour"]) == 60
    assert found["hour"][-1]["minute"] == "2026-05-04T14:07:00+00:00"
    assert not any(found["totals"].values())
    assert found["routes"] == found["upstreams"] == found["refusals"] == []
    assert found["learned"] is None
    assert found["client"] is None


def test_the_certificate() -> None:
    """What is served, what is stored, and what comes next."""
    old, new = certificate(10 * DAY), certificate(80 * DAY)
    action = Wait(NOW, "is renewed later")
    kept = keeper(new, action, failures=2, sentence="The token \x1b[2J no.")
    found = status(process(certificate=serving(old), keeper=kept))["certificate"]

    assert found["names"] == [NAME, f"*.{NAME}"]
    assert found["source"] == "acme"
    assert found["issuer"] == "Intermediate of the tests"
    assert found["days_left"] == 10
    assert found["stored_not_after"] == (NOW + 80 * DAY).isoformat()
    assert found["served_is_stored"] is False
    assert (found["next"], found["failures"]) == ("is renewed later", 2)
    assert found["last_error"] == "The token ?[2J no."


def test_the_configuration_and_the_end() -> None:
    """A reload that failed, keys that wait for a restart, and a drain, are told."""
    running = process(draining=True)
    running.configuration = replace(
        running.configuration, problem="x.yaml:3: \x1b wrong", pending=("main.listen",)
    )
    found = status(running)

    assert found["state"] == "draining"
    assert found["configuration"]["problem"] == "x.yaml:3: ? wrong"
    assert found["configuration"]["pending"] == ["main.listen"]
    assert found["health"]["ok"] is False


def test_connections() -> None:
    """Clients and their limit, what the sockets counted, and the pool."""
    running = process(
        servers=[server(accepted=4, refused=1, failures=2)], caps=Caps(total=9, per_client=9)
    )
    running.caps.enter()
    running.servers[0].engine.pool.opened(INSTANCE)

    assert status(running)["connections"] == {
        "clients": 1,
        "limit": 9,
        "accepted": 4,
        "refused": 1,
        "handshake_failures": 2,
        "upstream_open": 1,
        "upstream_idle": 0,
    }


def test_tunnels_by_age() -> None:
    """The oldest first, and each in its interval; the clock stands at 100 s."""
    opened = [99.0, 95.0, 30.0, -600.0, -5000.0, -90_000.0, *[98.0] * 20]
    running = process(servers=[server([tunnel(each, received=1, sent=2) for each in opened])])
    found = status(running)["tunnels"]

    assert found["open"] == 26
    assert [(each["up_to"], each["count"]) for each in found["ages"]] == [
        (60, 22),
        (600, 1),
        (3600, 1),
        (28800, 1),
        (None, 1),
    ]
    assert len(found["oldest"]) == OLDEST
    assert found["oldest"][0] == {
        "upstream": "http://192.168.0.5:8888",
        "client": "192.0.2.7",
        "age": 90_100.0,
        "received": 1,
        "sent": 2,
    }


@pytest.mark.parametrize(("trusted", "client"), [(True, "203.0.113.9"), (False, "10.0.0.1")])
def test_who_is_at_the_end_of_a_tunnel(trusted: bool, client: str) -> None:
    """Behind a balancer it is who the balancer says, if it is believed."""
    asked = request("GET /", f"Host: x.{NAME}", "X-Forwarded-For: 203.0.113.9")
    one = tunnel(1.0, peer=peer("10.0.0.1", trusted=trusted), request=asked)

    assert status(process(servers=[server([one])]))["tunnels"]["oldest"][0]["client"] == client


def test_totals_and_the_hour_agree() -> None:
    """What came within the hour is in its minutes, open tunnels' bytes too."""
    running, hour = process(servers=[server([tunnel(50.0, received=1000, sent=2000)])]), Hour()
    hour.mark(NOW - timedelta(minutes=2), passed(process()))
    running.traffic.count(record(received=1, sent=2, reused=True, upstream=INSTANCE))
    running.traffic.count(record(status=502, side="upstream", code="upstream-closed"))
    hour.mark(NOW, passed(running))
    running.traffic.count(record(status=404, side="client", code="no-instance-name"))
    running.site.cookies.count = 5  # type: ignore[union-attr]
    found = status(running, hour=hour)

    assert found["totals"] == {
        "requests": 3,
        "client_errors": 1,
        "upstream_errors": 1,
        "own_errors": 0,
        "refused": 1,
        "received": 1001,
        "sent": 2002,
        "reused": 1,
        "dialled": 0,
        "cookies_changed": 5,
    }
    for key in ("requests", "upstream_errors", "refused", "received", "sent"):
        assert sum(each[key] for each in found["hour"]) == found["totals"][key]
    assert [each["requests"] for each in found["hour"][-3:]] == [2, 0, 1]
    assert 0.0025 < found["hour"][-1]["median"] < 0.005
    assert found["hour"][0]["median"] is None
    (route,) = found["routes"]
    assert (route["route"], route["requests"], route["errors"]) == ("instance", 3, 2)


def test_upstreams_that_fail_come_first() -> None:
    """Then those with the most connections; no more than fit."""
    running = process()
    pool = running.servers[0].engine.pool
    for number in range(40):
        for _ in range(1 + number):
            pool.opened(INSTANCE._replace(port=1 + number))
    gone = Upstream("https", "192.168.0.9", 443, verify=False)
    failed: dict[str, Any] = {"status": 502, "side": "upstream", "code": "upstream-refused"}
    for _ in range(2):
        running.traffic.count(record(upstream=gone, **failed))
    found = status(running)["upstreams"]

    assert len(found) == MOST_ROWS
    assert found[0] == {
        "upstream": "https://192.168.0.9:443",
        "open": 0,
        "idle": 0,
        "failures": 2,
        "last_failure": {
            "code": "upstream-refused",
            "at": (NOW - timedelta(seconds=100.0 - 99.003)).isoformat(),
        },
    }
    assert [each["open"] for each in found[1:3]] == [40, 39]


def refuse(running: Process, hosts: Sequence[str]) -> None:
    values = {
        "code": "no-instance-name",
        "side": "client",
        "status": 404,
        "detail": "No.",
    }
    for host in hosts:
        running.traffic.count(record(host, route="refused", **values))


def test_refusals_say_what_to_do() -> None:
    """Which host, why, how often, and the command that explains it."""
    running = process()
    refuse(running, [f"a.{NAME}", f"b.{NAME}", f"a.{NAME}"])
    first, second = status(running)["refusals"]

    assert first["target"] == f"a.{NAME}"
    assert (first["code"], first["sentence"], first["count"]) == ("no-instance-name", "No.", 2)
    assert first["explain"] == f"exoproxy explain a.{NAME}"
    assert second["count"] == 1


def test_a_flood_of_names_adds_up() -> None:
    """What has no row of its own counts in one without a target."""
    running = process()
    refuse(running, [f"x{number}.{NAME}" for number in range(1000)])
    found = status(running)["refusals"]

    assert len(found) == MOST_ROWS
    assert (found[0]["target"], found[0]["explain"]) == ("", "")
    assert found[0]["count"] == 1000 - MOST_ROWS


@pytest.mark.parametrize(
    "host", ["$(reboot)", "a;reboot", "-x", "--config=/etc/shadow", "a'b", "a b\x09c", "`id`"]
)
def test_what_explains_can_be_given_to_a_shell(host: str) -> None:
    """Whatever a client names as its target is one word of the command line."""
    running = process(MAIN, mode="main", region=None)
    asked = request("GET /proxy/", "Host: my.example.org", f"exo-proxy-orig-host: {host}")
    values: dict[str, Any] = {"code": "target-not-allowed", "side": "client", "status": 403}
    running.traffic.count(record(site="main", request=asked, **values))
    (found,) = status(running)["refusals"]
    words = shlex.split(found["explain"])

    assert found["target"].isprintable()
    if "\t" in host:
        assert words == []
    elif host.startswith("-"):
        assert words == ["exoproxy", "explain", "--", host]
    else:
        assert words == ["exoproxy", "explain", host]


def test_what_explain_knows_nothing_of_has_no_command() -> None:
    """Bytes that are no HTTP name nothing that could be explained."""
    running = process()
    running.traffic.count(record(route="refused", status=400, code="bad-request", side="client"))
    (found,) = status(running)["refusals"]

    assert (found["target"], found["explain"]) == ("", "")


async def test_the_client_and_what_was_learned(tmp_path: Path) -> None:
    """The main host's: the release that is active, and endpoints with who has named them."""
    keystone, nova = Endpoint("keystone.example.org", 5000), Endpoint("nova.example.org", 8774)
    learned = Learned(tmp_path / "learned.json", clock=lambda: NOW)
    learned.learn(keystone, [nova])
    await learned.close()
    settings = {"main": {**MAIN["main"], "proxy": {"allow": [str(keystone)]}}}
    main = Settings.model_validate(settings).main
    assert main is not None
    site = main_site(main, frozenset(), learned)
    site.close()
    running = process(settings, mode="main", region=None, site=site)
    disk = OnDisk(release="20260421T101112Z-main", installed=NOW - 13 * DAY)
    found = status(running, disk)

    assert found["learned"] == [
        {
            "endpoint": "nova.example.org:8774",
            "by": "keystone.example.org:5000",
            "last_named": NOW.isoformat(),
            "expires": (NOW + 30 * DAY).isoformat(),
        }
    ]
    assert found["client"] == {
        "root": str(Path("/srv/client")),
        "release": "20260421T101112Z-main",
        "installed": (NOW - 13 * DAY).isoformat(),
    }
