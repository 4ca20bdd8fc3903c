"""Websocket handshakes, and where the frames behind them end."""

import pytest

from cases import CASES, Case
from exoproxy.wire.framing import request_framing
from exoproxy.wire.head import HeadLimits, RequestReader, ResponseReader
from exoproxy.wire.upgrade import (
    MAX_FRAMES,
    FrameTracker,
    agrees_to_websocket,
    asks_for_websocket,
    close_frame,
)
from verdicts import expected, fed, observed


@fed(case for case in CASES if case.group == "c10")
def test_case(case: Case, feeding: str) -> None:
    """Every case of upgrades has its outcome, however its bytes are cut."""
    assert observed(case, feeding) == expected(case, feeding)


@pytest.mark.parametrize(
    ("line", "fields", "asks"),
    [
        (b"GET / HTTP/1.1", b"Upgrade: websocket\r\nConnection: Upgrade\r\n", True),
        (b"GET / HTTP/1.1", b"Upgrade: WebSocket\r\nConnection: a,\tUPGRADE\r\n", True),
        (b"GET / HTTP/1.1", b"", False),
        (b"POST / HTTP/1.1", b"Upgrade: websocket\r\nConnection: Upgrade\r\n", False),
        (b"GET / HTTP/1.0", b"Upgrade: websocket\r\nConnection: Upgrade\r\n", False),
        (
            b"GET / HTTP/1.1",
            b"Upgrade: websocket\r\nConnection: Upgrade\r\nContent-Length: 0\r\n",
            False,
        ),
        (b"GET / HTTP/1.1", b"Upgrade: websocket\r\n", False),
        (b"GET / HTTP/1.1", b"Upgrade: websocket\r\nConnection: close\r\n", False),
        (b"GET / HTTP/1.1", b"Upgrade: h2c\r\nConnection: Upgrade\r\n", False),
        (b"GET / HTTP/1.1", b"Upgrade: websocket, h2c\r\nConnection: Upgrade\r\n", False),
        (
            b"GET / HTTP/1.1",
            b"Upgrade: websocket\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n",
            False,
        ),
    ],
)
def test_asks_for_websocket(line: bytes, fields: bytes, asks: bool) -> None:
    """A handshake is a GET of HTTP/1.1 without content that names websocket alone, and says so."""
    head = RequestReader(HeadLimits()).feed(line + b"\r\nHost: a\r\n" + fields + b"\r\n")

    assert head is not None
    assert asks_for_websocket(head, request_framing(head)) is asks


@pytest.mark.parametrize(
    ("fields", "agrees"),
    [
        (b"Upgrade: websocket\r\nConnection: upgrade\r\n", True),
        (b"Upgrade: h2c\r\nConnection: upgrade\r\n", False),
        (b"Upgrade: websocket\r\n", False),
        (b"Connection: upgrade\r\n", False),
        (b"", False),
    ],
)
def test_agrees_to_websocket(fields: bytes, agrees: bool) -> None:
    """A 101 must name the protocol that was asked for."""
    head = ResponseReader(HeadLimits()).feed(b"HTTP/1.1 101 Up\r\n" + fields + b"\r\n")

    assert head is not None
    assert agrees_to_websocket(head) is agrees


