"""Heads of requests and answers: the cases of request line, Host and fields, and what limits do."""

from typing import Any

import pytest

import exoproxy.wire.head as head_module
from cases import CASES, REQUESTS, Case
from exoproxy.errors import (
    BadFraming,
    BadRequest,
    FieldsTooLarge,
    ProxyError,
    TargetTooLong,
    UpstreamAnswer,
    VersionNotSupported,
)
from exoproxy.wire.head import (
    HeadLimits,
    HeadReader,
    RequestHead,
    RequestReader,
    ResponseHead,
    ResponseReader,
)
from verdicts import expected, fed, observed
from wire_reading import read_requests

SMALL = HeadLimits(target=64, field=64, head=256, fields=5)


def request(data: bytes) -> RequestHead:
    head = RequestReader(SMALL).feed(data)

    assert head is not None
    return head


def answer(data: bytes) -> ResponseHead:
    head = ResponseReader(SMALL).feed(data)

    assert head is not None
    return head


@fed(case for case in CASES if case.group in {"c1", "c2", "c3", "c6"})
def test_case(case: Case, feeding: str) -> None:
    """Every case of heads has its outcome, however its bytes are cut."""
    assert observed(case, feeding) == expected(case, feeding)


@pytest.mark.parametrize("case", [case for case in REQUESTS if case.authority], ids=str)
def test_authority(case: Case) -> None:
    """The authority asked for is the target's or the Host field's, in one spelling."""
    head = read_requests([case.input]).heads[0]

    assert (head.authority.host, head.authority.port) == case.authority


def test_request_values() -> None:
    """A request's parts come out as they were sent, with the spaces around values gone."""
    head = request(b"GET /a?b HTTP/1.0\r\nHost: A:80\r\nX:\t y z \t\r\n\r\n")

    assert head.method == b"GET"
    assert head.minor == 0
    assert head.target.origin == b"/a?b"
    assert head.fields.pairs == [(b"Host", b"A:80"), (b"X", b"y z")]
    assert head.authority.raw == b"A:80"


def test_answer_values() -> None:
    """An answer's parts come out as they were sent, underscores in names as well."""
    head = answer(b"HTTP/1.0 200 Very  Well\r\nX_Y: z\t\r\n\r\n")

    assert (head.status, head.reason, head.minor) == (200, b"Very  Well", 0)
    assert head.fields.pairs == [(b"X_Y", b"z")]


def test_answer_without_reason() -> None:
    """A status line may end with the status."""
    assert answer(b"HTTP/1.1 200\r\n\r\n").reason == b""


def test_one_reader_reads_one_head_after_another() -> None:
    """What follows a head is handed out, and the reader is ready for the next one."""
    reader = RequestReader(SMALL)
    first = reader.feed(b"GET /1 HTTP/1.1\r\nHost: a\r\n\r\nGET /2 HT")
    rest = reader.rest
    second = reader.feed(rest)
    third = reader.feed(b"TP/1.1\r\nHost: a\r\n\r\n\r\n")

    assert first is not None
    assert rest == b"GET /2 HT"
    assert second is None
    assert third is not None
    assert third.target.path == b"/2"
    assert reader.rest == b"\r\n"


def test_one_reader_judges_every_first_line() -> None:
    """Having read a head in pieces, a reader refuses the next request line as early."""
    reader = RequestReader(SMALL)
    for piece in (b"GET / HTTP/1.1\r\n", b"Host: a\r\n\r\n"):
        reader.feed(piece)

    with pytest.raises(VersionNotSupported):
        reader.feed(b"GET / HTTP/2.0\r\n")


def test_started() -> None:
    """A reader says whether a head has begun, which is what its deadline hangs on."""
    reader = RequestReader(SMALL)
    states = [reader.started]
    for piece in (b"\r\n", b"GET / HTTP/1.1\r\nHo", b"st: a\r\n\r\n"):
        reader.feed(piece)
        states.append(reader.started)

    assert states == [False, False, True, False]


@pytest.mark.parametrize("pieces", [[b"\r\n", b"\r\n"], [b"\r\n", b"\r", b"\n"], [b"\r\n\r"]])
def test_empty_line_is_tolerated_before_each_request(pieces: list[bytes]) -> None:
    """The one empty line that is let pass is counted for each request anew."""
    reader = RequestReader(SMALL)
    one = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"
    for piece in (b"\r\n" + one, b"\r\n", one, b"\r\n", one[:9], one[9:]):
        reader.feed(piece)

    assert reader.feed(one) is not None
    for piece in pieces[:-1]:
        assert reader.feed(piece) is None
    with pytest.raises(BadRequest, match="empty line"):
        reader.feed(pieces[-1])


LINE = b"GET / HTTP/1.1\r\nHost: a\r\n"


