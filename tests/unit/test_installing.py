"""The commands for the client: what they say, where, and their exit codes."""

import json
import os
import signal
from collections.abc import Callable
from pathlib import Path

import pytest

from exoproxy import installing
from exoproxy.cli import main
from exoproxy.releases.build import Builder
from exoproxy.releases.install import Installation
from exoproxy.releases.shelf import Shelf
from exoproxy.settings.sites import Client
from repositories import PAGE, Repository
from root import require_root

Run = Callable[..., tuple[int, str, str]]


@pytest.fixture(name="client")
def configured(tmp_path: Path) -> Client:
    return Client(root=tmp_path / "client" / "current", overrides=tmp_path / "overrides")


@pytest.fixture(name="run")
def run_command(client: Client, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Run:
    """Return a function that runs `client …` and returns exit code, stdout and stderr."""
    config = tmp_path / "exoproxy.yaml"
    config.write_text(
        "main:\n  hostname: my.example.org\n  certificate: local\n  proxy: null\n"
        f"  client: {{root: {client.root}, overrides: {client.overrides}}}\n"
    )

    def run(*arguments: str | Path) -> tuple[int, str, str]:
        code = main(["client", *map(str, arguments), "--config", str(config)])
        out, err = capsys.readouterr()
        return code, out, err

    return run


@pytest.fixture(name="built")
def built_client(tmp_path: Path) -> Path:
    folder = tmp_path / "public"
    folder.mkdir()
    (folder / "index.html").write_text(PAGE.format(word="built"))
    (folder / "elm-web.js").write_text("1")
    (folder / "config.js").write_text("var config = {};")
    return folder


def test_installs(run: Run, client: Client, built: Path) -> None:
    """The release's name is the result; what goes on, in plain lines, is not."""
    code, out, err = run("install", built)
    [release] = Shelf(client.root).releases()

    assert (code, out) == (0, f"{release.name}\n")
    assert err == f"Checking the client\nThe client {release.name} is served from now on.\n"


def test_a_failure(run: Run, client: Client, built: Path) -> None:
    """Why, and that nothing was changed, goes to stderr."""
    (built / "elm-web.js").unlink()
    code, out, err = run("install", built)

    assert (code, out) == (1, "")
    assert err.endswith("was never built.\nNothing was changed.\n")
    assert not os.path.lexists(client.root)


def test_a_folder_of_the_operators(run: Run, client: Client, built: Path) -> None:
    """Each command refuses to touch it."""
    client.root.mkdir(parents=True)
    for command in (["install", built], ["update"], ["list"], ["rollback"]):
        code, out, err = run(*command)

        assert (code, out) == (1, "")
        assert "is a folder of your own" in err
    assert os.listdir(client.root) == []


def test_a_folder_that_cannot_be_made(run: Run, client: Client, built: Path) -> None:
    """What the system refuses is a sentence with the file's name."""
    client.root.parent.touch()
    code, out, err = run("install", built)

    assert (code, out) == (1, "")
    assert f"The client can't be installed in {client.root.parent} (" in err


def test_names_do_not_reach_the_terminal(run: Run, tmp_path: Path) -> None:
    """A source that can't be copied names its file, without what would move the cursor."""
    tree = tmp_path / "tree"
    tree.mkdir()
    (tree / "package.json").write_text("{}")
    os.mkfifo(tree / "\x1b[2Jpipe")
    code, _, err = run("install", tree)

    assert code == 1
    assert "tree/?[2Jpipe can't be copied" in err
    assert "\x1b" not in err


def test_what_cannot_be_listed(run: Run, client: Client) -> None:
    """A folder that can't be read is a sentence too, not an end in disorder."""
    client.root.parent.touch()
    code, out, err = run("list")

    assert (code, out) == (1, "")
    assert err.startswith(f"The clients in {client.root.parent} can't be listed (")


def test_lists(run: Run, built: Path) -> None:
    """A table for people, the same as JSON, and a sentence where there is nothing."""
    assert run("list") == (
        0,
        "",
        "No client is installed; use `exoproxy client install SOURCE`.\n",
    )
    name = run("install", built)[1].strip()
    _, table, _ = run("list")
    _, as_json, err = run("list", "--json")
    [value] = json.loads(as_json)

    assert err == ""
    assert table.splitlines()[0].split() == ["RELEASE", "TIME", "REF", "COMMIT", "SIZE", "SOURCE"]
    assert table.splitlines()[1].startswith(f"*  {name}  20")
    assert table.splitlines()[1].endswith(f"-    -       0.0 MB  {built}")
    assert value["release"] == name
    assert value["active"] is True
    assert value["source"] == str(built)
    assert value["bytes"] == sum(path.stat().st_size for path in built.iterdir())


def test_rolls_back(run: Run, client: Client, built: Path) -> None:
    """Without a name to the one before, with one to that; else it fails."""
    first, second = (run("install", built)[1].strip() for _ in range(2))

    assert run("rollback") == (
        0,
        f"{first}\n",
        f"The client {first} is served from now on.\n",
    )
    assert run("rollback", second)[:2] == (0, f"{second}\n")
    assert run("rollback", "nope")[0] == 1
    assert Shelf(client.root).active() == second


def test_updates_from_the_same_source(
    run: Run, built: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What the metadata of the active release names is asked for again."""
    asked: list[tuple[Installation, str | None]] = []

    def install(_: Shelf, what: Installation, __: object, *, unless: str | None) -> None:
        asked.append((what, unless))

    run("install", built)
    monkeypatch.setattr(installing, "install", install)
    code, out, err = run("update", "--builder", "docker")
    [(what, unless)] = asked

    assert (code, out) == (0, "")
    assert err == "The newest commit of the source is installed and active already.\n"
    assert what.source.text == str(built)
    assert what.builder is Builder.DOCKER
    assert unless is None


def test_root_does_not_believe_other_users(run: Run, client: Client, built: Path) -> None:
    """A local source is not taken from a file that the serving user could have written."""
    require_root()
    run("install", built)
    os.chown(client.root.parent, 65534, 65534)
    code, out, err = run("update")

    assert (code, out) == (1, "")
    assert f"`exoproxy client install {built}` if that is right" in err


def test_nothing_to_update(run: Run) -> None:
    """Without an active release there is no source."""
    code, out, err = run("update")

    assert (code, out) == (1, "")
    assert "There is no active release of which it is known where it comes from" in err


def test_a_signal(run: Run, built: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """SIGTERM ends it with the shell's code and nothing left; Ctrl-C does the same with 1."""

    def killed(*_: object, **__: object) -> None:
        os.kill(os.getpid(), signal.SIGTERM)

    monkeypatch.setattr("exoproxy.releases.install.lay_down", killed)
    code, out, err = run("install", built)

    assert (code, out) == (143, "")
    assert err.endswith("Told to stop; what was not finished has been removed.\n")

    def interrupted(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("exoproxy.releases.install.lay_down", interrupted)

    assert run("install", built)[0] == 1
    assert os.listdir(built.parent / "client") == [".installing"]


def test_progress_on_a_terminal(run: Run, built: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One line changes, no longer than the terminal is wide, and is erased at the end."""
    monkeypatch.setattr("sys.stderr.isatty", lambda: True, raising=False)
    monkeypatch.setenv("COLUMNS", "12")
    code, _, err = run("install", built)

    assert code == 0
    assert err.startswith("\r\x1b[KChecking th\r\x1b[KThe client ")


def test_needs_a_main_host(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A file without main: is wrong configuration."""
    config = tmp_path / "exoproxy.yaml"
    config.write_text("log: {access: true}\n")

    assert main(["client", "list", "--config", str(config)]) == 2
    assert "main: is missing, so no client is served" in capsys.readouterr().err


@pytest.mark.needs("git")
def test_a_ref_is_kept(
    run: Run, client: Client, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An update follows the branch that was installed, until it is told another."""
    repository = Repository(tmp_path / "repository")
    repository.commit("one")
    repository.git("branch", "other")
    monkeypatch.setattr(
        "exoproxy.releases.install.build",
        lambda tree, *_: ((tree / "elm-web.js").write_text("x"), ((), None))[1],
    )
    run("install", repository.url, "--ref", "main")
    assert run("update")[1] == ""
    two = repository.commit("two")
    assert run("update")[1].endswith("Z-main\n")
    assert run("update", "--ref", "other")[1].endswith("Z-other\n")
    [newest, before, _] = Shelf(client.root).releases()

    assert newest.origin is not None
    assert before.origin is not None
    assert (newest.origin.ref, before.origin.ref, before.origin.commit) == ("other", "main", two)
