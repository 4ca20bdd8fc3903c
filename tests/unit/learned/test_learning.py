"""How endpoints are learned from answers, logged, and kept in the file without being in the way."""

import asyncio
import json
import logging
import threading
from collections.abc import Iterable
from datetime import UTC, datetime
from pathlib import Path

import pytest

from exoproxy.certs.folder import warn_once
from exoproxy.learned import file
from exoproxy.learned.learning import Learned
from exoproxy.learned.table import GRAIN, Naming
from exoproxy.proxy.decision import Observer
from exoproxy.rules.catalogue import Endpoint

KEYSTONE = Endpoint("keystone.example.org", 5000)


class Clock:
    """A time of day that a test sets."""

    def __init__(self) -> None:
        self.now = datetime(2026, 11, 22, tzinfo=UTC)

    def __call__(self) -> datetime:
        return self.now


def token(*hosts: str) -> bytes:
    endpoints = [{"url": f"https://{host}/"} for host in hosts]
    return json.dumps({"token": {"catalog": [{"endpoints": endpoints}]}}).encode()


def endpoints(*hosts: str) -> list[Endpoint]:
    return [Endpoint(host, 443) for host in hosts]


@pytest.fixture(name="path")
def path_of_a_state_folder(tmp_path: Path) -> Path:
    return tmp_path / "learned" / "my.example.org.json"


@pytest.fixture(name="writes")
def counted_writes(monkeypatch: pytest.MonkeyPatch) -> list[set[str]]:
    """The hosts of each write of the file."""
    written: list[set[str]] = []
    write = file.write

    def counting(path: Path, namings: Iterable[Naming]) -> None:
        assert threading.current_thread() is not threading.main_thread()
        namings = list(namings)
        written.append({naming.endpoint.host for naming in namings})
        write(path, namings)

    monkeypatch.setattr(file, "write", counting)
    return written


async def test_learns_from_an_answer_and_keeps_it(path: Path) -> None:
    """It is allowed at once, and after a restart."""
    learned = Learned(path)
    reader: Observer = learned.reader(KEYSTONE)
    reader.read(token("a.org"))
    found = learned.of(Endpoint("a.org", 443))
    await learned.close()
    (again,) = Learned.opened(path).of(Endpoint("a.org", 443))

    assert [naming.by for naming in found] == [again.by] == [KEYSTONE]
    assert again.last_named == found[0].last_named.replace(microsecond=0)
    assert Learned.opened(path).namings() == [again]


async def test_what_names_nothing_is_not_kept(path: Path, writes: list[set[str]]) -> None:
    """A token without a catalogue, as of the first of a client's logins, and what is no token."""
    learned = Learned(path)
    for content in (b"", b"{}", b"<html>", token(), b'{"token": {"methods": ["password"]}}'):
        learned.reader(KEYSTONE).read(content)
    await learned.close()

    assert learned.namings() == []
    assert writes == []


async def test_logins_in_a_bunch_are_one_write(path: Path, writes: list[set[str]]) -> None:
    """In a thread; the second within the hour is none."""
    clock = Clock()
    learned = Learned(path, clock=clock)
    for _ in range(3):
        learned.learn(KEYSTONE, endpoints("a.org"))
        learned.learn(KEYSTONE, endpoints("b.org"))
    await learned.close()

    assert writes == [{"a.org", "b.org"}]

    clock.now += GRAIN / 2
    learned.learn(KEYSTONE, endpoints("a.org", "b.org"))
    await learned.close()

    assert len(writes) == 1

    clock.now += GRAIN / 2
    learned.learn(KEYSTONE, endpoints("a.org", "b.org"))
    await learned.close()

    assert len(writes) == 2


