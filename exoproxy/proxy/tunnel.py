"""A websocket after the upstream's 101: bytes both ways until one side ends.

Nothing is decoded and nothing times out by default. Frames are followed only so that, when the
process has to end, both sides get a Close frame between two frames of the other (RFC 6455 section
5.5.1) instead of a connection that breaks off.
"""

import asyncio
import math
import secrets
from typing import TYPE_CHECKING, Final

from exoproxy.net.pipe import PipeEnd
from exoproxy.proxy.record import Record
from exoproxy.proxy.stream import Switched
from exoproxy.wire.upgrade import FrameTracker, close_frame

if TYPE_CHECKING:
    from exoproxy.proxy.engine import Engine

# Seconds that both ends get to answer a Close frame.
GOODBYE: Final = 5.0


class _Direction:
    """The bytes from one end to the other, and the Close frame that may be put among them."""

    __slots__ = ("count", "frames", "last", "muted")

    def __init__(self) -> None:
        self.frames = FrameTracker()
        self.count = 0
        self.last: bytes | None = None
        self.muted = False

    def passed(self, data: bytes) -> bytes:
        """Follow the frames of `data`; return what is to be written."""
        self.count += len(data)
        if self.last is None:
            self.frames.feed(data)
            return data
        return self._passed_at_end(data, self.last)

    def _passed_at_end(self, data: bytes, last: bytes) -> bytes:
        if self.muted:
            return b""
        # At most one frame is under way: pass its rest, then say goodbye.
        end = self.frames.until_boundary(data)
        if end is None:
            self.frames.feed(data)
            return data
        self.frames.feed(data[:end])
        return data[:end] + self._close(last)

    def finish(self, frame: bytes) -> bytes:
        """Have `frame` sent at the next boundary; return it if that is now."""
        self.last = frame
        return self._close(frame) if self.frames.at_boundary and not self.muted else b""

    def _close(self, frame: bytes) -> bytes:
        self.muted = True
        return b"" if self.frames.closing else frame


class Tunnel:
    """Two transports joined. Registered with the engine until both are closed."""

    __slots__ = (
        "_client",
        "_down",
        "_early",
        "_ending",
        "_engine",
        "_idle",
        "_leaving",
        "_open",
        "_record",
        "_release",
        "_seen",
        "_up",
        "_upstream",
        "deadline",
    )

    def __init__(
        self,
        engine: "Engine",
        client: Switched,
        upstream: asyncio.Transport,
        record: Record,
    ) -> None:
        self._engine = engine
        self._record = record
        self._early = client.early
        self._release = client.release
        self._up = _Direction()
        self._down = _Direction()
        self._open = 2
        self._ending = False
        self._leaving = False
        self._seen = 0
        # The idle limit is off by default; where it is on, `timed_out` looks whether bytes came.
        self._idle = engine.limits.tunnel_idle_timeout
        self.deadline = engine.now + self._idle if self._idle else math.inf
        self._client = PipeEnd(
            client.transport, self._up.passed, half_closed=self._half_closed, ended=self._ended
        )
        self._upstream = PipeEnd(
            upstream, self._down.passed, half_closed=self._half_closed, ended=self._ended
        )
        self._client.other, self._upstream.other = self._upstream, self._client

    @property
    def record(self) -> Record:
        """What there is to say so far: `ended` is when the tunnel was opened."""
        return self._record

    @property
    def received(self) -> int:
        """Bytes from the client."""
        return self._up.count

    @property
    def sent(self) -> int:
        """Bytes to the client."""
        return self._down.count

    def start(self, from_upstream: bytes) -> None:
        """Take the transports over; the bytes are those that came right after the 101."""
        self._engine.opened_tunnel(self, self._record)
        client, upstream = self._client, self._upstream
        client.transport.set_protocol(client)
        upstream.transport.set_protocol(upstream)
        if from_upstream:
            upstream.data_received(from_upstream)
        if self._early:
            client.data_received(self._early)
        for end in (client, upstream):
            if not end.transport.is_closing():
                end.transport.resume_reading()

    def leave_at(self, moment: float) -> None:
        """Say goodbye at that moment (seconds of the loop's clock), unless it ends before."""
        if not self._ending:
            self._leaving = True
            self.deadline = moment

    def finish(self, seconds: float = GOODBYE) -> None:
        """Say goodbye to both sides and end after `seconds` at the latest."""
        self._ending = True
        self.deadline = self._engine.now + seconds
        self._write(self._client, self._down.finish(close_frame()))
        self._write(self._upstream, self._up.finish(close_frame(mask=secrets.token_bytes(4))))

    @staticmethod
    def _write(end: PipeEnd, data: bytes) -> None:
        if data and not end.transport.is_closing():
            end.transport.write(data)

    def timed_out(self) -> None:
        """Do what is due: a half-close, a goodbye or a silence has lasted long enough."""
        if self._leaving and not self._ending:
            self.finish()
            return
        count = self._up.count + self._down.count
        if count != self._seen and not self._ending:
            self._seen = count
            self.deadline = self._engine.now + self._idle
            return
        self.abort()

    def abort(self) -> None:
        """End both connections at once."""
        self._client.transport.abort()
        self._upstream.transport.abort()

    def _half_closed(self) -> None:
        self._ending = True
        self.deadline = self._engine.now + self._engine.limits.half_close_timeout

    def _ended(self) -> None:
        self._open -= 1
        if self._open == 0:
            self._record.received = self._up.count
            self._record.sent = self._down.count
            self._release()
            self._engine.closed_tunnel(self, self._record)
