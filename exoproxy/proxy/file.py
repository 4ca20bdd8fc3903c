"""A file too large to keep in memory, read piece by piece as the client takes it."""

import asyncio
import os
from typing import TYPE_CHECKING, BinaryIO, Final

from exoproxy.errors import Internal
from exoproxy.proxy.decision import File, stamp_of
from exoproxy.proxy.stream import ClientStream

if TYPE_CHECKING:
    from exoproxy.proxy.engine import Engine

PIECE: Final = 256 * 1024


class FileSource:
    """Answers a request with bytes of a file; reads in a thread, one piece ahead of nobody."""

    __slots__ = ("_engine", "_file", "_may_go_on", "_stream", "_task")

    def __init__(self, engine: "Engine", stream: ClientStream, file: File) -> None:
        self._engine = engine
        self._stream = stream
        self._file = file
        self._may_go_on = asyncio.Event()
        self._may_go_on.set()
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begin to send; the head is on its way already."""
        self._task = self._engine.spawn(self._send())

    async def _send(self) -> None:
        try:
            with await asyncio.to_thread(self._open) as source:
                complete = await self._pump(source, self._file.length)
        except OSError:
            complete = False
        if complete:
            self._stream.end()
        else:
            self._stream.fail(Internal("A file was changed while it was sent."))

    def _open(self) -> BinaryIO:
        """Return the file at the offset. Raises `OSError` if it is not what the head was made of.

        A named pipe in its place must not keep the thread.
        """
        descriptor = os.open(self._file.path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
        source = open(descriptor, "rb")  # noqa: SIM115 - given away
        try:
            if stamp_of(os.fstat(descriptor)) != self._file.stamp:
                raise OSError("it was changed since")
            source.seek(self._file.offset)
        except BaseException:
            source.close()
            raise
        return source

    async def _pump(self, source: BinaryIO, left: int) -> bool:
        while left:
            await self._may_go_on.wait()
            piece = await asyncio.to_thread(source.read, min(PIECE, left))
            if not piece:
                return False
            left -= len(piece)
            self._stream.content(piece)
        return True

    def request_content(self, content: bytes, done: bool) -> None:
        """Take content that has no meaning here."""

    def pause_response(self) -> None:
        """Wait before the next piece."""
        self._may_go_on.clear()

    def resume_response(self) -> None:
        """Go on."""
        self._may_go_on.set()

    def client_gone(self) -> None:
        """Stop reading."""
        if self._task is not None:
            self._task.cancel()
