"""A working tree, copied as it lies there, edits and links among it.

Who owns the tree may change it meanwhile, and root, who installs, may read more than its owner: so
nothing is reached through a link, and a file that became one is not read.
"""

import os
import shutil
import stat
from pathlib import Path
from typing import Final, NoReturn

from exoproxy.releases.problem import ReleaseProblem

# Made anew by the build, and large; git's history is no part of a working tree.
_LEFT_OUT: Final = (".git", "node_modules", "elm-stuff")
_READ: Final = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC


def copy_tree(source: Path, tree: Path) -> None:
    """Copy a working tree to a new folder `tree`, its links as links.

    Raises `ReleaseProblem` for what can't be read or is neither file, folder nor link, and
    `OSError` where it can't be written.
    """
    for path, folders, files, descriptor in os.fwalk(source, onerror=_unreadable):
        here = tree / Path(path).relative_to(source)
        here.mkdir()
        folders[:] = [name for name in folders if name not in _LEFT_OUT]
        for name in folders:
            # Those that are links are not walked into.
            _copy_link(descriptor, name, here)
        for name in files:
            if name not in _LEFT_OUT and not _copy_link(descriptor, name, here):
                _copy_file(descriptor, name, here, Path(path) / name)


def _copy_link(source: int, name: str, here: Path) -> bool:
    """Copy a link; tell whether it is one."""
    try:
        target = os.readlink(name, dir_fd=source)
    except OSError:
        return False
    os.symlink(target, here / name)
    return True


def _copy_file(source: int, name: str, here: Path, path: Path) -> None:
    try:
        descriptor = os.open(name, _READ, dir_fd=source)
    except OSError as error:
        raise _problem(path, error.strerror) from error
    with open(descriptor, "rb") as file:
        mode = os.fstat(descriptor).st_mode
        if not stat.S_ISREG(mode):
            raise _problem(path, "it is no regular file")
        with (here / name).open("xb") as copy:
            shutil.copyfileobj(file, copy)
            os.fchmod(copy.fileno(), stat.S_IMODE(mode) & 0o777)


def _unreadable(error: OSError) -> NoReturn:
    raise _problem(error.filename, error.strerror) from error


def _problem(path: Path | str, reason: str | None) -> ReleaseProblem:
    return ReleaseProblem(f"The source's {path} can't be copied ({reason}): mend or remove it.")
