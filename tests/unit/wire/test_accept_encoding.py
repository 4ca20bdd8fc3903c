"""Accept-Encoding as a table: what a client says, and which coding it gets."""

import pytest

from exoproxy.wire.accept_encoding import IDENTITY, accepts, preferred, weights
from exoproxy.wire.fields import Fields
from memory import left_by


def chosen(value: bytes, *offered: bytes) -> bytes | None:
    said = weights(Fields([(b"Accept-Encoding", value)]))
    assert said is not None
    return preferred(said, offered)


@pytest.mark.parametrize(
    ("accept", "expected"),
    [
        (b"gzip, deflate, br, zstd", b"zstd"),
        (b"gzip, deflate, br", b"gzip"),
        (b"GZIP", b"gzip"),
        (b"zstd;q=0.5,gzip", b"gzip"),
        (b"zstd;q=0.5, gzip;q=0.5", b"zstd"),
        (b"zstd ; q=0 , gzip ; q=0.001", b"gzip"),
        (b"zstd;q=0, gzip;q=0", None),
        (b"zstd;Q=0, *", b"gzip"),
        (b"*", b"zstd"),
        (b"*;q=0", None),
        (b"*;q=0, gzip", b"gzip"),
        (b"gzip;q=0, *;q=0.5", b"zstd"),
        (b"identity", None),
        (b"identity;q=0", None),
        (b"identity;q=0, gzip", b"gzip"),
        (b"identity, gzip", b"gzip"),
        (b"identity, gzip;q=0.5", None),
        (b"identity;q=0.5, gzip;q=0.5", b"gzip"),
        (b"br, deflate", None),
        (b"xgzip, gzip2", None),
        (b"", None),
        (b",,", None),
        (b"gzip;q=", None),
        (b"gzip;q=nan", None),
        (b"gzip;q=-1", None),
        (b"gzip;q=2", None),
        (b"gzip;q=0.8;x", None),
    ],
)
def test_preferred(accept: bytes, expected: bytes | None) -> None:
    """Weights decide, 0 and malformed ones refuse, `*` stands for what is not named."""
    assert chosen(accept, b"zstd", b"gzip") == expected


def test_first_offer_wins_among_equals() -> None:
    """Where the client has no wish, the order of the offer decides."""
    assert chosen(b"gzip, br", b"br", b"gzip") == b"br"
    assert chosen(b"gzip, br", b"gzip", b"br") == b"gzip"
    assert chosen(b"gzip, br") is None


@pytest.mark.parametrize(
    ("accept", "coding", "expected"),
    [
        (b"gzip", b"gzip", True),
        (b"gzip;q=0", b"gzip", False),
        (b"*", b"gzip", True),
        (b"br", b"gzip", False),
        (b"", IDENTITY, True),
        (b"gzip", IDENTITY, True),
        (b"identity;q=0", IDENTITY, False),
        (b"*;q=0", IDENTITY, False),
        (b"*;q=0, identity;q=0.1", IDENTITY, True),
    ],
)
def test_accepts(accept: bytes, coding: bytes, expected: bool) -> None:
    """A coding must be named or meant by `*`; identity is taken unless it is refused."""
    said = weights(Fields([(b"Accept-Encoding", accept)]))

    assert said is not None
    assert accepts(said, coding) is expected


def test_several_lines_are_one_list() -> None:
    """A list may come in several field lines (RFC 9110 section 5.3)."""
    said = weights(Fields([(b"Accept-Encoding", b"br;q=0.5"), (b"accept-encoding", b"gzip")]))

    assert said == {b"br": 0.5, b"gzip": 1.0}


@pytest.mark.parametrize(
    "pairs",
    [
        [],
        [(b"Accept-Encoding", b"gzip," * 200)],
        [(b"Accept-Encoding", b"gzip," * 60), (b"Accept-Encoding", b"gzip," * 60)],
    ],
    ids=["none", "long", "long together"],
)
def test_nothing_said(pairs: list[tuple[bytes, bytes]]) -> None:
    """A request without the field, or with a list that no browser sends, says nothing."""
    assert weights(Fields(pairs)) is None


def test_memory_is_bounded() -> None:
    """Lists that nobody sends twice, as long as they are read, leave little behind."""

    def ask(number: int) -> None:
        names = ",".join(f"x{number}-{each}" for each in range(60))
        weights(Fields([(b"Accept-Encoding", names[:512].encode())]))

    assert left_by(ask, times=2000) < 2**20
