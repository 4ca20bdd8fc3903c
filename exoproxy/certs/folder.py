"""A folder of the store, held open: what is done in it happens in it.

Folders below the top are entered without following links, and files are named relative to the
open folder, so that root, who may write a store that belongs to another user, is not led elsewhere
by what that user put there. What root makes belongs to the owner of the folder that it is made in:
the serving process must be able to read it.

Called by all that writes certificates, accounts and state. Methods raise `OSError`; `explained`
makes a sentence of it.
"""

import errno
import logging
import os
import re
import secrets
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import lru_cache
from pathlib import Path
from typing import Final

from exoproxy.certs.context import process_user
from exoproxy.certs.problem import IssuanceProblem

logger: Final = logging.getLogger("exoproxy")

_OPEN: Final = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC
_CREATE: Final = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
_NO_GROUP: Final = (
    "The file %s can't be given to the group with the id %d and stays its owner's alone: let root "
    "renew, or let this user join the group."
)
_GROUP_AND_OTHERS: Final = 0o077
_TEMPORARY: Final = re.compile(r"\..+\.[0-9a-f]{16}")
# Key, certificate and chain, twice over, are some 15 KB; an order that waits is about the same.
_TRIAL_BYTES: Final = 65_536


class Folder:
    """An open folder; `opened` makes one. `path` is its name for sentences."""

    def __init__(self, path: Path, descriptor: int) -> None:
        self.path = path
        self.descriptor = descriptor

    def make(self, name: str) -> None:
        """Make a folder in this one, for its owner alone, unless there is something already."""
        try:
            os.mkdir(name, 0o700, dir_fd=self.descriptor)
        except FileExistsError:
            return
        made = os.open(name, _OPEN | os.O_NOFOLLOW, dir_fd=self.descriptor)
        try:
            self.give_to_owner(made)
        finally:
            os.close(made)

    def write(self, name: str, content: bytes, *, mode: int, group: int | None = None) -> None:
        """Put `content` in a file's place in one step, durably; `mode` holds from the first byte.

        The file is given to `group`, if that is possible, and closed to all groups if not. On an
        error the file is as it was. A link in its place is replaced, not followed.
        """
        temporary = _temporary(name)
        descriptor = os.open(temporary, _CREATE, 0o600, dir_fd=self.descriptor)
        try:
            with open(descriptor, "wb") as file:
                self.give_to_owner(descriptor)
                if group is not None and not _give_to_group(descriptor, group):
                    logger.warning(_NO_GROUP, self.path / name, group)
                    mode &= ~_GROUP_AND_OTHERS
                os.fchmod(descriptor, mode)
                file.write(content)
                file.flush()
                os.fsync(descriptor)
            self._rename(temporary, name)
        except BaseException:
            with suppress(OSError):
                self.remove(temporary)
            raise

    def link(self, name: str, target: str) -> None:
        """Put a symbolic link to `target` in place in one step, durably."""
        temporary = _temporary(name)
        os.symlink(target, temporary, dir_fd=self.descriptor)
        try:
            self._rename(temporary, name)
        except BaseException:
            with suppress(OSError):
                self.remove(temporary)
            raise

    def read(self, name: str, *, limit: int) -> bytes:
        """Return a file's content: a regular file of at most `limit` bytes, and no link."""
        flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
        return read_regular(os.open(name, flags, dir_fd=self.descriptor), limit)

    def remove(self, name: str) -> None:
        """Remove a file or a link."""
        os.unlink(name, dir_fd=self.descriptor)

    def names(self) -> list[str]:
        """Return the names of all that is here."""
        return os.listdir(self.descriptor)

    def sweep(self) -> None:
        """Remove what killed processes left half-written; the caller knows that none is at it."""
        for name in self.names():
            if _TEMPORARY.fullmatch(name):
                self.remove(name)

    def try_out(self) -> None:
        """Write and remove a file as large as what is to come, and a link."""
        name = _temporary("trial")
        # Random: what a file system can compress proves less.
        self.write(name, os.urandom(_TRIAL_BYTES), mode=0o600)
        try:
            self.link(name, name)
        finally:
            self.remove(name)

    def give_to_owner(self, descriptor: int) -> None:
        """Let what root has just made here belong to the owner of this folder."""
        folder = os.fstat(self.descriptor)
        if os.geteuid() == 0 and folder.st_uid != 0:
            os.fchown(descriptor, folder.st_uid, folder.st_gid)

    def _rename(self, temporary: str, name: str) -> None:
        os.replace(temporary, name, src_dir_fd=self.descriptor, dst_dir_fd=self.descriptor)
        # The new name, too, must outlive a loss of power.
        os.fsync(self.descriptor)


