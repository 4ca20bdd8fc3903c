"""The folder of installed clients: `releases/NAME/`, and `current`, the link to the active one.

    client/current                     -> releases/20261122T200540Z-master
    client/releases/20261122T200540Z-master/        the document root, for all to read
    client/releases/20261122T200540Z-master.json    where it comes from
    client/.scratch-…/                 what is laid down and not yet judged; swept by the next

A release is complete before its name is in `releases/`, and what serves is switched by the rename
of one link, so that a process that dies at any moment leaves the one or the other. Two locks: the
long one is for installations, the short one for what changes `current` or removes releases, so that
nobody who needs to roll back waits for a build.
"""

import fcntl
import json
import os
import re
import secrets
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final

from exoproxy.certs.folder import Folder, opened
from exoproxy.releases.bounds import MOST_BYTES
from exoproxy.releases.build import Builder
from exoproxy.releases.current import NAME, RELEASES, STAMP, active, installed_at
from exoproxy.releases.problem import ReleaseProblem

# Beside the active release and the one before it.
KEPT: Final = 5
CURRENT: Final = "current"

_SCRATCH: Final = ".scratch-"
_LABEL: Final = re.compile(r"[^A-Za-z0-9._+-]+")
_LONGEST_LABEL: Final = 40
_LARGEST: Final = 65_536
_LOCK: Final = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC


@dataclass(frozen=True, slots=True, kw_only=True)
class Origin:
    """Where a release comes from, as kept beside it; `time` is aware, `bytes` are its files'."""

    source: str
    ref: str | None
    commit: str | None
    builder: str | None
    time: datetime
    bytes: int
    replaced: str | None = None
    """The release that was active until this one was installed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Release:
    """An installed client; `origin` is None where what is kept beside it can't be read."""

    name: str
    active: bool
    origin: Origin | None


class Shelf:
    """The installed clients whose active one is `root`, main.client.root."""

    def __init__(self, root: Path) -> None:
        """Raise `ReleaseProblem` if `root` is something else than the link that is kept here."""
        self.root = root
        self.folder = root.parent
        target = active(root)
        if root.name != CURRENT or (target is None and os.path.lexists(root)):
            raise ReleaseProblem(
                f"main.client.root, {root}, is a folder of your own and not a link `{CURRENT}` to "
                f"one of {RELEASES}/: put the client there yourself, or let main.client.root name "
                f"the path {CURRENT} in a folder for exoproxy alone, where nothing stands yet."
            )

    def active(self) -> str | None:
        """Return the name of the active release."""
        return active(self.root)

    def releases(self) -> list[Release]:
        """Return what is installed, the newest first."""
        current = self.active()
        try:
            with opened(self.folder, RELEASES, make=False) as folder:
                names = sorted(filter(NAME.fullmatch, _folders(folder)), reverse=True)
                return [
                    Release(name=name, active=name == current, origin=_origin(folder, name))
                    for name in names
                ]
        except FileNotFoundError:
            return []

    def before(self, name: str | None) -> str | None:
        """Return the release that the one named replaced, or the newest that is older."""
        releases = {each.name: each.origin for each in self.releases()}
        older = [each for each in releases if name is not None and each < name]
        origin = releases.get(name) if name is not None else None
        if origin is not None and origin.replaced in older:
            return origin.replaced
        return older[0] if older else None

    @contextmanager
    def installing(self, waiting: Callable[[str], None]) -> Iterator[Path]:
        """Hold the long lock, and yield an empty scratch folder that is gone at the end.

        `waiting` is called with a sentence, once, if another installation is at work.
        """
        with _made(self.folder) as folder, _locked(folder, ".installing", waiting):
            _sweep(folder)
            name = f"{_SCRATCH}{secrets.token_hex(8)}"
            folder.make(name)
            try:
                yield self.folder / name
            finally:
                _remove_tree(folder, name)

    def add(self, scratch: Path, inner: str, label: str, origin: Origin) -> str:
        """Let the folder `inner` of the scratch folder be the active release; return its name.

        Its files are on the disk already, and nobody writes there any more. Releases beyond those
        that are kept are removed.
        """
        with self._switching() as folder, _made(self.folder, RELEASES) as releases:
            name = f"{self._stamp(origin.time)}-{_shortened(label)}"
            content = {
                **asdict(origin),
                "time": origin.time.isoformat(),
                "replaced": self.active(),
            }
            with opened(self.folder, scratch.name, make=False) as source:
                releases.write(f"{name}.json", json.dumps(content, indent=2).encode(), mode=0o644)
                os.rename(inner, name, src_dir_fd=source.descriptor, dst_dir_fd=releases.descriptor)
                os.fsync(releases.descriptor)
            folder.link(CURRENT, f"{RELEASES}/{name}")
            # The new one is served by now: what can't be tidied up is no failure of its.
            with suppress(OSError):
                self._prune(folder, releases)
        return name

    def switch(self, name: str | None) -> str:
        """Let a release be the active one, without a name the one before; return its name.

        Raises `ReleaseProblem` if there is none, and `OSError`.
        """
        with self._switching() as folder:
            found = self.before(self.active()) if name is None else name
            names = [each.name for each in self.releases()]
            if found is None:
                raise ReleaseProblem(
                    "There is no release older than the active one to roll back to: `exoproxy "
                    "client list` shows what there is."
                )
            if found not in names:
                raise ReleaseProblem(
                    f"There is no release {found!a}: name one of {', '.join(names) or 'none'}."
                )
            folder.link(CURRENT, f"{RELEASES}/{found}")
        return found

    def _stamp(self, time: datetime) -> str:
        """Return the time for a name: later than all others', also if the clock went back."""
        latest = [each.name.partition("-")[0] for each in self.releases()[:1]]
        stamp = time.astimezone(UTC).strftime(STAMP)
        if not latest or stamp > latest[0]:
            return stamp
        newest = installed_at(latest[0])
        with suppress(OverflowError):
            return stamp if newest is None else (newest + timedelta(seconds=1)).strftime(STAMP)
        return stamp

    @contextmanager
    def _switching(self) -> Iterator[Folder]:
        with _made(self.folder) as folder, _locked(folder, ".switching", lambda _: None):
            yield folder

    def _prune(self, folder: Folder, releases: Folder) -> None:
        """Remove old releases, what is kept of those that are gone, and what is half-written."""
        there = [each.name for each in self.releases()]
        current = self.active()
        kept = {*there[:KEPT], current, self.before(current)}
        for name in there:
            if name not in kept:
                # Out of the list first: nobody may roll back to half a release.
                doomed = f"{_SCRATCH}{secrets.token_hex(8)}"
                os.rename(
                    name, doomed, src_dir_fd=releases.descriptor, dst_dir_fd=folder.descriptor
                )
                _remove_tree(folder, doomed)
        for name in releases.names():
            if name.endswith(".json") and not _is_folder(releases, name.removesuffix(".json")):
                releases.remove(name)
        # Nobody else switches now, who would be about to rename what he has written.
        folder.sweep()
        releases.sweep()


