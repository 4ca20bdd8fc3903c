"""Compression of answers: when, by which coding, and what the client decodes again."""

import zlib

import pytest
import zstandard

from exoproxy.proxy.compress import LEAST, Compressor, compressor_for
from exoproxy.wire.fields import Field
from exoproxy.wire.framing import CHUNKED, Framing, Kind, response_framing
from heads import answer, request
from memory import left_by

WHOLE = b'{"servers": [' + b", ".join(b'{"id": %d}' % number for number in range(20_000)) + b"]}"


def decode(coding: bytes, encoded: bytes) -> bytes:
    """Return what has arrived, even if the end has not; a decoder that keeps to one frame."""
    if coding == b"gzip":
        return zlib.decompressobj(31).decompress(encoded)
    return zstandard.ZstdDecompressor().decompressobj().decompress(encoded)


def ended(coding: bytes, encoded: bytes) -> bool:
    """Tell whether the encoded form is complete, with nothing behind it."""
    decoder: zstandard.ZstdDecompressionObj | zlib._Decompress
    if coding == b"gzip":
        decoder = zlib.decompressobj(31)
    else:
        decoder = zstandard.ZstdDecompressor().decompressobj()
    decoder.decompress(encoded)
    return decoder.eof and not decoder.unused_data


@pytest.mark.parametrize(
    ("line", "fields"),
    [
        ("HTTP/1.1 200 OK", ["Content-Type: application/json"]),
        ("HTTP/1.1 200 OK", ["Content-Type: Application/JSON; charset=utf-8"]),
        ("HTTP/1.1 200 OK", ["Content-Type: text/plain"]),
        ("HTTP/1.1 201 Created", ["Content-Type: application/json"]),
        ("HTTP/1.1 404 Not Found", ["Content-Type: application/json"]),
        ("HTTP/1.1 500 Internal Server Error", ["Content-Type: text/html"]),
        (
            "HTTP/1.1 200 OK",
            ["Content-Type: application/json", "Cache-Control: private, max-age=0"],
        ),
    ],
    ids=repr,
)
@pytest.mark.parametrize("framing", [CHUNKED, Framing(Kind.LENGTH, LEAST)], ids=["chunked", "long"])
def test_encodes_text_of_any_status(line: str, fields: list[str], framing: Framing) -> None:
    """A session's answers are JSON and text, errors and created things among them."""
    asked = request("GET / HTTP/1.1", "Host: a", "Accept-Encoding: zstd")
    compressor = compressor_for(asked, answer(line, *fields), framing)

    assert compressor is not None
    assert compressor.coding == b"zstd"


@pytest.mark.parametrize(
    ("line", "fields"),
    [
        ("HTTP/1.1 200 OK", []),
        ("HTTP/1.1 200 OK", ["Content-Type: image/png"]),
        ("HTTP/1.1 200 OK", ["Content-Type: application/octet-stream"]),
        ("HTTP/1.1 200 OK", ["Content-Type: text/event-stream"]),
        ("HTTP/1.1 200 OK", ["Content-Type: Text/Event-Stream; charset=utf-8"]),
        ("HTTP/1.1 200 OK", ["Content-Type: text/plain", "Content-Encoding: gzip"]),
        ("HTTP/1.1 200 OK", ["Content-Type: text/plain", "Content-Encoding: identity"]),
        ("HTTP/1.1 200 OK", ["Content-Type: text/plain", "Cache-Control: No-Transform"]),
        ("HTTP/1.1 206 Partial Content", ["Content-Type: text/plain"]),
    ],
    ids=repr,
)
def test_leaves_other_answers_alone(line: str, fields: list[str]) -> None:
    """What is encoded, a part, an event stream, not text or not to be transformed passes."""
    asked = request("GET / HTTP/1.1", "Host: a", "Accept-Encoding: zstd, gzip")

    assert compressor_for(asked, answer(line, *fields), CHUNKED) is None


@pytest.mark.parametrize("accept", [[], ["Accept-Encoding: identity"], ["Accept-Encoding: br"]])
def test_encodes_for_those_who_ask(accept: list[str]) -> None:
    """Without an Accept-Encoding, any coding would be allowed; but curl shows what it gets."""
    asked = request("GET / HTTP/1.1", "Host: a", *accept)

    assert compressor_for(asked, answer("HTTP/1.1 200 OK", "Content-Type: text/html"), CHUNKED) is (
        None
    )


def test_nothing_large_is_remembered() -> None:
    """What common lists of codings come to is kept; a list of 30 KB is not even read."""
    head = answer("HTTP/1.1 200 OK", "Content-Type: text/html")

    def ask(number: int) -> None:
        asked = request("GET / HTTP/1.1", "Host: a", f"Accept-Encoding: gzip, {number:030000}")
        assert compressor_for(asked, head, CHUNKED) is None

    assert left_by(ask) < 2**20


