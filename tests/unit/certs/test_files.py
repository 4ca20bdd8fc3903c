"""Whole files or none, and the lock."""

import os
import stat
import threading
from pathlib import Path

import pytest

from exoproxy.certs.files import locked, replace_file


def test_file_is_replaced_with_its_mode(tmp_path: Path) -> None:
    """The new content and mode take the old one's place, and nothing else is left."""
    path = tmp_path / "key.pem"
    path.write_bytes(b"old")
    replace_file(path, b"new", mode=0o600)

    assert path.read_bytes() == b"new"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert os.listdir(tmp_path) == ["key.pem"]


def test_mode_does_not_follow_the_umask(tmp_path: Path) -> None:
    """A public file is readable whatever the process's umask is."""
    before = os.umask(0o077)
    try:
        replace_file(tmp_path / "ca.pem", b"", mode=0o644)
    finally:
        os.umask(before)

    assert stat.S_IMODE((tmp_path / "ca.pem").stat().st_mode) == 0o644


def test_failure_leaves_the_old_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """When the disk is full, the old file stays and the temporary one goes."""
    path = tmp_path / "key.pem"
    path.write_bytes(b"old")

    def full(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space left"):
        replace_file(path, b"new", mode=0o600)

    assert path.read_bytes() == b"old"
    assert os.listdir(tmp_path) == ["key.pem"]


def test_link_is_replaced_not_followed(tmp_path: Path) -> None:
    """A link in the file's place does not lead the content elsewhere."""
    (tmp_path / "elsewhere").write_bytes(b"old")
    (tmp_path / "key.pem").symlink_to("elsewhere")
    replace_file(tmp_path / "key.pem", b"new", mode=0o600)

    assert (tmp_path / "elsewhere").read_bytes() == b"old"
    assert not (tmp_path / "key.pem").is_symlink()


def test_lock_is_held_by_one(tmp_path: Path) -> None:
    """A second holder waits until the first has let go."""
    order = []

    def second() -> None:
        with locked(tmp_path):
            order.append("second")

    thread = threading.Thread(target=second)
    with locked(tmp_path):
        thread.start()
        thread.join(timeout=0.05)
        order.append("first")
    thread.join()

    assert order == ["first", "second"]
