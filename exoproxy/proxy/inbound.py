"""One connection of a client that speaks HTTP/1.1: its requests are served in turn.

Here: reading heads, pipelining, deadlines, back-pressure, the lingering close. One request and its
answer are a `Turn`'s business; what to answer is `site.decide`'s.
"""

import asyncio
import math
from typing import TYPE_CHECKING, Final, cast

from exoproxy.errors import ClientGone, ProxyError, RequestTimeout, TooManyRefusals
from exoproxy.net.caps import Slot
from exoproxy.net.listen import Peer
from exoproxy.net.pipe import reset
from exoproxy.proxy.problem import problem, reason_of
from exoproxy.proxy.turn import Turn
from exoproxy.wire.fields import Fields, encode
from exoproxy.wire.head import RequestReader

if TYPE_CHECKING:
    from exoproxy.proxy.engine import Engine

# Seconds that a connection between two requests stays open after the process was told to end.
LAST_CALL: Final = 1.0


# Seconds for the head of a request whose answer is that there are too many connections.
HASTE: Final = 5.0

# Seconds for a client to answer the close of its idle connection, where another needs the place.
RETIRED: Final = 1.0


class Inbound(asyncio.Protocol):
    """The protocol of an accepted connection."""

    __slots__ = (
        "_discarded",
        "_lingering",
        "_pending",
        "_reader",
        "_reading",
        "_serving",
        "_slot",
        "_turn",
        "_unread",
        "_unwritten",
        "deadline",
        "engine",
        "idle_since",
        "peer",
        "pressed",
        "transport",
    )

    transport: asyncio.Transport

    def __init__(self, engine: "Engine", peer: Peer, slot: Slot) -> None:
        self.engine = engine
        self.peer = peer
        self.deadline = math.inf
        self.idle_since = engine.now
        self._slot = slot
        self._reader = RequestReader(engine.request_limits)
        self._turn: Turn | None = None
        # Bytes of requests that have to wait for their turn.
        self._pending = b""
        self._serving = False
        self._reading = True
        # The client doesn't take what is written; `_unwritten` bytes were left when last seen.
        self.pressed = False
        self._unwritten = 0
        # All is answered, and only the client's close is awaited.
        self._lingering = False
        # What the client sent is not read to its end, and may still be on its way.
        self._unread = False
        self._discarded = 0

    # What the transport says.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin to live; the head of the first request is due."""
        self.transport = cast(asyncio.Transport, transport)
        engine = self.engine
        self.transport.set_write_buffer_limits(
            high=engine.limits.buffer_high, low=engine.limits.buffer_low
        )
        engine.inbounds.add(self)
        self.deadline = engine.now + self._head_timeout

    def data_received(self, data: bytes) -> None:
        """Take bytes of a request, or of one that has to wait for its turn."""
        turn = self._turn
        if turn is not None and turn.wants_content:
            turn.take(data)
        elif self._lingering:
            self._discard(data)
        elif turn is not None or self.pressed:
            self._pending += data
            if len(self._pending) > self.engine.limits.request_head:
                self.stop_reading()
        else:
            self._serve(data)

    def eof_received(self) -> bool:
        """The client sends no more: while a request is being answered, it has left.

        As with nginx, a half-close is taken for an abort: it can't be told from one, and an
        upstream that works for nobody is worse.
        """
        if self._turn is not None:
            self._abandon(ClientGone())
            reset(self.transport)
        return False

    def connection_lost(self, exc: Exception | None) -> None:
        """Let go of everything."""
        self.engine.inbounds.discard(self)
        self.engine.left.set()
        self._slot.release()
        self._abandon(ClientGone())

    def pause_writing(self) -> None:
        """The client reads slowly."""
        self.pressed = True
        self._unwritten = self.transport.get_write_buffer_size()
        self.deadline = self.engine.now + self.engine.limits.body_timeout
        if self._turn is not None:
            self._turn.pause_response()

    def resume_writing(self) -> None:
        """The client has caught up."""
        self.pressed = False
        self.deadline = math.inf
        if self._turn is not None:
            self.content_due()
            self._turn.resume_response()
        elif self._lingering:
            self._close()
        else:
            self._await_next()

    # Time.

    def content_due(self) -> None:
        """Expect progress of the request's content, unless something else is the slow one."""
        if self._turn is not None and self._turn.wants_content:
            if self._reading and not self.pressed:
                self.deadline = self.engine.now + self.engine.limits.body_timeout
        elif not self.pressed:
            self.deadline = math.inf

    @property
    def _head_timeout(self) -> float:
        seconds = self.engine.limits.head_timeout
        return seconds if self.peer.excess is None else min(seconds, HASTE)

    @property
    def idle(self) -> bool:
        """Whether nothing but a next request, or the first, is awaited."""
        busy = self._turn is not None or self._reader.started or self._pending
        return not (busy or self.pressed or self._lingering)

    def retire(self) -> None:
        """Make room for another client: browsers open a new connection when they need one."""
        self._lingering = True
        self.transport.close()
        # TLS waits longer than that for the goodbye of a client that has vanished.
        self.deadline = self.engine.now + RETIRED

    def timed_out(self) -> None:
        """Do what is due: called by the engine's sweeper when `deadline` has passed."""
        if self.pressed:
            self._judge_slow_reader()
        elif self._turn is not None:
            self._turn.timed_out()
        elif self._lingering:
            self.transport.abort()
        elif self._reader.started:
            self._refuse(RequestTimeout())
        else:
            self.transport.close()

    def _judge_slow_reader(self) -> None:
        left = self.transport.get_write_buffer_size()
        if left < self._unwritten:
            self._unwritten = left
            self.deadline = self.engine.now + self.engine.limits.body_timeout
        else:
            self.break_off(RequestTimeout("The client took no byte of the answer in time."))

    def drain(self) -> None:
        """The process is about to end: go when the current request is answered."""
        if self._turn is not None:
            self._turn.close = True
        elif not self._reader.started and not self._lingering:
            # A request may be on its way: it is served, and told that no other will be
            # (RFC 9112 section 9.6). A close right now would be an error to its sender.
            self.deadline = min(self.deadline, self.engine.now + LAST_CALL)

    # Requests in.

    def _serve(self, data: bytes) -> None:
        """Answer the requests in `data`, until one has to wait."""
        self._serving = True
        while data and self._turn is None and not (self.pressed or self._lingering):
            begun = self._reader.started
            try:
                head = self._reader.feed(data)
            except ProxyError as error:
                data = b""
                self._refuse(error)
                break
            if head is None:
                data = b""
                if not begun:
                    self.deadline = self.engine.now + self._head_timeout
                break
            self.deadline = math.inf
            turn = self._turn = Turn(self, head)
            turn.begin(self._reader.rest)
            data, self._pending = self._pending, b""
        self._serving = False
        if data and not self._lingering:
            self._pending = data + self._pending

    def follow(self, rest: bytes) -> None:
        """Keep the bytes that follow the current request."""
        self._pending = rest

    def stop_reading(self) -> None:
        """Let the client wait."""
        if self._reading and not self.transport.is_closing():
            self._reading = False
            self.transport.pause_reading()

    def resume_reading(self) -> None:
        """Take bytes again."""
        if not self._reading and not self.transport.is_closing():
            self._reading = True
            self.transport.resume_reading()

    # Answers out.

    def write(self, data: bytes) -> None:
        """Send bytes; after the connection's end nothing happens."""
        if not self.transport.is_closing():
            self.transport.write(data)

    def _refuse(self, error: ProxyError) -> None:
        """Answer bytes that are no request, and close (RFC 9112 section 9.6)."""
        engine = self.engine
        record = engine.record(self.peer, None)
        if (wait := engine.refusal(error, self.peer, None)) > 0:
            error = TooManyRefusals(wait=wait)
        reply = problem(error, method=b"", accept=Fields(), request_id=record.id)
        fields = [
            (b"Date", engine.date),
            *reply.fields,
            *engine.site.own_fields(None),
            (b"Content-Length", b"%d" % len(reply.content)),
            (b"Connection", b"close"),
        ]
        head = b"HTTP/1.1 %d %b\r\n" % (reply.status, reason_of(reply.status))
        self.write(b"%b%b\r\n%b" % (head, encode(fields), reply.content))
        record.status, record.sent = reply.status, len(reply.content)
        record.failed(error)
        engine.finished(record)
        self._linger()

    def turn_over(self, *, close: bool, unread: bool) -> None:
        """The current request is answered; `unread`: some of its content is still to come."""
        self._turn = None
        if not close:
            self._await_next()
        elif unread or self._pending:
            self._linger()
        else:
            self._lingering = True
            self._close()

    def give_away(self) -> tuple[asyncio.Transport, bytes]:
        """Leave the connection to a tunnel; return it with the bytes that came early."""
        self._turn = None
        self.engine.inbounds.discard(self)
        return self.transport, self._pending

    def release_slot(self) -> None:
        """Let another client in: called at the end of a connection that was given away."""
        self._slot.release()

    def break_off(self, error: ProxyError) -> None:
        """Make a truncation visible: no last chunk, no FIN."""
        self._abandon(error)
        reset(self.transport)

    # The end.

    def _await_next(self) -> None:
        self.idle_since = self.engine.now
        if not self.pressed:
            self.deadline = self.engine.now + self.engine.limits.idle_timeout
        self.resume_reading()
        if self._pending and not self._serving and not self.pressed:
            data, self._pending = self._pending, b""
            self._serve(data)

    def _linger(self) -> None:
        """Close, but not before the client has had a chance to read the answer.

        A close with unread bytes in the socket sends RST, which destroys the answer on its way
        (RFC 9112 section 9.6). TLS does the same by itself: its close waits for the client's.
        """
        self._pending = b""
        self._lingering = self._unread = True
        self.resume_reading()
        self._close()

    def _close(self) -> None:
        """Close once all is written: TLS gives a client only seconds for the rest."""
        if self.transport.is_closing():
            return
        if self.transport.get_write_buffer_size():
            # So `resume_writing` is called when nothing is left, and `timed_out` looks until then.
            self.transport.set_write_buffer_limits(high=0)
            return
        self.deadline = self.engine.now + self.engine.limits.linger_timeout
        if self._unread and self.transport.can_write_eof():
            self.transport.write_eof()
        else:
            self.transport.close()

    def _discard(self, data: bytes) -> None:
        self._discarded += len(data)
        if self._discarded > self.engine.limits.linger_bytes:
            self.transport.abort()

    def _abandon(self, error: ProxyError) -> None:
        turn, self._turn = self._turn, None
        if turn is not None:
            turn.abandon(error)
