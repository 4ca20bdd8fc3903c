"""From a source to the active release, or to nothing at all."""

import os
import tarfile
from pathlib import Path

import pytest

from exoproxy.releases import install as module
from exoproxy.releases.build import Builder
from exoproxy.releases.install import Installation, install
from exoproxy.releases.problem import ReleaseProblem
from exoproxy.releases.process import Account, Tell
from exoproxy.releases.shelf import Shelf
from exoproxy.releases.source import parse_source
from repositories import PAGE, Repository
from root import require_root

NOBODY = 65534


@pytest.fixture(name="shelf")
def empty_shelf(tmp_path: Path) -> Shelf:
    return Shelf(tmp_path / "state" / "client" / "current")


@pytest.fixture(name="built")
def built_client(tmp_path: Path) -> Path:
    folder = tmp_path / "public"
    folder.mkdir()
    (folder / "index.html").write_text(PAGE.format(word="built"))
    (folder / "elm-web.js").write_text("1")
    (folder / "config.js").write_text("var config = {};")
    return folder


@pytest.fixture(name="builds")
def builds_without_npm(monkeypatch: pytest.MonkeyPatch) -> list[Account | None]:
    """Let a build be the copying of a word; return whom the builds ran as."""
    accounts: list[Account | None] = []

    def build(
        tree: Path, scratch: Path, builder: Builder, account: Account | None, tell: Tell
    ) -> tuple[tuple[str, ...], frozenset[str] | None]:
        accounts.append(account)
        assert {path.lstat().st_uid for path in (scratch, *scratch.rglob("*"))} == {
            account.user if account else os.geteuid()
        }
        assert not any((tree / name).exists() for name in (".git", "node_modules"))
        word = (tree / "word.txt").read_text()
        if word == "broken":
            raise ReleaseProblem("The build failed: it is broken.")
        (tree / "elm-web.js").write_text(word)
        return (), frozenset({"index.html", "elm-web.js", "config.js"})

    monkeypatch.setattr(module, "build", build)
    return accounts


def installed(
    shelf: Shelf, source: Path | str, ref: str | None = None, unless: str | None = None
) -> str | None:
    installation = Installation(
        source=parse_source(str(source), ref),
        builder=Builder.NPM,
        overrides=shelf.folder / "overrides",
    )
    return install(shelf, installation, lambda _: None, unless=unless)


def served(shelf: Shelf) -> set[str]:
    return {str(path.relative_to(shelf.root)) for path in shelf.root.rglob("*")}


def test_a_built_folder(shelf: Shelf, built: Path) -> None:
    """It is copied, and named after itself."""
    name = installed(shelf, built)

    assert name is not None
    assert name.endswith("Z-public")
    assert served(shelf) == {"index.html", "elm-web.js", "config.js"}
    [release] = shelf.releases()
    assert release.origin is not None
    assert release.origin.source == str(built)
    assert release.origin.builder is None
    assert release.origin.bytes == sum(path.stat().st_size for path in built.iterdir())


@pytest.mark.parametrize("top", ["", "public/", "./"])
def test_an_archive(shelf: Shelf, built: Path, tmp_path: Path, top: str) -> None:
    """An archive holds the client itself, or the one folder that it is in."""
    with tarfile.open(tmp_path / "client.tar.gz", "w:gz") as tar:
        for path in built.iterdir():
            tar.add(path, top + path.name)
    installed(shelf, tmp_path / "client.tar.gz")

    assert served(shelf) == {"index.html", "elm-web.js", "config.js"}


def test_an_archive_of_source_is_not_built(shelf: Shelf, tmp_path: Path) -> None:
    """Nothing of an archive is ever run; that its scripts are missing is told."""
    with tarfile.open(tmp_path / "source.tar", "w") as tar:
        repository = Repository(tmp_path / "repository")
        repository.write("x")
        for path in repository.folder.glob("*.*"):
            tar.add(path, path.name)
    with pytest.raises(ReleaseProblem, match=r"'elm-web\.js', which is missing .* never built"):
        installed(shelf, tmp_path / "source.tar")


@pytest.mark.needs("git")
def test_a_working_tree(shelf: Shelf, tmp_path: Path, builds: list[Account | None]) -> None:
    """Edits that are not committed are part of it, and nothing is written there."""
    repository = Repository(tmp_path / "repository")
    commit = repository.commit("one")
    repository.write("edited")
    (repository.folder / "node_modules").mkdir()
    before = sorted(repository.folder.iterdir())
    installed(shelf, repository.folder)

    assert (shelf.root / "elm-web.js").read_text() == "edited"
    assert served(shelf) == {"index.html", "elm-web.js", "config.js"}
    assert sorted(repository.folder.iterdir()) == before
    [release] = shelf.releases()
    assert release.origin is not None
    assert release.origin.commit == commit
    assert len(builds) == 1


@pytest.mark.needs("git")
@pytest.mark.usefixtures("builds")
def test_a_repository(shelf: Shelf, tmp_path: Path) -> None:
    """The same commit is not installed again where that was asked; a new one is."""
    repository = Repository(tmp_path / "repository")
    commit = repository.commit("one")
    first = installed(shelf, repository.url)

    assert first is not None
    assert first.endswith(f"Z-{commit[:12]}")
    assert installed(shelf, repository.url, unless=commit) is None
    repository.commit("two")
    second = installed(shelf, repository.url, "main", unless=commit)
    assert second is not None
    assert second.endswith("Z-main")
    assert (shelf.root / "elm-web.js").read_text() == "two"


@pytest.mark.needs("git")
@pytest.mark.usefixtures("builds")
def test_failures_change_nothing(shelf: Shelf, built: Path, tmp_path: Path) -> None:
    """A fetch, a build or a check that fails leaves the old release and nothing beside."""
    name = installed(shelf, built)
    before = sorted(shelf.folder.rglob("*"))
    repository = Repository(tmp_path / "repository")
    repository.commit("broken")
    (built / "elm-web.js").unlink()
    for source, ref in ((repository.url, None), (repository.url, "nope"), (built, None)):
        with pytest.raises(ReleaseProblem):
            installed(shelf, source, ref)

        assert sorted(shelf.folder.rglob("*")) == before
    assert shelf.active() == name


def test_links_out_of_a_built_folder(shelf: Shelf, built: Path) -> None:
    """A file of this host doesn't get into the document root by a link in the source."""
    (built / "passwd").symlink_to("/etc/passwd")
    with pytest.raises(ReleaseProblem, match="'passwd', which is a link"):
        installed(shelf, built)

    assert shelf.active() is None


@pytest.mark.needs("git")
def test_root_builds_as_the_owner_of_the_state(
    shelf: Shelf, tmp_path: Path, builds: list[Account | None]
) -> None:
    """A build that root starts runs as the state's owner, who also gets what is installed."""
    require_root()
    repository = Repository(tmp_path / "repository")
    repository.commit("one")
    shelf.folder.parent.mkdir()
    os.chown(shelf.folder.parent, NOBODY, NOBODY)
    installed(shelf, repository.url)

    assert builds == [Account(user=NOBODY, group=NOBODY)]
    assert {path.lstat().st_uid for path in shelf.folder.rglob("releases/**/*")} == {NOBODY}
    assert shelf.folder.stat().st_uid == NOBODY
