"""How long content is: the cases of lengths, chunks and answers, and each reader by itself."""

import pytest

from cases import CASES, Case
from exoproxy.errors import BadFraming, CodingNotImplemented, ProxyError, UpstreamAnswer
from exoproxy.wire.framing import (
    LAST_CHUNK,
    MAX_EXTENSIONS,
    MAX_TRAILERS,
    Framing,
    Kind,
    body_reader,
    chunk,
    request_framing,
    response_framing,
)
from exoproxy.wire.head import HeadLimits, RequestReader, ResponseReader
from verdicts import expected, fed, observed

NONE = Framing(Kind.NONE)
CHUNKED = Framing(Kind.CHUNKED)
UNTIL_CLOSE = Framing(Kind.UNTIL_CLOSE)


def length(size: int) -> Framing:
    return Framing(Kind.LENGTH, size)


@fed(case for case in CASES if case.group in {"c4", "c5", "c8"})
def test_case(case: Case, feeding: str) -> None:
    """Every case of framing has its outcome, however its bytes are cut."""
    assert observed(case, feeding) == expected(case, feeding)


@pytest.mark.parametrize(
    ("minor", "fields", "outcome"),
    [
        (1, b"", NONE),
        (0, b"", NONE),
        (1, b"Content-Length: 0", length(0)),
        (0, b"Content-Length: 5", length(5)),
        (1, b"Content-Length: 999999999999999999", length(10**18 - 1)),
        (1, b"Content-Length: 1000000000000000000", BadFraming),
        (1, b"Content-Length: 05", BadFraming),
        (1, b"Content-Length: 5\r\nContent-Length: 5", BadFraming),
        (1, b"Transfer-Encoding: Chunked", CHUNKED),
        (0, b"Transfer-Encoding: chunked", BadFraming),
        (1, b"Transfer-Encoding: chunked\r\nContent-Length: 5", BadFraming),
        (1, b"Transfer-Encoding: gzip", CodingNotImplemented),
        (1, b"Transfer-Encoding: gzip, chunked", BadFraming),
        (1, b"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked", BadFraming),
        (1, b"Transfer-Encoding: gzip\r\nTransfer-Encoding: gzip", BadFraming),
    ],
)
def test_request_framing(minor: int, fields: bytes, outcome: Framing | type[ProxyError]) -> None:
    """A request has the framing that its head states in one valid way, or none."""
    lines = b"Host: a\r\n" + fields + b"\r\n" if fields else b"Host: a\r\n"
    head = RequestReader(HeadLimits()).feed(b"POST / HTTP/1.%d\r\n%b\r\n" % (minor, lines))

    assert head is not None
    if isinstance(outcome, Framing):
        assert request_framing(head) == outcome
    else:
        with pytest.raises(outcome):
            request_framing(head)


@pytest.mark.parametrize(
    ("method", "answer", "outcome"),
    [
        (b"GET", b"1 200\r\n", UNTIL_CLOSE),
        (b"GET", b"0 200\r\n", UNTIL_CLOSE),
        (b"GET", b"1 200\r\nContent-Length: 5\r\n", length(5)),
        (b"GET", b"1 200\r\nTransfer-Encoding: chunked\r\n", CHUNKED),
        (b"GET", b"0 200\r\nTransfer-Encoding: chunked\r\n", None),
        (b"GET", b"1 200\r\nTransfer-Encoding: gzip\r\n", None),
        (b"GET", b"1 200\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n", None),
        (b"GET", b"1 200\r\nTransfer-Encoding: chunked\r\nContent-Length: 5\r\n", None),
        (b"GET", b"1 200\r\nContent-Length: +5\r\n", None),
        (b"HEAD", b"1 200\r\nContent-Length: 5\r\n", NONE),
        (b"HEAD", b"1 200\r\n", NONE),
        (b"HEAD", b"1 200\r\nContent-Length: 5a\r\n", None),
        (b"GET", b"1 204\r\n", NONE),
        (b"GET", b"1 205\r\nContent-Length: 5\r\n", NONE),
        (b"GET", b"1 304\r\nContent-Length: 5\r\n", NONE),
        (b"GET", b"1 304\r\nTransfer-Encoding: gzip\r\n", None),
        (b"GET", b"1 100\r\n", NONE),
        (b"GET", b"1 199\r\nContent-Length: 5\r\n", NONE),
        (b"GET", b"1 206\r\nContent-Length: 5\r\n", length(5)),
    ],
)
def test_response_framing(method: bytes, answer: bytes, outcome: Framing | None) -> None:
    """An answer has the framing that its status, method and fields give it; None: it is refused."""
    head = ResponseReader(HeadLimits()).feed(b"HTTP/1." + answer + b"\r\n")

    assert head is not None
    if outcome is None:
        with pytest.raises(UpstreamAnswer):
            response_framing(head, method)
    else:
        assert response_framing(head, method) == outcome


def test_no_content() -> None:
    """Without content every byte belongs to what follows."""
    reader = body_reader(NONE)

    assert reader.done
    assert reader.close()
    assert reader.feed(b"a") + reader.feed(b"b") == b""
    assert reader.rest == b"ab"


