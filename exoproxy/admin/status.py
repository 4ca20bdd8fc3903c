"""The status of the process as one value: what the page shows, and `/status.json` gives.

Times are ISO 8601 in UTC, seconds and bytes numbers. Received is what came from clients, sent what
went to them. Text from outside is escaped here; who shows it escapes for its own form once more.
"""

import heapq
import shlex
from bisect import bisect_left
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from exoproxy import __version__
from exoproxy.admin import connections
from exoproxy.admin.certificate import Standing, standing
from exoproxy.admin.disk import OnDisk, part_of
from exoproxy.admin.health import RECENT, problems
from exoproxy.admin.running import Running
from exoproxy.certs.status import covered, issuer_of
from exoproxy.main import MainSite
from exoproxy.ops.hour import Figures, Hour, OfRoute, figures, quantile
from exoproxy.ops.ranking import Row
from exoproxy.ops.traffic import AGES, ERRORS, Traffic
from exoproxy.proxy.tunnel import Tunnel
from exoproxy.rules.address_space import IPNetwork
from exoproxy.rules.forwarded import client_address
from exoproxy.rules.printable import printable
from exoproxy.settings.sites import Main
from exoproxy.uap import UapSite

OLDEST: Final = 10
MOST_ROWS: Final = 20

# What `exoproxy explain` has an answer to: decisions about a host, a target or its address.
_EXPLAINED: Final = frozenset(
    {"loop-detected", "misdirected-request", "no-instance-name", "target-not-allowed"}
)


def passed(running: Running) -> Figures:
    """Return what has passed until now, tunnels that are still open included."""
    received, sent = connections.tunnelled(running.servers)
    return figures(running.traffic, received=received, sent=sent)


def gather(running: Running, disk: OnDisk, hour: Hour, now: datetime) -> dict[str, Any]:
    """Return the status at the moment `now`, which is aware; `hour` is the one kept up to it."""
    until_now, traffic = passed(running), running.traffic
    minutes = list(hour.minutes(now, until_now))
    stands = standing(running, disk)
    recent = hour.last(RECENT, now, until_now)
    wrong = problems(running, stands, recent.errors, now)
    configuration = running.configuration
    return {
        "version": __version__,
        "mode": running.mode,
        "region": running.region,
        "hostname": running.hostname,
        "started": _iso(running.started),
        "now": _iso(now),
        "state": "draining" if running.draining else "serving",
        "health": {"ok": not wrong, "problems": wrong},
        "configuration": {
            "file": printable(str(configuration.file)),
            "loaded": _iso(configuration.loaded),
            "problem": None if (said := configuration.problem) is None else printable(said),
            "pending": list(configuration.pending),
        },
        "certificate": _certificate(stands, now),
        "connections": _connections(running),
        "tunnels": _tunnels(running),
        "totals": _totals(running, until_now),
        "hour": [_minute(begun, each) for begun, each in minutes],
        "routes": _routes(hour.last(len(minutes), now, until_now)),
        "upstreams": _upstreams(running, now),
        "refusals": _refusals(traffic, now),
        "learned": _learned(running),
        "client": _client(running, disk),
    }


def _certificate(stands: Standing, now: datetime) -> dict[str, Any]:
    certificate, action = stands.served.certificate, stands.next_action
    stored = stands.stored
    return {
        "names": [printable(name) for name in covered(certificate)],
        "source": stands.source,
        "issuer": issuer_of(certificate),
        "temporary": stands.served.temporary,
        "not_before": _iso(certificate.not_valid_before_utc),
        "not_after": _iso(stands.served.not_after),
        "stored_not_after": None if stored is None else _iso(stored.not_valid_after_utc),
        "days_left": stands.left(now) / timedelta(days=1),
        "served_is_stored": stands.served_is_stored,
        "next": None if action is None else printable(action.reason),
        "failures": stands.failures,
        "last_error": printable(stands.trouble) or None,
    }


def _connections(running: Running) -> dict[str, int]:
    came = connections.accepted(running.servers)
    upstream_open, upstream_idle = connections.upstreams(running.servers)
    return {
        "clients": running.caps.open,
        "limit": running.caps.total,
        "accepted": came.accepted,
        "refused": came.refused,
        "handshake_failures": came.handshake_failures,
        "upstream_open": upstream_open,
        "upstream_idle": upstream_idle,
    }


def _tunnels(running: Running) -> dict[str, Any]:
    now, trusted = running.traffic.clock(), running.settings.trusted_proxies
    opened = sorted(each.record.ended for each in connections.tunnels(running.servers))
    # How many are older than each bound, and than none.
    older = [*(bisect_left(opened, now - bound) for bound in AGES), 0]
    oldest = sorted(_opened_until(opened[:OLDEST], running), key=lambda each: each.record.ended)
    return {
        "open": len(opened),
        "ages": [
            {"up_to": bound, "count": more - fewer}
            for bound, more, fewer in zip((*AGES, None), (len(opened), *older), older, strict=False)
        ],
        "oldest": [
            {
                "upstream": str(tunnel.record.upstream),
                "client": _client_of(tunnel, trusted),
                "age": max(0.0, now - tunnel.record.ended),
                "received": tunnel.received,
                "sent": tunnel.sent,
            }
            for tunnel in oldest[:OLDEST]
        ],
    }


