"""Encodes the content of answers that come uncompressed, where the site allows it and it pays.

Upstreams of the Cloud CORS Proxy send JSON as it is, and browsers accept encodings: a session's
traffic shrinks to a fifth. Nothing is kept; what is cached on disk or in memory has its own way.

Measured with lists of servers as Nova gives them (CPU time on one core, size of the result):

    ===================  ===============  ================
    coding and level     23 KB of JSON    79 KB of JSON
    ===================  ===============  ================
    zstd -5              21 µs,  7.4 KB    43 µs,  23.0 KB
    zstd 1               31 µs,  4.4 KB    89 µs,  12.8 KB
    zstd 3               46 µs,  4.4 KB   156 µs,  13.1 KB
    gzip, ISA-L 0        25 µs,  7.2 KB    83 µs,  22.1 KB
    gzip, ISA-L 1        31 µs,  5.0 KB    91 µs,  15.1 KB
    gzip, ISA-L 3        64 µs,  5.0 KB   191 µs,  15.5 KB
    gzip, zlib 6        225 µs,  4.8 KB  1080 µs,  14.6 KB
    ===================  ===============  ================

So it is level 1 of both, and zstd where the client leaves the choice.
"""

import zlib
from typing import Final, Protocol

import zstandard
from isal import isal_zlib

from exoproxy.wire.accept_encoding import preferred, weights
from exoproxy.wire.fields import Field
from exoproxy.wire.framing import Framing, Kind
from exoproxy.wire.head import RequestHead, ResponseHead

# Below this, the fields that announce the encoding outweigh what it saves.
LEAST: Final = 256
LEVEL: Final = 1
# Of codings that the client likes equally well, zstd is the cheaper.
CODINGS: Final = (b"zstd", b"gzip")

TEXTUAL: Final = (b"text/", b"application/json", b"application/xml", b"application/javascript")
# Events must arrive one by one, and a browser is all that reads them.
NEVER: Final = b"text/event-stream"
WBITS_GZIP: Final = 31

# For content that is here as a whole; making a compressor for each answer costs a fifth more, and
# two thirds more above 64 KB. No stream is made of this one: its streams would share one state.
_WHOLE: Final = zstandard.ZstdCompressor(level=LEVEL)


class Stream(Protocol):
    """An encoder of content that comes in parts."""

    def compress(self, data: bytes, /) -> bytes:
        """Take bytes; return what is ready."""

    def flush(self, mode: int, /) -> bytes:
        """Return what is left, so that what went in can be decoded."""


class Compressor:
    """Encodes the content of one answer.

    With `prompt`, all that went in can be decoded from what came out at any time: an answer of
    unknown length may be a stream whose next part is hours away.
    """

    __slots__ = ("_prompt", "_stream", "coding")

    def __init__(self, coding: bytes, *, prompt: bool) -> None:
        self.coding = coding
        self._prompt = prompt
        self._stream: Stream | None = None

    def feed(self, content: bytes, done: bool) -> bytes:
        """Return the encoded form of `content`, or of a part of it; the rest follows by `done`."""
        zstd, stream = self.coding == b"zstd", self._stream
        if stream is None:
            if done:
                if zstd:
                    return _WHOLE.compress(content)
                return isal_zlib.compress(content, LEVEL, WBITS_GZIP)
            if zstd:
                stream = zstandard.ZstdCompressor(level=LEVEL).compressobj()
            else:
                stream = isal_zlib.compressobj(LEVEL, zlib.DEFLATED, WBITS_GZIP)
            self._stream = stream
        out = stream.compress(content) if content else b""
        if done:
            return out + stream.flush(zstandard.COMPRESSOBJ_FLUSH_FINISH if zstd else zlib.Z_FINISH)
        if self._prompt and content:
            out += stream.flush(zstandard.COMPRESSOBJ_FLUSH_BLOCK if zstd else zlib.Z_SYNC_FLUSH)
        return out

    def edit(self, fields: list[Field]) -> list[Field]:
        """Return the answer's fields for its encoded form (RFC 9110 sections 8.4 and 8.8.1)."""
        edited: list[Field] = []
        for name, value in fields:
            key = name.lower()
            # Swift's are without quotation marks and no entity tags in the first place.
            if key == b"etag" and value.startswith(b'"'):
                edited.append((name, b"W/" + value))
            elif key != b"accept-ranges":
                edited.append((name, value))
        edited.append((b"Content-Encoding", self.coding))
        edited.append((b"Vary", b"Accept-Encoding"))
        return edited


def compressor_for(request: RequestHead, head: ResponseHead, framing: Framing) -> Compressor | None:
    """Return a compressor if the client accepts one and the answer is worth it.

    `framing` is that of the answer's content, of the known length if it is here as a whole.
    """
    fields = head.fields
    known = framing.kind is Kind.LENGTH
    if b"content-encoding" in fields or (known and framing.length < LEAST):
        return None
    said, content_type = weights(request.fields), fields.get(b"content-type")
    if said is None or content_type is None or head.status == 206:
        return None
    content_type = content_type.lower()
    if not content_type.startswith(TEXTUAL) or content_type.startswith(NEVER):
        return None
    if b"no-transform" in fields.tokens(b"cache-control"):
        return None
    coding = preferred(said, CODINGS)
    return None if coding is None else Compressor(coding, prompt=not known)
