"""Folders held open: whole files, no links followed, owners that can read."""

import errno
import os
import stat
from pathlib import Path

import pytest

from exoproxy.certs.folder import explained, opened
from exoproxy.certs.problem import IssuanceProblem
from root import require_root

SOMEBODY = 4242


def test_missing_folders_are_made(tmp_path: Path) -> None:
    """All that is missing is made for the owner alone; what is there keeps its mode."""
    tmp_path.chmod(0o755)
    with opened(tmp_path / "a" / "b", "c", "d") as folder:
        folder.write("file", b"x", mode=0o640)

    assert (tmp_path / "a/b/c/d/file").read_bytes() == b"x"
    modes = [stat.S_IMODE((tmp_path / path).stat().st_mode) for path in (".", "a", "a/b/c/d")]
    assert modes == [0o755, 0o700, 0o700]


def test_nothing_is_made_for_reading(tmp_path: Path) -> None:
    """Who only reads leaves no folder behind."""
    for below in ([], ["b"]):
        with pytest.raises(FileNotFoundError), opened(tmp_path / "a", *below, make=False):
            pass

    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize("below", [["link"], ["link", "c"]])
def test_links_below_the_top_are_not_followed(tmp_path: Path, below: list[str]) -> None:
    """A link to a folder leads nowhere, while the top may be reached through one."""
    (tmp_path / "store").mkdir()
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "store" / "link").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(NotADirectoryError), opened(tmp_path / "store", *below):
        pass
    with opened(tmp_path / "store" / "link") as folder:
        folder.write("file", b"x", mode=0o600)

    assert os.listdir(tmp_path / "elsewhere") == ["file"]


def test_folder_stays_the_same_when_its_name_moves(tmp_path: Path) -> None:
    """A link put in the place of an open folder leads nothing elsewhere."""
    (tmp_path / "elsewhere").mkdir()
    with opened(tmp_path, "inner") as folder:
        (tmp_path / "inner").rename(tmp_path / "moved")
        (tmp_path / "inner").symlink_to("elsewhere")
        folder.write("file", b"x", mode=0o600)
        folder.link("link", "file")

    assert os.listdir(tmp_path / "elsewhere") == []
    assert sorted(os.listdir(tmp_path / "moved")) == ["file", "link"]


