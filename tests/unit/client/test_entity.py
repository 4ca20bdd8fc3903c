"""One file's answers: fields, conditions, ranges and codings, kept and from disk."""

import os
import threading
from pathlib import Path

import pytest

from exoproxy.client.entity import Entity, FileChanged, read_entity
from exoproxy.proxy.decision import File, Reply, stamp_of
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

    assert reply == Reply(status=200, fields=fields_of(KEPT_TAG), content=CONTENT, route="static")
    assert kept.answer(request(method=b"HEAD")) is reply


def test_large_file(on_disk: Entity, path: Path) -> None:
    """A large file is answered from disk, with a tag made of size, time and inode."""
    etag = b'"a-%x-%x"' % (MODIFIED_NS, path.stat().st_ino)

    assert on_disk.weight == 0
    assert on_disk.answer(request()) == File(
        status=200,
        fields=fields_of(etag),
        path=path,
        stamp=stamp_of(path.stat()),
        offset=0,
        length=10,
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
            route="static", status=304, fields=VALIDATING, content=b""
        )


def test_precondition_failed(kept: Entity) -> None:
    """A failed precondition is answered with 412 before a range is looked at."""
    pairs = [(b"If-Match", b'"other"'), (b"Range", b"bytes=99-")]

    assert kept.answer(request(*pairs)) == Reply(status=412, fields=VALIDATING, route="static")


def test_range_of_a_kept_file(kept: Entity) -> None:
    """A range of a kept file is cut out of memory."""
    assert kept.answer(request((b"Range", b"bytes=3-5"))) == Reply(
        route="static",
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
        stamp=stamp_of(path.stat()),
        offset=6,
        length=4,
    )


def test_range_outside(kept: Entity) -> None:
    """A range outside the content is answered with 416 and the content's size."""
    assert kept.answer(request((b"Range", b"bytes=10-"))) == Reply(
        route="static",
        status=416,
        fields=[*VALIDATING, (b"Content-Range", b"bytes */10")],
        content=b"",
    )