async def test_what_comes_during_a_write_is_written_as_well(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After it, never beside it: the file holds the last state."""
    learned = Learned(path, pause=0)
    begun, go = threading.Event(), threading.Event()
    write = file.write
    running: list[int] = []
    most = []

    def slow(path: Path, namings: Iterable[Naming]) -> None:
        running.append(1)
        most.append(len(running))
        begun.set()
        assert go.wait(20)
        write(path, namings)
        running.pop()

    monkeypatch.setattr(file, "write", slow)
    learned.learn(KEYSTONE, endpoints("a.org"))
    await asyncio.to_thread(begun.wait, 20)
    learned.learn(KEYSTONE, endpoints("b.org"))
    await asyncio.sleep(0.05)  # for a second writer, should there be one
    go.set()
    await learned.close()

    assert most == [1, 1]
    assert len(Learned.opened(path).namings()) == 2


async def test_a_write_waits_a_little(path: Path, writes: list[set[str]]) -> None:
    """What comes meanwhile comes with it; the end of the process doesn't wait."""
    learned = Learned(path, pause=3600)
    learned.learn(KEYSTONE, endpoints("a.org"))
    for _ in range(20):
        await asyncio.sleep(0)

    assert writes == []

    await learned.close()

    assert writes == [{"a.org"}]


async def test_a_predecessor_takes_nothing_away(path: Path) -> None:
    """What it writes when its successor has written already comes beside that."""
    predecessor, successor = Learned(path), Learned(path)
    predecessor.learn(KEYSTONE, endpoints("a.org"))
    successor.learn(KEYSTONE, endpoints("b.org"))
    await successor.close()
    await predecessor.close()

    assert len(Learned.opened(path).namings()) == 2


async def test_a_file_that_cannot_be_used_is_replaced(path: Path) -> None:
    """By what was learned since."""
    path.parent.mkdir()
    await asyncio.to_thread(path.write_text, "[")
    learned = Learned.opened(path)
    learned.learn(KEYSTONE, endpoints("a.org"))
    await learned.close()

    assert len(Learned.opened(path).namings()) == 1


async def test_a_folder_that_cannot_be_written_is_told_once(
    path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Learning goes on in memory, and once there is a way to keep it, all of it is kept."""
    path.parent.write_text("no folder")
    learned = Learned(path)
    for host in ("a.org", "b.org"):
        learned.learn(KEYSTONE, endpoints(host))
        await learned.close()
    said = [each.getMessage() for each in caplog.records if each.levelno == logging.WARNING]

    assert len(said) == 1
    assert str(path) in said[0]
    assert len(learned.namings()) == 2

    path.parent.unlink()
    learned.learn(KEYSTONE, endpoints("c.org"))
    await learned.close()

    assert len(Learned.opened(path).namings()) == 3


async def test_new_endpoints_are_logged(path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Once, by whom, and not without end."""
    caplog.set_level(logging.INFO)
    learned = Learned(path)
    hosts = [f"a{number}.org" for number in range(12)]
    learned.learn(KEYSTONE, endpoints(*hosts[:2]))
    learned.learn(KEYSTONE, endpoints(*hosts[:2]))
    learned.learn(KEYSTONE, endpoints(*hosts))
    await learned.close()

    assert [each.getMessage() for each in caplog.records if each.name == "exoproxy"] == [
        "keystone.example.org:5000 names in its catalogue, for 30 days: a0.org:443, a1.org:443",
        "keystone.example.org:5000 names in its catalogue, for 30 days: "
        + ", ".join(f"{host}:443" for host in hosts[2:]),
    ]

    caplog.clear()
    learned.learn(KEYSTONE, endpoints(*(f"b{number}.org" for number in range(30))))
    await learned.close()

    assert caplog.records[-1].getMessage().endswith("b9.org:443 and 20 more")


def test_an_answer_that_was_not_read_is_told_once(
    path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """With the reason, and what to do."""
    warn_once.cache_clear()
    for _ in range(2):
        Learned(path).reader(KEYSTONE).missed("the content is larger than 256 KiB")

    assert [each.getMessage() for each in caplog.records] == [
        "No endpoints are learned from the answer of keystone.example.org:5000 to a login: the "
        "content is larger than 256 KiB. List the cloud's API hosts in main.proxy.allow."
    ]


def test_a_file_that_cannot_be_used_is_told_and_counts_as_empty(
    path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """In one line; the process starts all the same."""
    path.parent.mkdir()
    path.write_text("[")
    learned = Learned.opened(path)

    assert learned.namings() == []
    assert [each.getMessage() for each in caplog.records] == [
        f"The file {path} is damaged, or was not written by exoproxy. "
        "Endpoints of catalogues are learned anew from logins."
    ]
