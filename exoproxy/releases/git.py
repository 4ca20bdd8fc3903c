"""One commit of a git repository, fetched into a folder without history.

git is told to ask nobody, to speak https, ssh and local files alone, to run no hooks and to leave
submodules where they are. What is fetched is not trusted: its files are read as any source's.
"""

import os
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from exoproxy.releases.problem import ReleaseProblem
from exoproxy.releases.process import ProgramFailed, Tell, run
from exoproxy.releases.source import Source

_FETCH_SECONDS: Final = 900.0
_LOCAL_SECONDS: Final = 120.0
_COMMIT: Final = re.compile(r"[0-9a-f]{40}(?:[0-9a-f]{24})?")
# What a server can't be asked for by name, because it is a part of one.
_SHORT_COMMIT: Final = re.compile(r"[0-9a-f]{4,63}")
_SETTINGS: Final = (
    "core.hooksPath=/dev/null",
    "core.fsmonitor=false",
    "submodule.recurse=false",
    "fetch.recurseSubmodules=false",
    "advice.detachedHead=false",
    "gc.auto=0",
)
# Names of other repositories and places, which are for the one that the command was called in.
_FOREIGN: Final = ("GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE", "GIT_OBJECT_DIRECTORY")


def fetch(source: Source, bench: Path, tell: Tell) -> tuple[Path, str]:
    """Put the files of a source's commit into a new folder in `bench`.

    Returns that folder and the commit's name in hexadecimal. Raises `ReleaseProblem`.
    """
    tree = bench / "tree"
    store = bench / "git"
    tree.mkdir()
    inside = (f"--git-dir={store}", f"--work-tree={tree}")
    try:
        _git(["init", "--quiet", "--template=", "--bare", str(store)], bench, tell)
        wanted = _fetch(source, inside, bench, tell)
        [*_, commit] = _git(
            [
                *inside,
                "rev-parse",
                "--verify",
                "--quiet",
                "--end-of-options",
                f"{wanted}^{{commit}}",
            ],
            bench,
            tell=_silent,
        ) or [""]
        if not _COMMIT.fullmatch(commit):
            raise ProgramFailed("named no commit", ())
        _git([*inside, "checkout", "--quiet", "--force", "--detach", commit], bench, tell)
    except ProgramFailed as failed:
        raise ReleaseProblem(_sentence(source, failed)) from failed
    return tree, commit


def commit_of(checkout: Path) -> str | None:
    """Return the commit that a working tree was checked out from; None if git doesn't tell."""
    try:
        lines = _git(
            ["-C", str(checkout), "rev-parse", "--verify", "--quiet", "HEAD"],
            checkout,
            tell=_silent,
            seconds=_LOCAL_SECONDS,
        )
    except (ProgramFailed, ReleaseProblem):
        return None
    return lines[-1] if lines and _COMMIT.fullmatch(lines[-1]) else None


def _fetch(source: Source, inside: Sequence[str], bench: Path, tell: Tell) -> str:
    """Fetch what is asked for, and return git's name for it here."""
    common = [*inside, "fetch", "--no-tags", "--no-recurse-submodules", "--force"]
    ref = source.ref or "HEAD"
    try:
        _git([*common, "--depth=1", "--", source.text, ref], bench, tell)
    except ProgramFailed:
        if source.ref is None or not _SHORT_COMMIT.fullmatch(ref):
            raise
    else:
        return "FETCH_HEAD"
    everything = ("+refs/heads/*:refs/remotes/origin/*", "+refs/tags/*:refs/tags/*")
    _git([*common, "--", source.text, *everything], bench, tell)
    return ref


def _git(
    arguments: Sequence[str], folder: Path, tell: Tell, seconds: float = _FETCH_SECONDS
) -> list[str]:
    settings = [word for setting in _SETTINGS for word in ("-c", setting)]
    return run(
        ["git", *settings, *arguments],
        folder=folder,
        environment=_environment(),
        seconds=seconds,
        tell=tell,
    )


def _environment() -> dict[str, str]:
    """Return this process's environment, with nothing that would ask or lead git elsewhere.

    It is kept for what the user has set up: proxies, ssh's agent, the place of the configuration.
    """
    kept = {name: value for name, value in os.environ.items() if name not in _FOREIGN}
    return {
        "GIT_SSH_COMMAND": "ssh -o BatchMode=yes",
        **kept,
        "GIT_ALLOW_PROTOCOL": "https:ssh:file",
        "GIT_TERMINAL_PROMPT": "0",
        "GIT_ASKPASS": "false",
        "SSH_ASKPASS_REQUIRE": "never",
        "LC_ALL": "C.UTF-8",
    }


def _sentence(source: Source, failed: ProgramFailed) -> str:
    # Of git's lines, those that say what is wrong; the rest is progress.
    said = [line for line in failed.lines if line.startswith(("fatal:", "error:", "remote: "))]
    words = "; ".join(said[-3:] or failed.lines[-1:]) or "and said nothing"
    what = f"{source.ref!a} of {source.text}" if source.ref else source.text
    return (
        f"git could not fetch {what}, it {failed.reason}: {words}. See that the repository and "
        "the ref exist and that this user may read them without being asked for a password."
    )


def _silent(_: str) -> None:
    pass
