"""One file's answers: fields, conditions, ranges, kept and from disk."""

import os
import threading
from pathlib import Path

import pytest

from exoproxy.client.entity import Entity, FileChanged, read_entity
from exoproxy.proxy.decision import File, Reply
from exoproxy.wire.fields import Field, Fields
from exoproxy.wire.head import RequestHead
from exoproxy.wire.target import Authority, Target

MODIFIED_NS = 784111777_250_000_000
MODIFIED = b"Sun, 06 Nov 1994 08:49:37 GMT"
CONTENT = b"0123456789"
KEPT_TAG = b'"84d89877f0d4041efb6bf91a16f0248f"'


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "elm-web.js"
    path.write_bytes(CONTENT)
    os.utime(path, ns=(MODIFIED_NS, MODIFIED_NS))
    return path


@pytest.fixture
def kept(path: Path) -> Entity:
    return read_entity(path, "elm-web.js", 10)


@pytest.fixture
def on_disk(path: Path) -> Entity:
    return read_entity(path, "elm-web.js", 9)


def request(*pairs: Field, method: bytes = b"GET") -> RequestHead:
    return RequestHead(
        method=method,
        target=Target(origin=b"/elm-web.js", path=b"/elm-web.js", query=None),
        minor=1,
        fields=Fields(pairs),
        authority=Authority(host="a", port=None, raw=b"a"),
    )


def fields_of(etag: bytes) -> list[Field]:
    return [
        (b"Content-Type", b"application/javascript; charset=utf-8"),
        (b"ETag", etag),
        (b"Last-Modified", MODIFIED),
        (b"Accept-Ranges", b"bytes"),
        (b"Cache-Control", b"no-cache"),
        (b"Vary", b"Accept-Encoding"),
        (b"X-Content-Type-Options", b"nosniff"),
    ]


VALIDATING: list[Field] = [
    (b"ETag", KEPT_TAG),
    (b"Last-Modified", MODIFIED),
    (b"Cache-Control", b"no-cache"),
    (b"Vary", b"Accept-Encoding"),
]


def test_small_file(kept: Entity) -> None:
    """A small file is answered from memory, with a tag made of its content."""
    reply = kept.answer(request())

    assert reply == Reply(status=200, fields=fields_of(KEPT_TAG), content=CONTENT)
    assert kept.answer(request(method=b"HEAD")) is reply


def test_large_file(on_disk: Entity, path: Path) -> None:
    """A large file is answered from disk, with a tag made of size, time and inode."""
    etag = b'"a-%x-%x"' % (MODIFIED_NS, path.stat().st_ino)

    assert on_disk.weight == 0
    assert on_disk.answer(request()) == File(
        status=200, fields=fields_of(etag), path=path, offset=0, length=10
    )


def test_same_content_has_the_same_tag(kept: Entity, path: Path) -> None:
    """The tag of a kept file outlives a rewrite with the same content, such as a release's."""
    path.write_bytes(CONTENT)

    assert read_entity(path, "elm-web.js", 10).identity.etag == kept.identity.etag


@pytest.mark.parametrize("method", [b"GET", b"HEAD"])
def test_not_modified(kept: Entity, method: bytes) -> None:
    """A 304 carries what a cache needs to go on, and no content."""
    for condition in ((b"If-None-Match", KEPT_TAG), (b"If-Modified-Since", MODIFIED)):
        assert kept.answer(request(condition, method=method)) == Reply(
            status=304, fields=VALIDATING, content=b""
        )


def test_precondition_failed(kept: Entity) -> None:
    """A failed precondition is answered with 412 before a range is looked at."""
    pairs = [(b"If-Match", b'"other"'), (b"Range", b"bytes=99-")]

    assert kept.answer(request(*pairs)) == Reply(status=412, fields=VALIDATING, content=b"")


def test_range_of_a_kept_file(kept: Entity) -> None:
    """A range of a kept file is cut out of memory."""
    assert kept.answer(request((b"Range", b"bytes=3-5"))) == Reply(
        status=206,
        fields=[*fields_of(KEPT_TAG), (b"Content-Range", b"bytes 3-5/10")],
        content=b"345",
    )


def test_range_of_a_file_on_disk(on_disk: Entity, path: Path) -> None:
    """A range of a large file is read from its offset."""
    assert on_disk.answer(request((b"Range", b"bytes=-4"))) == File(
        status=206,
        fields=[*fields_of(on_disk.identity.etag), (b"Content-Range", b"bytes 6-9/10")],
        path=path,
        offset=6,
        length=4,
    )


def test_range_outside(kept: Entity) -> None:
    """A range outside the content is answered with 416 and the content's size."""
    assert kept.answer(request((b"Range", b"bytes=10-"))) == Reply(
        status=416, fields=[*VALIDATING, (b"Content-Range", b"bytes */10")], content=b""
    )


@pytest.mark.parametrize(
    ("method", "pairs"),
    [
        (b"HEAD", [(b"Range", b"bytes=3-5")]),
        (b"HEAD", [(b"Range", b"bytes=10-")]),
        (b"GET", [(b"Range", b"bytes=0-1,3-5")]),
        (b"GET", [(b"Range", b"nonsense")]),
        (b"GET", [(b"Range", b"bytes=3-5"), (b"If-Range", b'"other"')]),
        (b"GET", [(b"Range", b"bytes=10-"), (b"If-Range", b'"other"')]),
        (b"GET", [(b"Range", b"bytes=3-5"), (b"If-Range", b"W/" + KEPT_TAG)]),
        (b"GET", [(b"If-None-Match", b'"other"')]),
        (b"GET", [(b"If-Match", KEPT_TAG)]),
    ],
)
def test_whole(kept: Entity, method: bytes, pairs: list[Field]) -> None:
    """Where no condition stops it and no range counts, the prepared answer is sent."""
    assert kept.answer(request(*pairs, method=method)) is kept.whole


def test_not_modified_wins_over_range(kept: Entity) -> None:
    """A range of a file that the client has whole is answered with 304."""
    reply = kept.answer(request((b"If-None-Match", KEPT_TAG), (b"Range", b"bytes=3-5")))

    assert reply.status == 304


def test_modification_time_in_the_future(path: Path) -> None:
    """Last-Modified is never later than the answer (RFC 9110 section 8.8.2.1)."""
    far = 4_000_000_000
    os.utime(path, (far, far))

    assert read_entity(path, "elm-web.js", 10).modified < far


def test_pipe_does_not_block(tmp_path: Path) -> None:
    """A named pipe in a file's place is refused at once, without waiting for a writer."""
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    # Comes only when the rule is broken, so that the test then fails instead of hanging.
    late_writer = threading.Timer(5, lambda: os.close(os.open(pipe, os.O_WRONLY)))
    late_writer.start()
    with pytest.raises(FileChanged):
        read_entity(pipe, "pipe", 10)
    waited = late_writer.finished.is_set()
    late_writer.cancel()
    late_writer.join()

    assert not waited


def test_shrinking_file(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file that is cut while it is read gives no entity."""
    monkeypatch.setattr(os, "read", lambda descriptor, size: CONTENT[:5])
    with pytest.raises(FileChanged):
        read_entity(path, "elm-web.js", 10)
