"""Range fields as tables: what is asked for, and which bytes of a content that is."""

from email import message_from_bytes

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exoproxy.client.ranges import Slice, Unsatisfiable, multipart, parse_ranges


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
    assert parse_ranges(value, 10) == [Slice(offset=offset, length=length)]


@pytest.mark.parametrize(
    "value",
    [
        b"bytes=10-",
        b"bytes=10-10",
        b"bytes=-0",
        b"bytes=999999999999999999999999999999-",
        b"bytes=10-,-0,12-13",
    ],
)
def test_unsatisfiable(value: bytes) -> None:
    """A well-formed range outside the content is refused."""
    with pytest.raises(Unsatisfiable):
        parse_ranges(value, 10)


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
        b"bytes=0-1,5-4",
        b"bytes=0-1,x",
        b"bytes=" + b",".join([b"0-"] * 1000),
        b"seconds=1-2",
        b" bytes=1-2",
        b"bytes=1-2\n",
    ],
)
def test_ignored(value: bytes) -> None:
    """What is malformed, of another unit or of very many ranges is answered with the whole."""
    assert parse_ranges(value, 10) is None


def test_empty_content_has_no_part() -> None:
    """A range of an empty file is ignored rather than refused."""
    assert parse_ranges(b"bytes=0-", 0) is None


def test_content_range() -> None:
    """The last position of Content-Range is inclusive."""
    assert Slice(offset=3, length=3).content_range(10) == b"bytes 3-5/10"


def spans(value: bytes, size: int = 10_000) -> list[tuple[int, int]] | None:
    """Return offset and end of each part."""
    parts = parse_ranges(value, size)
    return None if parts is None else [(part.offset, part.end) for part in parts]


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (b"bytes=0-99,1000-1099", [(0, 100), (1000, 1100)]),
        (b"bytes=1000-1099 ,\t0-99", [(1000, 1100), (0, 100)]),
        (b"bytes=-100,0-99", [(9900, 10_000), (0, 100)]),
        # One of them lies outside.
        (b"bytes=0-99,10000-", [(0, 100)]),
        # Overlapping, doubled, touching, nearly touching.
        (b"bytes=0-99,50-149", [(0, 150)]),
        (b"bytes=0-99,10-19", [(0, 100)]),
        (b"bytes=" + b",".join([b"0-99"] * 16), [(0, 100)]),
        (b"bytes=0-99,100-199", [(0, 200)]),
        (b"bytes=0-0,2-2", [(0, 3)]),
        (b"bytes=0-99,260-299", [(0, 300)]),
        (b"bytes=0-99,261-299", [(0, 100), (261, 300)]),
        # Where its first range was asked for.
        (b"bytes=5000-5009,0-9,5005-5019", [(5000, 5020), (0, 10)]),
        (b"bytes=5005-5019,0-9,5000-5009", [(5000, 5020), (0, 10)]),
        # All of it, in one way or another.
        (b"bytes=0-,0-,0-", [(0, 10_000)]),
        (b"bytes=0-4899,5100-", None),
        # Too many.
        (
            b"bytes=" + b",".join(b"%d-%d" % (n * 500, n * 500) for n in range(16)),
            [(n * 500, n * 500 + 1) for n in range(16)],
        ),
        (b"bytes=" + b",".join(b"%d-%d" % (n * 500, n * 500) for n in range(17)), None),
    ],
)
def test_several(value: bytes, expected: list[tuple[int, int]] | None) -> None:
    """Several ranges keep their order, near ones become one, and a flood of them does not count."""
    assert spans(value) == expected


_SPECS = st.tuples(st.integers(0, 700), st.integers(0, 700)).map(lambda each: b"%d-%d" % each)


@given(st.lists(_SPECS, min_size=1, max_size=20), st.integers(1, 600))
def test_never_more_than_the_whole(specs: list[bytes], size: int) -> None:
    """Parts lie within the content, apart from each other, and cover what was asked for."""
    try:
        parts = parse_ranges(b"bytes=" + b",".join(specs), size)
    except Unsatisfiable:
        return
    if parts is None:
        return
    covered = [position for part in parts for position in range(part.offset, part.end)]
    asked = {
        position
        for spec in specs
        for position in range(int(spec.split(b"-")[0]), int(spec.split(b"-")[1]) + 1)
        if position < size
    }

    assert len(covered) == len(set(covered)) <= size
    assert asked <= set(covered) <= set(range(size))


def test_multipart() -> None:
    """The parts are as another reader of multipart finds them, each with its place and type."""
    content = bytes(range(256))
    parts = [Slice(offset=200, length=3), Slice(offset=10, length=4)]
    encoded = multipart(content, parts, b"image/x-icon", b"b0undary")
    message = message_from_bytes(
        b"Content-Type: multipart/byteranges; boundary=b0undary\r\n\r\n" + encoded
    )
    # The message itself comes first.
    _, *read = message.walk()
    found = [(each["Content-Type"], each["Content-Range"]) for each in read]

    assert found == [
        ("image/x-icon", "bytes 200-202/256"),
        ("image/x-icon", "bytes 10-13/256"),
    ]
    assert b"/256\r\n\r\n" + content[200:203] + b"\r\n--b0undary\r\n" in encoded
    assert b"/256\r\n\r\n" + content[10:14] + b"\r\n--b0undary--\r\n" in encoded
    assert encoded.startswith(b"--b0undary\r\n")
    assert encoded.endswith(b"\r\n--b0undary--\r\n")