def _shortened(label: str) -> str:
    return _LABEL.sub("-", label).strip("-.")[:_LONGEST_LABEL] or "client"


def _origin(folder: Folder, name: str) -> Origin | None:
    try:
        content: Any = json.loads(folder.read(f"{name}.json", limit=_LARGEST))
        content["time"] = datetime.fromisoformat(content["time"]).astimezone(UTC)
        origin = Origin(**content)
    except (OSError, ValueError, TypeError, KeyError, OverflowError, RecursionError):
        return None
    return origin if _is_sound(origin) else None


def _is_sound(origin: Origin) -> bool:
    """Tell whether all is what it should be: who may write the file need not be who reads it."""
    texts = (origin.ref, origin.commit, origin.replaced)
    return (
        _is_text(origin.source)
        and all(each is None or _is_text(each) for each in texts)
        and origin.builder in (None, *Builder)
        and isinstance(origin.bytes, int)
        and 0 <= origin.bytes <= MOST_BYTES
    )


def _is_text(value: object) -> bool:
    # Anything else could move the cursor of the terminal that it is shown on.
    return isinstance(value, str) and value.isprintable()


def _folders(folder: Folder) -> Iterator[str]:
    return (name for name in folder.names() if _is_folder(folder, name))


def _is_folder(folder: Folder, name: str) -> bool:
    with os.scandir(folder.descriptor) as entries:
        return any(each.name == name and each.is_dir(follow_symlinks=False) for each in entries)


@contextmanager
def _made(top: Path, *names: str) -> Iterator[Folder]:
    """Open a folder that the serving process, whatever its user, must be able to enter."""
    existed = top.joinpath(*names).exists()
    with opened(top, *names) as folder:
        if not existed:
            os.fchmod(folder.descriptor, 0o755)
        yield folder


@contextmanager
def _locked(folder: Folder, name: str, waiting: Callable[[str], None]) -> Iterator[None]:
    descriptor = os.open(name, _LOCK, 0o600, dir_fd=folder.descriptor)
    try:
        folder.give_to_owner(descriptor)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            waiting("Waiting for another installation of the client to end.")
            fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def _sweep(folder: Folder) -> None:
    """Remove what installations that were killed have left."""
    for name in folder.names():
        if name.startswith(_SCRATCH):
            _remove_tree(folder, name)


def _remove_tree(folder: Folder, name: str) -> None:
    # What can't be removed now, because a build that was not ended still writes, the next one will.
    shutil.rmtree(name, ignore_errors=True, dir_fd=folder.descriptor)
