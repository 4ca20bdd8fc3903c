"""Range fields as a table: what is asked for, and which bytes of ten that is."""

import pytest

from exoproxy.client.ranges import Slice, Unsatisfiable, parse_range


@pytest.mark.parametrize(
    ("value", "offset", "length"),
    [
        (b"bytes=0-0", 0, 1),
        (b"bytes=0-9", 0, 10),
        (b"bytes=0-10", 0, 10),
        (b"bytes=3-5", 3, 3),
        (b"bytes=9-", 9, 1),
        (b"bytes=0-", 0, 10),
        (b"bytes=-1", 9, 1),
        (b"bytes=-10", 0, 10),
        (b"bytes=-99", 0, 10),
        (b"bytes=1-999999999999999999999999999999", 1, 9),
        (b"BYTES=1-2", 1, 2),
        (b"bytes= 1-2\t", 1, 2),
        (b"bytes=,1-2,", 1, 2),
    ],
)
def test_satisfiable(value: bytes, offset: int, length: int) -> None:
    """A range is cut to the content's end, and a suffix to its start."""
    assert parse_range(value, 10) == Slice(offset=offset, length=length)


@pytest.mark.parametrize(
    "value",
    [b"bytes=10-", b"bytes=10-10", b"bytes=-0", b"bytes=999999999999999999999999999999-"],
)
def test_unsatisfiable(value: bytes) -> None:
    """A well-formed range outside the content is refused."""
    with pytest.raises(Unsatisfiable):
        parse_range(value, 10)


@pytest.mark.parametrize(
    "value",
    [
        b"",
        b"bytes",
        b"bytes=",
        b"bytes=,",
        b"bytes=-",
        b"bytes=a-b",
        b"bytes=5-4",
        b"bytes=99-98",
        b"bytes=1",
        b"bytes=+1-2",
        b"bytes=1 - 2",
        b"bytes=--1",
        b"bytes=1-2-3",
        b"bytes=0x1-0x2",
        b"bytes=\xd9\xa1-",
        b"bytes=1-" + b"9" * 31,
        b"bytes=" + b"0" * 5000 + b"-1",
        b"bytes=0-1,3-4",
        b"bytes=" + b",".join([b"0-"] * 1000),
        b"seconds=1-2",
        b" bytes=1-2",
        b"bytes=1-2\n",
    ],
)
def test_ignored(value: bytes) -> None:
    """What is malformed, of another unit or several ranges is answered with the whole."""
    assert parse_range(value, 10) is None


def test_empty_content_has_no_part() -> None:
    """A range of an empty file is ignored rather than refused."""
    assert parse_range(b"bytes=0-", 0) is None


def test_content_range() -> None:
    """The last position of Content-Range is inclusive."""
    assert Slice(offset=3, length=3).content_range(10) == b"bytes 3-5/10"
