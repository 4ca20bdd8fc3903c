"""What every test may ask for: programs that must be here, free ports, the command itself."""

import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pytest

import exoproxy
from booted import boot_denied
from certbot import certbot
from name_servers import port_53_denied

# Program -> the Debian package that brings it, for the sentence of a skip.
PACKAGES = {
    "certutil": "libnss3-tools",
    "chromedriver": "chromium-driver",
    "chromium": "chromium",
    "fail2ban-regex": "fail2ban",
    "faketime": "faketime",
    "git": "git",
    "goaccess": "goaccess",
    "jq": "jq",
    "knotd": "knot",
    "nginx": "nginx-light",
    "node": "nodejs",
    "npm": "npm",
    "pebble": "pebble",
    "promtool": "prometheus",
    "systemd-analyze": "systemd",
    "unbound": "unbound",
    "wrk": "wrk",
}
NO_PROGRAMS = ("certbot", "port 53", "booted systemd")
# The code under test is what the subprocesses run, wherever it was installed from.
SOURCE = Path(exoproxy.__file__).parent.parent

Start = Callable[..., tuple[subprocess.Popen[bytes], Path]]

COMMAND_SECONDS = 30
GRACE_SECONDS = 10


def pytest_configure(config: pytest.Config) -> None:
    # A plain user's PATH on Debian leaves out the folders where daemons are.
    os.environ["PATH"] = os.pathsep.join([os.environ.get("PATH", os.defpath), "/usr/sbin", "/sbin"])
    config.addinivalue_line("markers", "alone: measures time, and so runs beside no other test")
    config.addinivalue_line(
        "markers",
        "needs(*things): skip with the reason, or fail where CI is set, unless all are here: "
        "programs, 'certbot' (with its plugin), 'port 53', 'booted systemd'",
    )


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Hold `@pytest.mark.needs("nginx", …)`."""
    needed = [thing for mark in item.iter_markers("needs") for thing in mark.args]
    reasons = [reason for reason in _lacks(needed) if reason]
    if not reasons:
        return
    if os.environ.get("CI"):
        pytest.fail("; ".join(reasons), pytrace=False)
    pytest.skip("; ".join(reasons))


def _lacks(needed: list[str]) -> Iterator[str | None]:
    """Say of what is needed and not here how it comes here."""
    if "certbot" in needed and certbot() is None:
        yield "needs certbot with certbot-dns-cloudflare; bash tests/run installs them"
    if "port 53" in needed:
        yield port_53_denied()
    if "booted systemd" in needed:
        yield boot_denied()
    programs = [thing for thing in needed if thing not in NO_PROGRAMS]
    missing = [program for program in programs if shutil.which(program) is None]
    if missing:
        packages = " ".join(PACKAGES.get(program, program) for program in missing)
        yield f"needs {', '.join(missing)}; as root: apt-get install {packages}"


@pytest.fixture
def run_exoproxy(tmp_path: Path) -> Callable[..., subprocess.CompletedProcess[str]]:
    """`run_exoproxy("version")`: the real command to its end, within half a minute.

    Keyword `env` adds to the environment. Output is text; the exit code is the caller's to judge.
    """

    def run(*arguments: str, env: dict[str, str] | None = None) -> subprocess.CompletedProcess[str]:
        return subprocess.run(  # noqa: S603 - the project's own command
            _command(arguments),
            cwd=tmp_path,
            env=_environment(env),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=COMMAND_SECONDS,
            check=False,
        )

    return run


@pytest.fixture
def start_exoproxy(tmp_path: Path) -> Iterator[Start]:
    """`process, output = start_exoproxy("demo", says="Stop with")`: a serving command.

    Returns once the output, errors included, holds `says`; fails with the output when the command
    ends or half a minute passes before. `sockets` are passed to it as by systemd; their
    descriptors are none of the first ones. The output is a file, so that nobody has to read a pipe.
    At the end of the test the process gets SIGTERM, and SIGKILL should it not go.
    """
    with _starting(tmp_path) as start:
        yield start


@pytest.fixture(scope="session")
def start_exoproxy_once(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Start]:
    """Do as `start_exoproxy`, for commands that serve until the last test is over."""
    with _starting(tmp_path_factory.mktemp("exoproxy")) as start:
        yield start


def _passing(sockets: Sequence[socket.socket]) -> list[str]:
    """Return the beginning of a command that gets sockets as systemd passes them."""
    if not sockets:
        return []
    moves = " ".join(f"{3 + at}<&{sock.fileno()}" for at, sock in enumerate(sockets))
    script = f'exec {moves}; export LISTEN_FDS={len(sockets)} LISTEN_PID=$$; exec "$@"'
    return ["bash", "-c", script, "bash"]


@contextmanager
def _starting(folder: Path) -> Iterator[Start]:
    started: list[subprocess.Popen[bytes]] = []

    def start(
        *arguments: str,
        says: str,
        env: dict[str, str] | None = None,
        sockets: Sequence[socket.socket] = (),
    ) -> tuple[subprocess.Popen[bytes], Path]:
        output = folder / f"exoproxy-{len(started)}.log"
        with output.open("ab") as sink:
            process = subprocess.Popen(  # noqa: S603 - the project's own command
                [*_passing(sockets), *_command(arguments)],
                cwd=folder,
                env=_environment(env),
                pass_fds=[sock.fileno() for sock in sockets],
                stdin=subprocess.DEVNULL,
                stdout=sink,
                stderr=subprocess.STDOUT,
            )
        started.append(process)
        deadline = time.monotonic() + COMMAND_SECONDS
        while says not in (said := output.read_text(encoding="utf-8")):
            if process.poll() is not None:
                pytest.fail(f"exoproxy ended with {process.returncode}:\n{said}", pytrace=False)
            if time.monotonic() > deadline:
                pytest.fail(f"exoproxy did not say {says!r} in time:\n{said}", pytrace=False)
            time.sleep(0.05)
        return process, output

    try:
        yield start
    finally:
        for process in started:
            process.terminate()
        for process in started:
            try:
                process.wait(GRACE_SECONDS)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def _command(arguments: tuple[str, ...]) -> list[str]:
    return [sys.executable, "-m", "exoproxy", *arguments]


def _environment(additions: dict[str, str] | None) -> dict[str, str]:
    return {
        **os.environ,
        "PYTHONPATH": str(SOURCE),
        "PYTHONUNBUFFERED": "1",
        **(additions or {}),
    }
