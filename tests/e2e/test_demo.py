"""`exoproxy demo` as a process: what it prints is true, and it ends when it is told to."""

import re
import signal
import ssl
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

Start = Callable[..., tuple[subprocess.Popen[bytes], Path]]


@pytest.fixture
def start(start_exoproxy: Start, tmp_path: Path) -> Start:
    def start(*arguments: str) -> tuple[subprocess.Popen[bytes], Path]:
        env = {"XDG_CACHE_HOME": str(tmp_path / "cache")}
        return start_exoproxy("demo", *arguments, says="Stop with", env=env)

    return start


@pytest.mark.needs("curl")
def test_curl_commands_of_the_guide_do_what_they_say(start: Start) -> None:
    """Page, API and instance answer 200, what isn't allowed 403, the clock until one has enough."""
    _, output = start()
    guide = output.read_text("utf-8")
    lines = re.findall(r"^    (ca=.*|curl .*)$", guide, re.MULTILINE)
    script = "\n".join(
        line.replace("curl ", "curl -sS --max-time 2 -o /dev/null -w '%{http_code}\\n' ")
        for line in lines
    )
    shell = subprocess.run(  # noqa: S603 - the guide's own commands
        ["bash", "-c", script],  # noqa: S607 - from PATH
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )

    assert shell.stdout.split() == ["200", "200", "403", "200", "200"], shell.stderr


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_demo_ends_with_0_when_interrupted(start: Start, number: signal.Signals) -> None:
    """Ctrl-C and SIGTERM end it at once and cleanly."""
    process, output = start()
    process.send_signal(number)

    assert process.wait(10) == 0
    assert "Traceback" not in output.read_text("utf-8")


def test_ca_stays_from_run_to_run(start: Start, tmp_path: Path) -> None:
    """A CA that was trusted once is the next run's too; everything else is cleared away."""
    found = []
    for _ in range(2):
        process, output = start()
        (configuration,) = re.findall(r"configuration: (\S+)", output.read_text("utf-8"))
        (ca_file,) = (tmp_path / "cache").rglob("ca.pem")
        found.append(ssl.PEM_cert_to_DER_cert(ca_file.read_text("ascii")))
        process.terminate()
        process.wait(10)
        assert not Path(configuration).parent.exists()

    assert found[0] == found[1]


def test_two_demos_run_side_by_side(start: Start) -> None:
    """The second takes other ports than the first, and says where it is."""
    pages = set()
    for _ in range(2):
        _, output = start()
        pages.add(re.findall(r"^    (https://exosphere\S+)$", output.read_text("utf-8"), re.M)[0])

    assert len(pages) == 2


def test_port_that_was_asked_for_and_is_taken_is_an_error(
    start: Start, run_exoproxy: Callable[..., subprocess.CompletedProcess[str]], tmp_path: Path
) -> None:
    """Who names a port gets that one, or a sentence and exit code 1."""
    _, output = start()
    (port,) = re.findall(r"^    https://exosphere.localhost:(\d+)/$", output.read_text(), re.M)
    second = run_exoproxy("demo", "--port", port, env={"XDG_CACHE_HOME": str(tmp_path / "cache")})

    assert second.returncode == 1
    assert f":{port}: " in second.stderr
    assert "Traceback" not in second.stderr
