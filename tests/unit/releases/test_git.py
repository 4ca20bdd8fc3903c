"""One commit of a git repository, fetched by the real git."""

import os
from pathlib import Path

import pytest

from exoproxy.releases import git
from exoproxy.releases.problem import ReleaseProblem
from exoproxy.releases.source import Kind, Source
from repositories import Repository

pytestmark = pytest.mark.needs("git")


@pytest.fixture(name="repository")
def two_commits(tmp_path: Path) -> Repository:
    repository = Repository(tmp_path / "repository")
    repository.commit("one")
    repository.git("tag", "v1")
    repository.git("branch", "old")
    repository.commit("two")
    return repository


def fetched(text: str, ref: str | None, folder: Path) -> tuple[str, str]:
    """Fetch, and return the word in the files and the commit."""
    folder.mkdir()
    source = Source(kind=Kind.GIT, text=text, ref=ref)
    tree, commit = git.fetch(source, folder, lambda _: None)
    assert not (tree / ".git").exists()
    return (tree / "word.txt").read_text(), commit


@pytest.mark.parametrize(
    ("ref", "word"),
    [(None, "two"), ("main", "two"), ("old", "one"), ("v1", "one"), ("refs/heads/old", "one")],
)
def test_names(repository: Repository, tmp_path: Path, ref: str | None, word: str) -> None:
    """Branches and tags are found; without one, the repository's own choice is taken."""
    found = fetched(repository.url, ref, tmp_path / "scratch")

    assert found == (word, repository.git("rev-parse", ref or "HEAD"))


@pytest.mark.parametrize("length", [40, 12, 7])
def test_commits(repository: Repository, tmp_path: Path, length: int) -> None:
    """A commit may be named in full or in part, also of a path instead of a URL."""
    commit = repository.git("rev-parse", "v1")
    found = fetched(str(repository.folder), commit[:length], tmp_path / "scratch")

    assert found == ("one", commit)


@pytest.mark.parametrize("ref", ["nope", "deadbeef", "d" * 40])
def test_what_is_not_there(repository: Repository, tmp_path: Path, ref: str) -> None:
    """git's own words are in the sentence, and what was asked for."""
    with pytest.raises(ReleaseProblem, match=f"git could not fetch '{ref}' of file:///.*") as found:
        fetched(repository.url, ref, tmp_path / "scratch")

    assert "\n" not in str(found.value)


def test_no_repository(tmp_path: Path) -> None:
    """A URL that leads nowhere is an answer, not a question for a password."""
    with pytest.raises(ReleaseProblem, match=r"fatal: .*does not (appear to be|exist)"):
        fetched(f"file://{tmp_path}/nothing", None, tmp_path / "scratch")


def test_hooks_and_helpers_do_not_run(
    repository: Repository, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither this user's templates and hooks run, nor other protocols by URL rewriting."""
    (tmp_path / "templates" / "hooks").mkdir(parents=True)
    hook = tmp_path / "templates" / "hooks" / "post-checkout"
    hook.write_text(f"#!/bin/sh\ntouch {tmp_path}/ran\n")
    hook.chmod(0o755)
    settings = tmp_path / "gitconfig"
    settings.write_text(
        f"[init]\n templateDir = {tmp_path}/templates\n"
        f"[core]\n hooksPath = {tmp_path}/templates/hooks\n"
        f'[url "ext::touch {tmp_path}/ran %S"]\n insteadOf = https://rewritten.invalid\n'
        "[protocol]\n allow = always\n"
    )
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", str(settings))
    fetched(repository.url, None, tmp_path / "scratch")
    with pytest.raises(ReleaseProblem, match="transport 'ext' not allowed"):
        fetched("https://rewritten.invalid/x", None, tmp_path / "other")

    assert not (tmp_path / "ran").exists()


def test_submodules_stay_away(repository: Repository, tmp_path: Path) -> None:
    """A submodule, whose URL the repository chooses, is not fetched."""
    other = Repository(tmp_path / "other")
    other.commit("other")
    repository.git("-c", "protocol.file.allow=always", "submodule", "add", other.url, "module")
    repository.commit("three")
    fetched(repository.url, None, tmp_path / "scratch")

    assert os.listdir(tmp_path / "scratch" / "tree" / "module") == []


def test_other_repositories_in_the_environment(
    repository: Repository, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A command that a git hook runs is not led to the hook's repository."""
    monkeypatch.setenv("GIT_DIR", str(tmp_path / "elsewhere"))
    monkeypatch.setenv("GIT_INDEX_FILE", str(tmp_path / "index"))

    assert fetched(repository.url, None, tmp_path / "scratch")[0] == "two"
    assert not (tmp_path / "index").exists()


def test_the_commit_of_a_checkout(repository: Repository, tmp_path: Path) -> None:
    """It is known where git says so, and no problem where there is no repository."""
    assert git.commit_of(repository.folder) == repository.git("rev-parse", "HEAD")
    assert git.commit_of(tmp_path) is None