def frame(opcode: int, size: int, *, mask: bool = False) -> bytes:
    flag = 0x80 if mask else 0
    if size < 126:
        header = bytes([0x80 | opcode, flag | size])
    elif size < 65536:
        header = bytes([0x80 | opcode, flag | 126]) + size.to_bytes(2)
    else:
        header = bytes([0x80 | opcode, flag | 127]) + size.to_bytes(8)
    # What is in it looks like Close frames, which it must not be taken for.
    return header + (b"mask" if mask else b"") + (b"\x88\x00" * (size // 2 + 1))[:size]


FRAMES = [
    frame(1, 0),
    frame(1, 1),
    frame(2, 125, mask=True),
    frame(0, 126),
    frame(2, 300, mask=True),
    frame(9, 4),
    frame(2, 65535),
    frame(2, 65536, mask=True),
    frame(10, 0, mask=True),
]


@pytest.mark.parametrize("step", [1, 2, 3, 7, 127, 4096, 10**6])
def test_boundaries(step: int) -> None:
    """However the bytes are cut, the tracker is at a boundary exactly where a frame ends."""
    data = b"".join(FRAMES)
    ends = {sum(len(one) for one in FRAMES[:count]) for count in range(len(FRAMES) + 1)}
    tracker = FrameTracker()
    wrong = [0] if not tracker.at_boundary else []
    for at in range(0, len(data), step):
        tracker.feed(data[at : at + step])
        here = min(at + step, len(data))
        if tracker.at_boundary is not (here in ends):
            wrong.append(here)

    assert wrong == []
    assert not tracker.closing


@pytest.mark.parametrize("mask", [None, b"\x01\x02\x03\x04"])
@pytest.mark.parametrize("step", [1, 2, 1000])
def test_closing(mask: bytes | None, step: int) -> None:
    """A Close frame is noticed behind whatever came before, however it is cut."""
    tracker = FrameTracker()
    tracker.feed(frame(1, 300))
    before = tracker.closing
    data = close_frame(mask=mask)
    for at in range(0, len(data), step):
        tracker.feed(data[at : at + step])

    assert not before
    assert tracker.closing
    assert tracker.at_boundary


@pytest.mark.parametrize("one", FRAMES, ids=range(len(FRAMES)))
def test_until_boundary(one: bytes) -> None:
    """Wherever a frame was cut, the tracker knows how many of the next bytes belong to it."""
    wrong = []
    for at in {0, 1, 2, 3, 9, len(one) // 2, len(one) - 1} & set(range(len(one))):
        tracker = FrameTracker()
        tracker.feed(frame(1, 5) + one[:at])
        rest = one[at:]
        found = tracker.until_boundary(rest), tracker.until_boundary(rest + b"\x81\x05hello")
        if found != (len(rest), len(rest)) or tracker.until_boundary(rest[:-1]) is not None:
            wrong.append((at, found))

    assert wrong == []


def test_too_many_frames_at_once() -> None:
    """Who sends very many frames in one piece is followed no longer, and has no boundary."""
    tracker = FrameTracker()
    tracker.feed(frame(1, 0) * MAX_FRAMES)
    before = tracker.lost, tracker.at_boundary
    tracker.feed(frame(1, 0) * (MAX_FRAMES + 1))
    tracker.feed(frame(1, 0))

    assert before == (False, True)
    assert tracker.lost
    assert not tracker.at_boundary
    assert tracker.until_boundary(frame(1, 0)) is None


def test_close_frame() -> None:
    """Going away is said with code 1001, plainly to a client."""
    assert close_frame() == b"\x88\x02\x03\xe9"


def test_close_frame_masked() -> None:
    """Towards a server the payload is masked with the four bytes that are given."""
    assert close_frame(1000, mask=b"\x01\x02\x03\x04") == b"\x88\x82\x01\x02\x03\x04\x02\xea"


def test_flood_of_frames_is_followed_no_longer() -> None:
    """A read full of empty frames costs a bounded time, and no Close is ever put among them."""
    tracker = FrameTracker()
    tracker.feed(b"\x81\x00" * (MAX_FRAMES + 1))

    assert (tracker.lost, tracker.at_boundary) == (True, False)
    assert tracker.until_boundary(b"\x81\x00") is None

    tracker.feed(b"\x81\x01a")

    assert tracker.at_boundary is False


def test_many_frames_in_a_read_are_still_followed() -> None:
    """The bound is above what a conversation sends at once."""
    tracker = FrameTracker()
    tracker.feed(b"\x81\x00" * MAX_FRAMES)

    assert (tracker.lost, tracker.at_boundary) == (False, True)
