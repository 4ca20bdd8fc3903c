"""Where lines go: nobody is held up, nothing grows, and what is lost is spoken of."""

import asyncio
import errno
import fcntl
import os
import socket
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from exoproxy.ops import sink as module
from exoproxy.ops.sink import Sink, descriptor_of

KEPT = 4096
LINE = b"x" * 99 + b"\n"
# More than the kernel keeps for a pipe, a terminal or a socket.
MANY = 20_000


class Channel:
    """Something with a reader at its other end, which reads when the test says so."""

    def __init__(self, kind: str) -> None:
        self.kind = kind
        self.sinks: list[Sink] = []
        self.told: list[str] = []
        if kind == "socket":
            ours, theirs = socket.socketpair()
            self.reading, self.writing = theirs.detach(), ours.detach()
        elif kind == "terminal":
            self.reading, self.writing = os.openpty()
        else:
            self.reading, self.writing = os.pipe()
        os.set_blocking(self.reading, False)

    def read(self) -> bytes:
        """Return what can be read now, as it was written."""
        pieces = []
        try:
            while piece := os.read(self.reading, 1 << 16):
                pieces.append(piece)
        except BlockingIOError:
            pass
        return b"".join(pieces).replace(b"\r\n", b"\n")

    def sink(self, kept: int = KEPT) -> Sink:
        """Return a sink that writes here."""
        self.sinks.append(Sink(self.writing, name="It", tell=self.told.append, kept=kept))
        return self.sinks[-1]

    def leave(self) -> None:
        """Let the reader end."""
        os.close(self.reading)
        self.reading = -1

    def close(self) -> None:
        """Close what is open."""
        for sink in self.sinks:
            sink.close()
        for each in (self.reading, self.writing):
            if each >= 0:
                os.close(each)


@pytest.fixture(params=["pipe", "another user's pipe", "socket", "terminal"])
def channel(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[Channel]:
    """Each kind of standard output that may have a reader who stops."""

    def denied(_: int) -> int:
        raise PermissionError(errno.EACCES, "Permission denied")

    made = Channel(request.param)
    if made.kind == "another user's pipe":
        monkeypatch.setattr(module, "_opened_again", denied)
    yield made
    made.close()


def test_lines_arrive(channel: Channel) -> None:
    """In their order, byte for byte."""
    sink, told = channel.sink(), channel.told
    for number in range(3):
        sink.write(b"%d\n" % number)

    assert channel.read() == b"0\n1\n2\n"
    assert (sink.lost, told) == (0, [])


def test_a_reader_who_stops_holds_nobody_up(channel: Channel) -> None:
    """Lines are kept up to a bound, then lost, counted and told of; whole lines get through."""
    sink, told = channel.sink(), channel.told
    began = time.monotonic()
    for _ in range(MANY):
        sink.write(LINE)
    took = time.monotonic() - began
    lost = sink.lost

    assert took < 5
    assert len(sink._waiting) <= KEPT
    assert told == ["It takes no lines: nobody reads it; from now on they are lost, until it does"]

    arrived = b""
    while piece := channel.read():
        arrived += piece
        sink._try()

    assert arrived == LINE * (MANY - lost)
    assert told[1:] == [f"It takes lines again; {lost} were lost meanwhile"]

    sink.write(b"again\n")

    assert channel.read() == b"again\n"
    assert sink.lost == lost


async def test_what_is_kept_is_tried_again_by_itself(
    channel: Channel, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In an event loop no further line is needed."""
    monkeypatch.setattr(module, "_AGAIN", 0.001)
    sink = channel.sink(kept=MANY * len(LINE))
    sink.write(LINE * MANY)
    arrived = 0
    async with asyncio.timeout(20):
        while arrived < MANY * len(LINE):
            arrived += len(channel.read())
            await asyncio.sleep(0)

    assert not sink._waiting


def test_the_descriptor_stays_as_it_was(channel: Channel) -> None:
    """O_NONBLOCK would be seen by every process that shares the terminal."""
    before = fcntl.fcntl(channel.writing, fcntl.F_GETFL)
    sink = channel.sink()
    sink.write(LINE * MANY)

    assert fcntl.fcntl(channel.writing, fcntl.F_GETFL) == before


def test_the_end_waits_a_moment(channel: Channel) -> None:
    """And no longer, where nobody reads."""
    sink = channel.sink()
    sink.write(LINE * MANY)
    began = time.monotonic()
    sink.drain(0.05)

    assert 0.04 < time.monotonic() - began < 5
    assert sink._waiting


@pytest.mark.parametrize("kind", ["pipe", "socket"])
def test_a_reader_who_has_gone_ends_nothing(kind: str) -> None:
    """EPIPE is a reason like any other to lose lines."""
    channel = Channel(kind)
    sink, told = channel.sink(), channel.told
    sink.write(LINE)
    channel.leave()
    for _ in range(100):
        sink.write(LINE)
    sink.drain(5)
    channel.close()

    assert 0 < sink.lost < 100
    assert told == ["It takes no lines: Broken pipe; from now on they are lost, until it does"]


def test_a_full_disk_is_told_and_gets_over() -> None:
    """ENOSPC, and no line is written in halves."""
    arrived = bytearray()
    room = 250

    def write(data: memoryview) -> int:
        nonlocal room
        if not room:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        count = min(room, len(data))
        arrived.extend(data[:count])
        room -= count
        return count

    told: list[str] = []
    sink = Sink(None, name="It", tell=told.append, kept=500)
    sink._send = write
    for _ in range(20):
        sink.write(LINE)
    room = 10_000
    sink.write(b"last\n")

    assert sink.lost == 13
    assert arrived == LINE * 7 + b"last\n"
    assert told == [
        "It takes no lines: No space left on device; from now on they are lost, until it does",
        "It takes lines again; 13 were lost meanwhile",
    ]


def test_a_file_is_written_where_it_ends(tmp_path: Path) -> None:
    """Not from its beginning, which a description of its own would have."""
    file = tmp_path / "log"
    with file.open("wb", buffering=0) as stream:
        stream.write(b"before\n")
        Sink(stream.fileno(), name="It", tell=print).write(b"after\n")

    assert file.read_bytes() == b"before\nafter\n"


def test_a_closed_stream_takes_nothing() -> None:
    """Python has no stream where its descriptor was closed, which may be a client's by now."""
    assert descriptor_of(None) is None

    sink = Sink(None, name="It", tell=print)
    sink.write(LINE)
    sink.drain(5)

    assert (sink.lost, sink.is_terminal, bytes(sink._waiting)) == (0, False, b"")


def test_what_is_told_may_be_written_here_as_well() -> None:
    """The process's log tells of itself in itself."""
    channel = Channel("pipe")
    sink = channel.sink(kept=0)
    sink._tell = lambda said: sink.write(said.encode() + b"\n")
    for _ in range(MANY):
        sink.write(LINE)
    while channel.read():
        sink._try()
    sink.write(LINE)
    last = channel.read()
    channel.close()

    assert last.endswith(LINE)
    assert sink._known == sink.lost > 0
