"""Byte ranges of a file (RFC 9110 section 14), as pure functions of values.

Overlapping and tiny ranges are an attack's tool: what `parse_ranges` returns never overlaps, and
with all that is written around the parts it is less than the whole content.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

# Section 14.1.1: the unit's case does not matter. Thirty digits are more than any file has and keep
# `int` cheap.
_BYTES: Final = re.compile(rb"bytes=(.*)", re.IGNORECASE | re.DOTALL)
# Section 14.2: what asks for more parts than that is broken or means harm, and gets the whole.
_MOST: Final = 16
# What is written around a part, roughly: parts closer than that are sent as one (section 15.3.7.2).
_OVERHEAD: Final = 160

_SPEC: Final = re.compile(rb"(?P<first>[0-9]{1,30})-(?P<last>[0-9]{0,30})|-(?P<suffix>[0-9]{1,30})")


@dataclass(frozen=True, slots=True, kw_only=True)
class Slice:
    """A part of a content: `offset` and `length` in bytes, both within it."""

    offset: int
    length: int

    @property
    def end(self) -> int:
        """Return the offset of the first byte behind it."""
        return self.offset + self.length

    def content_range(self, size: int) -> bytes:
        """Return the Content-Range of a 206 for a content of `size` bytes."""
        return b"bytes %d-%d/%d" % (self.offset, self.end - 1, size)


class Unsatisfiable(Exception):
    """The range is well formed and lies outside the content: 416."""


def parse_ranges(value: bytes, size: int) -> list[Slice] | None:
    """Return the parts of a content of `size` bytes that a Range field asks for, in its order.

    None says that the field does not count (section 14.2) and the whole is to be sent: another
    unit, a malformed value, more ranges than a few or nearly everything in pieces, or an empty
    content, which has no part to send. Raises `Unsatisfiable` if every range lies outside.
    """
    unit = _BYTES.fullmatch(value)
    if unit is None or size == 0:
        return None
    specs = [spec for element in unit[1].split(b",") if (spec := element.strip(b" \t"))]
    if not 1 <= len(specs) <= _MOST:
        return None
    asked = []
    for spec in specs:
        match = _SPEC.fullmatch(spec)
        if match is None or (match["last"] and int(match["last"]) < int(match["first"])):
            return None
        if (part := _slice(match, size)) is not None:
            asked.append(part)
    if not asked:
        raise Unsatisfiable
    parts = _coalesced(asked)
    if len(parts) > 1 and sum(part.length + _OVERHEAD for part in parts) >= size:
        return None
    return parts


def _slice(match: re.Match[bytes], size: int) -> Slice | None:
    """Return the part that a well-formed range means, None if it lies outside the content."""
    if match["suffix"] is not None:
        length = min(int(match["suffix"]), size)
        return Slice(offset=size - length, length=length) if length else None
    first = int(match["first"])
    if first >= size:
        return None
    last = min(int(match["last"]), size - 1) if match["last"] else size - 1
    return Slice(offset=first, length=last - first + 1)


def _coalesced(asked: list[Slice]) -> list[Slice]:
    """Return the parts with near and overlapping ones made one; each where its first was asked."""
    merged: list[tuple[int, Slice]] = []
    for place, part in sorted(enumerate(asked), key=lambda each: each[1].offset):
        if merged and part.offset <= merged[-1][1].end + _OVERHEAD:
            before, last = merged[-1]
            end = max(last.end, part.end)
            merged[-1] = (min(before, place), Slice(offset=last.offset, length=end - last.offset))
        else:
            merged.append((place, part))
    return [part for _, part in sorted(merged, key=lambda each: each[0])]


def multipart(content: bytes, parts: Sequence[Slice], kind: bytes, boundary: bytes) -> bytes:
    """Return parts of a content, of the Content-Type `kind`, as multipart/byteranges (15.3.7.2)."""
    pieces = []
    for part in parts:
        about = (boundary, kind, part.content_range(len(content)))
        pieces.append(b"--%b\r\nContent-Type: %b\r\nContent-Range: %b\r\n\r\n" % about)
        pieces += (content[part.offset : part.end], b"\r\n")
    return b"%b--%b--\r\n" % (b"".join(pieces), boundary)
