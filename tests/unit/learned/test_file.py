"""What was learned survives in a file, and a file that can't be used does no harm."""

import json
import os
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from exoproxy.learned.file import Unusable, read, write
from exoproxy.learned.table import MOST, Naming
from exoproxy.rules.catalogue import Endpoint

NOW = datetime(2026, 11, 22, 12, 30, 15, tzinfo=UTC)
KEYSTONE = Endpoint("keystone.example.org", 5000)


def naming(host: str, port: int = 443, when: datetime = NOW) -> Naming:
    return Naming(endpoint=Endpoint(host, port), by=KEYSTONE, last_named=when)


ROW = {"endpoint": "a.org:443", "by": "b.org:5000", "last_named": "2026-11-22T12:30:15+00:00"}


@pytest.fixture(name="path")
def path_of_a_state_folder(tmp_path: Path) -> Path:
    return tmp_path / "state" / "learned" / "my.example.org.json"


def put(path: Path, content: bytes) -> None:
    path.parent.mkdir(parents=True)
    path.write_bytes(content)


def test_is_read_as_it_was_written(path: Path) -> None:
    """Folders are made, and nobody else can read it."""
    namings = [naming("a.org"), naming("fd00::5", 8774, NOW - timedelta(days=29))]
    write(path, [naming("old.org")])
    write(path, namings)

    assert read(path, NOW) == namings
    assert path.stat().st_mode & 0o777 == 0o600
    assert [each.name for each in path.parent.iterdir()] == [path.name]
    assert json.loads(path.read_text())[1] == {
        "endpoint": "[fd00::5]:8774",
        "by": "keystone.example.org:5000",
        "last_named": "2026-10-24T12:30:15+00:00",
    }


def test_no_file_is_nothing_learned(path: Path) -> None:
    """As at the first start, with or without a state folder."""
    assert read(path, NOW) == []
    path.parent.mkdir(parents=True)
    assert read(path, NOW) == []


def test_the_most_that_can_be_learned_fits(path: Path) -> None:
    """All names as long as can be."""
    domain = ".".join(["a" * 63] * 3)
    far = Endpoint(f"{'b' * 48}.{domain}.orgorg", 65535)
    full = [
        Naming(endpoint=Endpoint(f"{n:048}.{domain}.orgorg", 65535), by=far, last_named=NOW)
        for n in range(MOST)
    ]
    write(path, full)

    assert read(path, NOW) == full


DAMAGED = {
    "nothing": b"",
    "half": json.dumps([ROW]).encode()[:-5],
    "null": b"null",
    "an object": json.dumps({"learned": [ROW]}).encode(),
    "no objects": b"[1]",
    "no UTF-8": b'["\xff"]',
    "NUL": bytes(1000),
    "deep": b"[" * 500_000,
    "too many": json.dumps([ROW] * (MOST + 1)).encode(),
    "too large": json.dumps([ROW]).encode().ljust(2 << 20),
}
FOREIGN = [
    {"endpoint": 1},
    {"endpoint": "a.org"},
    {"endpoint": "A.org:443"},
    {"endpoint": "a.org:0443"},
    {"endpoint": "a.org:443/x"},
    {"endpoint": "127.1:443"},
    {"endpoint": "a.org:443\n"},
    {"endpoint": "[FD00::5]:443"},
    {"by": "u@b.org:443"},
    {"by": None},
    {"last_named": 1_700_000_000},
    {"last_named": "2026-11-22"},
    {"last_named": "2026-11-22T12:30:15"},
    {"last_named": "never"},
]


@pytest.mark.parametrize("content", DAMAGED.values(), ids=DAMAGED)
def test_a_file_that_is_damaged_is_refused(path: Path, content: bytes) -> None:
    """The sentence names the file, and repeats nothing of it."""
    put(path, content)
    with pytest.raises(Unusable) as caught:
        read(path, NOW)

    assert str(path) in str(caught.value)
    assert len(str(caught.value)) < len(str(path)) + 100


@pytest.mark.parametrize("wrong", FOREIGN, ids=repr)
def test_a_file_of_others_is_refused(path: Path, wrong: dict[str, object]) -> None:
    """One row that was never written here is enough; a missing value as well."""
    (key,) = wrong
    for row in ({**ROW, **wrong}, {each: ROW[each] for each in ROW if each != key}):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps([ROW, row]))

        with pytest.raises(Unusable, match="was not written by exoproxy"):
            read(path, NOW)


def test_a_file_from_the_future_is_refused(path: Path) -> None:
    """What a wrong clock dated would else count for years; a day ahead is none."""
    write(path, [naming("a.org", when=NOW + timedelta(days=1))])

    assert read(path, NOW)

    write(path, [naming("b.org"), naming("a.org", when=NOW + timedelta(days=1, seconds=1))])
    with pytest.raises(Unusable, match="future"):
        read(path, NOW)

    path.write_text(json.dumps([{**ROW, "last_named": "9999-12-31T23:59:59Z"}]))
    with pytest.raises(Unusable, match="future"):
        read(path, NOW)


@pytest.mark.parametrize("kind", ["link", "folder", "pipe"])
def test_what_is_no_file_is_refused(path: Path, kind: str) -> None:
    """And nothing waits for a pipe."""
    path.parent.mkdir(parents=True)
    if kind == "link":
        other = path.with_name("other")
        other.write_text("[]")
        path.symlink_to(other)
    elif kind == "folder":
        path.mkdir()
    else:
        os.mkfifo(path)

    with pytest.raises(Unusable, match="can't be read"):
        read(path, NOW)


def test_a_file_that_may_not_be_read(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The sentence says who may."""
    write(path, [])

    def denied(*_: object, **__: object) -> int:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(os, "open", denied)
    with pytest.raises(Unusable, match="root may"):
        read(path, NOW)


def test_a_write_that_fails_leaves_the_file(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As with a full disk."""
    write(path, [naming("a.org")])

    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space"):
        write(path, [naming("b.org")])

    assert [each.name for each in path.parent.iterdir()] == [path.name]
    assert read(path, NOW) == [naming("a.org")]
