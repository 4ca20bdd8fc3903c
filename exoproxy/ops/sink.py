"""Where log lines leave the process: a descriptor that may take none for a while, or never again.

A reader that has stopped (journald restarting, a pager, a full disk) must hold up no request and
end no process. So nothing here waits, but for a moment at the end: what is not taken is kept up to
a bound, and lines beyond it are lost, counted, and spoken of when there is room again. Used by
`access` for standard output and by `log` for standard error.
"""

import asyncio
import contextlib
import errno
import os
import select
import socket
import stat
import threading
import time
from collections.abc import Callable
from functools import partial
from typing import Final, TextIO, cast

# Bytes that are kept: some thousand lines.
KEPT: Final = 1 << 20

# Seconds until what is kept is tried again, where no new line does so before.
_AGAIN: Final = 0.25

# Bytes of one write, so that a copy of what is left costs little.
_PIECE: Final = 1 << 16

# poll(2): as many bytes as a pipe that is ready takes at once.
_READY: Final = select.PIPE_BUF

Send = Callable[[memoryview], int]


class Sink:
    """Writes whole lines to a descriptor; `lost` counts those that it never got.

    `kept` bytes and one write's lines are kept at most. `tell` takes a sentence when the first line
    is lost, and another when lines get through again; `name` is what they call the descriptor.
    Without a descriptor, lines go nowhere.
    """

    def __init__(
        self, descriptor: int | None, *, name: str, tell: Callable[[str], None], kept: int = KEPT
    ) -> None:
        self.lost = 0
        self.is_terminal = descriptor is not None and os.isatty(descriptor)
        self.descriptor = descriptor
        # What was opened here for writing.
        self._opened = contextlib.ExitStack()
        self._send: Send = len if descriptor is None else _sender(descriptor, self._opened)
        self._name = name
        self._tell = tell
        self._kept = kept
        self._waiting = bytearray()
        # Why the last write failed.
        self._error: OSError | None = None
        # `lost` when all was well.
        self._known = 0
        self._timer: asyncio.TimerHandle | None = None
        # Threads have something to say in the process's log, too.
        self._lock = threading.Lock()

    def write(self, lines: bytes) -> None:
        """Write lines, each with its end; what can't be written now is kept or lost."""
        with self._lock:
            said = self._push() if self._waiting else ""
            if self._waiting and len(self._waiting) + len(lines) > self._kept:
                said = self._lose(lines)
            else:
                self._waiting += lines
                said = self._push() or said
        if said:
            self._tell(said)

    def drain(self, seconds: float) -> None:
        """Wait until what was kept is written, for so long at most: at the process's end."""
        end = time.monotonic() + seconds
        while self._waiting and isinstance(self._error, BlockingIOError):
            left = end - time.monotonic()
            if left <= 0 or not _is_ready(cast(int, self.descriptor), left):
                return
            self._try()

    def close(self) -> None:
        """Write no more; lines go nowhere from now on. The descriptor itself stays open."""
        with self._lock:
            if self._timer is not None:
                self._timer.cancel()
            self._waiting.clear()
            self._send = len
            self._opened.close()

    def _push(self) -> str:
        """Write what the descriptor takes now; return what is to be told."""
        waiting = self._waiting
        try:
            while waiting:
                with memoryview(waiting) as whole, whole[:_PIECE] as piece:
                    count = self._send(piece)
                del waiting[:count]
        except OSError as error:
            self._error = error
            self._try_later()
            return ""
        if self.lost == self._known:
            return ""
        count, self._known = self.lost - self._known, self.lost
        return f"{self._name} takes lines again; {count} were lost meanwhile"

    def _lose(self, lines: bytes) -> str:
        is_first = self.lost == self._known
        self.lost += lines.count(b"\n")
        if not is_first or self._error is None:
            return ""
        is_full = isinstance(self._error, BlockingIOError)
        why = "nobody reads it" if is_full else self._error.strerror
        return f"{self._name} takes no lines: {why}; from now on they are lost, until it does"

    def _try_later(self) -> None:
        if self._timer is None:
            # Outside an event loop the next line does it, or `drain`.
            with contextlib.suppress(RuntimeError):
                self._timer = asyncio.get_running_loop().call_later(_AGAIN, self._try)

    def _try(self) -> None:
        self._timer = None
        with self._lock:
            said = self._push()
        if said:
            self._tell(said)


def descriptor_of(stream: TextIO | None) -> int | None:
    """Return a standard stream's descriptor.

    None where it was closed before Python began: its number may be a client's socket by now.
    """
    return None if stream is None else stream.fileno()


def _sender(descriptor: int, opened: contextlib.ExitStack) -> Send:
    """Return what writes to a descriptor without waiting, as far as its kind allows.

    O_NONBLOCK belongs to the open file description, which a shell and other processes share, so it
    is set on none that was given to us.
    """
    mode = os.fstat(descriptor).st_mode
    if stat.S_ISSOCK(mode):
        # journald's.
        sock = opened.enter_context(socket.socket(fileno=os.dup(descriptor)))
        return lambda data: sock.send(data, socket.MSG_DONTWAIT | socket.MSG_NOSIGNAL)
    if stat.S_ISFIFO(mode) or os.isatty(descriptor):
        try:
            own = _opened_again(descriptor)
        except OSError:
            # Another user's, or a pipe whose reader has gone.
            return partial(_write_if_ready, descriptor)
        opened.callback(os.close, own)
        return partial(os.write, own)
    # A file: the kernel takes all at once or fails.
    return partial(os.write, descriptor)


def _opened_again(descriptor: int) -> int:
    """Return a description of our own for a pipe or a terminal."""
    flags = os.O_WRONLY | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC
    return os.open(f"/proc/self/fd/{descriptor}", flags)


def _write_if_ready(descriptor: int, data: memoryview) -> int:
    if not _is_ready(descriptor, 0):
        raise BlockingIOError(errno.EAGAIN, os.strerror(errno.EAGAIN))
    return os.write(descriptor, data[:_READY])


def _is_ready(descriptor: int, seconds: float) -> bool:
    poll = select.poll()
    poll.register(descriptor, select.POLLOUT)
    return bool(poll.poll(seconds * 1000))
