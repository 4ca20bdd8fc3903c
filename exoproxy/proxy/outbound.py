"""One connection to an upstream: writes requests, reads answers, one after another.

HTTP/1.1 towards the upstream is all in here. An `Outbound` works for one `exchange` at a time and
then offers itself to the pool. It never decides what an answer means for the client.
"""

import asyncio
import math
from typing import TYPE_CHECKING, Protocol, cast

from exoproxy.errors import Internal, ProxyError, UpstreamAnswer, UpstreamClosed, UpstreamTimeout
from exoproxy.net.dial import Upstream
from exoproxy.net.pipe import reset
from exoproxy.wire.fields import Field, encode
from exoproxy.wire.framing import (
    LAST_CHUNK,
    BodyReader,
    Framing,
    Kind,
    body_reader,
    chunk,
    response_framing,
)
from exoproxy.wire.head import ResponseHead, ResponseReader

if TYPE_CHECKING:
    from exoproxy.proxy.engine import Engine


class Answered(Protocol):
    """Who waits for an answer: `proxy.exchange`."""

    def interim(self, head: ResponseHead) -> None:
        """Take a 1xx answer other than 101; raises `UpstreamAnswer`."""

    def switched(self, head: ResponseHead, outbound: "Outbound", first: bytes) -> None:
        """Take a 101 and the bytes that follow it; raises `UpstreamAnswer`."""

    def answer(self, head: ResponseHead, framing: Framing, content: bytes, done: bool) -> None:
        """Take the final head with the first content."""

    def content(self, content: bytes, done: bool) -> None:
        """Take more content."""

    def failed(self, error: ProxyError, *, untouched: bool) -> None:
        """Learn that no more will come; `untouched`: not a byte of an answer came."""

    def pause_request(self) -> None:
        """Stop sending content: the upstream takes no more for now."""

    def resume_request(self) -> None:
        """Go on sending content."""


