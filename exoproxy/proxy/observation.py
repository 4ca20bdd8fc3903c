"""A copy of an answer's content, made on its way to the client, for a site that learns from it.

The answer is neither changed nor delayed: what came is remembered as it was, up to a bound, and
decoded and read once the answer has passed as a whole. Where the client leaves, or the answer
breaks off, nothing is read.

Which answers are read, a `Forward` says by its observer; `proxy.exchange` makes the copy. An answer
that the upstream has encoded is decoded, within a bound as well.
"""

import zlib
from collections.abc import Callable
from typing import Final

import brotli  # type: ignore[import-untyped] # without annotations; nobody publishes any
import zstandard

from exoproxy.proxy.decision import Observer
from exoproxy.wire.head import ResponseHead

# Of what came and of what it decodes to. What is read here is a catalogue: some 10 KB.
LONGEST: Final = 1 << 18
# Of all answers that are on their way at once: some hundred logins at the largest clouds.
MOST_HELD: Final = 16 << 20
# As much memory a decoder may be asked for (RFC 9659 section 3).
_WINDOW: Final = 8 << 20

TOO_LARGE: Final = f"the content is larger than {LONGEST >> 10} KiB"
UNKNOWN_CODING: Final = "the content coding is not known here"
TOO_MANY: Final = "too much is being read of other answers"
ENDED: Final = "it has ended"
BROKEN_CODING: Final = "the content can't be decoded"


class _TooLarge(Exception):
    """The content decodes to more than `LONGEST` bytes."""


class Held:
    """What the observations of one engine hold together: `most` bytes.

    Where it is more, the largest are given up, so that answers without end, of whoever runs an
    upstream, don't keep the small ones of others from being read.
    """

    __slots__ = ("_most", "_observations", "size")

    def __init__(self, most: int = MOST_HELD) -> None:
        self.size = 0
        self._most = most
        self._observations: set[Observation] = set()

    def grown(self, observation: "Observation", by: int) -> None:
        """Count bytes that an observation holds from now on."""
        self._observations.add(observation)
        self.size += by
        while self.size > self._most:
            max(self._observations, key=len).give_up(TOO_MANY)

    def gone(self, observation: "Observation") -> None:
        """Count what an observation holds no more; it holds it still."""
        self._observations.discard(observation)
        self.size -= len(observation)


class Observation:
    """The content of one answer, and who reads it; `observation_of` makes one.

    Its length is that of what it holds. It is to be ended, or given up, once.
    """

    __slots__ = ("_content", "_decode", "_held", "_missed", "_observer")

    def __init__(self, observer: Observer, decode: Callable[[bytes], bytes], held: Held) -> None:
        self._observer = observer
        self._decode = decode
        self._held = held
        # In one piece: a list of parts would take many times what an upstream sends in tiny ones.
        self._content = bytearray()
        self._missed = ""

    def __len__(self) -> int:
        return len(self._content)

    def feed(self, content: bytes) -> None:
        """Remember a part of the content."""
        if self._missed:
            return
        if len(self._content) + len(content) > LONGEST:
            self.give_up(TOO_LARGE)
            return
        self._content += content
        self._held.grown(self, len(content))

    def give_up(self, reason: str) -> None:
        """Let go of what is held, and hold no more; `reason` is for the observer at the end."""
        self._missed = reason
        self._held.gone(self)
        self._content = bytearray()

    def end(self) -> None:
        """Let the observer read the content: that was all of it."""
        if self._missed:
            self._observer.missed(self._missed)
            return
        whole = bytes(self._content)
        self.give_up(ENDED)
        try:
            content = self._decode(whole)
        except _TooLarge:
            self._observer.missed(TOO_LARGE)
        except (zlib.error, brotli.error, zstandard.ZstdError):
            self._observer.missed(BROKEN_CODING)
        else:
            self._observer.read(content)


def observation_of(observer: Observer, head: ResponseHead, held: Held) -> Observation | None:
    """Return what copies the answer with that head, or None if it is not to be read.

    `held` counts what it holds.
    """
    if head.status != observer.status:
        return None
    codings = head.fields.all(b"content-encoding")
    decode = _DECODERS.get(codings[0].lower()) if len(codings) == 1 else None
    if not codings:
        decode = _identity
    if decode is None:
        observer.missed(UNKNOWN_CODING)
        return None
    return Observation(observer, decode, held)


# A decoder returns all of the content, or what there is of content that is not complete: who reads
# it finds the end missing. It raises `_TooLarge`, or its library's own error.


def _identity(content: bytes) -> bytes:
    return content


def _gzip(content: bytes) -> bytes:
    return _bounded(zlib.decompressobj(31).decompress(content, LONGEST + 1))


def _deflate(content: bytes) -> bytes:
    # With zlib's head (RFC 9110 section 8.4.1.2); without it, as some send it, it is broken.
    return _bounded(zlib.decompressobj().decompress(content, LONGEST + 1))


def _br(content: bytes) -> bytes:
    # The limit is passed by up to as much again.
    return _bounded(brotli.Decompressor().process(content, output_buffer_limit=LONGEST + 1))


def _zstd(content: bytes) -> bytes:
    decoder = zstandard.ZstdDecompressor(max_window_size=_WINDOW)
    with decoder.stream_reader(content) as reader:
        return _bounded(reader.read(LONGEST + 1))


def _bounded(content: bytes) -> bytes:
    if len(content) > LONGEST:
        raise _TooLarge
    return content


# RFC 9110 section 8.4.1, RFC 7932 and RFC 8878; x-gzip is gzip by another name.
_DECODERS: Final = {
    b"gzip": _gzip,
    b"x-gzip": _gzip,
    b"deflate": _deflate,
    b"br": _br,
    b"zstd": _zstd,
}
