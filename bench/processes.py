"""The processes of a run: started together, ended together, and watched meanwhile."""

import os
import shutil
import socket
import subprocess
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Final, Self

# Where Debian keeps daemons, and where a plain user's PATH doesn't look.
_PATH: Final = os.pathsep.join([os.environ.get("PATH", os.defpath), "/usr/sbin", "/sbin"])
_START_SECONDS: Final = 15
_END_SECONDS: Final = 15
_SETTLE_SECONDS: Final = 60
# A twentieth of a core for so long is quiet.
_QUIET_SECONDS: Final = 0.6
# CPUCLOCK_SCHED of the kernel's posix-timers.h: what the scheduler counts, in nanoseconds.
_CPU_CLOCK: Final = 2


def program(name: str) -> str | None:
    """Return the path of a program, None when it is not here."""
    return shutil.which(name, path=_PATH)


class Processes:
    """What was started, until the block ends; `folder` gets what they print, as NAME.out."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._running: list[subprocess.Popen[bytes]] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        for process in self._running:
            process.terminate()
        for process in self._running:
            try:
                process.wait(_END_SECONDS)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()

    def start(
        self,
        name: str,
        command: Sequence[str],
        listening: Sequence[tuple[str, int]],
        env: Mapping[str, str] | None = None,
    ) -> int:
        """Start a process, wait until it listens everywhere it should, and return its id.

        `env` adds to the environment. Raises RuntimeError with its last words when it ends or does
        not listen in time.
        """
        out = self._folder / f"{name}.out"
        with out.open("wb") as sink:
            process = subprocess.Popen(  # noqa: S603 - fixed words and our own paths
                command,
                stdin=subprocess.DEVNULL,
                stdout=sink,
                stderr=sink,
                env={**os.environ, **(env or {})},
            )
        self._running.append(process)
        deadline = time.monotonic() + _START_SECONDS
        for address in listening:
            while not _listens(address):
                if process.poll() is not None or time.monotonic() > deadline:
                    said = out.read_text(encoding="utf-8", errors="replace")[-800:].strip()
                    raise RuntimeError(
                        f"{name} does not listen on {address[0]}:{address[1]}: {said}"
                    )
                time.sleep(0.05)
        return process.pid


def _listens(address: tuple[str, int]) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(address) == 0


def tree(roots: Sequence[int]) -> list[int]:
    """Return the processes and all that descend from them, as far as they live."""
    found: list[int] = []
    waiting = list(roots)
    while waiting:
        pid = waiting.pop()
        found.append(pid)
        with suppress(OSError):
            for children in Path(f"/proc/{pid}/task").glob("*/children"):
                waiting += map(int, children.read_text(encoding="ascii").split())
    return found


def settle(roots: Sequence[int]) -> None:
    """Wait until the processes have nothing to do any more, or a minute has passed.

    After a start there is work that belongs to no request, such as files to compress.
    """
    used = cpu_seconds(tree(roots))
    for _ in range(int(_SETTLE_SECONDS / _QUIET_SECONDS)):
        time.sleep(_QUIET_SECONDS)
        before, used = used, cpu_seconds(tree(roots))
        if used - before < _QUIET_SECONDS / 20:
            return


def cpu_seconds(pids: Sequence[int]) -> float:
    """Return the user and system time that the processes have used so far, ended threads included.

    From their CPU clocks, because /proc counts in hundredths of a second. The clock's id is what
    clock_getcpuclockid(3) returns, which Python doesn't have.
    """
    return sum(time.clock_gettime(~pid << 3 | _CPU_CLOCK) for pid in pids)


def memory_bytes(pids: Sequence[int]) -> int:
    """Return what the processes have in memory; shared pages count in part (proc(5), Pss)."""
    total = 0
    for pid in pids:
        for line in Path(f"/proc/{pid}/smaps_rollup").read_text(encoding="ascii").splitlines():
            if line.startswith("Pss:"):
                total += int(line.split()[1]) * 1024
    return total
