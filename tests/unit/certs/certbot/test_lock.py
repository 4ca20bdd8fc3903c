"""The lock over a store, among processes."""

import fcntl
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from exoproxy.certs.certbot.lock import locked_tree
from exoproxy.certs.problem import IssuanceProblem
from root import require_root

# Locks as certbot does, says so, and waits for its standard input to end.
HOLDER = """
import fcntl, os, sys
descriptor = os.open(sys.argv[1], os.O_CREAT | os.O_WRONLY, 0o600)
fcntl.lockf(descriptor, fcntl.LOCK_EX)
print("locked", flush=True)
sys.stdin.read()
if "keep" not in sys.argv:
    os.remove(sys.argv[1])
"""
# Exits with 0 if it can have the lock.
RIVAL = """
import fcntl, os, sys
descriptor = os.open(sys.argv[1], os.O_CREAT | os.O_WRONLY, 0o600)
try:
    fcntl.lockf(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
except OSError:
    sys.exit(1)
"""

# As the kernel calls a process that runs it.
PYTHON = Path(sys.executable).name[:15]


@contextmanager
def held_by_another(folder: Path) -> Iterator[subprocess.Popen[bytes]]:
    process = subprocess.Popen(  # noqa: S603 - the code above
        [sys.executable, "-c", HOLDER, str(folder / ".certbot.lock")],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    with process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"locked\n"
        yield process


def is_free(folder: Path) -> bool:
    command = [sys.executable, "-c", RIVAL, str(folder / ".certbot.lock")]
    return subprocess.run(command, check=False).returncode == 0  # noqa: S603 - the code above


def never(sentence: str) -> None:
    raise AssertionError(sentence)


def test_lock_excludes_others(tmp_path: Path) -> None:
    """While it is held no other process gets the lock; afterwards one does, and no file stays."""
    with locked_tree(tmp_path / "store", timeout=0, waiting=never):
        assert not is_free(tmp_path / "store")

    assert os.listdir(tmp_path / "store") == []
    assert is_free(tmp_path / "store")


def test_lock_is_let_go_on_an_error(tmp_path: Path) -> None:
    """An error of the holder frees the lock, and passes."""
    with pytest.raises(OSError, match="broken"), locked_tree(tmp_path, timeout=0, waiting=never):
        raise OSError("broken")

    assert os.listdir(tmp_path) == []


def test_no_second_lock_in_one_process(tmp_path: Path) -> None:
    """A second lock, whose end would silently free the first, is a mistake of the caller's."""
    with locked_tree(tmp_path, timeout=0, waiting=never):
        with (
            pytest.raises(RuntimeError, match="holds the lock"),
            locked_tree(tmp_path / "." / "", timeout=0, waiting=never),
        ):
            pass

        assert not is_free(tmp_path)
    with locked_tree(tmp_path, timeout=0, waiting=never):
        pass


def test_waits_and_says_so_once(tmp_path: Path) -> None:
    """Who waits says for whom, once, and has the lock as soon as it is free."""
    said: list[str] = []
    with held_by_another(tmp_path) as process:

        def waiting(sentence: str) -> None:
            said.append(sentence)
            assert process.stdin is not None
            process.stdin.close()

        with locked_tree(tmp_path, timeout=30, waiting=waiting):
            assert process.wait(10) == 0
            assert not is_free(tmp_path)

    assert said == [f"Waiting for {PYTHON} (process {process.pid}), which has locked {tmp_path}"]


def test_waiting_has_an_end(tmp_path: Path) -> None:
    """After the timeout the sentence names who has the lock, and the lock is still theirs."""
    with held_by_another(tmp_path) as process:
        with (
            pytest.raises(IssuanceProblem) as problem,
            locked_tree(tmp_path, timeout=0, waiting=never),
        ):
            pass

        assert not is_free(tmp_path)
    assert str(problem.value) == (
        f"The store {tmp_path} is still locked by {PYTHON} (process "
        f"{process.pid}) after 0 seconds: let that process finish, or end it if it hangs, and try "
        "again."
    )


def test_unknown_holder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of a holder in another container or on another host nothing is said."""

    def unknown(_: int, __: int, argument: bytes) -> bytes:
        return argument

    with held_by_another(tmp_path):
        monkeypatch.setattr(fcntl, "fcntl", unknown)
        with (
            pytest.raises(IssuanceProblem, match="still locked by another process after"),
            locked_tree(tmp_path, timeout=0, waiting=never),
        ):
            pass


def test_killed_holder_frees_the_lock(tmp_path: Path) -> None:
    """The file that a killed process leaves behind is no lock."""
    with held_by_another(tmp_path) as process:
        process.kill()
    with locked_tree(tmp_path, timeout=0, waiting=never):
        assert not is_free(tmp_path)


def test_removed_file_is_no_lock(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file that its holder removed before we locked it is given up for the one in its place."""
    path = tmp_path / ".certbot.lock"
    lockf = fcntl.lockf
    removed: list[int] = []

    def lock_what_was_removed(descriptor: int, operation: int) -> None:
        if not removed:
            path.unlink()
            removed.append(descriptor)
        lockf(descriptor, operation)

    monkeypatch.setattr(fcntl, "lockf", lock_what_was_removed)
    with locked_tree(tmp_path, timeout=0, waiting=never):
        assert not is_free(tmp_path)


@pytest.mark.parametrize("kind", ["link", "folder"])
def test_no_file_to_lock(tmp_path: Path, kind: str) -> None:
    """A link or a folder in the file's place is refused, and left as it is."""
    target = tmp_path / "elsewhere"
    target.write_bytes(b"x")
    (tmp_path / "store").mkdir()
    lock = tmp_path / "store" / ".certbot.lock"
    lock.symlink_to(target) if kind == "link" else lock.mkdir()
    with (
        pytest.raises(IssuanceProblem, match="store"),
        locked_tree(tmp_path / "store", timeout=0, waiting=never),
    ):
        pass

    assert target.read_bytes() == b"x"
    assert lock.is_symlink() or lock.is_dir()


def test_roots_lock_belongs_to_the_stores_owner(tmp_path: Path) -> None:
    """The lock file of a root that is killed can be opened by the store's owner."""
    require_root()
    os.chown(tmp_path, 4242, 4242)
    with locked_tree(tmp_path, timeout=0, waiting=never):
        assert (tmp_path / ".certbot.lock").stat().st_uid == 4242