def test_length() -> None:
    """Content of a known length ends at that length, wherever the pieces end."""
    reader = body_reader(length(5))

    assert reader.feed(b"abc") == b"abc"
    assert not reader.done
    assert not reader.close()
    assert reader.feed(b"defg") == b"de"
    assert reader.done
    assert reader.close()
    assert reader.rest == b"fg"


def test_length_in_one_piece() -> None:
    """Content that comes whole leaves nothing behind."""
    reader = body_reader(length(5))

    assert reader.feed(b"abcde") == b"abcde"
    assert (reader.done, reader.rest) == (True, b"")


def test_length_zero() -> None:
    """A length of zero is complete from the start."""
    assert body_reader(length(0)).done


def test_until_close() -> None:
    """Content that ends with the connection is never done before."""
    reader = body_reader(UNTIL_CLOSE)

    assert reader.feed(b"0\r\n\r\n") == b"0\r\n\r\n"
    assert not reader.done
    assert reader.close()
    assert reader.done
    assert reader.rest == b""


def test_chunks_in_pieces() -> None:
    """Each piece gives the content that is in it, be it of several chunks or of none."""
    reader = body_reader(CHUNKED)
    pieces = (b"1\r\na\r\n2\r\nb", b"c\r", b"\n3", b"\r", b"\nd", b"ef\r\n0\r\n\r", b"\nnext")

    assert [reader.feed(piece) for piece in pieces] == [b"ab", b"c", b"", b"", b"d", b"ef", b""]
    assert reader.done
    assert reader.close()
    assert reader.rest == b"next"


def test_bytes_behind_the_last_chunk() -> None:
    """Once the last chunk came, all that is fed follows the content."""
    reader = body_reader(CHUNKED)
    reader.feed(b"0\r\n\r\na")

    assert reader.feed(b"b") == b""
    assert reader.rest == b"ab"


def test_chunks_cut_off() -> None:
    """Chunks without the last one are not complete."""
    reader = body_reader(CHUNKED)
    reader.feed(b"1\r\na\r\n0\r\n")

    assert not reader.done
    assert not reader.close()


@pytest.mark.parametrize(
    ("data", "complete"),
    [
        (b"1;" + (MAX_EXTENSIONS - 2) * b"a" + b"\r\nx\r\n0\r\n\r\n", True),
        (b"1;" + (MAX_EXTENSIONS - 1) * b"a" + b"\r\nx\r\n0\r\n\r\n", None),
        (b"1;" + (MAX_EXTENSIONS - 1) * b"a", None),
        (b"1;" + (MAX_EXTENSIONS - 2) * b"a", False),
        (100 * (b"1;" + 50 * b"a" + b"\r\nx\r\n"), None),
        (70 * (b"1;" + 50 * b"a" + b"\r\nx\r\n"), False),
        (b"0\r\nX:" + (MAX_TRAILERS - 2) * b"y" + b"\r\n\r\n", True),
        (b"0\r\nX:" + (MAX_TRAILERS - 1) * b"y" + b"\r\n\r\n", None),
        (b"0\r\nX:" + (MAX_TRAILERS - 1) * b"y", None),
        (b"0\r\nX:" + (MAX_TRAILERS - 2) * b"y", False),
        (b"ffffffffffffffff\r\n", False),
        (b"10000000000000000", None),
    ],
)
def test_chunk_limits(data: bytes, complete: bool | None) -> None:
    """Extensions and trailers pass up to their limits; None: they are refused."""
    reader = body_reader(CHUNKED)
    if complete is None:
        with pytest.raises(BadFraming):
            reader.feed(data)
    else:
        reader.feed(data)

        assert reader.done is complete


@pytest.mark.parametrize(
    "data",
    [b"x", b"\r\n", b"1\n", b"1\rx", b"1\r\nab", b"1\r\na\n", b"1\r\na\rb", b"0\r\nX", b"0\r\n\n"],
)
def test_chunk_refused_early(data: bytes) -> None:
    """A chunk that can't become valid any more is refused at its first wrong byte, or is waited
    for while a field may still come of it."""
    reader = body_reader(CHUNKED)
    if data == b"0\r\nX":
        assert reader.feed(data) == b""
        return
    with pytest.raises(BadFraming):
        reader.feed(data)


@pytest.mark.parametrize("data", [b"x", b"1\r\nab", b"0\r\nX\r\n\r\n", b"0\r\nHost: a\r\n\r\n"])
def test_broken_chunks_of_an_answer(data: bytes) -> None:
    """Broken chunks are the fault of whoever sent them."""
    with pytest.raises(UpstreamAnswer):
        body_reader(CHUNKED, UpstreamAnswer).feed(data)


def test_buffered_bytes_are_bounded() -> None:
    """Between pieces no more is kept than the beginning of one line, whatever the chunk's size."""
    reader = body_reader(CHUNKED)
    reader.feed(b"ffffffffff\r\n")
    for _ in range(3):
        assert reader.feed(65536 * b"a") == 65536 * b"a"

    assert reader.rest == b""


def test_chunk_is_read_back() -> None:
    """What is written as chunks is read as the same content."""
    reader = body_reader(CHUNKED)

    assert reader.feed(chunk(b"hello") + chunk(300 * b"a") + LAST_CHUNK) == b"hello" + 300 * b"a"
    assert reader.done
