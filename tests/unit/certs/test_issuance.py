"""The process that gets certificates: how it is started, and that it ends."""

import asyncio
import signal
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest
import uvloop

from exoproxy.certs.issuance import run_to_its_end, start_renewal

# Short enough that nobody waits for it, long enough for a task's turn.
SOON = 0.01


class Child:
    """A process that ends when told to, or not even then."""

    def __init__(self, *, ends: bool = False, heeds: tuple[str, ...] = ("kill",)) -> None:
        self.returncode: int | None = None
        self.signals: list[str] = []
        self._heeds = heeds
        self._ended = asyncio.Event()
        if ends:
            self.end(0)

    def end(self, code: int) -> None:
        self.returncode = code
        self._ended.set()

    async def wait(self) -> int:
        await self._ended.wait()
        assert self.returncode is not None
        return self.returncode

    def terminate(self) -> None:
        self._signal("terminate", -signal.SIGTERM)

    def kill(self) -> None:
        self._signal("kill", -signal.SIGKILL)

    def _signal(self, name: str, code: int) -> None:
        self.signals.append(name)
        if name in self._heeds:
            self.end(code)

    async def start(self) -> "Child":
        return self


async def test_its_exit_code_comes_back() -> None:
    """A process that ends by itself is left alone."""
    child = Child(ends=True)

    assert await run_to_its_end(child.start, limit=9) == 0
    assert child.signals == []


async def test_a_start_that_fails_is_told(caplog: pytest.LogCaptureFixture) -> None:
    """Without memory for another process nothing else suffers."""

    async def start() -> Child:
        raise OSError(12, "Cannot allocate memory")

    assert await run_to_its_end(start, limit=9) is None
    assert "can't be started: [Errno 12] Cannot allocate memory" in caplog.text


async def test_a_process_without_an_end_is_asked_to_end(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """SIGTERM comes at the limit, so that DNS records are removed; it is enough for most."""
    child = Child(heeds=("terminate", "kill"))

    assert await run_to_its_end(child.start, limit=SOON) == -signal.SIGTERM
    assert child.signals == ["terminate"]
    assert "it took over" in caplog.text


async def test_a_process_that_does_not_heed_is_killed(caplog: pytest.LogCaptureFixture) -> None:
    """SIGKILL comes after the time for clean-up."""
    child = Child()

    assert await run_to_its_end(child.start, limit=SOON, grace=SOON) == -signal.SIGKILL
    assert child.signals == ["terminate", "kill"]
    assert "did not end within" in caplog.text


async def test_a_service_that_ends_waits_for_the_clean_up() -> None:
    """Cancelled, it tells the process to end, and returns when it has."""
    child = Child(heeds=())
    task = asyncio.get_running_loop().create_task(run_to_its_end(child.start, limit=9))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    task.cancel()
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert child.signals == ["terminate"]
    assert not task.done()
    child.end(0)
    with pytest.raises(asyncio.CancelledError):
        await task

    assert child.signals == ["terminate"]


async def test_a_service_that_must_end_at_once_does() -> None:
    """Cancelled twice, it leaves the process to the SIGTERM that it got."""
    child = Child(heeds=())
    task = asyncio.get_running_loop().create_task(run_to_its_end(child.start, limit=9))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    task.cancel()
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task

    assert child.signals == ["terminate"]
    assert child.returncode is None


@pytest.mark.parametrize(
    "loop", [uvloop.new_event_loop, asyncio.new_event_loop], ids=["uvloop", "asyncio"]
)
def test_the_command(
    loop: Callable[[], asyncio.AbstractEventLoop], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """It is this Python's own exoproxy, with nothing to read."""
    report, python = tmp_path / "report", tmp_path / "python"
    python.write_text(
        f"#!{sys.executable}\n"
        "import sys\n"
        f"with open({str(report)!r}, 'w') as file:\n"
        "    print(*sys.argv[1:], repr(sys.stdin.read()), end='', file=file)\n"
    )
    python.chmod(0o700)
    monkeypatch.setattr(sys, "executable", str(python))
    start = partial(start_renewal, "my.example.org", Path("/etc/exoproxy/exoproxy.yaml"))
    with asyncio.Runner(loop_factory=loop) as runner:
        code = runner.run(run_to_its_end(start, limit=30))

    assert code == 0
    assert report.read_text() == (
        "-P -m exoproxy cert renew --if-due my.example.org --config /etc/exoproxy/exoproxy.yaml ''"
    )


async def test_nothing_is_run_from_the_folder_of_the_moment(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """A module that somebody put where an operator started the service is not imported."""
    report = tmp_path / "report"
    (tmp_path / "exoproxy.py").write_text(f"open({str(report)!r}, 'w')\n")
    monkeypatch.chdir(tmp_path)
    start = partial(start_renewal, "my.example.org", tmp_path / "none.yaml")

    assert await run_to_its_end(start, limit=30) == 2
    assert not report.exists()
