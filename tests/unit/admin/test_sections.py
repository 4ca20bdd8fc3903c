"""Each section of the admin page, with something to show and with nothing."""

import re
from typing import Any

import pytest

import status_sample
from exoproxy.admin import sections
from exoproxy.admin.value import Status

NOW = status_sample.iso()


def text_of(html: str) -> str:
    return " ".join(re.sub(r"<[^>]*>", " ", html).split())


@pytest.fixture
def busy() -> Status:
    return status_sample.busy()  # type: ignore[return-value]


@pytest.fixture
def troubled() -> Status:
    return status_sample.troubled()  # type: ignore[return-value]


@pytest.mark.parametrize(
    ("ok", "problems", "state", "expected"),
    [
        (True, 0, "serving", ("All is well", "good")),
        (False, 1, "serving", ("One thing needs attention", "bad")),
        (False, 0, "serving", ("One thing needs attention", "bad")),
        (True, 2, "serving", ("2 things need attention", "bad")),
        (True, 0, "draining", ("Draining: nothing new is taken", "leaving")),
        (False, 2, "draining", ("Draining: nothing new is taken", "leaving")),
    ],
)
def test_verdict(ok: bool, problems: int, state: str, expected: tuple[str, str]) -> None:
    """All is well only if nothing at all says otherwise."""
    assert sections.verdict({"ok": ok, "problems": ["x"] * problems}, state) == expected


def test_problems_take_the_place_of_the_calm(troubled: Status) -> None:
    """Each problem is told, with its commands as code; the calm sentence is not."""
    html = sections.well(troubled["health"], "serving", "calm")

    assert html.count("<li>") == 3
    assert "<code>exoproxy check --live</code>" in html
    assert "calm" not in html


def test_certificate_in_life(busy: Status) -> None:
    """A good one says how long it lasts, on a ring too, and what comes next."""
    html = sections.certificate(busy["certificate"])
    told = text_of(html)

    assert "62 d 9 h left" in told
    assert "Let&#x27;s Encrypt E7, from an ACME authority" in told
    assert 'class="ok" stroke-dasharray="69 100"' in html
    assert "Failures" not in told
    assert "Stored" not in told


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"days_left": -0.5}, "expired"),
        ({"days_left": 2.0}, 'class="upstream"'),
        ({"temporary": True}, "temporary and self-signed: browsers warn"),
        ({"not_before": NOW, "not_after": NOW}, "left"),
        ({"served_is_stored": False}, "another one, valid until"),
        ({"failures": 1}, "1 attempt in a row"),
        ({"next": None}, "<dd>nothing</dd>"),
        ({"last_error": "`x` failed"}, "<code>x</code> failed"),
    ],
)
def test_certificate_in_trouble(busy: Status, changes: dict[str, Any], says: str) -> None:
    """What is not as it should be is told."""
    value: Any = {**busy["certificate"], **changes}

    assert says in sections.certificate(value)


def test_tunnels_by_age(busy: Status) -> None:
    """Each range of ages has its count and a bar; who is oldest folds out."""
    html = sections.tunnels(busy["tunnels"])
    told = text_of(html)

    assert "up to 1 min 4 up to 10 min 21 up to 1 h 58 up to 8 h 49 over 8 h 15" in told
    assert html.count('class="share"') == 5
    assert 'details id="oldest-tunnels"' in html
    assert "192.168.0.5:49528 203.0.113.3 3 d 3 h 181 kB 73 MB" in told


def test_refusals_lead_on(busy: Status) -> None:
    """Each reason has its sentence, hint and code, and the command that explains it, if any."""
    html = sections.refusals(busy["refusals"], NOW)

    assert text_of(html).startswith(
        "Refused The last hour by reason, the most frequent first. "
        "The target is not among those that this proxy may reach. "
        "List it under main.proxy.allow if users need it. target-not-allowed "
        "Last: designate.example.org:9001 "
        "exoproxy explain https://designate.example.org:9001/ 26 times , 2 min ago"
    )
    assert html.count('class="command"') == 2


def test_upstreams_that_fail(busy: Status) -> None:
    """An upstream that failed says how and when; the others only what is open."""
    told = text_of(sections.upstreams(busy["upstreams"], busy["connections"], NOW))

    assert "38 open, 31 of them idle" in told
    assert "nova.example.org:8774 last upstream-timeout 26 min ago 12 9 117" in told
    assert "neutron.example.org:9696 8 8 0" in told


def test_routes_of_the_hour(busy: Status) -> None:
    """A route without times has dashes."""
    told = text_of(sections.routes(busy["routes"]))

    assert "proxy 17 k 1.2 % 14 ms 610 ms" in told
    assert "refused 41 100 % - -" in told


def test_what_was_learned(busy: Status) -> None:
    """Each endpoint says who named it, and until when it is believed."""
    told = text_of(sections.learned(busy["learned"], NOW))

    assert "cinder.example.org:8776 by keystone.example.org:5000, 3 min ago in 29 d 23 h" in told


def test_configuration_that_was_not_taken_over(troubled: Status) -> None:
    """What the last reload refused, and what waits for a restart."""
    told = text_of(sections.configuration(troubled["configuration"], NOW))

    assert "/etc/exoproxy/exoproxy.yaml:14: main.proxy.allow[2]" in told
    assert "Waits for a restart main.listen main.admin_listen" in told


def test_client_without_a_release() -> None:
    """A folder that was filled by hand has none."""
    told = sections.client({"root": "/srv/client", "release": None, "installed": None}, NOW)

    assert "/srv/client" in told
    assert "not one of <code>exoproxy client install</code>" in told


def test_counts_since_the_start(busy: Status) -> None:
    """Connections that were kept and used again are told as a share."""
    started = busy["started"]
    told = text_of(sections.since_start(busy["totals"], busy["connections"], started, NOW))

    assert "11 d 4 h ago" in told
    assert "98 % of connections taken" in told
    assert "Cookies" not in told


def test_nothing_to_show() -> None:
    """Where there is nothing, a sentence says so; what a mode has not is left out."""
    fresh: Status = status_sample.fresh()  # type: ignore[assignment]

    assert "No tunnel is open" in sections.tunnels(fresh["tunnels"])
    assert "Nothing was refused" in sections.refusals([], NOW)
    assert "No request has come" in sections.routes([])
    assert "of any upstream" in sections.upstreams([], fresh["connections"], NOW)
    assert "No catalogue" in sections.learned([], NOW)
    assert sections.learned(None, NOW) == ""
    assert sections.client(None, NOW) == ""
