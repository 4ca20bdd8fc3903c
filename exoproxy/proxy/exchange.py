"""One forwarded request: gets a connection, sends the request, passes the answer back.

Works between a `ClientStream` and an `Outbound` and knows neither the client's protocol nor
Exosphere. No task and no future unless a connection has to be dialled.
"""

import asyncio
import time
from functools import partial
from typing import TYPE_CHECKING, Final

from exoproxy.errors import Internal, Overloaded, ProxyError, UpstreamAnswer, UpstreamClosed
from exoproxy.proxy.compress import Compressor, compressor_for
from exoproxy.proxy.decision import Forward
from exoproxy.proxy.observation import ENDED, Observation, observation_of
from exoproxy.proxy.outbound import Outbound
from exoproxy.proxy.record import Record
from exoproxy.proxy.stream import ClientStream
from exoproxy.proxy.tunnel import Tunnel
from exoproxy.wire.fields import Field
from exoproxy.wire.framing import CHUNKED, Framing, Kind
from exoproxy.wire.head import RequestHead, ResponseHead
from exoproxy.wire.upgrade import WEBSOCKET, agrees_to_websocket

if TYPE_CHECKING:
    from exoproxy.proxy.engine import Engine

# RFC 9110 section 9.2.1: without effect on the server, so sending one twice does no harm.
SAFE_METHODS: Final = frozenset({b"GET", b"HEAD", b"OPTIONS"})

UPGRADE: Final[list[Field]] = [(b"Connection", b"Upgrade"), (b"Upgrade", WEBSOCKET)]


