"""Byte ranges of a file (RFC 9110 section 14), as pure functions of values.

One range is served. Several are answered with the whole content, which section 14.2 leaves to the
server: nothing in the client asks for them, and overlapping or tiny ones are an attack's tool.
"""

import re
from dataclasses import dataclass
from typing import Final

# Section 14.1.1: the unit's case does not matter. Thirty digits are more than any file has and keep
# `int` cheap.
_BYTES: Final = re.compile(rb"bytes=(.*)", re.IGNORECASE | re.DOTALL)
_SPEC: Final = re.compile(rb"(?P<first>[0-9]{1,30})-(?P<last>[0-9]{0,30})|-(?P<suffix>[0-9]{1,30})")


@dataclass(frozen=True, slots=True, kw_only=True)
class Slice:
    """A part of a content: `offset` and `length` in bytes, both within it."""

    offset: int
    length: int

    def content_range(self, size: int) -> bytes:
        """Return the Content-Range of a 206 for a content of `size` bytes."""
        return b"bytes %d-%d/%d" % (self.offset, self.offset + self.length - 1, size)


class Unsatisfiable(Exception):
    """The range is well formed and lies outside the content: 416."""


def parse_range(value: bytes, size: int) -> Slice | None:
    """Return the part of a content of `size` bytes that a Range field asks for.

    None says that the field does not count (section 14.2) and the whole is to be sent: another
    unit, a malformed value, several ranges, or an empty content, which has no part to send. Raises
    `Unsatisfiable`.
    """
    unit = _BYTES.fullmatch(value)
    if unit is None or size == 0:
        return None
    specs = [spec for element in unit[1].split(b",") if (spec := element.strip(b" \t"))]
    if len(specs) != 1 or (match := _SPEC.fullmatch(specs[0])) is None:
        return None
    if match["suffix"] is not None:
        length = min(int(match["suffix"]), size)
        if length == 0:
            raise Unsatisfiable
        return Slice(offset=size - length, length=length)
    first = int(match["first"])
    last = int(match["last"]) if match["last"] else max(first, size - 1)
    if last < first:
        return None
    if first >= size:
        raise Unsatisfiable
    return Slice(offset=first, length=min(last, size - 1) - first + 1)
