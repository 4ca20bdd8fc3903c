"""The folder of installed clients: what is in it, what is active, and who may work there."""

import json
import os
import subprocess
import sys
import threading
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from exoproxy.releases.problem import ReleaseProblem
from exoproxy.releases.shelf import KEPT, Origin, Shelf

NOON = datetime(2026, 11, 22, 12, tzinfo=UTC)


@pytest.fixture(name="shelf")
def empty_shelf(tmp_path: Path) -> Shelf:
    return Shelf(tmp_path / "state" / "client" / "current")


def origin(hours: int = 0, **changes: object) -> Origin:
    fields = {
        "source": "https://git.example.org/client.git",
        "ref": "main",
        "commit": "0" * 40,
        "builder": "npm",
        "time": NOON + timedelta(hours=hours),
        "bytes": 5,
        **changes,
    }
    return Origin(**fields)  # type: ignore[arg-type]


def silent(_: str) -> None:
    pass


def add(shelf: Shelf, hours: int = 0, label: str = "main") -> str:
    """Add a release whose page holds its hour."""
    with shelf.installing(silent) as scratch:
        (scratch / "new").mkdir()
        (scratch / "new" / "index.html").write_text(str(hours))
        return shelf.add(scratch, "new", label, origin(hours))


def names(shelf: Shelf) -> list[str]:
    return [each.name for each in shelf.releases()]


def test_an_empty_shelf(shelf: Shelf) -> None:
    """Where nothing is installed, nothing is listed and nothing is made."""
    assert shelf.releases() == []
    assert shelf.active() is None
    assert not shelf.folder.exists()
    with pytest.raises(ReleaseProblem, match="no release older than the active one"):
        shelf.switch(None)


def test_adds(shelf: Shelf) -> None:
    """A release is a folder with what it comes from beside it, and the link leads to it."""
    name = add(shelf)
    [release] = shelf.releases()

    assert name == "20261122T120000Z-main"
    assert (release.name, release.active, release.origin) == (name, True, origin())
    assert os.readlink(shelf.root) == f"releases/{name}"
    assert (shelf.root / "index.html").read_text() == "0"
    assert sorted(os.listdir(shelf.folder)) == [".installing", ".switching", "current", "releases"]
    assert sorted(os.listdir(shelf.folder / "releases")) == [name, f"{name}.json"]
    assert {path.stat().st_mode & 0o777 for path in (shelf.folder, shelf.folder / "releases")} == {
        0o755
    }


@pytest.mark.parametrize(
    ("label", "shown"),
    [
        ("feature/x y", "feature-x-y"),
        ("../../etc", "etc"),
        ("...", "client"),
        ("ä" * 9, "client"),
        ("x" * 99, "x" * 40),
    ],
)
def test_labels(shelf: Shelf, label: str, shown: str) -> None:
    """A branch's name becomes part of a folder's, whatever is in it."""
    assert add(shelf, label=label) == f"20261122T120000Z-{shown}"


@pytest.mark.parametrize("hours", [0, -3])
def test_a_clock_that_stands_or_goes_back(shelf: Shelf, hours: int) -> None:
    """The second release is the newer one all the same, whatever they are called."""
    added = [add(shelf, label="z"), add(shelf, hours, label="a")]

    assert added == ["20261122T120000Z-z", "20261122T120001Z-a"]
    assert names(shelf) == added[::-1]
    assert shelf.switch(None) == added[0]


def test_rolls_back(shelf: Shelf) -> None:
    """To the one before, to the one before that, and to a named one; not to what isn't there."""
    first, second, third = (add(shelf, hours) for hours in range(3))

    assert shelf.switch(None) == second
    assert shelf.switch(None) == first == shelf.active()
    assert (shelf.root / "index.html").read_text() == "0"
    with pytest.raises(ReleaseProblem, match="no release older"):
        shelf.switch(None)
    assert shelf.switch(third) == third == shelf.active()
    for wrong in ("../../etc", "", "20261122T120000Z-other", f"{first}.json", f"{first}/"):
        with pytest.raises(ReleaseProblem, match=f"name one of {third}"):
            shelf.switch(wrong)
    assert shelf.active() == third


def test_prunes(shelf: Shelf) -> None:
    """The newest stay, and the active one with the one before it, however old."""
    added = [add(shelf, hours) for hours in range(KEPT + 3)]

    assert names(shelf) == added[: -KEPT - 1 : -1]
    assert len(os.listdir(shelf.folder / "releases")) == 2 * KEPT


def test_what_was_active_stays(shelf: Shelf) -> None:
    """After an update from an old release that one is kept, and is what a roll-back leads to."""
    added = [add(shelf, hours) for hours in range(KEPT)]
    shelf.switch(added[0])
    newest = add(shelf, KEPT)

    assert names(shelf) == [newest, *added[::-1]]
    assert shelf.switch(None) == added[0]


@pytest.mark.parametrize(
    "content",
    ["", "{", "[]", "null", '{"time": 1}', '{"time": "x"}', '{"source": "x"}', "[" * 9**5],
)
def test_broken_metadata(shelf: Shelf, content: str) -> None:
    """A release whose file can't be read is listed and can be rolled back to."""
    name = add(shelf)
    (shelf.folder / "releases" / f"{name}.json").write_text(content)
    [release] = shelf.releases()

    assert (release.name, release.origin) == (name, None)
    assert shelf.switch(name) == name


