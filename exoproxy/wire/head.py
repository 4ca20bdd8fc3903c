"""The head of a request or an answer: bytes in, values out (RFC 9112 sections 2 to 5).

One compiled pattern accepts a whole head; only a head that it refuses is looked at again, slowly,
to say why. Where the RFC lets a recipient be lenient (bare LF, folded lines, white space before a
colon), this grammar refuses: leniency is what request smuggling is made of. Sentences are fixed
text: nothing of the input comes back. What is not here: how long the content is (`wire.framing`).
"""

import re
from dataclasses import dataclass
from typing import ClassVar, Final, Generic, TypeVar

from exoproxy.errors import (
    BadFraming,
    BadHost,
    BadRequest,
    FieldsTooLarge,
    ProxyError,
    TargetTooLong,
    UpstreamAnswer,
    VersionNotSupported,
)
from exoproxy.wire.fields import Field, Fields
from exoproxy.wire.target import DEFAULT_PORTS, Authority, Target, parse_authority, parse_target

# RFC 9110 section 5.6.2 (token) and 5.5 (field-value with obs-text: bytes are kept, not decoded).
# Possessive quantifiers (`*+`): no backtracking, so no input makes the match slow.
FIELD_LINES: Final = rb"(?:[!#$%&'*+.^_`|~0-9A-Za-z-]++:[\t\x20-\x7e\x80-\xff]*+\r\n)*+"
# The same without `_`, which a request's names rarely hold: asking each name costs 8 µs for 18.
PLAIN_FIELD_LINES: Final = FIELD_LINES.replace(b"_", b"")
# Methods are case-sensitive, and every registered one is upper-case and at most 17 letters long
# (RFC 9110 section 9.1). A target is any visible ASCII but `#`: browsers leave more unencoded than
# RFC 3986 allows.
REQUEST_LINE: Final = rb"([A-Z][A-Z_-]{0,31}+) ([\x21\x22\x24-\x7e]++) HTTP/1\.([01])\r\n"
STATUS_LINE: Final = rb"HTTP/1\.([01]) ([1-9][0-9]{2})(?: ([\t\x20-\x7e\x80-\xff]*+))?\r\n"
REQUEST_HEAD: Final = re.compile(REQUEST_LINE + rb"(" + PLAIN_FIELD_LINES + rb")\r\n")
UNDERSCORED_HEAD: Final = re.compile(REQUEST_LINE + rb"(" + FIELD_LINES + rb")\r\n")
RESPONSE_HEAD: Final = re.compile(STATUS_LINE + rb"(" + FIELD_LINES + rb")\r\n")
FIRST_REQUEST_LINE: Final = re.compile(REQUEST_LINE)
FIRST_STATUS_LINE: Final = re.compile(STATUS_LINE)
FIELD: Final = re.compile(rb"([^:]++):[\t ]*+([^\r]*+)\r\n")
BARE_LINE_END: Final = re.compile(rb"(?<!\r)\n|\r[^\n]")
OTHER_MAJOR: Final = re.compile(rb"[^ ]+ [^ ]+ HTTP/(?!1\.)[0-9]\.[0-9]\r\n")

# What a request line has besides its target: a method, the version, two spaces.
LINE_OVERHEAD: Final = 48


@dataclass(frozen=True, slots=True, kw_only=True)
class HeadLimits:
    """How large a head may be: `target`, `field` and `head` in bytes, `fields` in lines."""

    target: int = 32 * 1024
    field: int = 32 * 1024
    head: int = 64 * 1024
    fields: int = 100


@dataclass(slots=True, eq=False)
class RequestHead:
    """A valid request head. `authority` is the absolute target's, else the Host field's."""

    method: bytes
    target: Target
    minor: int
    fields: Fields
    authority: Authority


@dataclass(slots=True, eq=False)
class ResponseHead:
    """A valid head of an answer; `reason` may be empty."""

    status: int
    reason: bytes
    minor: int
    fields: Fields


HeadT = TypeVar("HeadT")


