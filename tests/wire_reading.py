"""Bytes through `exoproxy.wire`, as the engine sends them: head, framing, content, the next head.

The readers here take a connection in any pieces and return what was found as `Message`s, so that
the unit tests, the fuzzer and the cases speak of one thing.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from exoproxy.errors import UpstreamAnswer
from exoproxy.settings.limits import Limits
from exoproxy.wire.fields import Fields
from exoproxy.wire.framing import (
    BodyReader,
    Framing,
    Kind,
    body_reader,
    request_framing,
    response_framing,
)
from exoproxy.wire.head import HeadLimits, RequestHead, RequestReader, ResponseHead, ResponseReader
from exoproxy.wire.upgrade import asks_for_websocket
from messages import FRAMING_FIELDS, Field, Message

REQUEST_LIMITS = HeadLimits()
_LIMITS = Limits()
RESPONSE_LIMITS = HeadLimits(
    field=_LIMITS.response_field, head=_LIMITS.response_head, fields=_LIMITS.response_fields
)


@dataclass(slots=True)
class Reading:
    """What was found on a connection.

    `messages` are complete; `partial` is set when the bytes ended inside another one. `heads` are
    the heads of all of them. `rest` holds bytes that nobody was to read, behind Connection: close,
    an upgrade or an answer.
    """

    messages: list[Message] = field(default_factory=list)
    heads: list[RequestHead] = field(default_factory=list)
    partial: bool = False
    rest: bytes = b""


def whole(data: bytes) -> list[bytes]:
    """Return `data` in one piece."""
    return [data]


def bytewise(data: bytes) -> Iterator[bytes]:
    """Return `data` byte by byte; what is long beyond any limit, in sevens."""
    step = 1 if len(data) < 100_000 else 7
    return (data[at : at + step] for at in range(0, len(data), step))


def closes(head: RequestHead) -> bool:
    """Return whether nothing is read behind this request (RFC 9112 section 9.3)."""
    options = head.fields.tokens(b"connection")
    return b"close" in options or (head.minor == 0 and b"keep-alive" not in options)


class RequestsReading:
    """Reads requests as they come; `ProxyError`s of the wire come out of `feed`.

    With `upgrades` the first handshake is taken to succeed; what follows it is no request.
    """

    def __init__(self, limits: HeadLimits = REQUEST_LIMITS, *, upgrades: bool = True) -> None:
        self._upgrades = upgrades
        self.reading = Reading()
        self._heads = RequestReader(limits)
        self._head: RequestHead | None = None
        self._framing = Framing(Kind.NONE)
        self._body: BodyReader = body_reader(self._framing)
        self._content: list[bytes] = []
        self._over = False

    def feed(self, data: bytes) -> None:
        """Take bytes of the connection."""
        while data and not self._over:
            data = self._read_head(data) if self._head is None else self._read_content(data)
        self.reading.rest += data
        self.reading.partial = self._head is not None or self._heads.started

    def _read_head(self, data: bytes) -> bytes:
        head = self._heads.feed(data)
        if head is None:
            return b""
        self._head = head
        self.reading.heads.append(head)
        self._framing = request_framing(head)
        self._body = body_reader(self._framing)
        self._content = []
        self._end_if_done(head)
        return self._heads.rest

    def _read_content(self, data: bytes) -> bytes:
        assert self._head is not None
        self._content.append(self._body.feed(data))
        self._end_if_done(self._head)
        return self._body.rest

    def _end_if_done(self, head: RequestHead) -> None:
        if not self._body.done:
            return
        upgrade = asks_for_websocket(head, self._framing)
        line = head.method + b" " + head.target.origin + b" HTTP/1.1"
        content = b"".join(self._content)
        self.reading.messages.append(
            _message(line, head.fields, self._framing, content, upgrade=upgrade)
        )
        self._head = None
        self._over = (upgrade and self._upgrades) or closes(head)


def read_requests(pieces: Iterable[bytes], limits: HeadLimits = REQUEST_LIMITS) -> Reading:
    """Return the requests in the pieces; raises the wire's `ProxyError`s."""
    reader = RequestsReading(limits)
    for piece in pieces:
        reader.feed(piece)
    return reader.reading


def read_answer(
    pieces: Iterable[bytes],
    *,
    method: bytes = b"GET",
    fin: bool = False,
    limits: HeadLimits = RESPONSE_LIMITS,
) -> Reading:
    """Return the answer in the pieces, interim ones first; raises `UpstreamAnswer`."""
    reading = Reading()
    heads = ResponseReader(limits)
    head: ResponseHead | None = None
    framing = Framing(Kind.NONE)
    body = body_reader(framing)
    content: list[bytes] = []

    def end(final: ResponseHead) -> None:
        line = (b"HTTP/1.1 %d %b" % (final.status, final.reason)).rstrip(b" ")
        reading.messages.append(_message(line, final.fields, framing, b"".join(content)))

    for piece in pieces:
        data = piece
        while data and head is None:
            found = heads.feed(data)
            data = b"" if found is None else heads.rest
            if found is None:
                continue
            framing = response_framing(found, method)
            if found.status < 200:
                end(found)
                continue
            head = found
            body = body_reader(framing, UpstreamAnswer)
        if head is not None and body.done:
            reading.rest += data
        elif head is not None:
            content.append(body.feed(data))
            reading.rest += body.rest
    if head is not None and (body.done or (fin and body.close())):
        end(head)
    else:
        reading.partial = True
    return reading


def end_to_end(fields: Fields) -> tuple[Field, ...]:
    """Return the fields that cross the proxy, without those that frame."""
    return tuple(fields.end_to_end(frozenset(FRAMING_FIELDS)))


def _message(
    line: bytes, fields: Fields, framing: Framing, content: bytes, *, upgrade: bool = False
) -> Message:
    length = fields.get(b"content-length")
    return Message(
        line=line,
        fields=end_to_end(fields),
        framing="close" if framing.kind is Kind.UNTIL_CLOSE else framing.kind.value,
        length=None if length is None else int(length),
        content=content,
        upgrade=upgrade,
    )