@pytest.mark.parametrize(
    ("method", "pairs"),
    [
        (b"HEAD", [(b"Range", b"bytes=3-5")]),
        (b"HEAD", [(b"Range", b"bytes=10-")]),
        (b"HEAD", [(b"Range", b"bytes=0-0,-1")]),
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
    assert kept.answer(request(*pairs, method=method)) is kept.identity.whole


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


SCRIPT = b"".join(b"var a%d = f(%d);\n" % (n, n * n) for n in range(200))
# The bytes of a coding don't matter here, only their number.
BROTLI, ZSTD, GZIP = b"b" * 500, b"z" * 600, b"g" * 700


@pytest.fixture
def script(path: Path) -> Entity:
    """Return a file whose codings are to come."""
    path.write_bytes(SCRIPT)
    os.utime(path, ns=(MODIFIED_NS, MODIFIED_NS))
    return read_entity(path, "elm-web.js", 10_000)


@pytest.fixture
def coded(script: Entity) -> Entity:
    """Return a file with all three codings."""
    for coding, content in ((b"gzip", GZIP), (b"zstd", ZSTD), (b"br", BROTLI)):
        script = script.with_coding(coding, content)
    return script


def asking(accept: bytes, *pairs: Field, method: bytes = b"GET") -> RequestHead:
    return request((b"Accept-Encoding", accept), *pairs, method=method)


def field(decision: Reply | File, name: bytes) -> bytes | None:
    return dict(decision.fields).get(name)


def tag(entity: Entity, coding: bytes) -> bytes:
    return entity.encoded[coding].etag


class TestCodings:
    """The encoded forms of a file, and who gets which."""

    @pytest.mark.parametrize(
        ("accept", "content"),
        [
            (b"gzip, deflate, br, zstd", BROTLI),
            (b"gzip, deflate, zstd", ZSTD),
            (b"gzip, deflate", GZIP),
            (b"deflate", SCRIPT),
            (b"br;q=0, zstd;q=0.1, gzip;q=0.2", GZIP),
            (b"br;q=0.5, identity", SCRIPT),
            (b"*", BROTLI),
            (b"*, br;q=0", ZSTD),
            (b"*;q=0", SCRIPT),
            (b"identity;q=0", SCRIPT),
            (b"", SCRIPT),
        ],
    )
    def test_choice(self, coded: Entity, accept: bytes, content: bytes) -> None:
        """The client's weights decide; the smallest wins among equals; some answer there is."""
        reply = coded.answer(asking(accept))

        assert isinstance(reply, Reply)
        assert reply.content == content

    def test_fields(self, coded: Entity) -> None:
        """A coding is named, has a strong tag of its own, and leaves the other fields alone."""
        reply = coded.answer(asking(b"br"))
        etag = tag(coded, b"br")

        assert reply.fields == [*fields_of(etag), (b"Content-Encoding", b"br")]
        assert etag.startswith(coded.identity.etag[:-1] + b"-br-")
        assert etag.endswith(b'"')
        assert len({coded.identity.etag, *(tag(coded, each) for each in coded.encoded)}) == 4

    def test_smallest_wins_whichever_it_is(self, script: Entity) -> None:
        """A file that gzip makes smallest is sent in gzip."""
        entity = script.with_coding(b"gzip", b"g").with_coding(b"br", b"bb")

        assert field(entity.answer(asking(b"br, gzip")), b"Content-Encoding") == b"gzip"

    def test_one_that_saves_nothing_is_not_kept(self, script: Entity) -> None:
        """A form as long as the content itself is dropped, and not made again."""
        entity = script.with_coding(b"gzip", b"g" * len(SCRIPT))

        assert entity.encoded == {}
        assert entity.lacking == (b"zstd", b"br")
        assert entity.weight == len(SCRIPT)

    def test_weight(self, coded: Entity) -> None:
        """All forms count."""
        assert coded.weight == len(SCRIPT) + 500 + 600 + 700

    @pytest.mark.parametrize(
        ("name", "size", "expected"),
        [
            ("a.js", 256, True),
            ("a.js", 255, False),
            ("a.ico", 256, True),
            ("a.html", 10_000, True),
            ("a.html", 10_001, False),
            ("a.woff2", 256, False),
            ("a.png", 256, False),
            ("a.bin", 256, False),
        ],
    )
    def test_what_is_worth_it(self, path: Path, name: str, size: int, expected: bool) -> None:
        """Types that shrink, from a size on, as far as they are kept in memory."""
        path.write_bytes(b"x" * size)

        assert bool(read_entity(path, name, 10_000).lacking) is expected

    def test_head(self, coded: Entity) -> None:
        """HEAD gets the fields of the same coding."""
        head = coded.answer(asking(b"br", method=b"HEAD"))

        assert head is coded.answer(asking(b"br"))

    @pytest.mark.parametrize("coding", [b"br", b"zstd", b"gzip"])
    def test_not_modified(self, coded: Entity, coding: bytes) -> None:
        """A client that has the coding it would get is told so, under the coding's tag."""
        etag = tag(coded, coding)
        reply = coded.answer(asking(coding, (b"If-None-Match", b'"x", W/' + etag)))

        assert (reply.status, field(reply, b"ETag")) == (304, etag)
        assert field(reply, b"Vary") == b"Accept-Encoding"
        assert field(reply, b"Content-Encoding") is None

    def test_other_form_that_the_client_has(self, coded: Entity) -> None:
        """What came before the best coding was ready is still good: nothing is sent again."""
        for etag in (coded.identity.etag, tag(coded, b"gzip")):
            reply = coded.answer(asking(b"gzip, br", (b"If-None-Match", etag)))

            assert (reply.status, field(reply, b"ETag")) == (304, etag)

    def test_coding_that_is_not_ready_again(self, script: Entity, coded: Entity) -> None:
        """A coding of the same content, fetched before a restart, needs not be made to be known."""
        etag = tag(coded, b"br")
        reply = script.answer(asking(b"gzip, br", (b"If-None-Match", etag)))

        assert (reply.status, field(reply, b"ETag")) == (304, etag)

    @pytest.mark.parametrize("accept", [b"gzip", b"", b"br;q=0, gzip"])
    def test_form_that_the_client_does_not_take(self, coded: Entity, accept: bytes) -> None:
        """A cache that asks for a client without Brotli must not be sent to its Brotli copy."""
        reply = coded.answer(asking(accept, (b"If-None-Match", tag(coded, b"br"))))

        assert reply.status == 200
        assert field(reply, b"Content-Encoding") != b"br"

    def test_client_that_says_nothing(self, coded: Entity) -> None:
        """Without an Accept-Encoding there is one form, and one tag."""
        reply = coded.answer(request((b"If-None-Match", tag(coded, b"br"))))

        assert reply == coded.identity.whole

    def test_tag_of_other_content(self, coded: Entity) -> None:
        """A tag of an earlier content is none of ours, whatever its coding."""
        etag = tag(coded, b"br").replace(coded.identity.etag[1:9], b"00000000")

        assert coded.answer(asking(b"br", (b"If-None-Match", etag))).status == 200

    def test_range_is_of_the_encoded_bytes(self, coded: Entity) -> None:
        """A range counts in the coding's bytes, and the size is the coding's."""
        pairs = [(b"Range", b"bytes=490-"), (b"If-Range", tag(coded, b"br"))]
        reply = coded.answer(asking(b"br", *pairs))

        assert reply == Reply(
            route="static",
            status=206,
            fields=[
                *coded.encoded[b"br"].whole.fields,
                (b"Content-Range", b"bytes 490-499/500"),
            ],
            content=BROTLI[490:],
        )

    def test_range_outside_of_the_encoded_bytes(self, coded: Entity) -> None:
        """What lies within the content may lie outside its coding."""
        reply = coded.answer(asking(b"br", (b"Range", b"bytes=500-")))

        assert reply.status == 416
        assert field(reply, b"Content-Range") == b"bytes */500"
        assert field(reply, b"ETag") == tag(coded, b"br")

    @pytest.mark.parametrize("other", ["identity", "gzip", "date"])
    def test_if_range_of_another_form(self, coded: Entity, other: str) -> None:
        """A part of one form is no use with a part of another; a date can't tell them apart."""
        forms = {
            "identity": coded.identity.etag,
            "gzip": tag(coded, b"gzip"),
            "date": MODIFIED,
        }
        pairs = [(b"Range", b"bytes=9-19"), (b"If-Range", forms[other])]

        assert coded.answer(asking(b"br", *pairs)) is coded.encoded[b"br"].whole

    def test_if_range_with_the_date(self, coded: Entity) -> None:
        """For the content itself, the exact date will do."""
        pairs = [(b"Range", b"bytes=9-19"), (b"If-Range", MODIFIED)]

        assert coded.answer(request(*pairs)).status == 206

    def test_if_match(self, coded: Entity) -> None:
        """If-Match compares with the form that would be sent."""
        pair = (b"If-Match", tag(coded, b"br"))

        assert coded.answer(asking(b"br", pair)).status == 200
        assert coded.answer(asking(b"gzip", pair)).status == 412

    def test_codings_outlive_a_rewrite_with_the_same_content(
        self, coded: Entity, path: Path
    ) -> None:
        """A release that holds an old file keeps its codings, under the new date."""
        os.utime(path, ns=(0, 0))
        entity = read_entity(path, "elm-web.js", 10_000).with_codings_of(coded)
        reply = entity.answer(asking(b"br"))

        assert isinstance(reply, Reply)
        assert reply.content == BROTLI
        assert field(reply, b"Last-Modified") == b"Thu, 01 Jan 1970 00:00:00 GMT"
        assert entity.lacking == ()

    def test_codings_of_other_content_are_not_taken(self, coded: Entity, path: Path) -> None:
        """A file with another content begins anew."""
        path.write_bytes(SCRIPT + b"//")
        entity = read_entity(path, "elm-web.js", 10_000).with_codings_of(coded)

        assert entity.encoded == {}
        assert entity.lacking == (b"gzip", b"zstd", b"br")


class TestSeveralRanges:
    """Parts of a file in one answer."""

    WANTED = (b"Range", b"bytes=0-9,-10")

    def test_kept_file(self, script: Entity) -> None:
        """Each part says where it belongs; the answer as a whole has no Content-Range."""
        reply = script.answer(request(self.WANTED))
        boundary = script.identity.etag.strip(b'"')

        assert isinstance(reply, Reply)
        assert reply.status == 206
        assert reply.fields == [
            (b"Content-Type", b"multipart/byteranges; boundary=" + boundary),
            *fields_of(script.identity.etag)[1:],
        ]
        assert reply.content == (
            b"--%b\r\nContent-Type: application/javascript; charset=utf-8\r\n"
            b"Content-Range: bytes 0-9/%d\r\n\r\n%b\r\n"
            b"--%b\r\nContent-Type: application/javascript; charset=utf-8\r\n"
            b"Content-Range: bytes %d-%d/%d\r\n\r\n%b\r\n--%b--\r\n"
        ) % (
            boundary,
            len(SCRIPT),
            SCRIPT[:10],
            boundary,
            len(SCRIPT) - 10,
            len(SCRIPT) - 1,
            len(SCRIPT),
            SCRIPT[-10:],
            boundary,
        )

    def test_coding_is_sent_whole(self, coded: Entity) -> None:
        """Several parts of an encoded form are answered with all of it."""
        wanted = (b"Range", b"bytes=0-9,-10")

        assert coded.answer(asking(b"br", wanted)) is coded.encoded[b"br"].whole

    def test_large_file_is_sent_whole(self, path: Path) -> None:
        """Several parts of a file on disk are answered with all of it."""
        path.write_bytes(SCRIPT)
        entity = read_entity(path, "elm-web.js", 9)

        assert entity.answer(request(self.WANTED)) is entity.identity.whole


def test_page_has_security_fields(path: Path) -> None:
    """A page is not shown within other sites' pages, and tells them no paths."""
    page = dict(read_entity(path, "index.html", 10).answer(request()).fields)

    assert page[b"Content-Security-Policy"] == b"frame-ancestors 'self'"
    assert page[b"Referrer-Policy"] == b"strict-origin-when-cross-origin"
