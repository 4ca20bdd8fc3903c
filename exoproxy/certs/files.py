"""Files that are there as a whole or not at all, and a lock over a folder of them.

For certificates and keys: a crash, a full disk or a second process never leaves half of one.
"""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from exoproxy.certs.folder import opened


def replace_file(path: Path, content: bytes, *, mode: int) -> None:
    """Put `content` in a file's place in one step, durably; `mode` holds from the first byte.

    Raises `OSError`; the file is then as it was.
    """
    with opened(path.parent, make=False) as folder:
        folder.write(path.name, content, mode=mode)


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Hold a folder's lock, alone among the processes of this machine; waits for it.

    The kernel takes the lock back from a process that dies.
    """
    flags = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC
    descriptor = os.open(folder / ".lock", flags, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)
