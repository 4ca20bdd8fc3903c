"""Starting a successor that comes to nothing, and telling a predecessor."""

import errno
import os
import sys
from pathlib import Path

import pytest

from exoproxy.service.handover import HandoverProblem, Predecessor, start_successor


@pytest.mark.parametrize(
    ("command", "sentence"),
    [
        ("/nonexistent/python", "a successor can't be started"),
        ("/bin/false", "the successor ended with exit code 1; its messages say why"),
    ],
)
async def test_no_successor(command: str, sentence: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The sentence says what became of it, and no descriptor is left."""
    monkeypatch.setattr(sys, "executable", command)
    before = os.listdir("/proc/self/fd")
    with pytest.raises(HandoverProblem, match=sentence):
        await start_successor([], {})

    assert os.listdir("/proc/self/fd") == before


async def test_no_pipe(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where descriptors have run out there is no handover, and that is all."""

    def fail() -> tuple[int, int]:
        raise OSError(errno.EMFILE, "Too many open files")

    monkeypatch.setattr(os, "pipe", fail)
    with pytest.raises(HandoverProblem, match="Too many open files"):
        await start_successor([], {})


async def test_successor_that_hangs(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """It is ended: two processes must not compete for what comes."""
    program = tmp_path / "hangs"
    program.write_text(f"#!/bin/sh\necho $$ >{tmp_path}/pid\nexec sleep 60\n", "ascii")
    program.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(program))
    with pytest.raises(HandoverProblem, match=r"did not serve within 0\.5 s"):
        await start_successor([], {}, patience=0.5)

    pid = int((tmp_path / "pid").read_text("ascii"))
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)


def test_predecessor_is_told_once() -> None:
    """A byte in its pipe; children get neither the pipe nor the variable."""
    reads, writes = os.pipe()
    os.set_inheritable(writes, True)
    variables = {"EXOPROXY_READY": str(writes)}
    predecessor = Predecessor(variables)
    assert not os.get_inheritable(writes)
    predecessor.take_leave()
    predecessor.take_leave()

    assert os.read(reads, 2) == b"1"
    assert os.read(reads, 1) == b""
    assert variables == {}
    os.close(reads)


@pytest.mark.parametrize("variables", [{}, {"EXOPROXY_READY": ""}, {"EXOPROXY_READY": "x"}])
def test_no_predecessor(variables: dict[str, str]) -> None:
    """Who was started by others has nobody to tell."""
    Predecessor(variables).take_leave()

    assert variables == {}
