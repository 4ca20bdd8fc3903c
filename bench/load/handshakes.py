"""A new TLS connection for each request, one after the other, with or without resumption."""

import socket
import time
from dataclasses import dataclass
from ssl import SSLContext, SSLError, SSLSession
from typing import Final

from bench.front import Front
from bench.load.connection import request
from bench.load.turn import Meter, Sample, Wrong, percentile
from bench.stage import Stage

_MOST: Final = 20_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Handshakes:
    """`resumed`: each continues the session of the one before (RFC 8446 section 2.2)."""

    resumed: bool
    unit: str = "µs"
    fresh: bool = False

    def run(self, front: Front, stage: Stage, seconds: float) -> Sample:
        trust = stage.trust()
        session = _connect(front.main, trust, None, resumed=False)
        times: list[float] = []
        meter = Meter(front)
        start = time.monotonic()
        while (now := time.monotonic()) < start + seconds and len(times) < _MOST:
            before = session if self.resumed else None
            session = _connect(front.main, trust, before, resumed=self.resumed)
            times.append((time.monotonic() - now) * 1000)
        used = meter.microseconds()
        return Sample(
            cost=used / len(times),
            count=len(times),
            seconds=time.monotonic() - start,
            p50=percentile(times, 0.5),
            p99=percentile(times, 0.99),
        )


def _connect(
    port: int, trust: SSLContext, session: SSLSession | None, *, resumed: bool
) -> SSLSession | None:
    """Ask for a page on a connection of its own; return the session, which may be continued."""
    try:
        with (
            socket.create_connection(("127.0.0.1", port), timeout=10) as plain,
            trust.wrap_socket(plain, server_hostname="localhost", session=session) as tls,
        ):
            if resumed and not tls.session_reused:
                raise Wrong("a session was not resumed")
            tls.sendall(request("/index.html", {"Connection": "close"}))
            answer = bytearray()
            while data := tls.recv(65_536):
                answer += data
            if not answer.startswith(b"HTTP/1.1 200"):
                raise Wrong(f"the page got {bytes(answer[:12])!r}")
            return tls.session
    except (OSError, SSLError) as error:
        raise Wrong(f"no connection: {error}") from None
