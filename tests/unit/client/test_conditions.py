"""Preconditions as tables: what a request holds, and what it comes to."""

import pytest

from exoproxy.client.conditions import (
    Verdict,
    evaluate,
    http_date,
    is_conditional,
    range_applies,
)
from exoproxy.wire.fields import Fields

ETAG = b'"abc"'
MODIFIED = 784111777
SAME = b"Sun, 06 Nov 1994 08:49:37 GMT"
EARLIER = b"Sun, 06 Nov 1994 08:49:36 GMT"
LATER = b"Sun, 06 Nov 1994 08:49:38 GMT"

SEND, NOT_MODIFIED, FAILED = Verdict.SEND, Verdict.NOT_MODIFIED, Verdict.FAILED


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (SAME, MODIFIED),
        (b"Sunday, 06-Nov-94 08:49:37 GMT", MODIFIED),
        (b"Sun Nov  6 08:49:37 1994", MODIFIED),
        (b"Thu, 01 Jan 1970 00:00:00 GMT", 0),
        (b"Saturday, 01-Jan-00 00:00:00 GMT", 946684800),
        (b"Sat, 31 Dec 2016 23:59:60 GMT", 1483228800),
        (None, None),
        (b"", None),
        (b"0", None),
        (b"Sun, 06 Nov 1994 08:49:37", None),
        (b"Sun, 06 Nov 1994 08:49:37 CET", None),
        (b"Sun, 06 Nov 1994 08:49:37 GMT ", None),
        (b"sun, 06 nov 1994 08:49:37 gmt", None),
        (b"Sun, 6 Nov 1994 08:49:37 GMT", None),
        (b"Sun, 32 Nov 1994 08:49:37 GMT", None),
        (b"Sun, 00 Nov 1994 08:49:37 GMT", None),
        (b"Sun, 06 Nov 1994 24:00:00 GMT", None),
        (b"Sun, 06 Nov 1994 08:60:37 GMT", None),
        (b"Sun, 06 Nov 1994 08:49:61 GMT", None),
        (b"Sun, 06 Nov 1969 08:49:37 GMT", None),
        (b"1994-11-06T08:49:37Z", None),
    ],
)
def test_dates_have_three_forms(value: bytes | None, expected: int | None) -> None:
    """The three forms of an HTTP-date are read, and nothing else is."""
    assert http_date(value) == expected


@pytest.mark.parametrize(
    ("name", "value", "expected"),
    [
        (b"If-None-Match", b'"abc"', NOT_MODIFIED),
        (b"If-None-Match", b'W/"abc"', NOT_MODIFIED),
        (b"If-None-Match", b"*", NOT_MODIFIED),
        (b"If-None-Match", b'"x", "abc"', NOT_MODIFIED),
        (b"If-None-Match", b'"x,y",W/"abc"', NOT_MODIFIED),
        (b"If-None-Match", b'"ab"', SEND),
        (b"If-None-Match", b'"x,abc"', SEND),
        (b"If-None-Match", b"abc", SEND),
        (b"If-None-Match", b"", SEND),
        (b"If-Modified-Since", SAME, NOT_MODIFIED),
        (b"If-Modified-Since", LATER, NOT_MODIFIED),
        (b"If-Modified-Since", EARLIER, SEND),
        (b"If-Modified-Since", b"yesterday", SEND),
        (b"If-Match", b'"abc"', SEND),
        (b"If-Match", b'"x", "abc"', SEND),
        (b"If-Match", b"*", SEND),
        (b"If-Match", b'W/"abc"', FAILED),
        (b"If-Match", b'"x"', FAILED),
        (b"If-Match", b"", FAILED),
        (b"If-Unmodified-Since", SAME, SEND),
        (b"If-Unmodified-Since", LATER, SEND),
        (b"If-Unmodified-Since", EARLIER, FAILED),
        (b"If-Unmodified-Since", b"tomorrow", SEND),
    ],
)
def test_single_precondition(name: bytes, value: bytes, expected: Verdict) -> None:
    """Tags compare weakly for If-None-Match and strongly for If-Match; bad dates don't count."""
    fields = Fields([(name, value)])

    assert is_conditional(fields)
    assert evaluate(fields, ETAG, MODIFIED) == expected


@pytest.mark.parametrize(
    ("pairs", "expected"),
    [
        # The tag decides, whatever the date says: a rolled back release has an older date.
        ([(b"If-None-Match", b'"x"'), (b"If-Modified-Since", LATER)], SEND),
        ([(b"If-None-Match", ETAG), (b"If-Modified-Since", EARLIER)], NOT_MODIFIED),
        ([(b"If-Match", ETAG), (b"If-Unmodified-Since", EARLIER)], SEND),
        ([(b"If-Match", b'"x"'), (b"If-None-Match", ETAG)], FAILED),
        ([(b"If-Unmodified-Since", EARLIER), (b"If-None-Match", ETAG)], FAILED),
        ([(b"If-Match", ETAG), (b"If-None-Match", ETAG)], NOT_MODIFIED),
        ([(b"If-None-Match", b'"x"'), (b"if-none-match", ETAG)], NOT_MODIFIED),
        ([(b"Accept", b"*/*")], SEND),
    ],
)
def test_order_of_preconditions(pairs: list[tuple[bytes, bytes]], expected: Verdict) -> None:
    """Preconditions are judged in the order of RFC 9110 section 13.2.2."""
    assert evaluate(Fields(pairs), ETAG, MODIFIED) == expected


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (None, True),
        (ETAG, True),
        (b'W/"abc"', False),
        (b'"x"', False),
        (b"*", False),
        (SAME, True),
        (LATER, False),
        (EARLIER, False),
        (b"abc", False),
    ],
)
def test_if_range(value: bytes | None, expected: bool) -> None:
    """A range counts without If-Range, with the very tag, and with the very date."""
    fields = Fields([(b"If-Range", value)] if value is not None else [])

    assert range_applies(fields, ETAG, MODIFIED) is expected


def test_plain_request_is_not_conditional() -> None:
    """A request without a precondition or a range takes the short way."""
    assert not is_conditional(Fields([(b"Host", b"a"), (b"If-Range", ETAG)]))
