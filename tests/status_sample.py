"""Statuses of processes that never ran: one busy, one just started, one in trouble, one leaving."""

from copy import deepcopy
from datetime import UTC, datetime, timedelta
from random import Random
from typing import Any

NOW = datetime(2026, 5, 4, 14, 7, 31, tzinfo=UTC)


def busy() -> dict[str, Any]:
    """A main host at work for eleven days; what it refuses and what fails is the usual."""
    return deepcopy(_BUSY)


def fresh() -> dict[str, Any]:
    """A UAP just started: nothing has come yet."""
    quiet = dict.fromkeys(_BUSY["totals"], 0)
    return {
        **busy(),
        "mode": "uap",
        "region": "IU",
        "hostname": "proxy-example.exosphere.app",
        "started": iso(seconds=4),
        "health": {"ok": True, "problems": []},
        "configuration": {**_BUSY["configuration"], "loaded": iso(seconds=4)},
        "certificate": {
            **_BUSY["certificate"],
            "names": ["proxy-example.exosphere.app", "*.proxy-example.exosphere.app"],
            "failures": 0,
            "last_error": None,
        },
        "connections": {**dict.fromkeys(_BUSY["connections"], 0), "limit": 8192},
        "tunnels": {
            "open": 0,
            "ages": [{**each, "count": 0} for each in _BUSY["tunnels"]["ages"]],
            "oldest": [],
        },
        "totals": quiet,
        "hour": [
            {**each, **{key: 0 for key in quiet if key in each}, "median": None, "p99": None}
            for each in _BUSY["hour"]
        ],
        "routes": [],
        "upstreams": [],
        "refusals": [],
        "learned": None,
        "client": None,
    }


def troubled() -> dict[str, Any]:
    """A main host on a temporary certificate, whose file is wrong and whose cloud fails."""
    status = busy()
    status["health"] = {
        "ok": False,
        "problems": [
            "The certificate is temporary and self-signed, so browsers warn: the last attempt to "
            "get one failed; see “certificate” below, and run `exoproxy check --live`.",
            "/etc/exoproxy/exoproxy.yaml was not taken over by the last reload, and the "
            "configuration before it stays in use; run `exoproxy check`.",
            "More than half of the requests of the last 5 minutes failed at the upstream "
            "nova.example.org:8774; see that it runs.",
        ],
    }
    status["certificate"] |= {
        "issuer": "exoproxy temporary",
        "temporary": True,
        "not_after": iso(days=-6.5),
        "stored_not_after": None,
        "days_left": 6.5,
        "served_is_stored": False,
        "next": "is tried again at 14:12 UTC, after 3 failures",
        "failures": 3,
        "last_error": "Cloudflare refused the token (9109): it may not edit the zone example.org; "
        "give it Zone:DNS:Edit for this zone at https://dash.cloudflare.com/profile/api-tokens.",
    }
    status["configuration"] |= {
        "problem": "/etc/exoproxy/exoproxy.yaml:14: main.proxy.allow[2]: "
        "'https://keystone.example.org' should be a host, without a scheme",
        "pending": ["main.listen", "main.admin_listen"],
    }
    for minute in status["hour"][-9:]:
        minute["upstream_errors"] = minute["requests"] * 6 // 10
        minute["own_errors"] = minute["requests"] // 15
        minute["p99"] = 30.1
    return status


def draining() -> dict[str, Any]:
    """The busy one after SIGTERM."""
    status = busy()
    status["state"] = "draining"
    status["health"] = {
        "ok": False,
        "problems": ["It is being stopped: 147 tunnels have 25 s left before they are closed."],
    }
    return status


def hostile(mark: str) -> dict[str, Any]:
    """The busy one with a text of others in each field that holds free text."""
    status: dict[str, Any] = _replaced(busy(), mark)
    return status


# Fields that are names of ours, or moments.
_NOT_FREE = {
    *("mode", "state", "source", "started", "now", "loaded", "not_before", "not_after"),
    *("stored_not_after", "minute", "last", "at", "last_named", "expires", "installed"),
}


def _replaced(value: Any, mark: str, key: str = "") -> Any:
    if isinstance(value, dict):
        return {name: _replaced(each, mark, name) for name, each in value.items()}
    if isinstance(value, list):
        return [_replaced(each, mark, key) for each in value]
    return mark if isinstance(value, str) and key not in _NOT_FREE else value


def iso(**before: float) -> str:
    """Return the moment so long before the status was made."""
    return (NOW - timedelta(**before)).isoformat()


def _hour() -> list[dict[str, Any]]:
    random = Random(9110)
    minutes = []
    for index in range(60):
        requests = int(240 + 110 * ((index - 22) / 20) ** 2 % 300 + random.randrange(90))
        spike = 31 <= index < 35
        minutes.append(
            {
                "minute": (NOW.replace(second=0) - timedelta(minutes=59 - index)).isoformat(),
                "requests": requests,
                "client_errors": random.randrange(9),
                "upstream_errors": 24 + random.randrange(9)
                if spike
                else random.randrange(20) // 19,
                "own_errors": 0,
                "refused": random.randrange(3),
                "received": requests * random.randrange(900, 4_000),
                "sent": requests * random.randrange(9_000, 60_000),
                "median": 0.011 + random.random() / 100,
                "p99": 0.12 + random.random() / 3 + (2.5 if spike else 0),
            }
        )
    return minutes


