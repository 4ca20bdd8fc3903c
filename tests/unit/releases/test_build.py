"""A client's source, built by programs that stand in for npm and docker."""

import json
import os
from pathlib import Path

import pytest

from exoproxy.releases.build import IMAGE, Builder, build
from exoproxy.releases.problem import ReleaseProblem
from exoproxy.releases.process import Account

# Writes its arguments and its environment, and fails where it is told to.
PROGRAM = """#!/bin/sh
printf '%s\\n' "$*" >> "{log}"
env > "{log}.env"
pwd > "{log}.pwd"
case "$*" in *"{fails}"*) echo "it broke"; exit 7;; esac
"""


@pytest.fixture(name="tree")
def source(tmp_path: Path) -> Path:
    tree = tmp_path / "scratch" / "tree"
    tree.mkdir(parents=True)
    scripts = {"build:prod": "x", "minify": "y", "test": "z"}
    (tree / "package.json").write_text(json.dumps({"scripts": scripts}))
    return tree


def program(
    folder: Path, name: str, monkeypatch: pytest.MonkeyPatch, fails: str = "no such step"
) -> Path:
    """Put a program on the PATH, and return where its arguments go."""
    log = folder / f"{name}.log"
    (folder / "bin").mkdir(exist_ok=True)
    path = folder / "bin" / name
    path.write_text(PROGRAM.format(log=log, fails=fails))
    path.chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder / 'bin'}:/usr/bin:/bin")
    return log


def built(
    tree: Path, builder: Builder = Builder.NPM, account: Account | None = None
) -> tuple[tuple[str, ...], frozenset[str] | None]:
    return build(tree, tree.parent, builder, account, lambda _: None)


@pytest.mark.parametrize(("lock", "first"), [("package-lock.json", "ci"), ("other", "install")])
def test_runs_the_scripts(
    tree: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, lock: str, first: str
) -> None:
    """The packages come first, exactly those of a lock file; then the recipe's scripts."""
    (tree / lock).touch()
    log = program(tmp_path, "npm", monkeypatch)
    inner, names = built(tree)

    assert log.read_text().splitlines() == [first, "run build:prod", "run minify"]
    assert inner == ()
    assert names is not None
    assert {"elm-web.js", "index.html", "assets"} <= names
    assert Path(f"{log}.pwd").read_text().strip() == str(tree)


def test_scripts_that_are_not_there(
    tree: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Today's source has no `minify`, and is built without."""
    (tree / "package.json").write_text('{"scripts": {"build:prod": "x"}}')
    log = program(tmp_path, "npm", monkeypatch)
    built(tree)

    assert log.read_text().splitlines() == ["install", "run build:prod"]


def test_secrets_stay_here(tree: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A build gets the fields of the environment that a network needs, and a home of its own."""
    log = program(tmp_path, "npm", monkeypatch)
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", "/run/secret")
    monkeypatch.setenv("CF_TOKEN", "secret")
    monkeypatch.setenv("https_proxy", "http://proxy.example:3128")
    monkeypatch.setenv("npm_config_registry", "https://registry.example")
    built(tree)
    lines = dict(
        line.split("=", 1) for line in Path(f"{log}.env").read_text().splitlines() if "=" in line
    )

    assert not {"CREDENTIALS_DIRECTORY", "CF_TOKEN"} & lines.keys()
    assert lines["HOME"] == str(tree.parent / "home")
    assert lines["https_proxy"] == "http://proxy.example:3128"
    assert lines["npm_config_registry"] == "https://registry.example"
    assert lines["CI"] == "1"


def test_a_failing_script(tree: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The step, the code and the last lines are told, and no later step runs."""
    log = program(tmp_path, "npm", monkeypatch, fails="run build:prod")
    with pytest.raises(ReleaseProblem) as problem:
        built(tree)

    assert str(problem.value) == (
        "The build failed: npm run build:prod ended with code 7. Its last lines:\n    it broke"
    )
    assert log.read_text().splitlines() == ["install", "run build:prod"]


@pytest.mark.parametrize("account", [None, Account(user=4711, group=4712)])
def test_in_a_container(
    tree: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, account: Account | None
) -> None:
    """Each step is a container of its own, with the source alone, as the source's owner."""
    log = program(tmp_path, "docker", monkeypatch)
    monkeypatch.setenv("HTTPS_PROXY", "http://user:secret@proxy.example")
    built(tree, Builder.DOCKER, account)
    user = account or Account(user=os.geteuid(), group=os.getegid())
    first, _, last = (line.split() for line in log.read_text().splitlines())
    name = first[first.index("--name") + 1]

    assert first[:3] == ["run", "--rm", "--init"]
    assert name.startswith("exoproxy-build-")
    assert name not in last
    line = " ".join(first)
    assert f"--user {user.user}:{user.group}" in line
    assert f"--volume {tree}:/usr/src/app --workdir /usr/src/app" in line
    assert "--cap-drop ALL --security-opt no-new-privileges" in line
    assert "--env HTTPS_PROXY " in line
    assert "secret" not in line
    assert line.endswith(f"{IMAGE} npm install")
    assert " ".join(last).endswith(f"{IMAGE} npm run minify")


def test_a_container_that_fails(
    tree: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The container is removed by its name: it is no child of the command."""
    log = program(tmp_path, "docker", monkeypatch, fails="npm install")
    with pytest.raises(ReleaseProblem, match="npm install ended with code 7"):
        built(tree, Builder.DOCKER)
    started, removed = (line.split() for line in log.read_text().splitlines())

    assert removed == ["rm", "--force", started[started.index("--name") + 1]]


def test_other_clients(tree: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A usual `build` leaves its client in one of the usual folders, or that is a failure."""
    (tree / "package.json").write_text('{"scripts": {"build": "x"}}')
    program(tmp_path, "npm", monkeypatch)
    with pytest.raises(ReleaseProblem, match=r"none of dist, public, build has an index.html"):
        built(tree)
    (tree / "public").mkdir()
    (tree / "public" / "index.html").touch()

    assert built(tree) == (("public",), None)


@pytest.mark.parametrize(
    "content", ["", "{", "[" * 100_000, "\xff", "x" * 2_000_000], ids=["", "{", "[", "ff", "x"]
)
def test_a_broken_manifest(tree: Path, content: str) -> None:
    """A package.json that can't be read is named, before anything runs."""
    (tree / "package.json").write_text(content, "latin-1")
    with pytest.raises(ReleaseProblem, match=r"package\.json can't be read as JSON"):
        built(tree)


@pytest.mark.parametrize("content", ["[]", "1", "{}", '{"scripts": []}', '{"scripts": {"a": 1}}'])
def test_a_manifest_without_scripts(tree: Path, content: str) -> None:
    """Any JSON is taken for what it says."""
    (tree / "package.json").write_text(content)
    with pytest.raises(ReleaseProblem, match="neither build:prod nor build"):
        built(tree)


def test_a_manifest_that_is_a_link(tree: Path, tmp_path: Path) -> None:
    """A source can't have a file of this host read for it."""
    (tmp_path / "other.json").write_text('{"scripts": {"build": "x"}}')
    (tree / "package.json").unlink()
    with pytest.raises(ReleaseProblem, match=r"has no package\.json"):
        built(tree)
    (tree / "package.json").symlink_to(tmp_path / "other.json")
    with pytest.raises(ReleaseProblem, match=r"package\.json can't be read"):
        built(tree)
