"""Making encoded forms in a thread: the order, what is thrown away, the bounds, the end."""

import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from exoproxy.client import encoding as encoding_module
from exoproxy.client.encoding import Encoded, Encoding
from exoproxy.client.entity import Entity, read_entity

SOON = 10


class Gate:
    """Stands in for `encode`: notes what is made, and waits where it is told to."""

    def __init__(self) -> None:
        self.made: list[tuple[bytes, bytes]] = []
        self.entered = threading.Event()
        self.open = threading.Event()
        self.open.set()

    def __call__(self, content: bytes, coding: bytes, wanted: Callable[[], bool]) -> bytes | None:
        self.made.append((content[:1], coding))
        self.entered.set()
        assert self.open.wait(SOON)
        return coding if wanted() else None


@pytest.fixture
def gate(monkeypatch: pytest.MonkeyPatch) -> Gate:
    gate = Gate()
    monkeypatch.setattr(encoding_module, "encode", gate)
    return gate


@pytest.fixture
def encoding(gate: Gate) -> Iterator[Encoding]:
    encoding = Encoding()
    yield encoding
    gate.open.set()
    encoding.close()

    assert "exoproxy-encoding" not in {thread.name for thread in threading.enumerate()}


@pytest.fixture
def entity(tmp_path: Path) -> Callable[[str, str], Entity]:
    """Return a way to make an entity, `entity("name", "letter that it is full of")`."""

    def make(name: str, letter: str) -> Entity:
        path = tmp_path / f"{name}.js"
        path.write_text(letter * 300)
        return read_entity(path, str(path), 1000)

    return make


Make = Callable[[str, str], Entity]


def taken(encoding: Encoding) -> list[Encoded]:
    """Wait for the end of the work and return what was made."""
    encoding.wait()
    return list(iter(encoding.finished, None))


def test_all_codings_come(encoding: Encoding, entity: Make) -> None:
    """Each form comes back once, with what it belongs to."""
    a = entity("a", "a")
    encoding.begin(a)
    found = taken(encoding)

    assert [(each.coding, each.last) for each in found] == [
        (b"gzip", False),
        (b"zstd", False),
        (b"br", True),
    ]
    assert {(each.key, each.etag) for each in found} == {(a.key, a.identity.etag)}
    assert encoding.finished() is None


def test_each_file_has_something_soon(encoding: Encoding, entity: Make, gate: Gate) -> None:
    """The slow codings wait until all files have the quick ones."""
    gate.open.clear()
    for name in "abc":
        encoding.begin(entity(name, name))
    gate.open.set()
    encoding.wait()

    assert gate.made == [
        (name, coding) for coding in (b"gzip", b"zstd", b"br") for name in (b"a", b"b", b"c")
    ]


def test_only_what_lacks_is_made(encoding: Encoding, entity: Make, gate: Gate) -> None:
    """A file that has some of its codings gets the others."""
    encoding.begin(entity("a", "a").with_coding(b"gzip", b"g"))
    encoding.wait()

    assert gate.made == [(b"a", b"zstd"), (b"a", b"br")]


def test_nothing_is_made_twice(encoding: Encoding, entity: Make, gate: Gate) -> None:
    """Requests for a file that is under way, or finished and not yet collected, begin nothing."""
    a = entity("a", "a")
    gate.open.clear()
    for _ in range(3):
        encoding.begin(a)
    gate.open.set()
    encoding.wait()
    encoding.begin(a)
    encoding.wait()

    assert len(gate.made) == 3


def test_begins_again_once_collected(encoding: Encoding, entity: Make, gate: Gate) -> None:
    """A file that was dropped from memory after its work was done gets its forms again."""
    a = entity("a", "a")
    for _ in range(2):
        encoding.begin(a)
        taken(encoding)

    assert len(gate.made) == 6


def test_edit_throws_the_work_away(encoding: Encoding, entity: Make, gate: Gate) -> None:
    """Of a content that was replaced while it was encoded nothing comes back."""
    gate.open.clear()
    encoding.begin(entity("a", "a"))
    assert gate.entered.wait(SOON)
    later = entity("a", "A")
    encoding.begin(later)
    gate.open.set()
    found = taken(encoding)

    assert {each.etag for each in found} == {later.identity.etag}
    assert gate.made == [(b"a", b"gzip"), (b"A", b"gzip"), (b"A", b"zstd"), (b"A", b"br")]