def test_leaves_small_answers_alone() -> None:
    """The fields that announce a coding would outweigh what it saves."""
    asked = request("GET / HTTP/1.1", "Host: a", "Accept-Encoding: gzip")
    head = answer("HTTP/1.1 200 OK", "Content-Type: application/json")

    assert compressor_for(asked, head, Framing(Kind.LENGTH, LEAST - 1)) is None


@pytest.mark.parametrize("line", ["HTTP/1.1 204 No Content", "HTTP/1.1 304 Not Modified"])
def test_answers_without_content_have_no_framing(line: str) -> None:
    """The exchange asks for a compressor only if there is framing; HEAD has none either."""
    head = answer(line, "Content-Type: text/html", "Content-Length: 900")
    to_head = answer("HTTP/1.1 200 OK", "Content-Type: text/html", "Content-Length: 900")

    assert response_framing(head, b"GET").kind is Kind.NONE
    assert response_framing(to_head, b"HEAD").kind is Kind.NONE


@pytest.mark.parametrize("coding", [b"zstd", b"gzip"])
@pytest.mark.parametrize("prompt", [False, True])
@pytest.mark.parametrize("size", [1, 7, 16_384, 10_000_000])
def test_decoders_get_the_content_back(coding: bytes, prompt: bool, size: int) -> None:
    """In parts or as a whole, what comes out is one complete stream of what went in."""
    whole = WHOLE[: size * 400]
    compressor = Compressor(coding, prompt=prompt)
    parts = [whole[start : start + size] for start in range(0, len(whole), size)]
    encoded = b"".join(
        compressor.feed(part, number == len(parts)) for number, part in enumerate(parts, 1)
    )

    assert decode(coding, encoded) == whole
    assert ended(coding, encoded)


@pytest.mark.parametrize("coding", [b"zstd", b"gzip"])
@pytest.mark.parametrize("prompt", [False, True])
def test_an_end_may_come_by_itself(coding: bytes, prompt: bool) -> None:
    """The last chunk brings no content, and nothing at all is content too."""
    late, empty = Compressor(coding, prompt=prompt), Compressor(coding, prompt=prompt)
    encoded = late.feed(WHOLE, False) + late.feed(b"", False) + late.feed(b"", True)

    assert decode(coding, encoded) == WHOLE
    assert ended(coding, encoded)
    assert decode(coding, empty.feed(b"", True)) == b""


@pytest.mark.parametrize("coding", [b"zstd", b"gzip"])
def test_a_stream_arrives_part_by_part(coding: bytes) -> None:
    """An answer of unknown length is not held back: its next part may be hours away."""
    asked = request("GET / HTTP/1.1", "Host: a", f"Accept-Encoding: {coding.decode()}")
    head = answer("HTTP/1.1 200 OK", "Content-Type: application/json-seq")
    compressor = compressor_for(asked, head, CHUNKED)
    assert compressor is not None
    encoded = compressor.feed(b'{"one": 1}\n', False)

    assert decode(coding, encoded) == b'{"one": 1}\n'

    encoded += compressor.feed(b'{"two": 2}\n', False)

    assert decode(coding, encoded) == b'{"one": 1}\n{"two": 2}\n'


@pytest.mark.parametrize("coding", [b"zstd", b"gzip"])
def test_answers_at_once_do_not_mix(coding: bytes) -> None:
    """Several streams and a whole answer in between keep to themselves."""
    one, other = Compressor(coding, prompt=False), Compressor(coding, prompt=False)
    first, second = one.feed(WHOLE, False), other.feed(WHOLE[::-1], False)
    between = Compressor(coding, prompt=False).feed(b"whole", True)
    first += one.feed(b"end", True)
    second += other.feed(b"end", True)

    assert decode(coding, first) == WHOLE + b"end"
    assert decode(coding, second) == WHOLE[::-1] + b"end"
    assert decode(coding, between) == b"whole"


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ([(b"ETag", b'"abc"')], [(b"ETag", b'W/"abc"')]),
        ([(b"etag", b'W/"abc"')], [(b"etag", b'W/"abc"')]),
        (
            [(b"Etag", b"d41d8cd98f00b204e9800998ecf8427e")],
            [(b"Etag", b"d41d8cd98f00b204e9800998ecf8427e")],
        ),
        ([(b"Accept-Ranges", b"bytes"), (b"Vary", b"Origin")], [(b"Vary", b"Origin")]),
        ([(b"X-Subject-Token", b"t")], [(b"X-Subject-Token", b"t")]),
    ],
    ids=repr,
)
def test_fields_speak_of_the_encoded_form(fields: list[Field], expected: list[Field]) -> None:
    """A strong tag names bytes, and these are others; ranges of them can't be asked for."""
    announced = [(b"Content-Encoding", b"gzip"), (b"Vary", b"Accept-Encoding")]

    assert Compressor(b"gzip", prompt=False).edit(fields) == expected + announced
