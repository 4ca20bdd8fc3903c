"""A working tree is copied as it lies there, and nothing beside it."""

import os
from pathlib import Path

import pytest

from exoproxy.releases.copying import copy_tree
from exoproxy.releases.problem import ReleaseProblem


@pytest.fixture(name="source")
def working_tree(tmp_path: Path) -> Path:
    source = tmp_path / "source"
    (source / "src" / "node_modules").mkdir(parents=True)
    (source / "src" / "Main.elm").write_text("main")
    (source / ".git").write_text("gitdir: elsewhere")
    (source / "build.sh").write_text("#!/bin/sh")
    (source / "build.sh").chmod(0o4755)
    (source / "file").symlink_to("src/Main.elm")
    (source / "folder").symlink_to("/etc")
    return source


def test_copies(source: Path, tmp_path: Path) -> None:
    """Files keep their mode less what gives rights, links stay links, what builds make is left."""
    tree = tmp_path / "tree"
    copy_tree(source, tree)

    assert sorted(str(path.relative_to(tree)) for path in tree.rglob("*")) == [
        "build.sh",
        "file",
        "folder",
        "src",
        "src/Main.elm",
    ]
    assert (tree / "src" / "Main.elm").read_text() == "main"
    assert (tree / "build.sh").stat().st_mode & 0o7777 == 0o755
    assert os.readlink(tree / "file") == "src/Main.elm"
    assert os.readlink(tree / "folder") == "/etc"


@pytest.mark.parametrize("kind", ["file", "folder"])
def test_follows_no_link_that_came_later(
    source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    """What becomes a link after it was looked at is not read by whoever may read more."""
    secret = tmp_path / "secret"
    secret.mkdir()
    (secret / "Main.elm").write_text("secret")
    readlink = os.readlink

    def swapped(name: str, *, dir_fd: int | None = None) -> str:
        try:
            return readlink(name, dir_fd=dir_fd)
        finally:
            if kind == "folder" and name == "src":
                (source / "src").rename(source / "away")
                (source / "src").symlink_to(secret)
            elif kind == "file" and name == "Main.elm":
                (source / "src" / "Main.elm").unlink()
                (source / "src" / "Main.elm").symlink_to(secret / "Main.elm")

    monkeypatch.setattr(os, "readlink", swapped)
    if kind == "file":
        with pytest.raises(ReleaseProblem, match=r"source/src/Main\.elm can't be copied"):
            copy_tree(source, tmp_path / "tree")
    else:
        copy_tree(source, tmp_path / "tree")

    found = [path for path in (tmp_path / "tree").rglob("*") if path.is_file()]
    assert not any("secret" in path.read_text("latin-1") for path in found if not path.is_symlink())


def test_what_is_no_file(source: Path, tmp_path: Path) -> None:
    """A named pipe is told of, and nobody waits for what comes out of it."""
    os.mkfifo(source / "src" / "pipe")
    with pytest.raises(ReleaseProblem, match=r"src/pipe can't be copied \(it is no regular file"):
        copy_tree(source, tmp_path / "tree")