class Exchange:
    """A request on its way to an upstream, and the answer on its way back."""

    __slots__ = (
        "_compressor",
        "_dialling",
        "_engine",
        "_expects",
        "_forward",
        "_framing",
        "_interims",
        "_observation",
        "_outbound",
        "_over",
        "_record",
        "_repeatable",
        "_request",
        "_request_done",
        "_stream",
        "_upgrade",
        "_waiting",
    )

    def __init__(
        self,
        engine: "Engine",
        stream: ClientStream,
        request: RequestHead,
        forward: Forward,
        framing: Framing,
        record: Record,
        *,
        upgrade: bool,
        expects: bool,
    ) -> None:
        self._engine = engine
        self._stream = stream
        self._request = request
        self._forward = forward
        self._framing = framing
        self._record = record
        self._upgrade = upgrade
        self._expects = expects
        self._repeatable = framing.kind is Kind.NONE and request.method in SAFE_METHODS
        self._outbound: Outbound | None = None
        self._dialling: asyncio.Task[None] | None = None
        self._waiting = b""
        self._request_done = False
        self._interims = 0
        self._compressor: Compressor | None = None
        self._observation: Observation | None = None
        self._over = False

    def start(self, content: bytes, done: bool) -> None:
        """Send the request on, with the content that came along; `done`: that is all of it."""
        self._waiting = content
        self._request_done = done
        engine, upstream = self._engine, self._forward.upstream
        self._record.upstream = upstream
        # A tunnel keeps its connection, so one that a request has warmed up is not spent on it.
        outbound = (
            None
            if self._upgrade
            else engine.pool.take(upstream, repeatable=self._repeatable, now=engine.now)
        )
        if outbound is None:
            self._dial()
        else:
            self._send(outbound)

    def _dial(self) -> None:
        engine, upstream = self._engine, self._forward.upstream
        opened = engine.pool.opened(upstream)
        # One that idles is of no use to a request that may not take it.
        if opened > engine.limits.connections_per_upstream and not engine.pool.give_way(upstream):
            engine.pool.closed(upstream)
            self._end(Overloaded("The proxy has as many connections to that server as it may."))
            return
        outbound = Outbound(engine, upstream)
        self._dialling = engine.spawn(self._connect(outbound))
        # In a callback, not at the coroutine's end: a task that is cancelled before its first step,
        # by a client that left at once, runs none of its code.
        self._dialling.add_done_callback(partial(self._dialled, outbound))

    def _dialled(self, outbound: Outbound, _: asyncio.Task[None]) -> None:
        if not outbound.connected:
            # Counted by `opened`, and no connection of that count will ever be lost.
            self._engine.pool.closed(outbound.upstream)

    async def _connect(self, outbound: Outbound) -> None:
        began = time.monotonic()
        try:
            await self._engine.dialer.dial(outbound.upstream, lambda: outbound)
        except BaseException as error:
            self._dialling = None
            if outbound.connected:
                # It came about in the moment in which it was given up.
                outbound.abort()
            if isinstance(error, asyncio.CancelledError):
                raise
            if not isinstance(error, ProxyError):
                self._end(Internal())
                raise
            self._end(error)
        else:
            self._dialling = None
            self._record.dialled = time.monotonic() - began
            self._send(outbound)

    def _send(self, outbound: Outbound) -> None:
        self._outbound = outbound
        self._record.reused = outbound.reused
        content, self._waiting = self._waiting, b""
        forward, method = self._forward, self._request.method
        fields = forward.fields + UPGRADE if self._upgrade else forward.fields
        outbound.begin(self, method, forward.target, fields, self._framing)
        # First of all: what is sent now may be enough to have the client wait again.
        self._stream.resume_request()
        outbound.send(content, self._request_done)

    # What the client's side says (Responder).

    def request_content(self, content: bytes, done: bool) -> None:
        """Send content on, or keep it until there is a connection."""
        self._request_done = done
        outbound = self._outbound
        if outbound is not None:
            outbound.send(content, done)
            return
        self._waiting += content
        if len(self._waiting) >= self._engine.limits.buffer_low:
            self._stream.pause_request()

    def pause_response(self) -> None:
        """Stop reading the answer."""
        if self._outbound is not None and not self._over:
            self._outbound.pause_reading()

    def resume_response(self) -> None:
        """Read on."""
        if self._outbound is not None and not self._over:
            self._outbound.resume_reading()

    def client_gone(self) -> None:
        """Let the upstream know at once."""
        self._over = True
        self._observe_no_more()
        if self._dialling is not None:
            self._dialling.cancel()
        if self._outbound is not None:
            self._outbound.abort()

    # What the upstream's side says (Answered).

    def interim(self, head: ResponseHead) -> None:
        """Pass a 1xx head on; a 100 that the client didn't ask for ends here."""
        self._interims += 1
        if self._interims > self._engine.limits.interim_responses:
            raise UpstreamAnswer("The server sent too many interim answers.")
        if head.status != 100:
            self._stream.interim(head.status, self._forward.edit_response(head))
        elif self._expects:
            self._expects = False
            self._stream.interim(100, [])

    def switched(self, head: ResponseHead, outbound: Outbound, first: bytes) -> None:
        """Make a tunnel of the two connections."""
        if not self._upgrade or not agrees_to_websocket(head):
            self._over = True
            outbound.abort()
            self._stream.fail(UpstreamAnswer("The server switched to a protocol not asked for."))
            return
        self._over = True
        fields = self._forward.edit_response(head)
        client = self._stream.switch(fields)
        Tunnel(self._engine, client, outbound.detach(), self._record).start(first)

    def answer(self, head: ResponseHead, framing: Framing, content: bytes, done: bool) -> None:
        """Pass the head on with the first content; its framing is written anew."""
        forward, fields = self._forward, self._forward.edit_response(head)
        if forward.told_id:
            self._record.answered_by_own(head)
        if done and framing.kind is not Kind.NONE:
            framing = Framing(Kind.LENGTH, len(content))
        if forward.observer is not None and framing.kind is not Kind.NONE:
            self._observation = observation_of(forward.observer, head, self._engine.observed)
            if self._observation is not None:
                self._observation.feed(content)
        if forward.compress and framing.kind is not Kind.NONE:
            compressor = compressor_for(self._request, head, framing)
            if compressor is not None:
                self._compressor = compressor
                fields = compressor.edit(fields)
                content = compressor.feed(content, done)
                framing = Framing(Kind.LENGTH, len(content)) if done else CHUNKED
        if framing.kind is Kind.NONE:
            fields = fields + _announced_length(self._request.method, head)
        self._stream.answer(head.status, head.reason, fields, framing, content)
        if done:
            self._end(None)

    def content(self, content: bytes, done: bool) -> None:
        """Pass content on."""
        if self._observation is not None:
            self._observation.feed(content)
        if self._compressor is not None:
            content = self._compressor.feed(content, done)
        if content:
            self._stream.content(content)
        if done:
            self._end(None)

    def failed(self, error: ProxyError, *, untouched: bool) -> None:
        """Try once more on a new connection where that is safe, else tell the client."""
        outbound, self._outbound = self._outbound, None
        closed = untouched and isinstance(error, UpstreamClosed)
        if closed and self._repeatable and outbound is not None and outbound.reused:
            # The upstream closed a kept connection as the request was on its way; it has not
            # answered a byte, and sending the request again has no effect of its own.
            self._dial()
            return
        self._end(error)

    def pause_request(self) -> None:
        """Let the client wait: the upstream takes no more for now."""
        self._stream.pause_request()

    def resume_request(self) -> None:
        """Let the client go on."""
        self._stream.resume_request()

    def _end(self, error: ProxyError | None) -> None:
        self._over = True
        self._outbound = None
        if error is None:
            observation, self._observation = self._observation, None
            if observation is not None:
                # When the loop has sent what was written, and before it reads anything again.
                asyncio.get_running_loop().call_soon(observation.end)
            self._stream.end()
        else:
            self._observe_no_more()
            self._stream.fail(error)

    def _observe_no_more(self) -> None:
        """Let go of an answer that does not come to its end."""
        observation, self._observation = self._observation, None
        if observation is not None:
            observation.give_up(ENDED)


def _announced_length(method: bytes, head: ResponseHead) -> list[Field]:
    """Return the Content-Length of an answer without content (RFC 9110 section 8.6)."""
    if head.status == 205:
        return [(b"Content-Length", b"0")]
    length = head.fields.get(b"content-length")
    if length is None or not (method == b"HEAD" or head.status == 304):
        return []
    return [(b"Content-Length", length)]
