"""What is remembered beside a certificate."""

import json
import logging
import os
import stat
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from exoproxy.certs.dns.provider import Record
from exoproxy.certs.problem import IssuanceProblem
from exoproxy.certs.state import PendingOrder, State, load, save
from exoproxy.rules.renewal import History, Window

AT = datetime(2026, 11, 22, 12, 30, tzinfo=UTC)
FULL = State(
    directory="https://acme.example/directory",
    window=Window(start=AT, end=AT, picked=AT, ask_at=AT),
    window_of="aYhba4dGQEHhs3uEe6CuLN4ByNQ.AIdlQyE",
    history=History(failures=3, retry_at=AT, sentence="Der Server »a« schläft."),
    pending=PendingOrder(
        directory="https://acme.example/directory",
        names=("example.org", "*.example.org"),
        profile="shortlived",
        order='{"uri": "x"}',
        key="-----BEGIN PRIVATE KEY-----",
    ),
    records=(Record(zone="example.org", name="_acme-challenge.example.org", value="v", id="7"),),
)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    (tmp_path / "exoproxy").mkdir()
    return tmp_path / "exoproxy" / "example.org.json"


@pytest.mark.parametrize("state", [FULL, State(), replace(FULL, pending=None, window=None)])
def test_what_was_saved_is_loaded(path: Path, state: State) -> None:
    """All of it comes back, the times aware."""
    save(path, state)

    assert load(path) == state


def test_key_shows_nowhere() -> None:
    """What ends in a log or in an exception's message has no key in it."""
    assert "PRIVATE" not in repr(FULL)


def test_sentence_that_is_no_unicode(path: Path) -> None:
    """A back-off is stored whatever its sentence quotes."""
    state = State(history=History(failures=1, retry_at=AT, sentence="file \udcff"))
    save(path, state)

    assert load(path).history == History(failures=1, retry_at=AT, sentence="file ?")


def test_file_is_for_its_owner(tmp_path: Path) -> None:
    """The folder is made, and neither it nor the file, which holds a key, is open to others."""
    path = tmp_path / "store" / "exoproxy" / "example.org.json"
    save(path, FULL)

    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    assert os.listdir(path.parent) == ["example.org.json"]


def test_no_file_is_nothing(path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """A name that is new is not worth a word in the log."""

    assert load(path) == State()
    assert load(path.parent.parent / "missing" / "exoproxy" / "a.json") == State()
    assert caplog.messages == []


def changed(**changes: Any) -> str:
    """Return what `FULL` is written as, with changes at the top."""
    times = {key: AT.isoformat() for key in ("start", "end", "picked", "ask_at")}
    return json.dumps({"directory": "https://acme.example/directory", "window": times, **changes})


@pytest.mark.parametrize(
    "content",
    [
        "",
        "{",
        "null",
        "[]",
        '"text"',
        "\x00\xff",
        changed()[:-1],
        changed(directory=5),
        changed(directory=None),
        changed(window={"start": AT.isoformat()}),
        changed(window=dict.fromkeys(("start", "end", "picked", "ask_at"), "2026-11-22T12:30:00")),
        changed(window=dict.fromkeys(("start", "end", "picked", "ask_at"), "soon")),
        changed(history=None),
        changed(history={"failures": "3"}),
        changed(history={"failures": -1}),
        changed(history={"retry_at": 1_800_000_000}),
        changed(history={"retry_at": "2026-11-22T12:30:00"}),
        changed(pending={"directory": "x"}),
        changed(records={}),
        changed(records=[{"zone": "a", "name": "b"}]),
        "[" * 200_000,
        " " * (1 << 20) + changed(),
    ],
)
def test_damaged_file_counts_as_none(
    path: Path, caplog: pytest.LogCaptureFixture, content: str
) -> None:
    """What can't be used is forgotten with one sentence in the log, however often it is read."""
    path.write_text(content, encoding="utf-8")
    for _ in range(3):
        assert load(path) == State()

    (message,) = caplog.messages
    assert str(path) in message
    assert "counts as none" in message


def test_damaged_file_is_not_printed(path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """The sentence on a damaged file does not repeat what it holds."""
    path.write_text('{"directory": {"secret": "PRIVATE KEY"}}', encoding="utf-8")
    load(path)

    assert "PRIVATE" not in caplog.text
    assert "at directory" in caplog.text


def test_unknown_keys_are_ignored(path: Path) -> None:
    """A later version's file can be read by an earlier one."""
    save(path, FULL)
    content = json.loads(path.read_bytes())
    content["new"] = content["history"]["new"] = {"a": 1}
    path.write_text(json.dumps(content), encoding="utf-8")

    assert load(path) == FULL


@pytest.mark.parametrize("kind", ["link", "dangling link", "folder", "fifo"])
def test_other_than_a_file(path: Path, caplog: pytest.LogCaptureFixture, kind: str) -> None:
    """A link, a folder or a FIFO where the file should be counts as none, and nobody waits."""
    save(path, FULL)
    elsewhere = path.with_name("elsewhere")
    path.rename(elsewhere)
    match kind:
        case "link":
            path.symlink_to(elsewhere)
        case "dangling link":
            path.symlink_to("nowhere")
        case "folder":
            path.mkdir()
        case "fifo":
            os.mkfifo(path)

    assert load(path) == State()
    assert [record.levelno for record in caplog.records] == [logging.WARNING]


def test_link_is_replaced(path: Path) -> None:
    """Saving does not write through a link in the file's place."""
    target = path.with_name("target")
    target.write_text("old", encoding="utf-8")
    path.symlink_to(target)
    save(path, FULL)

    assert target.read_text(encoding="utf-8") == "old"
    assert load(path) == FULL


def test_folder_that_is_a_link_is_refused(tmp_path: Path) -> None:
    """Saving does not go through a link in the place of the store's folder."""
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "exoproxy").symlink_to("elsewhere")
    with pytest.raises(IssuanceProblem) as problem:
        save(tmp_path / "exoproxy" / "a.json", FULL)

    assert str(problem.value) == (
        f"At {tmp_path / 'exoproxy'} or in it stands a link, or a file for a folder, where the "
        "store needs its own: look at what it is, and move it away."
    )
    assert os.listdir(tmp_path / "elsewhere") == []
