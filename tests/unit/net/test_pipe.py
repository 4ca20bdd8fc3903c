"""Two transports joined: bytes, back-pressure, half-close and reset go from one to the other."""

import asyncio
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import pytest

from exoproxy.net.pipe import PipeEnd, reset

pytestmark = pytest.mark.usefixtures("no_task_left")


class Joined:
    """Two pipe ends on real sockets; `left` and `right` are the peers' ends, without a loop."""

    def __init__(self, passed: Callable[[bytes], bytes]) -> None:
        self.passed = passed
        self.said: list[str] = []
        self.ended = asyncio.Event()
        self.ends: list[PipeEnd] = []
        self.left, self.right = (_Peer() for _ in range(2))

    async def join(self) -> None:
        for name, peer in (("left", self.left), ("right", self.right)):
            await self._connect(name, peer)
        one, other = self.ends
        one.other, other.other = other, one

    async def _connect(self, name: str, peer: "_Peer") -> None:
        loop = asyncio.get_running_loop()
        sock = await peer.connect()
        transport, _ = await loop.connect_accepted_socket(asyncio.Protocol, sock)
        end = PipeEnd(
            transport,
            self.passed,
            half_closed=lambda: self.said.append(f"{name} half-closed"),
            ended=lambda: self._ended(name),
        )
        transport.set_protocol(end)
        self.ends.append(end)

    def _ended(self, name: str) -> None:
        self.said.append(f"{name} ended")
        if sum(said.endswith(" ended") for said in self.said) == 2:
            self.ended.set()


class _Peer:
    """Who is at the far end of one of the two connections."""

    async def connect(self) -> socket.socket:
        """Return the near end of a new connection on loopback: only TCP knows a reset."""
        loop = asyncio.get_running_loop()
        with socket.create_server(("127.0.0.1", 0)) as server:
            self.sock = socket.socket()
            self.sock.setblocking(False)
            server.setblocking(False)
            near, _ = await asyncio.gather(
                loop.sock_accept(server), loop.sock_connect(self.sock, server.getsockname())
            )
        return near[0]

    async def send(self, data: bytes) -> None:
        await asyncio.get_running_loop().sock_sendall(self.sock, data)

    async def receive(self, size: int = 65536) -> bytes:
        async with asyncio.timeout(5):
            return await asyncio.get_running_loop().sock_recv(self.sock, size)


@asynccontextmanager
async def joined(passed: Callable[[bytes], bytes] = lambda data: data) -> AsyncIterator[Joined]:
    pipe = Joined(passed)
    await pipe.join()
    try:
        yield pipe
    finally:
        for peer in (pipe.left, pipe.right):
            peer.sock.close()
        async with asyncio.timeout(5):
            await pipe.ended.wait()


async def test_bytes_pass_both_ways() -> None:
    """As they come, at once."""
    async with joined() as pipe:
        await pipe.left.send(b"from the left")
        assert await pipe.right.receive() == b"from the left"
        await pipe.right.send(b"from the right")
        assert await pipe.left.receive() == b"from the right"


async def test_the_hook_decides_what_passes() -> None:
    """It is called for what was read, and returns what to write, which may be nothing."""
    hidden = asyncio.Event()

    def passed(data: bytes) -> bytes:
        if data == b"hide":
            hidden.set()
            return b""
        return data.upper()

    async with joined(passed) as pipe:
        await pipe.left.send(b"hide")
        async with asyncio.timeout(5):
            await hidden.wait()
        await pipe.left.send(b"show")

        assert await pipe.right.receive() == b"SHOW"


async def test_half_close_is_passed_on() -> None:
    """The other direction goes on until it is closed too."""
    async with joined() as pipe:
        await pipe.left.send(b"last words")
        pipe.left.sock.shutdown(socket.SHUT_WR)

        assert await pipe.right.receive() == b"last words"
        assert await pipe.right.receive() == b""
        assert pipe.said == ["left half-closed"]
        await pipe.right.send(b"answer")
        assert await pipe.left.receive() == b"answer"
        pipe.right.sock.shutdown(socket.SHUT_WR)
        assert await pipe.left.receive() == b""
        async with asyncio.timeout(5):
            await pipe.ended.wait()
        assert sorted(pipe.said[1:]) == ["left ended", "right ended"]


async def test_reset_is_passed_on() -> None:
    """Whoever reads sees that something broke off, and takes nothing for the whole."""
    async with joined() as pipe:
        pipe.left.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        pipe.left.sock.close()
        with pytest.raises(ConnectionResetError):
            await pipe.right.receive()


async def test_reset_ends_with_a_reset() -> None:
    """`reset` alone: a FIN would look like an end; twice does nothing more."""
    async with joined() as pipe:
        reset(pipe.ends[0].transport)
        reset(pipe.ends[0].transport)
        with pytest.raises(ConnectionResetError):
            await pipe.left.receive()


async def test_a_slow_reader_stops_the_writer() -> None:
    """What is held between is bounded, and all of it arrives once the reader reads."""
    size, part = 32 * 1024 * 1024, bytes(65536)
    async with joined() as pipe:

        async def send() -> None:
            for _ in range(size // len(part)):
                await pipe.left.send(part)

        sending = asyncio.ensure_future(send())
        async with asyncio.timeout(5):
            while pipe.ends[0].transport.is_reading():  # noqa: ASYNC110  it tells nobody
                await asyncio.sleep(0)

        assert not sending.done()
        assert pipe.ends[1].transport.get_write_buffer_size() < 1024 * 1024
        received = 0
        while received < size:
            received += len(await pipe.right.receive(1024 * 1024))
        await sending
        assert received == size
        assert pipe.ends[0].transport.is_reading()


async def test_an_end_brings_the_other_down_after_its_bytes() -> None:
    """What was read before a close is still delivered."""
    async with joined() as pipe:
        await pipe.left.send(b"x" * 100_000)
        pipe.left.sock.close()
        received = b""
        while data := await pipe.right.receive():
            received += data

        assert received == b"x" * 100_000


async def test_an_end_that_is_closed_here_closes_the_other() -> None:
    """Whoever closes one end, the other's peer learns of it."""
    async with joined() as pipe:
        pipe.ends[0].transport.close()

        assert await pipe.right.receive() == b""
