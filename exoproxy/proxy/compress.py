"""Encodes the content of answers that come uncompressed, where the site allows it and it pays.

Upstreams of the Cloud CORS Proxy send JSON as it is, and browsers accept encodings: a session's
traffic shrinks to a fifth. Nothing is kept; what is cached on disk or in memory has its own way.
"""

import zlib
from functools import lru_cache
from typing import Final, Protocol

import zstandard
from isal import isal_zlib

from exoproxy.wire.fields import Field
from exoproxy.wire.framing import Framing, Kind
from exoproxy.wire.head import RequestHead, ResponseHead

# Below this, the fields that announce the encoding outweigh what it saves.
LEAST: Final = 256

TEXTUAL: Final = (b"text/", b"application/json", b"application/xml", b"application/javascript")
# Events must arrive one by one; an encoder would hold them back.
NEVER: Final = b"text/event-stream"
WBITS_GZIP: Final = 31


class Encoder(Protocol):
    """The streaming interface that zstandard and zlib share."""

    def compress(self, data: bytes, /) -> bytes:
        """Take bytes; return what is ready."""

    def flush(self) -> bytes:
        """Return the rest."""


@lru_cache(maxsize=1024)
def accepted_coding(accept_encoding: bytes) -> bytes | None:
    """Return the coding to use for an Accept-Encoding, or None (RFC 9110 section 12.5.3)."""
    weights: dict[bytes, float] = {}
    for element in accept_encoding.lower().split(b","):
        coding, _, parameter = element.partition(b";")
        name, _, value = parameter.strip().partition(b"=")
        try:
            weight = float(value) if name.strip() == b"q" else 1.0
        except ValueError:
            weight = 0.0
        weights[coding.strip()] = weight
    for coding in (b"zstd", b"gzip"):
        if weights.get(coding, weights.get(b"*", 0.0)) > 0:
            return coding
    return None


class Compressor:
    """Encodes the content of one answer."""

    __slots__ = ("_encoder", "coding")

    def __init__(self, coding: bytes) -> None:
        self.coding = coding
        self._encoder: Encoder
        if coding == b"zstd":
            self._encoder = zstandard.ZstdCompressor(level=1).compressobj()
        else:
            self._encoder = isal_zlib.compressobj(1, zlib.DEFLATED, WBITS_GZIP)

    def feed(self, content: bytes, done: bool) -> bytes:
        """Return the encoded form of `content`, which may come later as a whole or in part."""
        out = self._encoder.compress(content) if content else b""
        return out + self._encoder.flush() if done else out

    def edit(self, fields: list[Field]) -> list[Field]:
        """Return the answer's fields for its encoded form (RFC 9110 sections 8.4 and 8.8.1)."""
        edited: list[Field] = []
        for name, value in fields:
            key = name.lower()
            if key == b"etag" and not value.startswith(b"W/"):
                edited.append((name, b"W/" + value))
            elif key != b"accept-ranges":
                edited.append((name, value))
        edited.append((b"Content-Encoding", self.coding))
        edited.append((b"Vary", b"Accept-Encoding"))
        return edited


def compressor_for(request: RequestHead, head: ResponseHead, framing: Framing) -> Compressor | None:
    """Return a compressor if the client accepts one and the answer is worth it."""
    fields = head.fields
    if b"content-encoding" in fields or (framing.kind is Kind.LENGTH and framing.length < LEAST):
        return None
    accept, content_type = request.fields.get(b"accept-encoding"), fields.get(b"content-type")
    if accept is None or content_type is None or head.status == 206:
        return None
    content_type = content_type.lower()
    if not content_type.startswith(TEXTUAL) or content_type.startswith(NEVER):
        return None
    if b"no-transform" in fields.tokens(b"cache-control"):
        return None
    coding = accepted_coding(accept)
    return None if coding is None else Compressor(coding)
