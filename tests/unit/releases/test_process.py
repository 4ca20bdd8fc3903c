"""Programs that an installation runs: their output, their end, and what they leave behind."""

import os
import signal
import sys
import time
from pathlib import Path

import pytest

from exoproxy.ops.stopping import Stopped, stoppable
from exoproxy.releases.problem import ReleaseProblem
from exoproxy.releases.process import Account, ProgramFailed, run
from root import require_root


def python(script: str, folder: Path) -> list[str]:
    """Run a script, and return the lines that were told."""
    told: list[str] = []
    run(
        [sys.executable, "-c", script],
        folder=folder,
        environment={"PATH": os.environ["PATH"]},
        seconds=20,
        tell=told.append,
    )
    return told


def is_alive(process: int) -> bool:
    """Tell whether a process runs; one that only waits for its parent does not."""
    try:
        state = Path(f"/proc/{process}/stat").read_text("ascii").rpartition(")")[2].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return False
    return state != "Z"


def gone(process: int) -> bool:
    deadline = time.monotonic() + 5
    while is_alive(process) and time.monotonic() < deadline:
        time.sleep(0.01)
    return not is_alive(process)


def test_tells_lines(tmp_path: Path) -> None:
    """Output and errors come line by line, the last one without its end too."""
    script = "import sys; print('one', flush=True); sys.stderr.write('two\\rthree\\n\\nend')"

    assert python(script, tmp_path) == ["one", "two", "three", "end"]


def test_control_characters_do_not_reach_the_terminal(tmp_path: Path) -> None:
    """Escape sequences lose what makes them work, broken UTF-8 and endless lines do no harm."""
    output = rb"b'\x1b]0;owned\x07\x9b2J\xff ok\n' + b'x' * 10**6".decode()
    script = f"import sys; sys.stdout.buffer.write({output})"
    first, second = python(script, tmp_path)

    assert first.isprintable()
    assert first.endswith("ok")
    assert len(second) <= 400


def test_a_failure_has_the_last_lines(tmp_path: Path) -> None:
    """The code and the last twenty lines are kept for the sentence."""
    with pytest.raises(ProgramFailed, match="ended with code 3") as failed:
        python("for n in range(30): print(n)\nraise SystemExit(3)", tmp_path)

    assert failed.value.lines == tuple(str(n) for n in range(10, 30))


def test_a_signal_is_named(tmp_path: Path) -> None:
    """Whoever runs out of memory is told of signal 9."""
    with pytest.raises(ProgramFailed, match="was ended by signal 9"):
        python("import os; os.kill(os.getpid(), 9)", tmp_path)


def test_time_is_bounded(tmp_path: Path) -> None:
    """A program that hangs, and goes on writing, is ended with all that it started."""
    script = (
        "import os, signal, subprocess, sys, time\n"
        "child = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(60)'])\n"
        "print(child.pid, flush=True)\n"
        "while True: print('x', flush=True); time.sleep(0.01)"
    )
    told: list[str] = []
    with pytest.raises(ProgramFailed, match="was not done after 1 seconds"):
        run(
            [sys.executable, "-c", script],
            folder=tmp_path,
            environment={},
            seconds=1,
            tell=told.append,
        )

    assert gone(int(told[0]))


def test_nothing_is_left_of_a_good_end(tmp_path: Path) -> None:
    """What a program leaves in the background is ended, though it holds the output open."""
    script = (
        "import subprocess, sys\n"
        "print(subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(60)']).pid)"
    )
    before = time.monotonic()
    [child] = python(script, tmp_path)

    assert gone(int(child))
    assert time.monotonic() - before < 10


@pytest.mark.parametrize("own_session", [False, True])
def test_what_chatters_in_the_background_keeps_nobody(tmp_path: Path, own_session: bool) -> None:
    """A program that ended well has ended, though what it left writes on and on."""
    script = (
        "import subprocess, sys\n"
        f"print(subprocess.Popen(['yes'], start_new_session={own_session}).pid, file=sys.stderr)"
    )
    told: list[str] = []
    before = time.monotonic()
    run(
        [sys.executable, "-c", script],
        folder=tmp_path,
        environment={"PATH": os.environ["PATH"]},
        seconds=20,
        tell=lambda line: told.append(line) if line != "y" else None,
    )

    # Its output is closed, so that it ends by itself in either case.
    assert gone(int(told[0].strip("y")))
    assert time.monotonic() - before < 15


def test_a_signal_to_us_ends_it(tmp_path: Path) -> None:
    """SIGTERM to the installation is passed on."""
    told: list[int] = []

    def tell(line: str) -> None:
        told.append(int(line))
        os.kill(os.getpid(), signal.SIGTERM)

    def work() -> None:
        run(
            [
                sys.executable,
                "-c",
                "import os, time; print(os.getpid(), flush=True); time.sleep(60)",
            ],
            folder=tmp_path,
            environment={},
            seconds=30,
            tell=tell,
        )

    with pytest.raises(Stopped), stoppable():
        work()

    assert gone(told[0])


def test_no_such_program(tmp_path: Path) -> None:
    """The sentence says what to install."""
    with pytest.raises(ReleaseProblem, match=r"npm can't be run .*--builder docker"):
        run(
            ["npm"],
            folder=tmp_path,
            environment={"PATH": "/nowhere"},
            seconds=1,
            tell=lambda _: None,
        )


def test_another_user() -> None:
    """Root runs a program as somebody else, without root's groups."""
    require_root()
    told: list[str] = []
    groups = os.getgroups()
    os.setgroups([0])
    try:
        run(
            ["sh", "-c", "id -u; id -g; id -G"],
            folder=Path("/"),
            environment={"PATH": os.environ["PATH"]},
            seconds=10,
            tell=told.append,
            account=Account(user=65534, group=65533),
        )
    finally:
        os.setgroups(groups)

    assert told[:2] == ["65534", "65533"]
    assert "0" not in told[2].split()