@pytest.mark.parametrize(
    ("data", "error"),
    [
        (b"GET /" + 63 * b"a" + b" HTTP/1.1\r\nHost: a\r\n\r\n", None),
        (b"GET /" + 64 * b"a" + b" HTTP/1.1\r\nHost: a\r\n\r\n", TargetTooLong),
        (b"GET /" + 107 * b"a", None),
        (b"GET /" + 108 * b"a", TargetTooLong),
        (b"GET /" + 200 * b"a" + b" HTTP/1.1\r\nHost: a", TargetTooLong),
        (b"GET /" + 200 * b"a" + b" HTTP/2.1\r\n", VersionNotSupported),
        (b"GET /" + 200 * b"\x00" + b" HTTP/1.1\r\n\r\n", TargetTooLong),
        (LINE + b"X: " + 63 * b"a" + b"\r\n\r\n", None),
        (LINE + b"X: " + 64 * b"a" + b"\r\n\r\n", FieldsTooLarge),
        (LINE + 63 * b"X" + b": a\r\n\r\n", None),
        (LINE + 64 * b"X" + b": a\r\n\r\n", FieldsTooLarge),
        (LINE + 4 * b"X: y\r\n" + b"\r\n", None),
        (LINE + 5 * b"X: y\r\n" + b"\r\n", FieldsTooLarge),
        (LINE + 5 * b"X_Z: y\r\n" + b"\r\n", FieldsTooLarge),
        (LINE + 2 * (b"X: " + 63 * b"a" + b"\r\n") + 95 * b"a", None),
        (LINE + 2 * (b"X: " + 63 * b"a" + b"\r\n") + 96 * b"a", FieldsTooLarge),
        (LINE + 3 * (b"X: " + 60 * b"a" + b"\r\n") + 31 * b"a" + b":\r\n\r\n", None),
        (LINE + 3 * (b"X: " + 60 * b"a" + b"\r\n") + 32 * b"a" + b":\r\n\r\n", FieldsTooLarge),
        (LINE + 3 * (b"X: " + 70 * b"a" + b"\r\n") + b"YY\x00\r\n\r\n", FieldsTooLarge),
        (LINE + b"X: y\x00\r\n\r\n", BadRequest),
        (LINE + b"Content_Length: 5\r\n\r\n", BadFraming),
    ],
)
def test_request_limits(data: bytes, error: type[ProxyError] | None) -> None:
    """Each limit lets pass what reaches it, and refuses with its own error what passes it."""
    if error is None:
        RequestReader(SMALL).feed(data)
        return
    with pytest.raises(error) as caught:
        RequestReader(SMALL).feed(data)

    assert caught.type is error


OK = b"HTTP/1.1 200 OK\r\n"


@pytest.mark.parametrize(
    "data",
    [
        b"HTTP/2",
        b"X",
        b"\r\n",
        b"\r\n" + OK,
        b"HTTP/1.1 200 OK\n",
        b"HTTP/1.1 20 OK\r\n",
        b"HTTP/1.1 099 OK\r\n\r\n",
        b"HTTP/1.1 20x OK\r\n\r\n",
        OK + b"X : y\r\n\r\n",
        OK + b"X: y\n",
        OK + b"X: " + 64 * b"a" + b"\r\n\r\n",
        OK + 6 * b"X: y\r\n" + b"\r\n",
        OK + 3 * (b"X: " + 63 * b"a" + b"\r\n") + 64 * b"a",
        OK + 4 * (b"X: " + 60 * b"a" + b"\r\n") + b"\r\n",
        b"HTTP/1.1 200 " + 300 * b"a" + b"\r\n\r\n",
    ],
)
def test_answer_refused(data: bytes) -> None:
    """An answer that breaks the grammar or a limit is the upstream's fault."""
    with pytest.raises(UpstreamAnswer):
        ResponseReader(SMALL).feed(data)


@pytest.mark.parametrize("data", [b"H", b"HTTP/1.", b"HTTP/1.1 200 O", OK, OK + b"X: y\r\n"])
def test_answer_incomplete(data: bytes) -> None:
    """An answer that may still become a valid one is waited for."""
    assert ResponseReader(SMALL).feed(data) is None


@pytest.mark.parametrize("data", [b"GET / HTTP/1.1\r\nHost: a\r\n", b"\r", b"G", b"\r\n", b"\r\nG"])
def test_request_incomplete(data: bytes) -> None:
    """A request that may still become a valid one is waited for."""
    assert RequestReader(SMALL).feed(data) is None


class CountingBuffer(bytearray):
    """A buffer that counts how many of its bytes are looked at."""

    looked_at = 0

    def find(self, sub: Any, start: Any = 0, end: Any = None) -> int:
        self.looked_at += len(self) - start
        return super().find(sub, start, end)


class CountingPattern:
    """The pattern of bare line ends, counting as well."""

    def search(self, buffer: CountingBuffer, start: int) -> None:
        buffer.looked_at += len(buffer) - start


@pytest.mark.parametrize("reader", [RequestReader(HeadLimits()), ResponseReader(HeadLimits())])
@pytest.mark.parametrize("many_lines", [True, False])
def test_bytewise_feeding_stays_linear(
    reader: HeadReader[Any], many_lines: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A head of 60 KiB that comes byte by byte costs a bounded number of looks at each byte."""
    monkeypatch.setattr(head_module, "BARE_LINE_END", CountingPattern())
    buffer = CountingBuffer()
    reader._buffer = buffer
    line = LINE if isinstance(reader, RequestReader) else OK
    head = line + (6000 * b"X: yyyyy\r\n" if many_lines else b"X: " + 60000 * b"y")
    for at in range(len(head)):
        reader.feed(head[at : at + 1])

    assert bytes(buffer) == head
    assert buffer.looked_at < 12 * len(head)