@contextmanager
def opened(top: Path, *names: str, make: bool = True) -> Iterator[Folder]:
    """Open `top`, or the folder that `names` lead to below it; make those that are missing.

    Without `make` a missing one raises `FileNotFoundError`. `top` may be reached through links
    (root's own, if root asks), what is below it may not.
    """
    try:
        descriptor = _open_top(top)
    except FileNotFoundError:
        if not make:
            raise
        with opened(top.parent) as parent:
            parent.make(top.name)
        descriptor = _open_top(top)
    folder = Folder(top, descriptor)
    try:
        for name in names:
            if make:
                folder.make(name)
            inner = os.open(name, _OPEN | os.O_NOFOLLOW, dir_fd=folder.descriptor)
            os.close(folder.descriptor)
            folder = Folder(folder.path / name, inner)
        yield folder
    finally:
        os.close(folder.descriptor)


def _open_top(top: Path) -> int:
    """Open a folder that may be a link, but for root only a link of root's own."""
    if os.geteuid() == 0 and (status := os.lstat(top)).st_uid != 0 and stat.S_ISLNK(status.st_mode):
        # Who owns the state could send what root writes to anywhere.
        raise OSError(errno.ELOOP, "it is a link of another user's", str(top))
    return os.open(top, _OPEN)


def read_regular(descriptor: int, limit: int) -> bytes:
    """Return what an open file holds, and close it; a regular file of at most `limit` bytes.

    Raises `OSError`.
    """
    try:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise OSError(errno.EINVAL, "it is no regular file")
        with open(descriptor, "rb", closefd=False) as file:
            content = file.read(limit + 1)
    finally:
        os.close(descriptor)
    if len(content) > limit:
        raise OSError(errno.EFBIG, f"it is larger than {limit} bytes")
    return content


@contextmanager
def explained(path: Path) -> Iterator[None]:
    """Turn an `OSError` of what is done in a folder into an `IssuanceProblem`."""
    try:
        yield
    except OSError as error:
        raise IssuanceProblem(_sentence(error, path)) from error


@lru_cache(maxsize=64)
def warn_once(sentence: str) -> None:
    """Log what a process that looks again every few seconds would log each time."""
    logger.warning("%s", sentence)


def _sentence(error: OSError, path: Path) -> str:
    match error.errno:
        case errno.ENOSPC | errno.EDQUOT:
            return (
                f"There is no room left to write in {path} ({error.strerror}): free some space "
                "there, and see that inodes are left (`df -i`)."
            )
        case errno.EROFS:
            return (
                f"The folder {path} lies on a file system that is mounted read-only: mount it for "
                "writing, or let acme.store name another folder."
            )
        case errno.EACCES | errno.EPERM:
            return (
                f"The folder {path} may not be written by {process_user()}: run this as root or "
                "as the user that owns the folder, or let acme.store name another folder."
            )
        case errno.ELOOP | errno.ENOTDIR | errno.EISDIR | errno.EEXIST:
            return (
                f"At {path} or in it stands a link, or a file for a folder, where the store needs "
                "its own: look at what it is, and move it away."
            )
    return (
        f"The folder {path} can't be used ({error.strerror or error}): mend it, or let acme.store "
        "name another one."
    )


def _temporary(name: str) -> str:
    return f".{name}.{secrets.token_hex(8)}"


def _give_to_group(descriptor: int, group: int) -> bool:
    if os.fstat(descriptor).st_gid == group:
        return True
    try:
        os.fchown(descriptor, -1, group)
    except PermissionError:
        return False
    return True