def _opened_until(moments: Sequence[float], running: Running) -> list[Tunnel]:
    """Return the tunnels that were opened no later than the last of the moments."""
    last = max(moments, default=0.0)
    return [each for each in connections.tunnels(running.servers) if each.record.ended <= last]


def _client_of(tunnel: Tunnel, trusted: Sequence[IPNetwork]) -> str:
    peer, request = tunnel.record.peer, tunnel.record.request
    if request is None or not peer.trusted:
        return peer.text
    named = client_address(request.fields, peer.address, trusted)
    return peer.text if named is None else str(named)


def _totals(running: Running, until_now: Figures) -> dict[str, int]:
    site = running.site
    return {
        **_counts(until_now),
        "reused": running.traffic.reused,
        "dialled": running.traffic.dialled,
        "cookies_changed": site.cookies.count if isinstance(site, UapSite) else 0,
    }


def _minute(begun: datetime, each: Figures) -> dict[str, Any]:
    return {
        "minute": _iso(begun),
        **_counts(each),
        "median": quantile(0.5, each.durations),
        "p99": quantile(0.99, each.durations),
    }


def _counts(each: Figures) -> dict[str, int]:
    return {
        "requests": each.requests,
        "client_errors": each.client_errors,
        "upstream_errors": each.upstream_errors,
        "own_errors": each.own_errors,
        "refused": each.refused,
        "received": each.received,
        "sent": each.sent,
    }


def _routes(hour: Figures) -> list[dict[str, Any]]:
    def requests(item: tuple[str, OfRoute]) -> int:
        return sum(item[1].durations)

    return [
        {
            "route": route,
            "requests": sum(each.durations),
            "errors": each.errors,
            "median": quantile(0.5, each.durations),
            "p99": quantile(0.99, each.durations),
        }
        for route, each in sorted(hour.routes.items(), key=requests, reverse=True)
        if any(each.durations)
    ]


def _upstreams(running: Running, now: datetime) -> list[dict[str, Any]]:
    """Return those that fail first, then those with the most connections."""
    clock = running.traffic.clock()
    failing = {row.key: row for row in running.traffic.failing.rows(clock, MOST_ROWS)}
    shown = dict.fromkeys([*failing, *connections.busiest(running.servers, MOST_ROWS)])
    rows = []
    for upstream in list(shown)[:MOST_ROWS]:
        count, idle = connections.to_upstream(running.servers, upstream)
        row = failing.get(upstream)
        failure = row and {"code": row.note, "at": _ago(row, clock, now)}
        rows.append(
            {
                "upstream": str(upstream),
                "open": count,
                "idle": idle,
                "failures": row.count if row else 0,
                "last_failure": failure,
            }
        )
    return rows


def _refusals(traffic: Traffic, now: datetime) -> list[dict[str, Any]]:
    clock = traffic.clock()
    rows = ((code, row) for code in traffic.refused for row in _refused(traffic, code, clock))
    most = heapq.nlargest(MOST_ROWS, rows, key=lambda item: (item[1].count, item[1].last))
    return [
        {
            "code": code,
            "sentence": row.note,
            "hint": ERRORS[code].advice,
            "count": row.count,
            "last": _ago(row, clock, now),
            "target": row.key,
            "explain": _explain(code, row.key),
        }
        for code, row in most
    ]


def _refused(traffic: Traffic, code: str, clock: float) -> Iterator[Row[str]]:
    """Yield a row for each of the most frequent targets, and one without a target for the rest."""
    rest = traffic.refused[code].count(clock)
    for row in traffic.refused_targets[code].rows(clock, MOST_ROWS):
        rest -= row.count
        yield row
    if rest > 0:
        recent = traffic.refused[code]
        yield Row("", rest, recent.last, recent.note)


def _explain(code: str, target: str) -> str:
    """Return a command line that can be given to a shell as it is; empty where none explains.

    A target that was cut off or has escapes in it is not what the client sent.
    """
    if code not in _EXPLAINED or not target or not target.isascii() or "\\" in target:
        return ""
    return f"exoproxy explain {'-- ' if target.startswith('-') else ''}{shlex.quote(target)}"


def _client(running: Running, disk: OnDisk) -> dict[str, Any] | None:
    part = part_of(running)
    if not isinstance(part, Main):
        return None
    return {
        "root": printable(str(part.client.root)),
        "release": disk.release,
        "installed": None if disk.installed is None else _iso(disk.installed),
    }


def _ago(row: Row[Any], clock: float, now: datetime) -> str:
    return _iso(now - timedelta(seconds=max(0.0, clock - row.last)))


def _learned(running: Running) -> list[dict[str, str]] | None:
    """Return what the Cloud CORS Proxy has learned; None where nothing is learned."""
    found = running.site.learned() if isinstance(running.site, MainSite) else None
    if found is None:
        return None
    return [
        {
            "endpoint": str(each.endpoint),
            "by": str(each.by),
            "last_named": _iso(each.last_named),
            "expires": _iso(each.expires),
        }
        for each in found
    ]


def _iso(moment: datetime) -> str:
    return moment.astimezone(UTC).isoformat()
