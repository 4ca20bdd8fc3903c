"""One request on an HTTP/1.1 connection and the answer to it: the `ClientStream` of HTTP/1.1.

Reads the request's content, lets the site decide, carries the decision out, and frames the answer.
`proxy.inbound` makes one for each request.
"""

import math
from http import HTTPStatus
from typing import TYPE_CHECKING, Final

from exoproxy.errors import (
    BadRequest,
    ContentTooLarge,
    ExpectationFailed,
    Internal,
    MethodNotAllowed,
    ProxyError,
    RequestTimeout,
    TooManyRefusals,
)
from exoproxy.proxy.decision import Decision, File, Forward, Reply
from exoproxy.proxy.exchange import Exchange
from exoproxy.proxy.file import FileSource
from exoproxy.proxy.problem import problem, reason_of
from exoproxy.proxy.stream import Responder, Switched
from exoproxy.wire.fields import Field, encode
from exoproxy.wire.framing import (
    LAST_CHUNK,
    NO_CONTENT,
    BodyReader,
    Framing,
    Kind,
    body_reader,
    chunk,
    request_framing,
)
from exoproxy.wire.head import RequestHead
from exoproxy.wire.upgrade import asks_for_websocket

if TYPE_CHECKING:
    from exoproxy.proxy.inbound import Inbound

# Seconds that a client which expects a 100 waits for the upstream's before it gets ours: some
# servers never send one, and some clients wait for ever (RFC 9110 section 10.1.1).
CONTINUE_AFTER: Final = 1.0

# RFC 9110 sections 9.3.6 and 9.3.8: a tunnel to anywhere, and an echo of the client's secrets.
REFUSED_METHODS: Final = frozenset({b"CONNECT", b"TRACE"})
METHODS: Final = "GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS"

# After these, where the next request begins can't be known, or no next request is wanted.
CLOSING: Final = frozenset({408, 413, 417, 501})


