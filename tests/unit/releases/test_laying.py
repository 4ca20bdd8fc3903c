"""Files copied to where they are served from."""

import os
import shutil
import socket
from collections.abc import Collection
from pathlib import Path

import pytest

from exoproxy.certs.folder import opened
from exoproxy.releases import bounds
from exoproxy.releases.bounds import Bounds
from exoproxy.releases.laying import lay_down
from exoproxy.releases.problem import ReleaseProblem
from root import require_root


@pytest.fixture(name="source")
def client(tmp_path: Path) -> Path:
    source = tmp_path / "source"
    (source / "assets" / "css").mkdir(parents=True)
    (source / "index.html").write_text("page")
    (source / "assets" / "css" / "a.css").write_text("style")
    return source


def laid(source: Path, names: Collection[str] | None = None) -> dict[str, str]:
    """Lay down what is in `source`, and return name and content of what is there then."""
    target = source.parent / "target"
    target.mkdir(exist_ok=True)
    for left in target.iterdir():
        shutil.rmtree(left) if left.is_dir() else left.unlink()
    with opened(source, make=False) as made, opened(target, make=False) as new:
        lay_down(made, new, names, Bounds("The client of X"))
    files = (path for path in target.rglob("*") if path.is_file())
    return {str(path.relative_to(target)): path.read_text() for path in files}


def test_copies(source: Path) -> None:
    """All is there, to be read by all and run by nobody, however it was before."""
    (source / "index.html").chmod(0o4700)
    (source / "assets").chmod(0o700)

    assert laid(source) == {"index.html": "page", "assets/css/a.css": "style"}
    target = source.parent / "target"
    assert {path.stat().st_mode & 0o7777 for path in target.rglob("*") if path.is_file()} == {0o644}
    assert {path.stat().st_mode & 0o7777 for path in target.rglob("*") if path.is_dir()} == {0o755}
    assert target.stat().st_mode & 0o7777 == 0o755


def test_copies_what_is_meant(source: Path) -> None:
    """Of a source only the client's files are taken, and never what has a dot first."""
    (source / "package.json").touch()
    (source / ".env").write_text("secret")
    (source / "assets" / ".git").mkdir()
    (source / "assets" / ".git" / "config").write_text("secret")

    assert laid(source, {"index.html", "assets", "fonts", ".env"}) == {
        "index.html": "page",
        "assets/css/a.css": "style",
    }


@pytest.mark.parametrize("target", ["/etc/passwd", "/etc", "../../source", "css/a.css", "nowhere"])
def test_links(source: Path, target: str) -> None:
    """Links are not followed, neither out of the client nor inside, to files or to folders."""
    (source / "assets" / "link").symlink_to(target)
    with pytest.raises(ReleaseProblem, match="'assets/link', which is a link or a device"):
        laid(source)


def test_devices(source: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A pipe and a socket are refused at once: nobody waits for their other end."""
    os.mkfifo(source / "pipe")
    with pytest.raises(ReleaseProblem, match="'pipe', which is a link or a device"):
        laid(source)
    (source / "pipe").unlink()
    monkeypatch.chdir(source)
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind("socket")
        with pytest.raises(ReleaseProblem, match="'socket', which is a link or a device"):
            laid(source)


def test_bounds(source: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither size, nor number, nor depth is without an end."""
    monkeypatch.setattr(bounds, "MOST_BYTES", 8)
    with pytest.raises(ReleaseProblem, match="The client of X holds more than"):
        laid(source)
    monkeypatch.setattr(bounds, "MOST_FILES", 2)
    with pytest.raises(ReleaseProblem, match="more than 2 files"):
        laid(source)
    monkeypatch.undo()
    source.joinpath(*["d"] * 40).mkdir(parents=True)
    with pytest.raises(ReleaseProblem, match="deep"):
        laid(source)


def test_gives_to_the_owner(source: Path) -> None:
    """What root lays down belongs to the folder's owner."""
    require_root()
    target = source.parent / "target"
    target.mkdir()
    os.chown(target, 65534, 65533)
    laid(source)

    assert {(path.stat().st_uid, path.stat().st_gid) for path in target.rglob("*")} == {
        (65534, 65533)
    }
