"""From a file to `Settings`, or to every mistake in it at once, each with its line.

`load` is for the commands, at start and at reload; `state_dir` tells where a process keeps things.
"""

import os
import stat
from collections.abc import Iterable
from pathlib import Path
from shlex import quote
from typing import Final

from exoproxy.settings.document import Document, Problem, read
from exoproxy.settings.location import dotted
from exoproxy.settings.model import Settings
from exoproxy.settings.part import EMPTY
from exoproxy.settings.problems import find

_LARGEST: Final = 1024 * 1024


class ConfigurationErrors(Exception):
    """The file can't be used; `lines` say why, `FILE:LINE: KEY: what is wrong`, in file order."""

    def __init__(self, lines: Iterable[str]) -> None:
        self.lines = tuple(lines)
        super().__init__("\n".join(self.lines))


def load(path: Path) -> Settings:
    """Return the settings that the file holds, or raise `ConfigurationErrors`: all its mistakes."""
    document = read(_text(path))
    settings, problems = _judge(document)
    if settings is None or problems:
        problems.sort(key=lambda problem: (problem.line, dotted(problem.location)))
        raise ConfigurationErrors(_line(path, problem) for problem in problems)
    return _with_client_root(settings)


def state_dir(settings: Settings) -> Path:
    """Return the folder for what must survive a restart; systemd's StateDirectory= wins.

    systemd names several folders with colons between; the first is ours.
    """
    given = os.environ.get("STATE_DIRECTORY", "").partition(":")[0]
    return Path(given) if given else settings.state_dir


def _with_client_root(settings: Settings) -> Settings:
    """Let a main.client.root that is not written lie in the state folder, wherever that is."""
    main = settings.main
    if main is None or "root" in main.client.model_fields_set:
        return settings
    root = state_dir(settings) / "client" / "current"
    client = main.client.model_copy(update={"root": root})
    return settings.model_copy(update={"main": main.model_copy(update={"client": client})})


def _line(path: Path, problem: Problem) -> str:
    key = f"{dotted(problem.location)}: " if problem.location else ""
    return f"{path}:{problem.line}: {key}{problem.sentence}"


def _judge(document: Document) -> tuple[Settings | None, list[Problem]]:
    problems = list(document.problems)
    if document.value is EMPTY:
        if not problems:
            sentence = "the file is empty; `exoproxy config example` prints one to begin with"
            problems.append(Problem(line=1, location=(), sentence=sentence))
        return None, problems
    if not isinstance(document.value, dict):
        sentence = (
            "the file should hold keys with values, e.g. `main:`; see `exoproxy config example`"
        )
        return None, [*problems, Problem(line=1, location=(), sentence=sentence)]
    settings, mistakes = find(document.value)
    problems += [
        Problem(
            line=document.line(mistake.location),
            location=mistake.location,
            sentence=mistake.sentence,
        )
        for mistake in mistakes
    ]
    return settings, problems


def _text(path: Path) -> str:
    """Return the file's text; only regular files, because a reload reads them again."""
    try:
        if not stat.S_ISREG(path.stat().st_mode):
            raise ConfigurationErrors([f"{path}: this is no regular file; name a YAML file"])
        with path.open("rb") as file:
            content = file.read(_LARGEST + 1)
    except FileNotFoundError:
        raise ConfigurationErrors(
            [f"{path}: there is no such file; `exoproxy config example` prints one to begin with"]
        ) from None
    except PermissionError:
        # Secrets are in files of their own, and the service runs as a user of its own.
        raise ConfigurationErrors(
            [
                f"{path}: this user may not read the file; it holds no secret, so let everyone: "
                f"`sudo chmod a+r {quote(str(path))}`, and `a+x` for its folders"
            ]
        ) from None
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else str(error)
        raise ConfigurationErrors([f"{path}: the file can't be read: {reason}"]) from None
    if len(content) > _LARGEST:
        raise ConfigurationErrors([f"{path}: the file is larger than 1 MiB; is it the right one?"])
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise ConfigurationErrors(
            [f"{path}:{line}: the file is not UTF-8; save it again in that encoding"]
        ) from None
