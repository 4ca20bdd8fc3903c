"""The forms of the access log: a finished `Record` in, a line of text out.

What of a request may stand in a line is decided by `rules.redaction`; all else is ours: addresses,
figures, words of our own. Formatting through `logging` and `json` would cost more than the rest of
a small request.
"""

import json
import time
from collections.abc import Callable
from functools import lru_cache
from typing import Final

from exoproxy.net.dial import Upstream
from exoproxy.proxy.record import Record
from exoproxy.rules.redaction import shown

# Makes the line of a record, its end included, or "" where the form has none. Takes the client's
# address and the time of the end, in seconds since 1970.
Form = Callable[[Record, str, float], str]

_BOOL: Final = {True: "true", False: "false"}


def event_of(record: Record) -> str:
    """Return what a line is about; a tunnel has two, of its beginning and of its end."""
    if record.tunnel:
        return "tunnel-close"
    return "tunnel-open" if record.status == 101 else "request"


def json_line(record: Record, client: str, at: float) -> str:
    """Return the fields as one JSON object, in UTC, seconds and bytes.

    `peer`, the balancer's address, is among them where a balancer named the client.
    """
    request = shown(record.request)
    peer = record.peer
    between = f'"peer":"{peer.text}",' if peer.trusted and client != peer.text else ""
    upstream = "-" if record.upstream is None else _upstream(record.upstream)
    return (
        f'{{"time":"{_utc(int(at))}","event":"{event_of(record)}","id":"{record.id}",'
        f'"site":"{record.site}","route":"{record.route}","client":"{client}",{between}'
        f'"method":"{request.method}","host":"{request.host}","target":{_quoted(request.target)},'
        f'"status":{record.status},"code":"{record.code}","side":"{record.side}",'
        f'"detail":{_dumped(record.detail)},"upstream":"{upstream}",'
        f'"reused":{_BOOL[record.reused]},"dialled":{_seconds(record.dialled)},'
        f'"received":{record.received},"sent":{record.sent},'
        f'"seconds":{record.ended - record.started:.6f},"agent":{_dumped(request.agent)}}}\n'
    )


def console_line(record: Record, client: str, at: float) -> str:
    """Return a line for people: what they look for first comes first, in columns."""
    request = shown(record.request)
    upstream = "" if record.upstream is None else f" > {_upstream(record.upstream)}"
    tunnel = f" {event_of(record)}" if record.status == 101 else ""
    why = f" {record.code}" if record.code else ""
    return (
        f"{_local(int(at), '%Y-%m-%d %H:%M:%S')} {record.site:<4} {record.status:3} "
        f"{request.method:<7} {(record.ended - record.started) * 1000:8.1f} ms "
        f"{record.received:8} B in {record.sent:9} B out {client:<15} "
        f"{request.host}{request.target}{upstream}{tunnel}{why} {record.id}\n"
    )


def combined_line(record: Record, client: str, at: float) -> str:
    """Return the line that nginx's `combined` would have, for programs that read its logs.

    A tunnel has one line, at its end. Neither a user nor a Referer is in it, and a request that
    nobody waited for has nginx's 499.
    """
    if event_of(record) == "tunnel-open":
        return ""
    request = shown(record.request)
    line = "-"
    if record.request is not None:
        line = f"{request.method} {request.target} HTTP/1.{record.request.minor}"
    # nginx writes bytes outside ASCII as \xHH; three dots say as much.
    text = f'"{line}" {record.status or 499} {record.sent} "-" "{request.agent or "-"}"\n'
    # As nginx calls a client on a Unix socket.
    address = "unix:" if client == "unknown" else client
    stamp = _local(int(at), "%d/%b/%Y:%H:%M:%S %z")
    return f"{address} - - [{stamp}] {text.replace('…', '...')}"


def _quoted(text: str) -> str:
    # Few targets come twice. Those without an escape have nothing that JSON escapes.
    return f'"{text}"' if text.isascii() and "\\" not in text else json.dumps(text)


def _seconds(value: float) -> str:
    return f"{value:.6f}" if value else "0"


# What comes again and again; a second's line has the stamp of the line before.
_dumped: Final = lru_cache(maxsize=1024)(json.dumps)
_upstream: Final[Callable[[Upstream], str]] = lru_cache(maxsize=1024)(str)


@lru_cache(maxsize=16)
def _utc(second: int) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(second))


@lru_cache(maxsize=16)
def _local(second: int, form: str) -> str:
    return time.strftime(form, time.localtime(second))
