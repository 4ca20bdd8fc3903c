"""What SOURCE and --ref can mean."""

import tarfile
import zipfile
from pathlib import Path
from typing import Literal

import pytest

from exoproxy.releases.problem import ReleaseProblem
from exoproxy.releases.source import Kind, Source, parse_source


@pytest.mark.parametrize(
    "text",
    [
        "https://gitlab.com/exosphere/exosphere.git",
        "HTTPS://gitlab.com/exosphere/exosphere",
        "ssh://git@gitlab.com:22/exosphere/exosphere.git",
        "file:///srv/exosphere.git",
        "git@gitlab.com:exosphere/exosphere.git",
    ],
)
@pytest.mark.parametrize("ref", [None, "master", "v1.2", "feature/x-y", "0a07992d", "_x+1"])
def test_git_repositories(text: str, ref: str | None) -> None:
    """URLs of the three protocols and ssh's short form are git's, with names of its usual form."""
    assert parse_source(text, ref) == Source(kind=Kind.GIT, text=text, ref=ref)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "is no source"),
        ("-u", "is no source"),
        ("--upload-pack=touch /tmp/x", "is no source"),
        ("-oProxyCommand=x:y", "is no source"),
        ("https://h/\nx", "is no source"),
        ("x\0y", "is no source"),
        ("http://gitlab.com/x.git", "http://, which proves nothing"),
        ("git://gitlab.com/x.git", "git://, which proves nothing"),
        ("ftp://h/x", "ftp://"),
        ("ext::sh -c touch% /tmp/x", "helper program"),
        ("ext::https://h/x", "helper program"),
        ("fd::17", "helper program"),
        ("https://user:secret@h/x.git", "user name or a password"),
        ("https://secret@h/x.git", "user name or a password"),
        ("ssh://user:secret@h/x.git", "user name or a password"),
        ("ssh://-oProxyCommand=x/y", "begins with a dash"),
        ("https://[::1/x", "is no URL"),
        ("/nowhere/at/all", "can't be read"),
    ],
)
def test_hostile_and_wrong_sources(text: str, says: str) -> None:
    """Options, helpers, other protocols and secrets are refused, without the secret."""
    with pytest.raises(ReleaseProblem, match=says) as problem:
        parse_source(text)

    assert "secret" not in str(problem.value)


@pytest.mark.parametrize(
    "ref",
    [
        "",
        "-x",
        "--all",
        "a b",
        "a:b",
        "+a",
        "a..b",
        "a//b",
        "a.",
        "a/",
        "a.lock",
        "@{u}",
        "a^",
        "*",
    ],
)
def test_refs_that_are_no_names(ref: str) -> None:
    """What git would take for an option, a refspec or an expression is refused."""
    with pytest.raises(ReleaseProblem, match="is no name of a branch"):
        parse_source("https://h/x.git", ref)


def test_folders_and_archives(tmp_path: Path) -> None:
    """A folder with package.json is source even if it has a page too; a ref makes it git's."""
    tree, built, bare = (tmp_path / name for name in ("tree", "built", "bare"))
    for folder in (tree, built, bare, bare / "objects"):
        folder.mkdir()
    (tree / "package.json").touch()
    (tree / "index.html").touch()
    (built / "index.html").touch()
    (bare / "HEAD").touch()
    archive = tmp_path / "client.bin"
    with zipfile.ZipFile(archive, "w") as file:
        file.writestr("index.html", "x")

    assert parse_source(str(tree)) == Source(kind=Kind.TREE, text=str(tree))
    assert parse_source(str(tree), "main") == Source(kind=Kind.GIT, text=str(tree), ref="main")
    assert parse_source(str(built)).kind is Kind.BUILT
    assert parse_source(str(bare)).kind is Kind.GIT
    assert parse_source(str(archive)).kind is Kind.ARCHIVE


def test_relative_paths_become_absolute(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An update finds the source again from wherever it is run."""
    (tmp_path / "built").mkdir()
    (tmp_path / "built" / "index.html").touch()
    monkeypatch.chdir(tmp_path)

    assert parse_source("built").text == str(tmp_path / "built")


def test_what_is_no_client(tmp_path: Path) -> None:
    """Empty folders, other files, and refs where there is nothing to choose are refused."""
    (tmp_path / "note.txt").write_text("x")
    (tmp_path / "index.html").touch()
    (tmp_path / "empty").mkdir()

    with pytest.raises(ReleaseProblem, match="holds neither"):
        parse_source(str(tmp_path / "empty"))
    with pytest.raises(ReleaseProblem, match="is no tar"):
        parse_source(str(tmp_path / "note.txt"))
    with pytest.raises(ReleaseProblem, match="is no tar"):
        parse_source("/dev/null")
    with pytest.raises(ReleaseProblem, match="--ref is for git"):
        parse_source(str(tmp_path), "main")


@pytest.mark.parametrize(("mode", "least"), [("w", 262), ("w:gz", 12), ("w:xz", 12)])
def test_archives_are_known_by_their_first_bytes(
    tmp_path: Path, mode: Literal["w", "w:gz", "w:xz"], least: int
) -> None:
    """What is cut off right behind them is an archive as well, and is not read for that."""
    archive = tmp_path / "archive"
    with tarfile.open(archive, mode) as tar:
        tar.addfile(tarfile.TarInfo("index.html"))
    content = archive.read_bytes()
    for length in (len(content), least):
        archive.write_bytes(content[:length])

        assert parse_source(str(archive)).kind is Kind.ARCHIVE


@pytest.mark.parametrize(
    ("text", "label"),
    [("https://h/a/exosphere.git", "exosphere"), ("git@h:x.git", "x"), ("/srv/public/", "public")],
)
def test_labels(text: str, label: str) -> None:
    """A release without a ref or a commit is named after its source."""
    assert Source(kind=Kind.GIT, text=text).label == label
