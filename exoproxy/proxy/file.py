"""A file too large to keep in memory, read piece by piece as the client takes it."""

import asyncio
from typing import TYPE_CHECKING, BinaryIO, Final

from exoproxy.errors import Internal
from exoproxy.proxy.decision import File
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
            source = await asyncio.to_thread(self._file.path.open, "rb")
            with source:
                await asyncio.to_thread(source.seek, self._file.offset)
                complete = await self._pump(source, self._file.length)
        except OSError:
            complete = False
        if complete:
            self._stream.end()
        else:
            self._stream.fail(Internal("A file became shorter while it was sent."))

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
