"""How long is the content? (RFC 9112 sections 6 and 7)

`request_framing` and `response_framing` judge a head; `body_reader` returns a reader that takes
bytes and gives content. Towards the other side framing is always written anew (`chunk`,
`LAST_CHUNK`) from the parsed value, never copied. Trailer sections are read, checked and dropped:
a proxy that merges them wrongly is a way in, and no client of this product reads them.
"""

import re
from enum import Enum
from typing import Final, NamedTuple, Protocol

from exoproxy.errors import BadFraming, CodingNotImplemented, ProxyError, UpstreamAnswer
from exoproxy.wire.fields import Fields
from exoproxy.wire.head import FIELD, FIELD_LINES, RequestHead, ResponseHead

# No sign, no leading zero (some read octal), and below 2^63.
LENGTH: Final = re.compile(rb"0|[1-9][0-9]{0,17}")
TOKEN: Final = re.compile(rb"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
# White space before the extension is "bad whitespace" in RFC 9112 section 7.1.1: refused.
CHUNK_LINE: Final = re.compile(rb"([0-9A-Fa-f]{1,16})(;[\t\x20-\x7e\x80-\xff]*+)?")
TRAILERS: Final = re.compile(FIELD_LINES + rb"\r\n")
# RFC 9110 section 6.5.1: fields that frame or route a message have no place in trailers.
FORBIDDEN_TRAILERS: Final = frozenset({b"content-length", b"host", b"transfer-encoding"})

# Extensions are allowed by the grammar and used by nobody; without a cap they are free bytes
# (CVE-2023-39326 in Go's net/http).
MAX_EXTENSIONS: Final = 4096
MAX_TRAILERS: Final = 8192

LAST_CHUNK: Final = b"0\r\n\r\n"


class Kind(Enum):
    """By what the end of the content is told."""

    NONE = "none"
    LENGTH = "length"
    CHUNKED = "chunked"
    UNTIL_CLOSE = "until-close"


class Framing(NamedTuple):
    """How a message's content is delimited; `length` in bytes goes with `Kind.LENGTH`."""

    kind: Kind
    length: int = 0


NO_CONTENT: Final = Framing(Kind.NONE)
CHUNKED: Final = Framing(Kind.CHUNKED)
UNTIL_CLOSE: Final = Framing(Kind.UNTIL_CLOSE)


def request_framing(head: RequestHead) -> Framing:
    """Return the framing of a request (RFC 9112 section 6.3).

    Raises `BadFraming`, or `CodingNotImplemented` for a single coding that is not chunked.
    """
    fields = head.fields
    if b"transfer-encoding" not in fields:
        if b"content-length" not in fields:
            return NO_CONTENT
        return Framing(Kind.LENGTH, _length(fields, BadFraming))
    if b"content-length" in fields:
        raise BadFraming("The request has both Content-Length and Transfer-Encoding.")
    if head.minor == 0:
        raise BadFraming("HTTP/1.0 knows no Transfer-Encoding.")
    codings = fields.all(b"transfer-encoding")
    if len(codings) == 1 and codings[0].lower() == b"chunked":
        return CHUNKED
    if len(codings) == 1 and TOKEN.fullmatch(codings[0]):
        raise CodingNotImplemented
    raise BadFraming("The Transfer-Encoding is not chunked alone.")


def response_framing(head: ResponseHead, method: bytes) -> Framing:
    """Return the framing of the answer to a request with `method`; raises `UpstreamAnswer`.

    The fields are judged even where they have no effect, as in an answer to HEAD.
    """
    fields = head.fields
    framing = UNTIL_CLOSE
    if b"transfer-encoding" in fields:
        codings = fields.all(b"transfer-encoding")
        if b"content-length" in fields or head.minor == 0:
            raise UpstreamAnswer("The answer states its length in two ways.")
        if len(codings) != 1 or codings[0].lower() != b"chunked":
            raise UpstreamAnswer("The answer's Transfer-Encoding is not chunked alone.")
        framing = CHUNKED
    elif b"content-length" in fields:
        framing = Framing(Kind.LENGTH, _length(fields, UpstreamAnswer))
    if method == b"HEAD" or head.status in {204, 205, 304} or head.status < 200:
        return NO_CONTENT
    return framing


def _length(fields: Fields, error: type[ProxyError]) -> int:
    values = fields.all(b"content-length")
    # Even equal values are refused when doubled: which of the servers on the way kept which?
    if len(values) != 1 or LENGTH.fullmatch(values[0]) is None:
        raise error("The Content-Length is not one decimal number.")
    return int(values[0])


class BodyReader(Protocol):
    """Finds content in the bytes of a connection."""

    done: bool
    rest: bytes
    """What follows the end of the content; set once `done`."""

    def feed(self, data: bytes) -> bytes:
        """Return the content in `data`, which may be empty; raises `ProxyError`."""

    def close(self) -> bool:
        """Say whether the content is complete when the peer closes now."""


class EmptyReader:
    """No content."""

    __slots__ = ("done", "rest")

    def __init__(self) -> None:
        self.done = True
        self.rest = b""

    def feed(self, data: bytes) -> bytes:
        """Return nothing; all bytes follow the end."""
        self.rest += data
        return b""

    def close(self) -> bool:
        """Return True."""
        return True


class LengthReader:
    """Content of a length known beforehand."""

    __slots__ = ("_left", "done", "rest")

    def __init__(self, length: int) -> None:
        self._left = length
        self.done = length == 0
        self.rest = b""

    def feed(self, data: bytes) -> bytes:
        """Return `data` up to the length."""
        size = len(data)
        if size < self._left:
            self._left -= size
            return data
        content, self.rest = data[: self._left], data[self._left :]
        self._left = 0
        self.done = True
        return content

    def close(self) -> bool:
        """Return whether all of it came."""
        return self.done


class UntilCloseReader:
    """Content that ends with the connection; only answers may do so."""

    __slots__ = ("done", "rest")

    def __init__(self) -> None:
        self.done = False
        self.rest = b""

    def feed(self, data: bytes) -> bytes:
        """Return `data`."""
        return data

    def close(self) -> bool:
        """Return True: the close is the end."""
        self.done = True
        return True


class ChunkedReader:
    """Content in the chunked transfer coding (RFC 9112 section 7.1); `error` is what it raises."""

    __slots__ = ("_error", "_extensions", "_left", "_step", "_tail", "done", "rest")

    def __init__(self, error: type[ProxyError]) -> None:
        self._error = error
        self._step = self._size_line
        self._tail = b""
        self._left = 0
        self._extensions = 0
        self.done = False
        self.rest = b""

    def feed(self, data: bytes) -> bytes:
        """Return the content of all chunks in `data`, joined."""
        if self.done:
            self.rest += data
            return b""
        if self._tail:
            data, self._tail = self._tail + data, b""
        found: list[bytes] = []
        at = 0
        while at < len(data) and not self.done:
            step = self._step(data, at, found)
            if step == at:
                # A line that is not complete: bounded by MAX_EXTENSIONS and MAX_TRAILERS.
                self._tail = data[at:]
                break
            at = step
        if self.done:
            self.rest = data[at:]
        return found[0] if len(found) == 1 else b"".join(found)

    def close(self) -> bool:
        """Return whether the last chunk and the end of the trailers came."""
        return self.done

    def _size_line(self, data: bytes, at: int, found: list[bytes]) -> int:
        end = data.find(b"\r\n", at)
        line = data[at : end if end >= 0 else len(data)]
        whole = line if end >= 0 else line.removesuffix(b"\r")
        match = CHUNK_LINE.fullmatch(whole)
        if match is None and (whole or end >= 0):
            raise self._error("A chunk's size is not valid.")
        if len(line) + self._extensions > MAX_EXTENSIONS:
            raise self._error("Chunk extensions are larger than their limit.")
        if end < 0 or match is None:
            return at
        size, extension = match.groups()
        self._extensions += len(extension or b"")
        self._left = int(size, 16)
        self._step = self._data if self._left else self._trailers
        return end + 2

    def _data(self, data: bytes, at: int, found: list[bytes]) -> int:
        end = min(at + self._left, len(data))
        found.append(data[at:end])
        self._left -= end - at
        if self._left == 0:
            self._step = self._data_end
        return end

    def _data_end(self, data: bytes, at: int, found: list[bytes]) -> int:
        two = data[at : at + 2]
        if two == b"\r\n":
            self._step = self._size_line
            return at + 2
        if two != b"\r":
            raise self._error("A chunk is longer than its size says.")
        return at

    def _trailers(self, data: bytes, at: int, found: list[bytes]) -> int:
        if data.startswith(b"\r\n", at):
            self.done = True
            return at + 2
        end = data.find(b"\r\n\r\n", at)
        size = (end if end >= 0 else len(data)) - at
        if size > MAX_TRAILERS:
            raise self._error("The trailers are larger than their limit.")
        if end < 0:
            # Counting is fast enough to be repeated for each byte that comes, a pattern is not.
            lines = data.count(b"\r\n", at)
            if data.count(b"\n", at) != lines or data.count(b"\r", at, len(data) - 1) != lines:
                raise self._error("A trailer's line does not end in CRLF.")
            return at
        block = data[at : end + 4]
        if TRAILERS.fullmatch(block) is None:
            raise self._error("A trailer field is not valid.")
        if any(name.lower() in FORBIDDEN_TRAILERS for name, _ in FIELD.findall(block[:-2])):
            raise self._error("A trailer field may not stand there.")
        self.done = True
        return end + 4


def body_reader(framing: Framing, error: type[ProxyError] = BadFraming) -> BodyReader:
    """Return a reader for content framed so; `error` is raised for broken chunks."""
    if framing.kind is Kind.LENGTH:
        return LengthReader(framing.length)
    if framing.kind is Kind.CHUNKED:
        return ChunkedReader(error)
    return UntilCloseReader() if framing.kind is Kind.UNTIL_CLOSE else EmptyReader()


def chunk(content: bytes) -> bytes:
    """Return content as one chunk; it must not be empty, which would be the last chunk."""
    return b"%x\r\n%b\r\n" % (len(content), content)
