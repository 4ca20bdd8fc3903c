"""From a source to the active release: fetch, build, lay down, check, switch.

All is done in folders of the installation's own, so that what fails or is stopped changes nothing
and leaves nothing. Called by the commands `client install` and `client update`.
"""

import os
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from exoproxy.certs.folder import opened
from exoproxy.releases import git
from exoproxy.releases.archive import unpack
from exoproxy.releases.bounds import Bounds
from exoproxy.releases.build import Builder, build
from exoproxy.releases.copying import copy_tree
from exoproxy.releases.laying import lay_down
from exoproxy.releases.process import Account, Tell
from exoproxy.releases.shelf import Origin, Shelf
from exoproxy.releases.source import INDEX, Kind, Source
from exoproxy.releases.verify import check
from exoproxy.releases.workshop import hand_over, workshop

_NEW: Final = "release"
_COMMIT_SHOWN: Final = 12


@dataclass(frozen=True, slots=True, kw_only=True)
class Installation:
    """What to install, how, and where `overrides` lie that its page may need."""

    source: Source
    builder: Builder
    overrides: Path


@dataclass(frozen=True, slots=True, kw_only=True)
class _Client:
    """A built client, not yet judged: `names` in the folder below `top`, or all of it."""

    top: Path
    inner: tuple[str, ...] = ()
    names: frozenset[str] | None = None
    commit: str | None = None
    built: bool = False


def install(
    shelf: Shelf, installation: Installation, tell: Tell, *, unless: str | None = None
) -> str | None:
    """Install a client, and return the name of its release, which is active.

    `tell` gets progress. With `unless`, a commit, nothing is done if the source still has that
    one, and None is returned. Raises `ReleaseProblem` and `OSError`.
    """
    source = installation.source
    with shelf.installing(tell) as scratch, workshop(shelf.folder) as bench:
        client = _obtain(installation, bench, _unprivileged(scratch), tell, unless)
        if client is None:
            return None
        bounds = Bounds(f"The client of {source.text}")
        tell("Checking the client")
        with (
            opened(client.top, *client.inner, make=False) as made,
            opened(shelf.folder, scratch.name, _NEW) as new,
        ):
            lay_down(made, new, client.names, bounds)
        check(scratch / _NEW, installation.overrides, tell)
        origin = Origin(
            source=source.text,
            ref=source.ref,
            commit=client.commit,
            builder=installation.builder.value if client.built else None,
            time=datetime.now(UTC),
            bytes=bounds.bytes,
        )
        return shelf.add(scratch, _NEW, _label(source, client.commit), origin)


def _obtain(
    installation: Installation,
    bench: Path,
    account: Account | None,
    tell: Tell,
    unless: str | None,
) -> _Client | None:
    """Return the client, built by `account` in the folder `bench` if it is source."""
    source = installation.source
    match source.kind:
        case Kind.BUILT:
            return _Client(top=Path(source.text))
        case Kind.ARCHIVE:
            tell(f"Unpacking {source.text}")
            tree = bench / "unpacked"
            tree.mkdir()
            unpack(Path(source.text), tree)
            return _Client(top=tree, inner=_single_folder(tree))
        case Kind.TREE:
            tell(f"Copying {source.text}, with edits that are not committed")
            tree = bench / "tree"
            copy_tree(Path(source.text), tree)
            commit = git.commit_of(Path(source.text))
        case Kind.GIT:
            tell(f"Fetching {source.ref or 'the newest commit'} of {source.text}")
            tree, commit = git.fetch(source, bench, tell)
            if commit == unless:
                return None
    (bench / "home").mkdir()
    if account is not None:
        hand_over(bench, account)
    inner, names = build(tree, bench, installation.builder, account, tell)
    return _Client(top=bench, inner=(tree.name, *inner), names=names, commit=commit, built=True)


def _single_folder(tree: Path) -> tuple[str, ...]:
    """Return the folder that an archive's files are all in, as many archives have one."""
    names = [name for name in os.listdir(tree) if not name.startswith(".")]
    if INDEX not in names and len(names) == 1 and (tree / names[0]).is_dir():
        return (names[0],)
    return ()


def _unprivileged(scratch: Path) -> Account | None:
    """Return who builds when root installs: the owner of the state, unless that is root as well."""
    owner = scratch.stat()
    if os.geteuid() != 0 or owner.st_uid == 0:
        return None
    return Account(user=owner.st_uid, group=owner.st_gid)


def _label(source: Source, commit: str | None) -> str:
    if source.ref is not None and source.ref != commit:
        return source.ref
    if source.kind is Kind.GIT and commit is not None:
        return commit[:_COMMIT_SHOWN]
    return source.label