class HeadReader(Generic[HeadT]):
    """Collects bytes until a head is complete. One reader reads one head after another.

    `feed` returns the head, or None while more bytes are needed; `rest` then holds what follows.
    """

    __slots__ = ("_buffer", "_empty_line_seen", "_limits", "_line_seen", "rest")

    first_line: ClassVar[re.Pattern[bytes]]
    too_large: ClassVar[type[ProxyError]]
    malformed: ClassVar[type[ProxyError]]

    def __init__(self, limits: HeadLimits) -> None:
        self._limits = limits
        self._buffer = bytearray()
        self._line_seen = False
        self._empty_line_seen = False
        self.rest = b""

    @property
    def started(self) -> bool:
        """Whether some, but not all, bytes of a head have come."""
        return bool(self._buffer)

    def feed(self, data: bytes) -> HeadT | None:
        """Take bytes; return the head once it is complete. Raises `ProxyError`."""
        buffer = self._buffer
        if not buffer:
            # The usual case: the head comes in one piece and is never copied.
            end = data.find(b"\r\n\r\n")
            if end >= 0 and not data.startswith(b"\r\n"):
                self._empty_line_seen = False
                self.rest = data[end + 4 :]
                return self._parse(data[: end + 4])
        seen = len(buffer)
        buffer += data
        if buffer.startswith(b"\r\n"):
            self._skip_empty_line(buffer)
            seen = 0
        end = buffer.find(b"\r\n\r\n", max(0, seen - 3))
        if end < 0:
            self._check_incomplete(buffer, seen)
            return None
        head, self.rest = bytes(buffer[: end + 4]), bytes(buffer[end + 4 :])
        self._buffer = bytearray()
        self._line_seen = self._empty_line_seen = False
        return self._parse(head)

    def _skip_empty_line(self, buffer: bytearray) -> None:
        raise NotImplementedError

    def _parse(self, head: bytes) -> HeadT:
        raise NotImplementedError

    def _diagnose(self, head: bytes) -> ProxyError:
        raise NotImplementedError

    def _check_incomplete(self, buffer: bytearray, seen: int) -> None:
        """Refuse as early as possible; looks at each byte a bounded number of times."""
        if BARE_LINE_END.search(buffer, max(0, seen - 1)):
            raise self.malformed("A line of the head does not end in CRLF.")
        if not self._line_seen:
            self._check_first_line(buffer, seen)
        if len(buffer) > self._limits.head:
            raise self.too_large("The head is larger than its limit.")

    def _check_first_line(self, buffer: bytearray, seen: int) -> None:
        end = buffer.find(b"\r\n", max(0, seen - 1))
        if end >= 0:
            self._line_seen = True
            if self.first_line.fullmatch(buffer, 0, end + 2) is None:
                raise self._diagnose(bytes(buffer[: end + 2]))

    def _pairs(self, block: bytes) -> list[Field]:
        pairs: list[Field] = FIELD.findall(block)
        limits = self._limits
        if len(pairs) > limits.fields:
            raise self.too_large("The head has more fields than its limit.")
        if len(block) > limits.field and any(len(n) + len(v) > limits.field for n, v in pairs):
            raise self.too_large("A field of the head is larger than its limit.")
        if b" \r" in block or b"\t" in block:
            pairs = [(name, value.rstrip(b" \t")) for name, value in pairs]
        return pairs