def test_edit_takes_the_place_of_what_waits(encoding: Encoding, entity: Make, gate: Gate) -> None:
    """However often a file changes, one state of it waits."""
    gate.open.clear()
    encoding.begin(entity("first", "f"))
    assert gate.entered.wait(SOON)
    for letter in "bcdefg":
        encoding.begin(entity("a", letter))
    gate.open.set()
    encoding.wait()

    assert {content for content, _ in gate.made} == {b"f", b"g"}


def test_old_work_that_is_collected_late(encoding: Encoding, entity: Make, gate: Gate) -> None:
    """What comes back of an older state does not make the newer one forgotten."""
    encoding.begin(entity("a", "a"))
    encoding.wait()
    gate.open.clear()
    gate.entered.clear()
    later = entity("a", "A")
    encoding.begin(later)
    assert gate.entered.wait(SOON)
    while encoding.finished() is not None:
        pass
    encoding.begin(later)
    gate.open.set()
    encoding.wait()

    assert [coding for content, coding in gate.made if content == b"A"] == [b"gzip", b"zstd", b"br"]


def test_queue_is_bounded(
    encoding: Encoding, entity: Make, gate: Gate, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What finds no place is left out, and finds one when there is room again."""
    monkeypatch.setattr(encoding_module, "MOST_WAITING", 2)
    gate.open.clear()
    files = [entity(name, name) for name in "abc"]
    for each in files:
        encoding.begin(each)
    gate.open.set()
    first = {each.key for each in taken(encoding)}
    encoding.begin(files[2])
    second = {each.key for each in taken(encoding)}

    assert (first, second) == ({files[0].key, files[1].key}, {files[2].key})


def test_one_thread(
    encoding: Encoding, entity: Make, gate: Gate, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However much waits, one thread works."""
    workers = set()

    def noting(content: bytes, coding: bytes, wanted: Callable[[], bool]) -> bytes | None:
        workers.add(threading.get_ident())
        return gate(content, coding, wanted)

    gate.open.clear()
    monkeypatch.setattr(encoding_module, "encode", noting)
    for name in "abc":
        encoding.begin(entity(name, name))
    gate.open.set()
    encoding.wait()

    assert len(gate.made) == 9
    assert len(workers) == 1
    assert threading.get_ident() not in workers


def test_thread_ends_with_the_work(encoding: Encoding, entity: Make) -> None:
    """Nothing is left running when nothing is left to do."""
    before = threading.active_count()
    encoding.begin(entity("a", "a"))
    encoding.wait()

    assert threading.active_count() == before


def test_close_gives_up(encoding: Encoding, entity: Make, gate: Gate) -> None:
    """At the end the piece at hand is dropped, what waits is not begun, and nothing new is."""
    gate.open.clear()
    for name in "ab":
        encoding.begin(entity(name, name))
    assert gate.entered.wait(SOON)
    closing = threading.Thread(target=encoding.close)
    closing.start()
    while not encoding._closed:
        pass
    gate.open.set()
    closing.join(SOON)
    encoding.begin(entity("c", "c"))

    assert gate.made == [(b"a", b"gzip")]
    assert taken(encoding) == []


def test_no_thread_to_spare(
    encoding: Encoding, entity: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where the system gives no thread, nothing fails, and a later request tries again."""

    def fail(thread: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    a = entity("a", "a")
    with monkeypatch.context() as patch:
        patch.setattr(threading.Thread, "start", fail)
        encoding.begin(a)
    assert taken(encoding) == []
    encoding.begin(a)

    assert len(taken(encoding)) == 3


def test_defect_does_not_stop_later_work(
    encoding: Encoding, entity: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A content that a library fails on is told of, and the next one is encoded all the same."""
    told: list[object] = []
    monkeypatch.setattr(threading, "excepthook", lambda about: told.append(about.exc_type))

    def fail(content: bytes, coding: bytes, wanted: Callable[[], bool]) -> bytes:
        raise MemoryError

    with monkeypatch.context() as patch:
        patch.setattr(encoding_module, "encode", fail)
        encoding.begin(entity("a", "a"))
        encoding.wait()
    encoding.begin(entity("b", "b"))

    assert len(taken(encoding)) == 3
    assert told == [MemoryError]