class Turn:
    """A request being served. `close`: the connection ends after the answer."""

    __slots__ = (
        "_astray",
        "_body",
        "_chunked",
        "_connection",
        "_engine",
        "_expects",
        "_framing",
        "_head_sent",
        "_limit",
        "_over",
        "_record",
        "_responder",
        "close",
        "request",
    )

    def __init__(self, connection: "Inbound", request: RequestHead) -> None:
        engine = connection.engine
        self.request = request
        asks_to_close = b"close" in request.fields.tokens(b"connection")
        self.close = engine.draining or request.minor == 0 or asks_to_close
        self._connection = connection
        self._engine = engine
        self._record = engine.record(connection.peer, request)
        self._framing = NO_CONTENT
        # Bytes that the content may have, 0 for any number.
        self._limit = engine.limits.body
        # None once the content is complete.
        self._body: BodyReader | None = None
        self._responder: Responder | None = None
        self._expects = False
        self._head_sent = False
        self._chunked = False
        # More of this request may come, and nobody can tell how much.
        self._astray = False
        self._over = False

    # The request.

    @property
    def wants_content(self) -> bool:
        """Whether content of the request is still to come."""
        return self._body is not None

    def begin(self, rest: bytes) -> None:
        """Serve the request; `rest` are the bytes after its head."""
        request, engine = self.request, self._engine
        try:
            self._framing = request_framing(request)
            content = self._read_content(rest)
            self._check()
            decision = engine.site.decide(request, self._connection.peer)
            if isinstance(decision, Forward) and decision.content_limit:
                self._limit_content(decision.content_limit)
        except ProxyError as error:
            self._problem(error)
        except Exception:
            engine.defect()
            self._problem(Internal())
        else:
            self._carry_out(decision, content)

    def _read_content(self, rest: bytes) -> bytes:
        """Return what has come of the content already."""
        if self._framing.kind is Kind.NONE:
            self._connection.follow(rest)
            return b""
        if 0 < self._limit < self._framing.length:
            raise self._too_large()
        self._body = body_reader(self._framing)
        return self._feed(self._body, rest)

    def _feed(self, body: BodyReader, data: bytes) -> bytes:
        content = body.feed(data)
        self._record.received += len(content)
        if 0 < self._limit < self._record.received:
            raise self._too_large()
        if body.done:
            self._body = None
            self._expects = False
            self._connection.follow(body.rest)
        self._connection.content_due()
        return content

    def _limit_content(self, limit: int) -> None:
        """Let this request's content have fewer bytes than others may."""
        if not 0 < self._limit < limit:
            self._limit = limit
        if self._limit < max(self._framing.length, self._record.received):
            raise self._too_large()

    def _too_large(self) -> ContentTooLarge:
        is_settings = self._limit == self._engine.limits.body
        return ContentTooLarge(hint="The operator can raise limits.body." if is_settings else "")

    def take(self, data: bytes) -> None:
        """Take more bytes of the content."""
        body = self._body
        if body is None:
            return
        try:
            content = self._feed(body, data)
        except ProxyError as error:
            self.fail(error)
            return
        if self._responder is not None:
            self._responder.request_content(content, body.done)

    def _check(self) -> None:
        """Judge what concerns every site."""
        request = self.request
        if (excess := self._connection.peer.excess) is not None:
            self.close = True
            raise excess.anew()
        if request.method in REFUSED_METHODS:
            self.close = True
            raise MethodNotAllowed(allow=METHODS)
        expect = request.fields.get(b"expect")
        if expect is None or request.minor == 0:
            return
        if expect.lower() != b"100-continue":
            raise ExpectationFailed
        if self._body is not None:
            self._expects = True
            self._connection.deadline = self._engine.now + CONTINUE_AFTER

    def _carry_out(self, decision: Decision, content: bytes) -> None:
        self._record.route = decision.route
        if isinstance(decision, Forward):
            self._forward(decision, content)
        elif isinstance(decision, Reply):
            self._reply(decision)
        else:
            self._send_file(decision)

    def _forward(self, forward: Forward, content: bytes) -> None:
        request = self.request
        if b"expect" in request.fields and not self._expects:
            # There is nothing to expect: the content is here, or there is none.
            forward.fields = [pair for pair in forward.fields if pair[0].lower() != b"expect"]
        if forward.told_id:
            forward.fields.append((b"X-Request-Id", self._record.id.encode()))
        exchange = Exchange(
            self._engine,
            self,
            request,
            forward,
            self._framing,
            self._record,
            upgrade=asks_for_websocket(request, self._framing),
            expects=self._expects,
        )
        self._responder = exchange
        exchange.start(content, self._body is None)

    # The answer: what a `Responder` says (ClientStream).

    def interim(self, status: int, fields: list[Field]) -> None:
        """Send a 1xx head; HTTP/1.0 knows none (RFC 9110 section 15.2)."""
        if self._over or self._head_sent or self.request.minor == 0:
            return
        if status == HTTPStatus.CONTINUE:
            if not self._expects:
                return
            self._expects = False
            self._connection.content_due()
        head = b"HTTP/1.1 %d %b\r\n" % (status, reason_of(status))
        self._connection.write(b"%b%b\r\n" % (head, encode(fields)))

    def answer(
        self, status: int, reason: bytes, fields: list[Field], framing: Framing, content: bytes
    ) -> None:
        """Send the head and the first content in one write."""
        if self._over:
            return
        self._head_sent = True
        self._expects = False
        self._record.status = status
        self._record.sent = len(content)
        lines = [b"HTTP/1.1 %d %b\r\n" % (status, reason), encode(fields)]
        if framing.kind is Kind.LENGTH:
            lines.append(b"Content-Length: %d\r\n" % framing.length)
        elif framing.kind is not Kind.NONE:
            if self.request.minor == 1:
                self._chunked = True
                lines.append(b"Transfer-Encoding: chunked\r\n")
            else:
                self.close = True
        # An answer that comes before the request is complete: what is left of the content may
        # never be read, so this connection can't carry another request.
        self.close = self.close or self._body is not None
        lines.append(b"Connection: close\r\n\r\n" if self.close else b"\r\n")
        if content:
            lines.append(chunk(content) if self._chunked else content)
        self._connection.write(b"".join(lines))
        self._hold_back()

    def content(self, content: bytes) -> None:
        """Send more content."""
        if not self._over:
            self._record.sent += len(content)
            self._connection.write(chunk(content) if self._chunked else content)
            self._hold_back()

    def _hold_back(self) -> None:
        """Pause who answers, even if the client was slow before there was anybody to pause."""
        if self._connection.pressed and self._responder is not None:
            self._responder.pause_response()

    def end(self) -> None:
        """The answer is complete: the connection's next request may come."""
        if self._over:
            return
        self._over = True
        if self._chunked:
            self._connection.write(LAST_CHUNK)
        self._engine.finished(self._record)
        unread = self._astray or self._body is not None
        self._connection.turn_over(close=self.close, unread=unread)

    def fail(self, error: ProxyError) -> None:
        """Answer with the error, or break off where an answer has begun."""
        if self._over:
            return
        if self._head_sent:
            self._connection.break_off(error)
            return
        responder, self._responder = self._responder, None
        if responder is not None:
            responder.client_gone()
        self._problem(error)

    def switch(self, fields: list[Field]) -> Switched:
        """Send the 101 and leave the connection to a tunnel."""
        self._over = True
        self._record.status = HTTPStatus.SWITCHING_PROTOCOLS
        self._connection.write(
            b"HTTP/1.1 101 Switching Protocols\r\n%b"
            b"Connection: Upgrade\r\nUpgrade: websocket\r\n\r\n" % encode(fields)
        )
        transport, early = self._connection.give_away()
        return Switched(transport, early, self._connection.release_slot)

    def pause_request(self) -> None:
        """Let the client wait with its content."""
        if self._body is not None:
            self._connection.stop_reading()
            # While the upstream is the slow one, its own deadline counts.
            self._connection.deadline = math.inf

    def resume_request(self) -> None:
        """Take content again."""
        if self._body is not None:
            self._connection.resume_reading()
            if not self._expects:
                self._connection.content_due()

    # What the connection says.

    def pause_response(self) -> None:
        """The client is slow."""
        if self._responder is not None:
            self._responder.pause_response()

    def resume_response(self) -> None:
        """The client has caught up."""
        if self._responder is not None:
            self._responder.resume_response()

    def timed_out(self) -> None:
        """The content, or the upstream's 100, did not come in time."""
        if self._expects:
            self.interim(100, [])
        else:
            self.fail(RequestTimeout("The request's content did not arrive in time."))

    def abandon(self, error: ProxyError) -> None:
        """Let go of everything: the connection ends here."""
        if self._over:
            return
        self._over = True
        if self._responder is not None:
            self._responder.client_gone()
        self._record.failed(error)
        self._engine.finished(self._record)

    # Answers of our own.

    def _reply(self, reply: Reply) -> None:
        content = reply.content
        framing = Framing(Kind.LENGTH, len(content))
        if reply.status in {204, 304}:
            framing = NO_CONTENT
        elif self.request.method == b"HEAD":
            content = b""
        fields = [(b"Date", self._engine.date), *reply.fields]
        self.answer(reply.status, reason_of(reply.status), fields, framing, content)
        self.end()

    def _send_file(self, file: File) -> None:
        fields = [(b"Date", self._engine.date), *file.fields]
        framing = Framing(Kind.LENGTH, file.length)
        self.answer(file.status, reason_of(file.status), fields, framing, b"")
        if self.request.method == b"HEAD":
            self.end()
            return
        source = FileSource(self._engine, self, file)
        self._responder = source
        source.start()

    def _problem(self, error: ProxyError) -> None:
        record, request = self._record, self.request
        if isinstance(error, BadRequest) or error.status in CLOSING:
            self.close = self._astray = True
        if (wait := self._engine.refusal(error, record.peer, request)) > 0:
            error = TooManyRefusals(wait=wait)
            self.close = True
        record.failed(error)
        reply = problem(error, method=request.method, accept=request.fields, request_id=record.id)
        reply.fields.extend(self._engine.site.own_fields(request))
        self._reply(reply)
