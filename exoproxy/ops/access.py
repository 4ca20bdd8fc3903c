"""The access log: one line per request, two per tunnel, fields and not prose.

Lines are put into a buffer and written once per turn of the event loop: formatting through
`logging` would cost more than the rest of a small request. What may appear in a line is decided by
`rules.redaction`: paths escaped, query keys without values, no other field of the request.
"""

import asyncio
import json
import sys
import time
from collections.abc import Collection
from functools import lru_cache
from ipaddress import IPv4Network, IPv6Network
from typing import TextIO

from exoproxy.ops.log import is_console
from exoproxy.proxy.record import Record
from exoproxy.rules.forwarded import client_address
from exoproxy.rules.redaction import escape, target
from exoproxy.settings.model import Log


class AccessLog:
    """Writes a line for each finished `Record`; made inside a running event loop."""

    def __init__(
        self,
        log: Log,
        *,
        trusted: Collection[IPv4Network | IPv6Network] = (),
        stream: TextIO = sys.stdout,
    ) -> None:
        self._on = log.access
        self._console = is_console(log.format, stream)
        self._trusted = trusted
        self._stream = stream
        self._lines: list[str] = []
        self._loop = asyncio.get_running_loop()
        # Wall-clock time is the loop's clock plus this; asked once, so that lines keep their order.
        self._epoch = time.time() - self._loop.time()

    def request(self, record: Record) -> None:
        """Log a request, or one end of a tunnel."""
        if not self._on:
            return
        if not self._lines:
            self._loop.call_soon(self._flush)
        self._lines.append(self._line(record))

    def close(self) -> None:
        """Write what is left."""
        self._flush()

    def _flush(self) -> None:
        lines, self._lines = self._lines, []
        if lines:
            self._stream.write("".join(lines))
            self._stream.flush()

    def _line(self, record: Record) -> str:
        request, upstream, peer = record.request, record.upstream, record.peer
        seconds = record.ended - record.started
        client, method, host, path, agent = peer.text, "-", "-", "-", b""
        if request is not None:
            if peer.trusted:
                # None for a Unix socket's peer that names nobody.
                named = client_address(request.fields, peer.address, self._trusted)
                client = client if named is None else str(named)
            method = request.method.decode("ascii")
            host = request.authority.host
            path = target(request.target.origin)
            agent = request.fields.get(b"user-agent") or b""
        to = "-" if upstream is None else str(upstream)
        stamp = _stamp(int(self._epoch + record.ended))
        if self._console:
            what = f" {record.code}" if record.code else ""
            tunnel = " tunnel closed" if record.tunnel else ""
            return (
                f"{stamp} {record.site} {client} {method} {host} {path} {record.status}{what} "
                f"{record.received}/{record.sent} B {seconds * 1000:.1f} ms {to}{tunnel} "
                f"{record.id}\n"
            )
        # Only what a client chose freely could break the JSON; `target` and `escape` leave neither
        # a quotation mark nor a backslash but their own, which is doubled.
        return (
            f'{{"time":"{stamp}","id":"{record.id}","site":"{record.site}","client":"{client}",'
            f'"method":"{method}","host":"{host}","target":{_quoted(path)},'
            f'"status":{record.status},"code":"{record.code}","detail":{_quoted(record.detail)},'
            f'"upstream":"{to}","reused":{_BOOL[record.reused]},"tunnel":{_BOOL[record.tunnel]},'
            f'"received":{record.received},"sent":{record.sent},"seconds":{seconds:.6f},'
            f'"agent":{_agent(agent[:LONGEST_AGENT])}}}\n'
        )


# One byte more than is shown, so that what is cut off shows.
LONGEST_AGENT = 257
_BOOL = {True: "true", False: "false"}


@lru_cache(maxsize=16)
def _stamp(second: int) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(second))


@lru_cache(maxsize=1024)
def _agent(raw: bytes) -> str:
    return json.dumps(escape(raw))


@lru_cache(maxsize=1024)
def _quoted(text: str) -> str:
    return json.dumps(text)