@pytest.mark.parametrize("step", ["fsync", "replace", "fchmod"])
def test_failure_leaves_what_was_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    """Whichever step fails, the old file stays and nothing is left beside it."""
    (tmp_path / "file").write_bytes(b"old")

    def fail(*_: object, **__: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    with opened(tmp_path) as folder:
        monkeypatch.setattr(os, step, fail)
        with pytest.raises(OSError, match="No space left"):
            folder.write("file", b"new", mode=0o600)
        monkeypatch.undo()

    assert (tmp_path / "file").read_bytes() == b"old"
    assert os.listdir(tmp_path) == ["file"]


def test_link_is_replaced_in_one_step(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A link is replaced, and stays as it was when that fails."""
    with opened(tmp_path) as folder:
        folder.link("link", "1")
        folder.link("link", "2")

        assert os.readlink(tmp_path / "link") == "2"

        def fail(*_: object, **__: object) -> None:
            raise OSError(errno.EIO, "Input/output error")

        monkeypatch.setattr(os, "replace", fail)
        with pytest.raises(OSError, match="Input"):
            folder.link("link", "3")

    assert os.readlink(tmp_path / "link") == "2"
    assert os.listdir(tmp_path) == ["link"]


def test_reading_is_bounded(tmp_path: Path) -> None:
    """A file is read up to its limit, and refused beyond."""
    (tmp_path / "file").write_bytes(b"12345")
    with opened(tmp_path) as folder:
        assert folder.read("file", limit=5) == b"12345"
        with pytest.raises(OSError, match="larger than 4 bytes"):
            folder.read("file", limit=4)


def test_reading_takes_regular_files_alone(tmp_path: Path) -> None:
    """A link, a FIFO and a folder are refused at once, and no descriptor is lost over them."""
    (tmp_path / "link").symlink_to("/etc/hostname")
    os.mkfifo(tmp_path / "fifo")
    (tmp_path / "folder").mkdir()
    with opened(tmp_path) as folder:
        before = os.listdir("/proc/self/fd")
        for name in ("link", "fifo", "folder"):
            with pytest.raises(OSError, match=r"symbolic|regular"):
                folder.read(name, limit=9)

        assert os.listdir("/proc/self/fd") == before


def test_sweep_takes_what_was_left_half_written(tmp_path: Path) -> None:
    """Temporary files of killed processes go; all others stay, hidden ones too."""
    stay = {"cert1.pem", ".certbot.lock", ".hidden", ".file.0123456789abcde"}
    for name in [*stay, ".cert1.pem.0123456789abcdef"]:
        (tmp_path / name).touch()
    with opened(tmp_path) as folder:
        folder.sweep()

    assert set(os.listdir(tmp_path)) == stay


def test_trial_leaves_nothing(tmp_path: Path) -> None:
    """Trying out a folder leaves it as it was."""
    with opened(tmp_path) as folder:
        folder.try_out()

    assert os.listdir(tmp_path) == []


def test_what_root_makes_belongs_to_the_folders_owner(tmp_path: Path) -> None:
    """Folders and files that root makes can be read by the owner of where they are."""
    require_root()
    os.chown(tmp_path, SOMEBODY, SOMEBODY)
    with opened(tmp_path / "store", "inner") as folder:
        folder.write("file", b"x", mode=0o600)

    owners = [
        (path.stat().st_uid, path.stat().st_gid)
        for path in (tmp_path / "store", tmp_path / "store/inner", tmp_path / "store/inner/file")
    ]
    assert owners == [(SOMEBODY, SOMEBODY)] * 3


def test_group_may_read(tmp_path: Path) -> None:
    """A file is given to the group that it is to be readable by."""
    require_root()
    with opened(tmp_path) as folder:
        folder.write("file", b"x", mode=0o640, group=SOMEBODY)

    status = (tmp_path / "file").stat()
    assert (status.st_gid, stat.S_IMODE(status.st_mode)) == (SOMEBODY, 0o640)


def test_group_that_cant_be_given_may_not_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Rather than another group, nobody may read; the log says so."""

    def fchown(*_: int) -> None:
        raise PermissionError(errno.EPERM, "Operation not permitted")

    monkeypatch.setattr(os, "fchown", fchown)
    with opened(tmp_path) as folder:
        folder.write("file", b"x", mode=0o640, group=os.getegid() + 1)

    assert stat.S_IMODE((tmp_path / "file").stat().st_mode) == 0o600
    assert "stays its owner's alone" in caplog.text


@pytest.mark.parametrize(
    ("number", "sentence"),
    [
        (
            errno.ENOSPC,
            "There is no room left to write in /s (No space left on device): free some space "
            "there, and see that inodes are left (`df -i`).",
        ),
        (
            errno.EDQUOT,
            "There is no room left to write in /s (Disk quota exceeded): free some space there, "
            "and see that inodes are left (`df -i`).",
        ),
        (
            errno.EROFS,
            "The folder /s lies on a file system that is mounted read-only: mount it for writing, "
            "or let acme.store name another folder.",
        ),
        (
            errno.EACCES,
            "The folder /s may not be written by user root: run this as root or as the user that "
            "owns the folder, or let acme.store name another folder.",
        ),
        (
            errno.ENOTDIR,
            "At /s or in it stands a link, or a file for a folder, where the store needs its own: "
            "look at what it is, and move it away.",
        ),
        (
            errno.EIO,
            "The folder /s can't be used (Input/output error): mend it, or let acme.store name "
            "another one.",
        ),
    ],
)
def test_sentences(number: int, sentence: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each way in which a folder can't be used has its sentence, which says what to do."""
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    with pytest.raises(IssuanceProblem) as problem, explained(Path("/s")):
        raise OSError(number, os.strerror(number))

    assert str(problem.value) == sentence


def test_root_follows_no_link_of_another_user(tmp_path: Path) -> None:
    """Who owns the state can't send what root writes to where they may not write."""
    require_root()
    (tmp_path / "elsewhere").mkdir()
    link = tmp_path / "store"
    link.symlink_to("elsewhere")
    with opened(link, "archive"):
        pass
    os.lchown(link, SOMEBODY, SOMEBODY)

    with pytest.raises(OSError, match="another user"), opened(link, "live"):
        pass
    assert os.listdir(tmp_path / "elsewhere") == ["archive"]