_BUSY: dict[str, Any] = {
    "version": "0.1.0",
    "mode": "main",
    "region": None,
    "hostname": "my-example.exosphere.app",
    "started": iso(days=11, hours=4),
    "now": NOW.isoformat(),
    "state": "serving",
    "health": {"ok": True, "problems": []},
    "configuration": {
        "file": "/etc/exoproxy/exoproxy.yaml",
        "loaded": iso(days=2, hours=1),
        "problem": None,
        "pending": [],
    },
    "certificate": {
        "names": ["my-example.exosphere.app"],
        "source": "acme",
        "issuer": "Let's Encrypt E7",
        "temporary": False,
        "not_before": iso(days=28),
        "not_after": iso(days=-62.4),
        "stored_not_after": iso(days=-62.4),
        "days_left": 62.4,
        "served_is_stored": True,
        "next": "is renewed from 2026-06-03 on, when the authority asks for it",
        "failures": 0,
        "last_error": None,
    },
    "connections": {
        "clients": 412,
        "limit": 8192,
        "accepted": 1_204_331,
        "refused": 12,
        "handshake_failures": 4_410,
        "upstream_open": 38,
        "upstream_idle": 31,
    },
    "tunnels": {
        "open": 147,
        "ages": [
            {"up_to": 60, "count": 4},
            {"up_to": 600, "count": 21},
            {"up_to": 3600, "count": 58},
            {"up_to": 28800, "count": 49},
            {"up_to": None, "count": 15},
        ],
        "oldest": [
            {
                "upstream": f"192.168.0.{17 * index + 5}:49528",
                "client": f"203.0.113.{31 * index + 3}",
                "age": 271_320.0 / (index + 1),
                "received": 7_340_032 * (10 - index),
                "sent": 181_113 * (index + 1),
            }
            for index in range(6)
        ],
    },
    "totals": {
        "requests": 4_811_402,
        "client_errors": 60_241,
        "upstream_errors": 3_390,
        "own_errors": 2,
        "refused": 9_113,
        "received": 12_401_113_900,
        "sent": 161_801_000_113,
        "reused": 4_533_010,
        "dialled": 88_310,
        "cookies_changed": 0,
    },
    "hour": _hour(),
    "routes": [
        {"route": "proxy", "requests": 17_012, "errors": 204, "median": 0.014, "p99": 0.61},
        {"route": "static", "requests": 3_911, "errors": 31, "median": 0.0003, "p99": 0.0021},
        {"route": "own", "requests": 902, "errors": 0, "median": 0.0002, "p99": 0.0009},
        {"route": "refused", "requests": 41, "errors": 41, "median": None, "p99": None},
    ],
    "upstreams": [
        {
            "upstream": "nova.example.org:8774",
            "open": 12,
            "idle": 9,
            "failures": 117,
            "last_failure": {"code": "upstream-timeout", "at": iso(minutes=26)},
        },
        {
            "upstream": "keystone.example.org:5000",
            "open": 9,
            "idle": 8,
            "failures": 1,
            "last_failure": {"code": "upstream-closed", "at": iso(days=3)},
        },
        {
            "upstream": "neutron.example.org:9696",
            "open": 8,
            "idle": 8,
            "failures": 0,
            "last_failure": None,
        },
        {
            "upstream": "glance.example.org:9292",
            "open": 3,
            "idle": 1,
            "failures": 0,
            "last_failure": None,
        },
    ],
    "refusals": [
        {
            "code": "target-not-allowed",
            "sentence": "The target is not among those that this proxy may reach.",
            "hint": "List it under main.proxy.allow if users need it.",
            "count": 26,
            "last": iso(minutes=2),
            "target": "designate.example.org:9001",
            "explain": "exoproxy explain https://designate.example.org:9001/",
        },
        {
            "code": "misdirected-request",
            "sentence": "This server does not serve that host name.",
            "hint": "",
            "count": 11,
            "last": iso(minutes=14),
            "target": "198.51.100.20",
            "explain": "exoproxy explain 198.51.100.20",
        },
        {
            "code": "bad-request",
            "sentence": "The request is not valid HTTP.",
            "hint": "",
            "count": 4,
            "last": iso(minutes=41),
            "target": "",
            "explain": "",
        },
    ],
    "learned": [
        {
            "endpoint": f"{name}.example.org:{port}",
            "by": "keystone.example.org:5000",
            "last_named": iso(minutes=3),
            "expires": iso(days=-29.99),
        }
        for name, port in (("cinder", 8776), ("glance", 9292), ("neutron", 9696), ("nova", 8774))
    ],
    "client": {
        "root": "/var/lib/exoproxy/client/current",
        "release": "20260421-1d0f6c2",
        "installed": iso(days=13),
    },
}
