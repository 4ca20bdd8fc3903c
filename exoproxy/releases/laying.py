"""Files of a client, copied from where they were made to where they are served from.

The folder that they come from may be in the hands of others while it is read: a build's processes,
or the user that root builds as. So nothing is reached through a link, and what is no regular file
ends the installation. Names that begin with a dot are never served, and are left out.
"""

import errno
import os
import stat
from collections.abc import Collection
from pathlib import PurePosixPath
from typing import Final

from exoproxy.certs.folder import Folder
from exoproxy.releases.bounds import Bounds
from exoproxy.releases.problem import ReleaseProblem

_READ: Final = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
_FOLDER: Final = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_CREATE: Final = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
_DEEPEST: Final = 32
_CHUNK: Final = 1024 * 1024


def lay_down(source: Folder, target: Folder, names: Collection[str] | None, bounds: Bounds) -> None:
    """Copy what is in `source`, or what of it is among `names`, into the empty folder `target`.

    Files get the mode 0644, folders 0755, and all the owner of `target`; all is on the disk at
    the end. Raises `ReleaseProblem` and `OSError`.
    """
    _copy(source.descriptor, target, PurePosixPath(), names, bounds)


def _copy(
    source: int,
    target: Folder,
    here: PurePosixPath,
    names: Collection[str] | None,
    bounds: Bounds,
) -> None:
    if len(here.parts) > _DEEPEST:
        raise ReleaseProblem(
            f"{bounds.subject} has folders within folders, more than {_DEEPEST} deep, which no "
            "client does: name the folder of the built client alone."
        )
    for name in sorted(os.listdir(source)):
        if name.startswith(".") or (names is not None and name not in names):
            continue
        bounds.count()
        descriptor = _open(source, name, here / name, bounds.subject)
        try:
            mode = os.fstat(descriptor).st_mode
            if stat.S_ISDIR(mode):
                _copy_folder(descriptor, target, here / name, bounds)
            elif stat.S_ISREG(mode):
                _copy_file(descriptor, target, name, bounds)
            else:
                raise _no_file(bounds.subject, here / name)
        finally:
            os.close(descriptor)
    os.fchmod(target.descriptor, 0o755)
    os.fsync(target.descriptor)


def _open(source: int, name: str, here: PurePosixPath, subject: str) -> int:
    try:
        return os.open(name, _READ, dir_fd=source)
    except OSError as error:
        if error.errno in (errno.ELOOP, errno.ENXIO):
            raise _no_file(subject, here) from error
        raise


def _copy_folder(source: int, target: Folder, here: PurePosixPath, bounds: Bounds) -> None:
    os.mkdir(here.name, 0o700, dir_fd=target.descriptor)
    inner = Folder(target.path / here.name, os.open(here.name, _FOLDER, dir_fd=target.descriptor))
    try:
        target.give_to_owner(inner.descriptor)
        _copy(source, inner, here, None, bounds)
    finally:
        os.close(inner.descriptor)


def _copy_file(source: int, target: Folder, name: str, bounds: Bounds) -> None:
    copy = os.open(name, _CREATE, 0o600, dir_fd=target.descriptor)
    with open(copy, "wb") as file:
        while chunk := os.read(source, _CHUNK):
            bounds.add(len(chunk))
            file.write(chunk)
        file.flush()
        target.give_to_owner(copy)
        os.fchmod(copy, 0o644)
        os.fsync(copy)


def _no_file(subject: str, here: PurePosixPath) -> ReleaseProblem:
    return ReleaseProblem(
        f"{subject} has {str(here)!a}, which is a link or a device and would not be served: put "
        "the file itself there, or what is yours into main.client.overrides."
    )
