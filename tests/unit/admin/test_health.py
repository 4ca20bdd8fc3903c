"""What an operator is told to do something about, and what is none of their business."""

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from exoproxy.admin.certificate import Standing, standing
from exoproxy.admin.disk import OnDisk
from exoproxy.admin.health import problems
from exoproxy.net.caps import Caps
from process import DAY, NOW, Process, certificate, keeper, process, serving


def told(running: Process, stands: Standing | None = None, **errors: int) -> list[str]:
    stands = stands or standing(running, OnDisk())
    by_code = {code.replace("_", "-"): count for code, count in errors.items()}
    return problems(running, stands, by_code, NOW)


def stands(**changes: Any) -> Standing:
    here = certificate()
    good = standing(process(certificate=serving(here), keeper=keeper(here)), OnDisk())
    return replace(good, **changes)


def test_all_is_well() -> None:
    """Nothing is told where there is nothing to do."""
    assert told(process(), stands()) == []


def test_stored_is_not_served() -> None:
    """A renewal that did not get to the clients."""
    (said,) = told(process(), stands(stored=certificate(80 * DAY)))

    assert "is not the one that is stored" in said
    assert "systemctl reload" in said


@pytest.mark.parametrize(
    ("left", "life", "late"),
    [
        (15 * DAY, 90 * DAY, False),
        (13 * DAY, 90 * DAY, True),
        (2 * DAY, 6 * DAY, False),
        (1 * DAY, 6 * DAY, True),
        (timedelta(minutes=3), timedelta(minutes=10), False),
        (timedelta(minutes=1), timedelta(minutes=10), True),
        (timedelta(seconds=-1), 90 * DAY, True),
    ],
)
def test_an_end_that_is_near(left: timedelta, life: timedelta, late: bool) -> None:
    """Told when the renewal should have been by then, whatever the life of the certificate."""
    here = certificate(left, life)
    running = process(certificate=serving(here), keeper=keeper(here))
    said = told(running)

    assert bool(said) == late
    assert all("exoproxy cert renew" in sentence for sentence in said)


@pytest.mark.parametrize(("source", "advice"), [("files", "into its files"), ("local", "restart")])
def test_who_renews_it(source: str, advice: str) -> None:
    """What to do depends on whose business the renewal is."""
    served = serving(certificate(DAY)).served
    (said,) = told(process(), stands(source=source, served=served, stored=None))

    assert advice in said


def test_a_temporary_certificate() -> None:
    """Told after a quarter of an hour; until then it is the usual way to begin."""
    temporary = serving(certificate(6 * DAY, 7 * DAY), temporary=True)
    running = process(certificate=temporary, keeper=keeper(None))
    running.started = NOW - timedelta(minutes=14)
    assert told(running) == []
    running.started = NOW - timedelta(minutes=16)
    (said,) = told(running)

    assert "exoproxy cert status" in said


def test_a_reload_that_failed() -> None:
    """What was configured before stays in use, and the operator may not have looked."""
    running = process()
    running.configuration = replace(running.configuration, problem="x.yaml:1: wrong")
    (said,) = told(running, stands())

    assert "exoproxy check" in said


def test_places_run_out() -> None:
    """Told before clients are turned away."""
    running = process(caps=Caps(total=10, per_client=10))
    for _ in range(8):
        running.caps.enter()
    assert told(running, stands()) == []
    running.caps.enter()
    (said,) = told(running, stands())

    assert said.startswith("9 of 10 connections are taken")


def test_errors_of_our_own() -> None:
    """Defects, caps and a missing client are told, each with what to do; others' errors are not."""
    assert told(process(), stands(), upstream_refused=99, not_found=5) == []
    (said,) = told(process(), stands(), internal_error=1)
    assert said.startswith("1 request failed by a defect")
    of_all = told(process(), stands(), internal_error=2, overloaded=3, client_not_installed=4)

    assert len(of_all) == 3
    assert of_all[0].startswith("2 requests failed by a defect")
    assert "limits.connections_per_upstream" in of_all[1]
    assert "exoproxy client install" in of_all[2]
