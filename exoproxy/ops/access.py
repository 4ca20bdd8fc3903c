"""The access log: one line per request, two per tunnel, fields and not prose.

Lines are put into a buffer and handed to the sink once per turn of the event loop. What a line
looks like is decided by `ops.lines`, what may appear in it by `rules.redaction`, and what happens
when nobody reads it by `ops.sink`.
"""

import asyncio
import logging
import sys
import time
from collections.abc import Collection
from ipaddress import IPv4Network, IPv6Network
from typing import Final

from exoproxy.ops.lines import Form, combined_line, console_line, json_line
from exoproxy.ops.log import is_console
from exoproxy.ops.sink import Sink, descriptor_of
from exoproxy.proxy.record import Record
from exoproxy.rules.forwarded import client_address
from exoproxy.settings.model import Log

logger: Final = logging.getLogger("exoproxy.access")

# Seconds that the end waits for a slow reader.
_GOODBYE: Final = 1.0


class AccessLog:
    """Writes a line for each finished `Record` to standard output; made inside an event loop.

    `trusted` are the networks of balancers, which say who the client is. `sink` takes the lines in
    the place of standard output.
    """

    def __init__(
        self,
        log: Log,
        *,
        trusted: Collection[IPv4Network | IPv6Network] = (),
        sink: Sink | None = None,
    ) -> None:
        self._sink = sink or Sink(
            descriptor_of(sys.stdout), name="The access log's standard output", tell=logger.warning
        )
        self.adopt(log, trusted=trusted)
        self._lines: list[str] = []
        self._loop = asyncio.get_running_loop()
        # Wall-clock time is the loop's clock plus this.
        self._epoch = 0.0

    def adopt(self, log: Log, *, trusted: Collection[IPv4Network | IPv6Network] = ()) -> None:
        """Write the next lines as these settings say; none that waits is lost."""
        self._on = log.access
        self._form = _form(log, self._sink)
        self._trusted = trusted

    @property
    def lost(self) -> int:
        """How many lines were lost because standard output took none."""
        return self._sink.lost

    def request(self, record: Record) -> None:
        """Log a request, or one end of a tunnel."""
        if not self._on:
            return
        if not self._lines:
            # Asked anew: the host's clock may have been set since.
            self._epoch = time.time() - self._loop.time()
            self._loop.call_soon(self._flush)
        self._lines.append(self._line(record))

    def close(self) -> None:
        """Write what is left, and no more."""
        self._flush()
        self._sink.drain(_GOODBYE)
        self._sink.close()

    def _flush(self) -> None:
        lines, self._lines = self._lines, []
        if lines:
            self._sink.write("".join(lines).encode())

    def _line(self, record: Record) -> str:
        peer, request = record.peer, record.request
        client = peer.text
        if peer.trusted and request is not None:
            # None for a Unix socket's peer that names nobody.
            named = client_address(request.fields, peer.address, self._trusted)
            client = client if named is None else str(named)
        return self._form(record, client, self._epoch + record.ended)


def _form(log: Log, sink: Sink) -> Form:
    if log.access_format == "combined":
        return combined_line
    return console_line if is_console(log.format, sink) else json_line