@pytest.mark.parametrize(
    "change",
    [
        {"source": 1},
        {"source": "https://git.example.org/\x1b[2J"},
        {"ref": ["main"]},
        {"ref": "\x9b2J"},
        {"commit": {}},
        {"builder": "make"},
        {"builder": []},
        {"replaced": 1},
        {"bytes": "5"},
        {"bytes": 10**400},
        {"time": "0001-01-01T00:00:00+14:00"},
    ],
)
def test_hostile_metadata(shelf: Shelf, change: dict[str, object]) -> None:
    """The serving process may write it, and root shows it and acts by it: all of it is judged."""
    name = add(shelf)
    path = shelf.folder / "releases" / f"{name}.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **change}))
    [release] = shelf.releases()

    assert release.origin is None


def test_what_is_not_ours_stays(shelf: Shelf) -> None:
    """Folders and links of other names are neither listed nor removed."""
    add(shelf)
    releases = shelf.folder / "releases"
    (releases / "mine").mkdir()
    (releases / "99999999T999999Z-odd").mkdir()
    (releases / "20200101T000000Z-link").symlink_to("/etc")
    for hours in range(1, KEPT + 3):
        add(shelf, hours)

    assert (releases / "mine").is_dir()
    assert (releases / "99999999T999999Z-odd").is_dir()
    assert (releases / "20200101T000000Z-link").is_symlink()
    assert len(shelf.releases()) == KEPT


@pytest.mark.parametrize("kind", ["folder", "file", "elsewhere", "dangling", "absolute", "name"])
def test_an_own_document_root(tmp_path: Path, kind: str) -> None:
    """An operator's folder, file or link is refused with a sentence, and left as it is."""
    root = tmp_path / ("public" if kind == "name" else "current")
    match kind:
        case "folder":
            root.mkdir()
        case "file":
            root.touch()
        case "elsewhere":
            root.symlink_to("../srv")
        case "dangling":
            root.symlink_to("releases/../../etc")
        case "absolute":
            root.symlink_to(tmp_path / "releases" / "20261122T120000Z-main")
    with pytest.raises(ReleaseProblem, match=r"main\.client\.root, .*, is a folder of your own"):
        Shelf(root)


def test_scratch_is_gone(shelf: Shelf) -> None:
    """Whatever happens, nothing is left of an installation; what a killed one left goes as well."""
    left = shelf.folder / ".scratch-0123456789abcdef"
    (left / "node_modules").mkdir(parents=True)

    def work() -> None:
        with shelf.installing(silent) as scratch:
            assert not left.exists()
            assert scratch.stat().st_mode & 0o777 == 0o700
            (scratch / "half").mkdir()
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        work()

    assert os.listdir(shelf.folder) == [".installing"]


def test_what_is_half_written_goes_with_the_next_switch(shelf: Shelf) -> None:
    """A killed process's goes; a roll-back at work during an installation keeps its own."""
    add(shelf)
    link = shelf.folder / ".current.0123456789abcdef"
    link.symlink_to("releases/x")
    file = shelf.folder / "releases" / ".x.json.0123456789abcdef"
    file.touch()
    with shelf.installing(silent):
        assert link.is_symlink()
    add(shelf, 1)

    assert not link.is_symlink()
    assert not file.exists()


def test_tidying_up_is_no_failure(shelf: Shelf, monkeypatch: pytest.MonkeyPatch) -> None:
    """A release that is served is told so, also where an old one can't be removed."""

    def refuse(*_: object) -> None:
        raise PermissionError

    monkeypatch.setattr(Shelf, "_prune", refuse)
    name = add(shelf)

    assert shelf.active() == name


def test_two_installations(shelf: Shelf) -> None:
    """The second waits, says so once, and goes on when the first has ended; a roll-back doesn't."""
    added = [add(shelf), add(shelf, 1)]
    told: list[str] = []
    waits, done = threading.Event(), threading.Event()

    def waiting(sentence: str) -> None:
        told.append(sentence)
        waits.set()

    def second() -> None:
        with shelf.installing(waiting):
            done.set()

    thread = threading.Thread(target=second)
    with shelf.installing(silent):
        thread.start()
        assert waits.wait(10)
        assert not done.is_set()
        assert shelf.switch(None) == added[0]
    thread.join(10)

    assert done.is_set()
    assert told == ["Waiting for another installation of the client to end."]


def test_a_lock_ends_with_its_process(shelf: Shelf) -> None:
    """A killed installation keeps nobody waiting."""
    script = (
        "import os, sys; from pathlib import Path; from exoproxy.releases.shelf import Shelf\n"
        "with Shelf(Path(sys.argv[1])).installing(print): os.kill(os.getpid(), 9)"
    )
    subprocess.run([sys.executable, "-c", script, shelf.root], check=False)  # noqa: S603
    told: list[str] = []
    with shelf.installing(told.append):
        pass

    assert told == []


def test_what_is_kept_beside_is_json(shelf: Shelf) -> None:
    """Other programs can read it."""
    name = add(shelf)
    content = json.loads((shelf.folder / "releases" / f"{name}.json").read_text())

    assert content["time"] == "2026-11-22T12:00:00+00:00"
    assert content["commit"] == "0" * 40