class Outbound(asyncio.Protocol):
    """The protocol of a connection to an upstream. Made by the dialler, counted by the pool."""

    __slots__ = (
        "_body",
        "_chunked",
        "_dialer",
        "_engine",
        "_exchange",
        "_head",
        "_keep",
        "_method",
        "_paused",
        "_reader",
        "_request_sent",
        "_touched",
        "connected",
        "deadline",
        "idle_since",
        "reused",
        "transport",
        "upstream",
    )

    transport: asyncio.Transport

    def __init__(self, engine: "Engine", upstream: Upstream) -> None:
        self._engine = engine
        # Whose policy has judged the address: under another one the connection isn't used again.
        self._dialer = engine.dialer
        self.upstream = upstream
        self._exchange: Answered | None = None
        self._reader = ResponseReader(engine.response_limits)
        self._body: BodyReader | None = None
        # Whether the connection can carry another request after the current answer.
        self._keep = False
        # The current request: its head until it is sent, and what its answer depends on.
        self._head = b""
        self._method = b""
        self._chunked = False
        self._request_sent = False
        self._paused = False
        self._touched = False
        self.connected = False
        self.reused = False
        self.idle_since = 0.0
        self.deadline = math.inf

    def begin(
        self,
        exchange: Answered,
        method: bytes,
        target: bytes,
        fields: list[Field],
        framing: Framing,
    ) -> None:
        """Take a request; its head leaves with the first content, in one write (`send`).

        `fields` are complete but for the framing, which is written here from the parsed value.
        """
        self._exchange = exchange
        self._method = method
        self._touched = False
        self._chunked = framing.kind is Kind.CHUNKED
        length = b""
        if framing.kind is Kind.LENGTH:
            length = b"Content-Length: %d\r\n" % framing.length
        elif self._chunked:
            length = b"Transfer-Encoding: chunked\r\n"
        self._head = b"%b %b HTTP/1.1\r\n%b%b\r\n" % (method, target, encode(fields), length)

    def send(self, content: bytes, done: bool) -> None:
        """Send content of the request; `done`: that is all of it."""
        head, self._head = self._head, b""
        self._request_sent = done
        if self._chunked:
            content = (chunk(content) if content else b"") + (LAST_CHUNK if done else b"")
        data = head + content if head else content
        if data and not self.transport.is_closing():
            self.deadline = self._engine.now + self._engine.limits.answer_timeout
            self.transport.write(data)

    def pause_reading(self) -> None:
        """Let the upstream wait: the client takes no more for now."""
        if not self.transport.is_closing():
            self._paused = True
            self.deadline = math.inf  # the client's deadline counts while it is the slow one
            self.transport.pause_reading()

    def resume_reading(self) -> None:
        """Read on."""
        self._paused = False
        if not self.transport.is_closing():
            self.deadline = self._engine.now + self._engine.limits.body_timeout
            self.transport.resume_reading()

    def detach(self) -> asyncio.Transport:
        """Give the connection away; the pool goes on counting it until `pool.closed`."""
        self._engine.outbounds.discard(self)
        return self.transport

    def retire(self) -> None:
        """End a connection that nobody uses."""
        self.transport.close()

    def abort(self) -> None:
        """End the connection at once; its exchange, if any, hears nothing more."""
        self._exchange = None
        self._engine.pool.discard(self.upstream, self)
        # With RST an upstream that is still writing learns at once that nobody reads.
        reset(self.transport)

    def timed_out(self) -> None:
        """Give up: called by the engine's sweeper when `deadline` has passed."""
        self._fail(self._exchange, UpstreamTimeout())

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin to live."""
        self.transport = cast(asyncio.Transport, transport)
        self.connected = True
        limits = self._engine.limits
        self.transport.set_write_buffer_limits(high=limits.buffer_high, low=limits.buffer_low)
        self._engine.outbounds.add(self)

    def data_received(self, data: bytes) -> None:
        """Take bytes of an answer."""
        exchange = self._exchange
        if exchange is None:
            # Bytes that nobody asked for: they must never become the answer to a later request.
            self.abort()
            return
        self._touched = True
        if not self._paused:
            self.deadline = self._engine.now + self._engine.limits.body_timeout
        try:
            body = self._body
            if body is None:
                self._read_head(exchange, data)
            else:
                content = body.feed(data)
                if body.done:
                    self._complete(body)
                exchange.content(content, body.done)
        except ProxyError as error:
            self._fail(exchange, error)
        except Exception:
            self._engine.defect()
            self._fail(exchange, Internal())

    def _read_head(self, exchange: Answered, data: bytes) -> None:
        reader = self._reader
        head = reader.feed(data)
        while head is not None and head.status < 200:
            if head.status == 101:
                self._exchange = None
                exchange.switched(head, self, reader.rest)
                return
            exchange.interim(head)
            head = reader.feed(reader.rest) if reader.rest else None
        if head is None:
            return
        framing = response_framing(head, self._method)
        body = body_reader(framing, UpstreamAnswer)
        self._body = body
        self._keep = _may_keep(self._method, head, framing)
        content = body.feed(reader.rest) if reader.rest else b""
        if body.done:
            self._complete(body)
        exchange.answer(head, framing, content, body.done)

    def _complete(self, body: BodyReader) -> None:
        """Let go of the exchange: keep the connection where nothing speaks against it."""
        self._exchange = self._body = None
        self.deadline = math.inf
        if self.transport.get_write_buffer_size():
            # An answer that came before its request was taken: what is left is not sent any more.
            self._request_sent = False
        reusable = self._keep and self._request_sent and not body.rest
        current = self._dialer is self._engine.dialer
        if not (reusable and current) or self.transport.is_closing():
            self._close()
            return
        if self._paused:
            self.resume_reading()
            self.deadline = math.inf
        self.reused = True
        self._engine.pool.put(self.upstream, self, self._engine.now)

    def _close(self) -> None:
        if self._request_sent:
            self.transport.close()
        else:
            reset(self.transport)

    def _fail(self, exchange: Answered | None, error: ProxyError) -> None:
        self._exchange = self._body = None
        self._engine.pool.discard(self.upstream, self)
        reset(self.transport)
        if exchange is not None:
            exchange.failed(error, untouched=not self._touched)

    def eof_received(self) -> bool:
        """The upstream is done sending: the end of content that ends so, an early end else."""
        exchange, body = self._exchange, self._body
        if exchange is not None and body is not None and body.close():
            self._complete(body)
            exchange.content(b"", True)
        elif exchange is not None:
            self._fail(exchange, self._cut_short())
        else:
            # Closing takes a turn of the loop: until then nobody may pick it.
            self._engine.pool.discard(self.upstream, self)
        return False

    def connection_lost(self, exc: Exception | None) -> None:
        """Tell whoever waits; content that ends with the close is not complete without a FIN."""
        engine = self._engine
        engine.outbounds.discard(self)
        engine.left.set()
        engine.pool.discard(self.upstream, self)
        engine.pool.closed(self.upstream)
        exchange, self._exchange = self._exchange, None
        if exchange is not None:
            exchange.failed(self._cut_short(), untouched=not self._touched)

    def _cut_short(self) -> ProxyError:
        if self._touched:
            return UpstreamClosed("The server closed the connection in the middle of its answer.")
        return UpstreamClosed()

    def pause_writing(self) -> None:
        """The upstream is slow."""
        if self._exchange is not None:
            self._exchange.pause_request()

    def resume_writing(self) -> None:
        """The upstream has caught up."""
        self.deadline = self._engine.now + self._engine.limits.answer_timeout
        if self._exchange is not None:
            self._exchange.resume_request()

    def __repr__(self) -> str:
        state = "idle" if self._exchange is None else "answering" if self._body else "waiting"
        return f"<Outbound {self.upstream.host}:{self.upstream.port} {state}>"


def _may_keep(method: bytes, head: ResponseHead, framing: Framing) -> bool:
    """Return whether nothing in an answer speaks against another request on its connection."""
    fields = head.fields
    if head.minor == 0 or framing.kind is Kind.UNTIL_CLOSE:
        return False
    if b"close" in fields.tokens(b"connection"):
        return False
    if framing.kind is Kind.NONE:
        # No content may follow, but a sender that announces some might send it all the same, and
        # it may still be on its way: as the beginning of the next answer.
        announced = fields.get(b"content-length") not in {None, b"0"}
        return method != b"HEAD" and not announced and b"transfer-encoding" not in fields
    return True
