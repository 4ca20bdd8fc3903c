"""What a front's time goes to: py-spy for those in Python, perf for the others, where they are."""

import subprocess
from contextlib import suppress
from pathlib import Path
from typing import Final

from bench.front import Front
from bench.load.turn import Load, Wrong
from bench.processes import program, tree
from bench.stage import Stage

_SECONDS: Final = 5


def profile(name: str, load: Load, front: Front, stage: Stage, folder: Path) -> list[Path]:
    """Load the front for some seconds that count for nothing; return the files written.

    Of each of its processes one: SCENARIO-FRONT-PID.svg, or .perf for `perf report -i`. None where
    the profiler is missing.
    """
    profiler = program("py-spy" if front.python else "perf")
    if profiler is None:
        return []
    folder.mkdir(parents=True, exist_ok=True)
    stem = "".join(c if c.isalnum() else "-" for c in f"{name}-{front.name}")
    written, running = [], []
    for pid in tree(front.roots):
        file = folder / f"{stem}-{pid}.{'svg' if front.python else 'perf'}"
        command = [profiler, "record", "-p", str(pid), "-o", str(file)]
        if front.python:
            command += ["--native", "-d", str(_SECONDS)]
        else:
            command += ["-g", "--", "sleep", str(_SECONDS)]
        written.append(file)
        running.append(
            subprocess.Popen(  # noqa: S603 - fixed words and our own paths
                command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
            )
        )
    # A profiler stops its process now and then; what counts has been judged before.
    with suppress(Wrong):
        load.run(front, stage, _SECONDS)
    for process in running:
        process.wait(_SECONDS + 30)
    return [file for file in written if file.exists()]
