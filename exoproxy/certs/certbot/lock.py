"""The lock over a store, which is certbot's own: one process at a time works on its files.

POSIX locks cover several hosts on one network file system, and the kernel takes them back from a
process that dies. As certbot does, who has the lock removes the file before letting go, and who
gets it checks that the file is still the one in its place.

A process loses a POSIX lock when it closes *any* descriptor of the file, so it must not lock one
store twice. Called by `Store.lock`.
"""

import fcntl
import os
import struct
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

from exoproxy.certs.folder import Folder, explained, opened
from exoproxy.certs.problem import IssuanceProblem

_NAME: Final = ".certbot.lock"
_OPEN: Final = os.O_RDWR | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
_POLL_SECONDS: Final = 0.2
# struct flock of Linux: type, whence, start, length, process (fcntl(2)).
_FLOCK: Final = "hhqqi4x"

# The folders (device, inode) that this process has locked.
_held: Final[set[tuple[int, int]]] = set()


class _Taken(Exception):
    """Another process has the lock; the message says which, as far as that is known."""


@contextmanager
def locked_tree(folder: Path, *, timeout: float, waiting: Callable[[str], None]) -> Iterator[None]:
    """Hold the lock of a certbot tree, which is made if it is missing.

    `timeout` is in seconds. `waiting` is called with a sentence, once, if another process has the
    lock. Raises `IssuanceProblem` if that lasts too long, or the folder can't be used.
    """
    with explained(folder), opened(folder) as tree:
        status = os.fstat(tree.descriptor)
        identity = (status.st_dev, status.st_ino)
        if identity in _held:
            raise RuntimeError(f"this process holds the lock on {folder} already")
        descriptor = _acquire(tree, timeout, waiting)
    _held.add(identity)
    try:
        yield
    finally:
        _held.remove(identity)
        try:
            with suppress(OSError):
                (folder / _NAME).unlink()
        finally:
            os.close(descriptor)


def _acquire(tree: Folder, timeout: float, waiting: Callable[[str], None]) -> int:
    """Return the locked file's descriptor."""
    deadline = time.monotonic() + timeout
    told = False
    while True:
        try:
            return _lock(tree)
        except _Taken as taken:
            if time.monotonic() >= deadline:
                raise IssuanceProblem(
                    f"The store {tree.path} is still locked by {taken} after {timeout:g} seconds: "
                    "let that process finish, or end it if it hangs, and try again."
                ) from None
            if not told:
                waiting(f"Waiting for {taken}, which has locked {tree.path}")
                told = True
            time.sleep(_POLL_SECONDS)


def _lock(tree: Folder) -> int:
    """Return the locked file's descriptor. Raises `_Taken`."""
    while True:
        descriptor = _open(tree)
        try:
            fcntl.lockf(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            in_place = _is_in_place(tree, descriptor)
        except (BlockingIOError, PermissionError):
            holder = _holder(descriptor)
            os.close(descriptor)
            raise _Taken(holder) from None
        except BaseException:
            os.close(descriptor)
            raise
        if in_place:
            return descriptor
        # Its holder has removed the file between our two steps.
        os.close(descriptor)


def _open(tree: Folder) -> int:
    while True:
        with suppress(FileExistsError):
            descriptor = os.open(
                _NAME, _OPEN | os.O_CREAT | os.O_EXCL, 0o600, dir_fd=tree.descriptor
            )
            # Left behind by a root that was killed, it must not shut out the store's owner.
            tree.give_to_owner(descriptor)
            return descriptor
        with suppress(FileNotFoundError):
            return os.open(_NAME, _OPEN, dir_fd=tree.descriptor)


def _is_in_place(tree: Folder, descriptor: int) -> bool:
    try:
        there = os.stat(_NAME, dir_fd=tree.descriptor, follow_symlinks=False)
    except FileNotFoundError:
        return False
    return os.path.samestat(there, os.fstat(descriptor))


def _holder(descriptor: int) -> str:
    """Return "certbot (process 812)" for who has the lock, or less if less is known."""
    question = struct.pack(_FLOCK, fcntl.F_WRLCK, os.SEEK_SET, 0, 0, 0)
    with suppress(OSError):
        process = struct.unpack(_FLOCK, fcntl.fcntl(descriptor, fcntl.F_GETLK, question))[-1]
        # 0 and less stand for a process of another container or host.
        name = Path(f"/proc/{process}/comm").read_text(encoding="utf-8", errors="replace").strip()
        return f"{name} (process {process})"
    return "another process"
