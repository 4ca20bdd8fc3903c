"""Encoded forms: what decodes to what, and by whom."""

import zlib
from collections.abc import Callable

import brotli  # type: ignore[import-untyped] # without annotations; nobody publishes any
import pytest
import zstandard

from exoproxy.client import codings
from exoproxy.client.codings import CODINGS, encode, tag_of
from scripts import script

Decode = Callable[[bytes], bytes]
DECODERS: dict[bytes, Decode] = {
    b"gzip": lambda encoded: zlib.decompress(encoded, 31),
    b"zstd": lambda encoded: zstandard.ZstdDecompressor().decompress(encoded),
    b"br": brotli.decompress,
}
# Of the client's script, as it was measured.
SIZE = 665_093


@pytest.mark.parametrize("coding", CODINGS)
def test_large_script(coding: bytes) -> None:
    """A script of the client's size comes out of each coding byte for byte, at half or less."""
    content = script(SIZE)
    encoded = encode(content, coding, lambda: True)

    assert encoded is not None
    assert DECODERS[coding](encoded) == content
    assert len(encoded) < SIZE / 2


@pytest.mark.parametrize("coding", CODINGS)
@pytest.mark.parametrize("size", [0, 1, codings._PIECE, codings._PIECE + 1])
def test_sizes(coding: bytes, size: int) -> None:
    """No size is special, and the same content gives the same bytes each time."""
    content = script(size)
    encoded = encode(content, coding, lambda: True)

    assert encoded is not None
    assert DECODERS[coding](encoded) == content
    assert encode(content, coding, lambda: True) == encoded


def test_best_level_pays() -> None:
    """Brotli and zstd are well ahead of gzip, and gzip of what is made on the fly."""
    content = script(100_000)
    sizes = {coding: len(encode(content, coding, lambda: True) or b"") for coding in CODINGS}

    assert sizes[b"br"] < sizes[b"zstd"] < sizes[b"gzip"] < len(zlib.compress(content, 1))


def test_zstd_window_is_one_that_browsers_take() -> None:
    """A decoder needs 8 MiB at most (RFC 9659), and learns the size from the frame's head."""
    content = bytes(9 * 1024 * 1024)
    made = zstandard.get_frame_parameters(encode(content, b"zstd", lambda: True) or b"")

    assert made.window_size <= 8 * 1024 * 1024
    assert made.content_size == len(content)


@pytest.mark.parametrize("coding", CODINGS)
def test_gives_up(coding: bytes) -> None:
    """What is not wanted any more comes to an end after the next piece."""
    answers = iter([True, True, False])

    assert encode(script(10 * codings._PIECE), coding, lambda: next(answers)) is None


def test_tag() -> None:
    """A coding's tag is made of the content's, with the library's version: bytes may differ."""
    tag = tag_of(b'"abc"', b"br")

    assert tag == b'"abc-br-%b"' % brotli.__version__.encode()
    assert len({tag_of(b'"abc"', coding) for coding in CODINGS}) == 3
