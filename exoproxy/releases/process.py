"""Programs that an installation runs: git, npm, docker.

Each has a time to be done in, no terminal to ask at, and a group of processes of its own, of which
nothing is left when it has ended or is given up. A process that leaves the group by its own will
(setsid(2)) is not found: against that, only a container helps. What a program prints is passed on
line by line, without the control characters that would reach the terminal of whoever looks on.
"""

import os
import select
import signal
import subprocess
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from exoproxy.releases.problem import ReleaseProblem

Tell = Callable[[str], None]

_KEPT_LINES: Final = 20
_LONGEST_LINE: Final = 400
_TICK_SECONDS: Final = 0.1
_GRACE_SECONDS: Final = 3.0
_MISSING: Final = {
    "git": "install it (Debian: apt-get install git), or name a folder or an archive",
    "npm": "install Node.js with npm, or build in a container with --builder docker",
    "docker": "install it, or build with this host's npm (--builder npm)",
}


class ProgramFailed(Exception):
    """A program ended with an error, or not in time; `reason` says which, `lines` are its last."""

    def __init__(self, reason: str, lines: Sequence[str]) -> None:
        self.reason = reason
        self.lines = tuple(lines)
        super().__init__(reason)


@dataclass(frozen=True, slots=True, kw_only=True)
class Account:
    """The user and the group, as numbers, that a program runs as."""

    user: int
    group: int


def run(
    command: Sequence[str],
    *,
    folder: Path,
    environment: Mapping[str, str],
    seconds: float,
    tell: Tell,
    account: Account | None = None,
) -> list[str]:
    """Run a program to its end and return its last lines, errors among them.

    `tell` gets each line as it comes. Without `account` the program runs as this process's user.
    Raises `ReleaseProblem` if there is no such program, and `ProgramFailed`.
    """
    process = _start(command, folder, environment, account)
    lines = _Lines(tell)
    try:
        in_time = _follow(process, lines, time.monotonic() + seconds)
    finally:
        _end(process)
    lines.end()
    if not in_time:
        raise ProgramFailed(f"was not done after {seconds:g} seconds", lines.last)
    if process.returncode < 0:
        raise ProgramFailed(f"was ended by signal {-process.returncode}", lines.last)
    if process.returncode:
        raise ProgramFailed(f"ended with code {process.returncode}", lines.last)
    return list(lines.last)


class _Lines:
    """What a program prints, cut into lines that can be shown."""

    def __init__(self, tell: Tell) -> None:
        self.last: deque[str] = deque(maxlen=_KEPT_LINES)
        self._tell = tell
        self._rest = b""

    def feed(self, chunk: bytes) -> None:
        # Progress bars begin their lines anew instead of ending them.
        *whole, rest = (self._rest + chunk).replace(b"\r", b"\n").split(b"\n")
        for line in whole:
            self._take(line)
        self._rest = rest[:_LONGEST_LINE]

    def end(self) -> None:
        self._take(self._rest)
        self._rest = b""

    def _take(self, line: bytes) -> None:
        text = line[:_LONGEST_LINE].decode("utf-8", "replace").rstrip()
        shown = "".join(each if each.isprintable() else " " for each in text)
        if shown.strip():
            self.last.append(shown)
            self._tell(shown)


def _start(
    command: Sequence[str], folder: Path, environment: Mapping[str, str], account: Account | None
) -> "subprocess.Popen[bytes]":
    try:
        return subprocess.Popen(  # noqa: S603 - a list of arguments, no shell
            command,
            cwd=folder,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            user=account.user if account else None,
            group=account.group if account else None,
            extra_groups=[] if account else None,
        )
    except OSError as error:
        program = command[0]
        advice = _MISSING.get(program, "install it")
        raise ReleaseProblem(f"{program} can't be run ({error.strerror}): {advice}.") from error


def _follow(process: "subprocess.Popen[bytes]", lines: _Lines, deadline: float) -> bool:
    """Read until the program ends, and tell whether that was before the deadline.

    Its end counts, not its output's: what it has left behind may hold the pipe open for ever.
    """
    output = process.stdout
    assert output is not None  # noqa: S101 - it was asked for
    sources = [output.fileno()]
    while not _has_ended(process):
        if time.monotonic() >= deadline:
            return False
        _pass_on(sources, lines, _TICK_SECONDS)
    # What it wrote last may be on the way still; what it has left behind shall add nothing.
    _signal(process, signal.SIGKILL)
    deadline = time.monotonic() + _GRACE_SECONDS
    while _pass_on(sources, lines, 0) and time.monotonic() < deadline:
        pass
    return True


def _pass_on(sources: list[int], lines: _Lines, seconds: float) -> bool:
    """Wait for output and take it; tell whether there was some. A source that ended goes."""
    ready, _, _ = select.select(sources, [], [], seconds)
    for descriptor in ready:
        if chunk := os.read(descriptor, 65_536):
            lines.feed(chunk)
        else:
            sources.remove(descriptor)
    return bool(ready)


def _has_ended(process: "subprocess.Popen[bytes]") -> bool:
    """Tell whether the program has ended, and leave it to be waited for: its number stays taken."""
    return os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None


def _end(process: "subprocess.Popen[bytes]") -> None:
    """End all that is left of the program and of what it started."""
    try:
        if not _has_ended(process):
            _signal(process, signal.SIGTERM)
            deadline = time.monotonic() + _GRACE_SECONDS
            while not _has_ended(process) and time.monotonic() < deadline:
                time.sleep(_TICK_SECONDS)
    finally:
        _signal(process, signal.SIGKILL)
        process.wait()
        if process.stdout is not None:
            process.stdout.close()


def _signal(process: "subprocess.Popen[bytes]", number: int) -> None:
    with suppress(ProcessLookupError):
        os.killpg(process.pid, number)