class RequestReader(HeadReader[RequestHead]):
    """Reads heads of requests; raises `ClientError`s."""

    __slots__ = ()

    first_line = FIRST_REQUEST_LINE
    too_large = FieldsTooLarge
    malformed = BadRequest

    def _skip_empty_line(self, buffer: bytearray) -> None:
        # RFC 9112 section 2.2: at least one empty line before a request is to be ignored.
        # The second one is refused, in whatever pieces they come.
        del buffer[:2]
        if self._empty_line_seen or buffer.startswith(b"\r"):
            raise BadRequest("More than one empty line stands before the request.")
        self._empty_line_seen = True

    def _check_first_line(self, buffer: bytearray, seen: int) -> None:
        if buffer and not (65 <= buffer[0] <= 90 or buffer == b"\r"):
            raise BadRequest
        HeadReader._check_first_line(self, buffer, seen)
        length = buffer.find(b"\r\n") if self._line_seen else len(buffer)
        if length > self._limits.target + LINE_OVERHEAD:
            raise TargetTooLong

    def _parse(self, head: bytes) -> RequestHead:
        limits = self._limits
        match = REQUEST_HEAD.fullmatch(head)
        underscored = match is None
        if match is None:
            match = UNDERSCORED_HEAD.fullmatch(head)
        if match is None:
            raise self._diagnose(head)
        method, raw, minor, block = match.groups()
        if len(raw) > limits.target:
            raise TargetTooLong
        if len(head) > limits.head:
            raise FieldsTooLarge
        pairs = self._pairs(block)
        if underscored:
            pairs = without_underscored(pairs)
        fields = Fields(pairs)
        target = parse_target(method, raw)
        return RequestHead(method, target, int(minor), fields, _authority(target, fields))

    def _diagnose(self, head: bytes) -> ProxyError:
        line = head[: head.find(b"\r\n") + 2]
        if line == b"PRI * HTTP/2.0\r\n":
            return BadRequest("HTTP/2 is not spoken on this port.")
        if OTHER_MAJOR.fullmatch(line):
            return VersionNotSupported()
        if len(line) > self._limits.target + LINE_OVERHEAD:
            return TargetTooLong()
        if FIRST_REQUEST_LINE.fullmatch(line) is None:
            return BadRequest("The request line is not valid.")
        if len(head) > self._limits.head:
            return FieldsTooLarge()
        return BadRequest("A header field is not valid.")


class ResponseReader(HeadReader[ResponseHead]):
    """Reads heads of answers, interim ones too; raises `UpstreamAnswer`."""

    __slots__ = ()

    first_line = FIRST_STATUS_LINE
    too_large = UpstreamAnswer
    malformed = UpstreamAnswer

    def _skip_empty_line(self, buffer: bytearray) -> None:
        raise UpstreamAnswer("The answer does not begin with a status line.")

    def _check_first_line(self, buffer: bytearray, seen: int) -> None:
        if not b"HTTP/1.".startswith(buffer[:7]):
            raise UpstreamAnswer("The answer does not begin with a status line of HTTP/1.")
        HeadReader._check_first_line(self, buffer, seen)

    def _parse(self, head: bytes) -> ResponseHead:
        match = RESPONSE_HEAD.fullmatch(head)
        if match is None:
            raise self._diagnose(head)
        if len(head) > self._limits.head:
            raise UpstreamAnswer("The answer's header fields are larger than the limit.")
        minor, status, reason, block = match.groups()
        return ResponseHead(int(status), reason or b"", int(minor), Fields(self._pairs(block)))

    def _diagnose(self, head: bytes) -> ProxyError:
        if FIRST_STATUS_LINE.match(head) is None:
            return UpstreamAnswer("The answer's status line is not valid.")
        return UpstreamAnswer("A header field of the answer is not valid.")


def without_underscored(pairs: list[Field]) -> list[Field]:
    """Drop fields with `_` in their name, which CGI-like servers can't tell from `-`.

    Raises `BadFraming` for look-alikes of the fields that frame a message.
    """
    for name, _ in pairs:
        if b"_" in name and name.lower().replace(b"_", b"-") in FRAMING_FIELDS:
            raise BadFraming
    return [pair for pair in pairs if b"_" not in pair[0]]


FRAMING_FIELDS: Final = frozenset({b"content-length", b"transfer-encoding"})


def _authority(target: Target, fields: Fields) -> Authority:
    """Return the authority asked for: exactly one Host, and an absolute target that agrees."""
    host = fields.get(b"host")
    # HTTP/1.0 may leave Host out; without it no virtual host can be told, so it is asked for too.
    if not host or (len(fields) != fields.distinct and len(fields.all(b"host")) > 1):
        raise BadHost
    named = parse_authority(host)
    if target.authority is None or target.scheme is None:
        return named
    port = DEFAULT_PORTS[target.scheme]
    if (target.authority.host, target.authority.port or port) != (named.host, named.port or port):
        raise BadHost("The request target and the Host field name different hosts.")
    return target.authority
