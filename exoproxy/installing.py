"""The commands `exoproxy client install`, `update`, `list` and `rollback`.

Progress and sentences go to stderr, the name of the release or the table to stdout. Called by
`cli`.
"""

import os
import shutil
import sys
from collections.abc import Callable
from dataclasses import asdict, dataclass
from datetime import UTC
from typing import Any, Final

from exoproxy.ops.stopping import Stopped, stoppable
from exoproxy.releases.build import Builder
from exoproxy.releases.install import Installation, install
from exoproxy.releases.problem import ReleaseProblem
from exoproxy.releases.shelf import Origin, Release, Shelf
from exoproxy.releases.source import Kind, parse_source
from exoproxy.rules.printable import printable
from exoproxy.settings.sites import Client

_HEADS: Final = ("", "RELEASE", "TIME", "REF", "COMMIT", "SIZE", "SOURCE")
_COMMIT_SHOWN: Final = 12
_ERASE: Final = "\r\x1b[K"


def install_client(client: Client, source: str, ref: str | None, builder: str | None) -> int:
    """Install from a source, and return the exit code."""

    def work(say: "_Progress") -> int:
        installation = Installation(
            source=parse_source(source, ref),
            builder=Builder(builder or Builder.NPM),
            overrides=client.overrides,
        )
        return _installed(install(Shelf(client.root), installation, say), say)

    return _guarded(client, work)


def update_client(client: Client, ref: str | None, builder: str | None) -> int:
    """Install again from where the active release came from, if there is something new."""

    def work(say: "_Progress") -> int:
        shelf = Shelf(client.root)
        origin = _active(shelf)
        wanted = ref or origin.ref
        source = parse_source(origin.source, wanted)
        installation = Installation(
            source=source,
            builder=Builder(builder or origin.builder or Builder.NPM),
            overrides=client.overrides,
        )
        if source.text.startswith(("/", "file:")) and _is_anothers(shelf):
            raise ReleaseProblem(
                f"The active release is from {source.text}, as a file says that another user may "
                "write, and root would read whatever stood there: use `exoproxy client install "
                f"{source.text}` if that is right, or run this as the owner of {shelf.folder}."
            )
        # A working tree that was edited has the commit that it had before.
        unless = origin.commit if source.kind is Kind.GIT and builder is None else None
        return _installed(install(shelf, installation, say, unless=unless), say)

    return _guarded(client, work)


def roll_back(client: Client, name: str | None) -> int:
    """Let an older release serve again: the one named, or the one before the active one."""

    def work(say: "_Progress") -> int:
        return _installed(Shelf(client.root).switch(name), say)

    return _guarded(client, work)


def listed(client: Client) -> list[Release]:
    """Return what is installed, the newest first. Raises `ReleaseProblem`."""
    try:
        return Shelf(client.root).releases()
    except OSError as error:
        raise ReleaseProblem(
            f"The clients in {client.root.parent} can't be listed ({error.strerror or error}): run "
            "this as root, or as the user that owns the folder."
        ) from error


def values(releases: list[Release]) -> list[dict[str, Any]]:
    """Return the releases for JSON; times are ISO 8601 in UTC, sizes bytes."""
    return [
        {
            "release": each.name,
            "active": each.active,
            **(_origin_values(each.origin) if each.origin else {}),
        }
        for each in releases
    ]


def table(releases: list[Release]) -> str:
    """Return the releases as lines under a heading."""
    rows = [_HEADS, *map(_row, releases)]
    widths = [max(len(row[column]) for row in rows) for column in range(len(_HEADS))]
    lines = (
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in rows
    )
    return "".join(f"{line}\n" for line in lines)


def _row(release: Release) -> tuple[str, ...]:
    mark = "*" if release.active else ""
    origin = release.origin
    if origin is None:
        return (mark, release.name, "?", "?", "?", "?", "?")
    return (
        mark,
        release.name,
        f"{origin.time.astimezone(UTC):%Y-%m-%d %H:%M}",
        origin.ref or "-",
        (origin.commit or "-")[:_COMMIT_SHOWN],
        f"{origin.bytes / 1e6:.1f} MB",
        origin.source,
    )


def _origin_values(origin: Origin) -> dict[str, Any]:
    return {**asdict(origin), "time": origin.time.astimezone(UTC).isoformat()}


def _active(shelf: Shelf) -> Origin:
    for each in shelf.releases():
        if each.active and each.origin is not None:
            return each.origin
    raise ReleaseProblem(
        "There is no active release of which it is known where it comes from: use `exoproxy client "
        "install SOURCE`."
    )


def _is_anothers(shelf: Shelf) -> bool:
    """Tell whether root looks at what belongs to somebody else."""
    return os.geteuid() == 0 and shelf.folder.stat().st_uid != 0


def _installed(name: str | None, say: "_Progress") -> int:
    say.done()
    if name is None:
        say.sentence("The newest commit of the source is installed and active already.")
    else:
        print(name)
        say.sentence(f"The client {name} is served from now on.")
    return 0


def _guarded(client: Client, work: Callable[["_Progress"], int]) -> int:
    say = _Progress()
    try:
        with stoppable():
            return work(say)
    except ReleaseProblem as problem:
        say.done()
        say.sentence(f"{problem}\nNothing was changed.")
        return 1
    except OSError as error:
        say.done()
        file = f"{error.filename}: " if error.filename else ""
        say.sentence(
            f"The client can't be installed in {client.root.parent} ({file}"
            f"{error.strerror or error}): see that this user may read the source and write there, "
            "and that there is room."
        )
        return 1
    except Stopped as stopped:
        say.done()
        say.sentence("Told to stop; what was not finished has been removed.")
        return stopped.code
    except KeyboardInterrupt:
        say.done()
        raise


@dataclass(slots=True)
class _Progress:
    """Says what goes on: in one line that changes on a terminal, line by line elsewhere."""

    _shown: bool = False

    def __call__(self, line: str) -> None:
        shown = _harmless(line)
        if not sys.stderr.isatty():
            print(shown, file=sys.stderr, flush=True)
            return
        width = shutil.get_terminal_size().columns
        print(f"{_ERASE}{shown[: width - 1]}", end="", file=sys.stderr, flush=True)
        self._shown = True

    def done(self) -> None:
        """Erase the line."""
        if self._shown:
            print(_ERASE, end="", file=sys.stderr, flush=True)
            self._shown = False

    def sentence(self, text: str) -> None:
        """Say something that stays."""
        print(_harmless(text), file=sys.stderr, flush=True)


def _harmless(text: str) -> str:
    """Return a text whose file names, which a source may have chosen, can't steer a terminal."""
    return "\n".join(map(printable, text.split("\n")))
