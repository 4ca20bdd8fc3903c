"""The encoded forms of a file: which there are, and how each is made. Pure functions of values.

Made once for a state of a file and sent many times, they are worth the best level. Measured with a
script of 665 KB as `tests/scripts.py` makes it (CPU seconds, size of the result):

    ================  ======  ========
    gzip, ISA-L 3     0.01 s  301.9 KB
    gzip, zlib 9      0.10 s  293.3 KB
    zstd 19           0.31 s  223.4 KB
    Brotli 10         0.89 s  225.1 KB
    Brotli 11         1.70 s  220.0 KB
    ================  ======  ========

zstd's higher levels differ from 19 by a window above 8 MiB, which browsers refuse (RFC 9659).
"""

import zlib
from collections.abc import Callable
from typing import Final, Protocol

import brotli  # type: ignore[import-untyped] # without annotations; nobody publishes any
import zstandard

# In the order of making: the one that is ready soonest comes first.
CODINGS: Final = (b"gzip", b"zstd", b"br")

# Another version of a library may make other bytes, and a strong entity tag must tell them apart
# (RFC 9110 section 8.8.1), also when parts of a file are fetched before and after an upgrade.
_VERSIONS: Final = {
    b"gzip": zlib.ZLIB_RUNTIME_VERSION,
    b"zstd": ".".join(map(str, zstandard.ZSTD_VERSION)),
    b"br": brotli.__version__,
}

# Between two pieces the work can be given up.
_PIECE: Final = 32 * 1024


class _Encoder(Protocol):
    def compress(self, data: bytes, /) -> bytes: ...

    def flush(self) -> bytes: ...


class _Brotli:
    """Brotli's compressor, with the names that the other two have."""

    def __init__(self) -> None:
        compressor = brotli.Compressor(quality=11, mode=brotli.MODE_TEXT)
        self.compress: Callable[[bytes], bytes] = compressor.process
        self.flush: Callable[[], bytes] = compressor.finish


def tag_of(identity: bytes, coding: bytes) -> bytes:
    """Return the strong entity tag of a content's encoded form, given the content's own."""
    return b'%b-%b-%b"' % (identity[:-1], coding, _VERSIONS[coding].encode())


def encode(content: bytes, coding: bytes, wanted: Callable[[], bool]) -> bytes | None:
    """Return the encoded form of a content, None if it is not `wanted` any more.

    It takes seconds, and lets other threads run meanwhile.
    """
    encoder = _encoder(coding, len(content))
    parts = []
    for start in range(0, len(content), _PIECE):
        if not wanted():
            return None
        parts.append(encoder.compress(content[start : start + _PIECE]))
    parts.append(encoder.flush())
    return b"".join(parts)


def _encoder(coding: bytes, size: int) -> _Encoder:
    if coding == b"br":
        return _Brotli()
    if coding == b"zstd":
        return zstandard.ZstdCompressor(level=19).compressobj(size=size)
    return zlib.compressobj(9, zlib.DEFLATED, 31)
