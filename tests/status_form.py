"""The form of /status.json, which programs of others read: keys and types, none more and none less.

A type stands for itself, a tuple for one of several, a list of one for any number of it, a dict
for exactly its keys. Times are ISO 8601 in UTC.
"""

from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any, Final


class Moment:
    """A time."""


NUMBER: Final = (int, float)
PASSED: Final = {
    "requests": int,
    "client_errors": int,
    "upstream_errors": int,
    "own_errors": int,
    "refused": int,
    "received": int,
    "sent": int,
}
QUANTILES: Final = {"median": (*NUMBER, None), "p99": (*NUMBER, None)}
STATUS: Final[dict[str, Any]] = {
    "version": str,
    "mode": str,
    "region": (str, None),
    "hostname": str,
    "started": Moment,
    "now": Moment,
    "state": str,
    "health": {"ok": bool, "problems": [str]},
    "configuration": {"file": str, "loaded": Moment, "problem": (str, None), "pending": [str]},
    "certificate": {
        "names": [str],
        "source": str,
        "issuer": str,
        "temporary": bool,
        "not_before": Moment,
        "not_after": Moment,
        "stored_not_after": (Moment, None),
        "days_left": float,
        "served_is_stored": bool,
        "next": (str, None),
        "failures": int,
        "last_error": (str, None),
    },
    "connections": {
        "clients": int,
        "limit": int,
        "accepted": int,
        "refused": int,
        "handshake_failures": int,
        "upstream_open": int,
        "upstream_idle": int,
    },
    "tunnels": {
        "open": int,
        "ages": [{"up_to": (*NUMBER, None), "count": int}],
        "oldest": [
            {"upstream": str, "client": str, "age": NUMBER, "received": int, "sent": int},
        ],
    },
    "totals": {**PASSED, "reused": int, "dialled": int, "cookies_changed": int},
    "hour": [{"minute": Moment, **PASSED, **QUANTILES}],
    "routes": [{"route": str, "requests": int, "errors": int, **QUANTILES}],
    "upstreams": [
        {
            "upstream": str,
            "open": int,
            "idle": int,
            "failures": int,
            "last_failure": ({"code": str, "at": Moment}, None),
        }
    ],
    "refusals": [
        {
            "code": str,
            "sentence": str,
            "hint": str,
            "count": int,
            "last": Moment,
            "target": str,
            "explain": str,
        }
    ],
    "learned": ([{"endpoint": str, "by": str, "last_named": Moment, "expires": Moment}], None),
    "client": ({"root": str, "release": (str, None), "installed": (Moment, None)}, None),
}


def faults(value: Any, form: Any = STATUS, place: str = "status") -> Iterator[str]:
    """Yield where a value is not of the form."""
    if isinstance(form, tuple):
        if all(list(faults(value, each, place)) for each in form):
            yield f"{place}: {value!r}"
    elif isinstance(form, dict):
        if not isinstance(value, dict) or value.keys() != form.keys():
            yield f"{place}: {value!r}"
            return
        for key, each in form.items():
            yield from faults(value[key], each, f"{place}.{key}")
    elif isinstance(form, list):
        if not isinstance(value, list):
            yield f"{place}: {value!r}"
            return
        for index, each in enumerate(value):
            yield from faults(each, form[0], f"{place}[{index}]")
    elif not _is(value, form):
        yield f"{place}: {value!r}"


def _is(value: Any, form: Any) -> bool:
    if form is None:
        return value is None
    if form is Moment:
        return isinstance(value, str) and datetime.fromisoformat(value).utcoffset() == timedelta()
    if isinstance(value, bool) or form is bool:
        return form is bool and isinstance(value, bool)
    return isinstance(value, form)
