"""The document root on a real file system: resolution, liveness, confinement, memory."""

import os
import threading
import time
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import brotli  # type: ignore[import-untyped] # without annotations; nobody publishes any
import pytest

from exoproxy.client import encoding
from exoproxy.client import tree as tree_module
from exoproxy.client.tree import Tree, check_root
from exoproxy.errors import MethodNotAllowed, NotFound, NotInstalled, Overloaded
from exoproxy.proxy.decision import File, Reply
from exoproxy.wire.fields import Fields
from exoproxy.wire.head import RequestHead
from exoproxy.wire.target import Authority, Target
from scripts import script

CASES: list[dict[str, Any]] = tomllib.loads(
    (Path(__file__).parents[2] / "rule_cases" / "static_paths.toml").read_text(encoding="utf-8")
)["case"]

HOUR_NS = 3_600_000_000_000


def request(
    path: str, method: bytes = b"GET", query: bytes | None = None, accept: bytes | None = None
) -> RequestHead:
    fields = [(b"Host", b"a.example.org")]
    if accept is not None:
        fields.append((b"Accept-Encoding", accept))
    raw = path.encode()
    origin = raw if query is None else raw + b"?" + query
    return RequestHead(
        method=method,
        target=Target(origin=origin, path=raw, query=query),
        minor=1,
        fields=Fields(fields),
        authority=Authority(host="a.example.org", port=None, raw=b"a.example.org"),
    )


def get(tree: Tree, path: str) -> bytes:
    """Return the content that a GET is answered with."""
    reply = tree.answer(request(path))
    assert isinstance(reply, Reply)
    assert reply.status == 200
    return reply.content


def field(decision: Reply | File, name: bytes) -> bytes | None:
    return dict(decision.fields).get(name)


def put(path: Path, content: bytes, *, ago_ns: int = HOUR_NS) -> None:
    """Write a file with a modification time in the past."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    then = 1_700_000_000_000_000_000 - ago_ns
    os.utime(path, ns=(then, then))


@pytest.fixture(autouse=True)
def settled(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let files count as settled at once; the test of fresh ones takes it back."""
    monkeypatch.setattr(tree_module, "_TICK_NS", 0)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Return a document root with the files that static_paths.toml names."""
    root = tmp_path / "root"
    for name in (
        "index.html",
        "elm-web.js",
        "version.json",
        "assets/img/logo.svg",
        "docs/index.html",
        "sp ace.txt",
        "ü.txt",
        "100%.txt",
        ".git/config",
        ".env",
    ):
        put(root / name, name.encode())
    outside = tmp_path / "outside"
    put(outside / "secret.txt", b"secret")
    put(outside / "index.html", b"secret")
    (root / "inside.js").symlink_to("elm-web.js")
    (root / "outside.js").symlink_to(outside / "secret.txt")
    (root / "outdoors").symlink_to(outside)
    os.mkfifo(root / "pipe.js")
    return root


@pytest.mark.parametrize("case", CASES, ids=[case["name"] for case in CASES])
def test_path(root: Path, case: dict[str, Any]) -> None:
    """A path comes to the file, the redirect or the refusal that the table names."""
    tree = Tree(root)
    if "location" in case:
        reply = tree.answer(request(case["path"]))

        assert reply.status == 301
        assert field(reply, b"Location") == case["location"].encode()
    elif "file" in case:
        assert get(tree, case["path"]) == case["file"].encode()
    else:
        with pytest.raises(NotFound) as refusal:
            tree.answer(request(case["path"]))

        told = refusal.value.sentence + refusal.value.hint
        assert len(case["path"]) < 2 or case["path"] not in told


@pytest.mark.parametrize("method", [b"POST", b"PUT", b"DELETE", b"OPTIONS", b"PATCH", b"HEADS"])
@pytest.mark.parametrize("path", ["/", "/elm-web.js", "/missing.js", "/../x", "/route"])
def test_other_methods(root: Path, method: bytes, path: str) -> None:
    """Only GET and HEAD reach files, and the refusal names them, whatever the path."""
    with pytest.raises(MethodNotAllowed) as refusal:
        Tree(root).answer(request(path, method))

    assert refusal.value.allow == "GET, HEAD"


def test_head_is_answered_like_get(root: Path) -> None:
    """HEAD gets the fields of GET; the engine leaves the content out."""
    tree = Tree(root)

    assert tree.answer(request("/", b"HEAD")) == tree.answer(request("/"))


def test_redirect_keeps_the_query_and_quotes_the_name(root: Path) -> None:
    """The Location of a folder is made of its judged name, quoted again, and the query."""
    put(root / "é x" / "index.html", b"")
    reply = Tree(root).answer(request("/%C3%A9%20x", query=b"a=%0d&b"))

    assert field(reply, b"Location") == b"/%C3%A9%20x/?a=%0d&b"


class TestOverrides:
    """Files in the overrides folder win over the root's."""

    @pytest.fixture
    def overrides(self, tmp_path: Path) -> Path:
        return tmp_path / "overrides"

    def test_override_wins(self, root: Path, overrides: Path) -> None:
        """A file in both comes from the overrides, one in the root alone from there."""
        put(overrides / "elm-web.js", b"own")
        tree = Tree(root, overrides)

        assert get(tree, "/elm-web.js") == b"own"
        assert get(tree, "/version.json") == b"version.json"

    def test_override_comes_and_goes(self, root: Path, overrides: Path) -> None:
        """An override counts from the request after it was made, and until it is deleted."""
        tree = Tree(root, overrides)
        seen = [get(tree, "/elm-web.js")]
        put(overrides / "elm-web.js", b"own")
        seen.append(get(tree, "/elm-web.js"))
        (overrides / "elm-web.js").unlink()
        seen.append(get(tree, "/elm-web.js"))

        assert seen == [b"elm-web.js", b"own", b"elm-web.js"]

    def test_overriding_index_answers_routes(self, root: Path, overrides: Path) -> None:
        """An index.html among the overrides stands in for unknown paths too."""
        put(overrides / "index.html", b"own")

        assert get(Tree(root, overrides), "/home") == b"own"

    def test_folder_does_not_hide_a_file(self, root: Path, overrides: Path) -> None:
        """A folder of that name among the overrides leaves the root's file in place."""
        (overrides / "elm-web.js").mkdir(parents=True)

        assert get(Tree(root, overrides), "/elm-web.js") == b"elm-web.js"

    def test_links_between_both(self, root: Path, overrides: Path) -> None:
        """A link from one of both folders into the other stays inside."""
        put(overrides / "..data" / "1", b"of the overrides")
        (overrides / "config.js").symlink_to(overrides / "..data" / "1")
        (root / "banners.json").symlink_to(overrides / "config.js")
        tree = Tree(root, overrides)

        assert get(tree, "/config.js") == get(tree, "/banners.json") == b"of the overrides"
        # The name that is asked for gives the type, not the one at the link's end.
        javascript = b"application/javascript; charset=utf-8"
        assert field(tree.answer(request("/config.js")), b"Content-Type") == javascript

    def test_link_outside_is_no_way_around(self, root: Path, overrides: Path) -> None:
        """An override that leads outside is refused, and does not fall back to the root's file."""
        overrides.mkdir()
        (overrides / "elm-web.js").symlink_to(root.parent / "outside" / "secret.txt")

        with pytest.raises(NotFound):
            Tree(root, overrides).answer(request("/elm-web.js"))


class TestLiveness:
    """Each answer is of the file's present state."""

    def test_edit_is_live(self, root: Path) -> None:
        """A rewritten file is served at the next request, with another tag."""
        tree = Tree(root)
        before = tree.answer(request("/elm-web.js"))
        put(root / "elm-web.js", b"longer than before")
        after = tree.answer(request("/elm-web.js"))

        assert isinstance(after, Reply)
        assert after.content == b"longer than before"
        assert field(after, b"ETag") != field(before, b"ETag")

    def test_copy_with_size_and_time_kept_is_live(self, root: Path) -> None:
        """An edit that keeps the size and sets the old modification time is seen as well."""
        tree = Tree(root)
        get(tree, "/elm-web.js")
        status = (root / "elm-web.js").stat()
        put(root / "new", b"ELM-WEB.JS")
        os.utime(root / "new", ns=(status.st_atime_ns, status.st_mtime_ns))
        (root / "new").replace(root / "elm-web.js")

        assert get(tree, "/elm-web.js") == b"ELM-WEB.JS"

    def test_fresh_file_is_read_again(self, root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """A file that was changed within the clock's tick is read again at each request."""
        monkeypatch.setattr(tree_module, "_TICK_NS", HOUR_NS)
        tree = Tree(root)
        first, second = tree.answer(request("/")), tree.answer(request("/"))

        assert first == second
        assert first is not second

    def test_settled_file_is_kept(self, root: Path) -> None:
        """An unchanged file is answered with the very object, without reading it again."""
        tree = Tree(root)

        assert tree.answer(request("/")) is tree.answer(request("/"))

    def test_deleted_file_is_gone(self, root: Path) -> None:
        """A kept file that is deleted is no longer served."""
        tree = Tree(root)
        get(tree, "/elm-web.js")
        (root / "elm-web.js").unlink()

        with pytest.raises(NotFound):
            tree.answer(request("/elm-web.js"))

    def test_switched_release_is_live(self, tmp_path: Path) -> None:
        """When `current` is switched, the next request is answered from the other release."""
        put(tmp_path / "1" / "index.html", b"1")
        put(tmp_path / "2" / "index.html", b"2")
        current = tmp_path / "current"
        current.symlink_to("1")
        tree = Tree(current)
        seen = [get(tree, "/")]
        for release in ("2", "1"):
            (tmp_path / "next").symlink_to(release)
            (tmp_path / "next").replace(current)
            seen.append(get(tree, "/"))

        assert seen == [b"1", b"2", b"1"]

    def test_half_written_file_is_read_again(
        self, root: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """A file that grows while it is read is read again."""
        reading = os.read
        grown: list[bool] = []

        def read(descriptor: int, size: int) -> bytes:
            content = reading(descriptor, size)
            if not grown:
                grown.append(True)
                put(root / "elm-web.js", b"elm-web.js and the rest")
            return content

        monkeypatch.setattr(os, "read", read)

        assert get(Tree(root), "/elm-web.js") == b"elm-web.js and the rest"

    def test_file_that_never_rests(self, root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """A file that changes at every try is answered with 503, never with a mixture."""
        reading = os.read
        numbers: Iterator[int] = iter(range(1000))

        def read(descriptor: int, size: int) -> bytes:
            content = reading(descriptor, size)
            put(root / "elm-web.js", b"x" * next(numbers))
            return content

        monkeypatch.setattr(os, "read", read)
        with pytest.raises(Overloaded):
            Tree(root).answer(request("/elm-web.js"))

    def test_file_deleted_while_it_is_opened(
        self, root: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """A file that goes between the look-up and the opening is as good as missing."""
        opening = os.open

        def open_(path: Path, flags: int) -> int:
            (root / "elm-web.js").unlink(missing_ok=True)
            return opening(path, flags)

        monkeypatch.setattr(os, "open", open_)
        with pytest.raises(NotFound):
            Tree(root).answer(request("/elm-web.js"))


class TestCodings:
    """Encoded forms are made behind the requests' back, and join what is kept."""

    @pytest.fixture
    def tree(self, root: Path) -> Iterator[Tree]:
        put(root / "elm-web.js", script(2000))
        tree = Tree(root)
        yield tree
        tree.close()

    def coding(self, tree: Tree, accept: bytes = b"br") -> bytes | None:
        """Return the coding of an answer, the work before it having been done."""
        tree._encoding.wait()
        return field(tree.answer(request("/elm-web.js", accept=accept)), b"Content-Encoding")

    def test_first_as_it_is_then_encoded(self, root: Path, tree: Tree) -> None:
        """The first client gets the file at once, later ones its encoded form."""
        first = tree.answer(request("/elm-web.js", accept=b"br, gzip"))
        assert isinstance(first, Reply)
        assert first.content == script(2000)
        tree._encoding.wait()
        later = tree.answer(request("/elm-web.js", accept=b"br, gzip"))

        assert isinstance(later, Reply)
        assert field(later, b"Content-Encoding") == b"br"
        assert brotli.decompress(later.content) == script(2000)
        assert field(later, b"ETag") != field(first, b"ETag")
        assert tree.answer(request("/elm-web.js")) is first

    def test_kept_answer(self, tree: Tree) -> None:
        """An encoded form, too, is answered with one object each time."""
        self.coding(tree)
        self.coding(tree)
        first, second = (tree.answer(request("/elm-web.js", accept=b"br")) for _ in range(2))

        assert first is second

    def test_nothing_is_made_for_nobody(self, tree: Tree) -> None:
        """As long as no client names a coding, none is made."""
        get(tree, "/elm-web.js")
        tree._encoding.wait()

        assert tree._encoding.finished() is None

    def test_edit_meanwhile(self, root: Path, tree: Tree) -> None:
        """What was made of the old content is never sent for the new one."""
        self.coding(tree)
        tree._encoding.wait()
        put(root / "elm-web.js", script(3000))

        assert self.coding(tree) is None
        assert self.coding(tree) == b"br"
        reply = tree.answer(request("/elm-web.js", accept=b"br"))
        assert isinstance(reply, Reply)
        assert brotli.decompress(reply.content) == script(3000)

    def test_old_content_that_is_finished_late(
        self, root: Path, tree: Tree, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """The new content was read while the old one was being encoded, and nothing is mixed."""
        read = threading.Event()

        def encode(content: bytes, coding: bytes, wanted: object) -> bytes:
            assert read.wait(10)
            return b"of the old content"

        monkeypatch.setattr(encoding, "encode", encode)
        tree.answer(request("/elm-web.js", accept=b"br"))
        put(root / "elm-web.js", script(3000))
        get(tree, "/elm-web.js")
        read.set()

        assert self.coding(tree) is None

    def test_rewrite_of_the_same_content(self, root: Path, tree: Tree) -> None:
        """A file that only got a new date keeps its encoded forms, those on their way too."""
        self.coding(tree)
        put(root / "elm-web.js", script(2000), ago_ns=1)
        assert self.coding(tree) == b"br"
        put(root / "elm-web.js", script(2000), ago_ns=2)

        assert field(tree.answer(request("/elm-web.js", accept=b"br")), b"Content-Encoding")

    def test_release_with_the_same_content(self, tmp_path: Path) -> None:
        """When `current` is switched, files that did not change are not encoded again."""
        for release in "12":
            put(tmp_path / release / "elm-web.js", script(2000))
        current = tmp_path / "current"
        current.symlink_to("1")
        tree = Tree(current)
        self.coding(tree)
        seen = [self.coding(tree)]
        (tmp_path / "next").symlink_to("2")
        (tmp_path / "next").replace(current)
        seen.append(field(tree.answer(request("/elm-web.js", accept=b"br")), b"Content-Encoding"))

        assert seen == [b"br", b"br"]

    def test_dropped_meanwhile(self, root: Path, tree: Tree) -> None:
        """Encoded forms of a file that is not kept any more are thrown away."""
        tree.answer(request("/elm-web.js", accept=b"br"))
        (root / "elm-web.js").unlink()
        tree._forget(str(root / "elm-web.js"))
        tree._encoding.wait()
        get(tree, "/")

        assert [Path(key).name for key in tree._kept] == ["index.html"]

    def test_fresh_file_is_not_encoded(self, tree: Tree, monkeypatch: pytest.MonkeyPatch) -> None:
        """A file that is not kept yet has no place for encoded forms."""
        monkeypatch.setattr(tree_module, "_TICK_NS", HOUR_NS)
        tree.answer(request("/elm-web.js", accept=b"br"))
        tree._encoding.wait()

        assert tree._encoding.finished() is None

    def test_encoded_forms_count(self, root: Path) -> None:
        """They take room of the same bounded memory, and give it back."""
        put(root / "elm-web.js", script(2000))
        tree = Tree(root, capacity=3000)
        index = tree.answer(request("/"))
        self.coding(tree)
        seen = self.coding(tree)

        assert seen is None
        assert tree._weight == sum(each.weight for each in tree._kept.values()) <= 3000
        assert tree.answer(request("/")) is not index
        tree.close()

    def test_close(self, tree: Tree) -> None:
        """Once closed, it still answers, and makes nothing."""
        tree.close()

        assert [self.coding(tree) for _ in range(2)] == [None, None]

    def test_close_lets_go(self, root: Path, tree: Tree) -> None:
        """A site that a reload has replaced may be there for a while: its files are not."""
        get(tree, "/")
        tree.close()

        assert tree._weight == len(tree._kept) == 0

    def test_other_requests_go_on(self, root: Path, tree: Tree) -> None:
        """While a large script is encoded, requests are answered as ever.

        Stops of 50 ms are counted by the time they take in all: on a busy machine there are some
        that nobody here can help.
        """
        put(root / "large.js", script(300_000))
        tree.answer(request("/large.js", accept=b"br"))
        began = before = time.perf_counter()
        stopped = 0.0
        while (thread := tree._encoding._thread) is not None and thread.is_alive():
            get(tree, "/version.json")
            time.sleep(0.001)
            now = time.perf_counter()
            stopped += now - before if now - before > 0.05 else 0
            before = now

        assert stopped < (before - began) / 2


class TestMemory:
    """What is kept is bounded."""

    def test_large_file_is_sent_from_disk(self, root: Path) -> None:
        """A file above the limit gives a File decision with its resolved path and its length."""
        (root / "large.js").symlink_to("elm-web.js")
        decision = Tree(root, keep_up_to=9).answer(request("/large.js"))

        assert isinstance(decision, File)
        assert decision.path == (root / "elm-web.js").resolve()
        assert (decision.status, decision.offset, decision.length) == (200, 0, 10)

    def test_least_recently_used_goes_first(self, root: Path) -> None:
        """When the capacity is passed, the file that was not asked for the longest is dropped."""
        for name in "abc":
            put(root / name, name.encode() * 10)
        tree = Tree(root, capacity=20)
        a, b = tree.answer(request("/a")), tree.answer(request("/b"))
        tree.answer(request("/a"))
        tree.answer(request("/c"))

        assert tree.answer(request("/a")) is a
        assert tree.answer(request("/b")) is not b

    def test_rewritten_file_counts_once(self, root: Path) -> None:
        """Many states of one file take the room of one."""
        put(root / "a", b"a" * 10)
        tree = Tree(root, capacity=20)
        a = tree.answer(request("/a"))
        for letter in b"bcdef":
            put(root / "b", bytes([letter]) * 10)
            tree.answer(request("/b"))

        assert tree.answer(request("/a")) is a

    def test_number_is_bounded(self, root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """Empty files, too, go when there are too many."""
        monkeypatch.setattr(tree_module, "MOST_ENTITIES", 1)
        tree = Tree(root)
        index = tree.answer(request("/"))
        tree.answer(request("/elm-web.js"))

        assert tree.answer(request("/")) is not index


class TestRootWithoutClient:
    """An operator is told what to do."""

    @pytest.mark.parametrize("path", ["/", "/route", "/index.html"])
    def test_request(self, tmp_path: Path, path: str) -> None:
        """Without an index.html every page's answer says how to install the client."""
        with pytest.raises(NotInstalled) as refusal:
            Tree(tmp_path / "missing").answer(request(path))

        assert refusal.value.status == 503
        assert refusal.value.retry
        assert "“exoproxy client install SOURCE”" in refusal.value.hint

    def test_request_for_an_asset(self, tmp_path: Path) -> None:
        """What is no page is missing, as ever."""
        with pytest.raises(NotFound):
            Tree(tmp_path / "missing").answer(request("/elm-web.js"))

    def test_client_that_comes_later(self, tmp_path: Path) -> None:
        """A client that is installed while the server runs is served without a restart."""
        tree = Tree(tmp_path / "root")
        with pytest.raises(NotInstalled):
            tree.answer(request("/"))
        put(tmp_path / "root" / "index.html", b"here")

        assert get(tree, "/") == b"here"

    def test_unreadable_file(self, root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """A file without permission is refused with the reason, and no page stands in for it."""

        def open_(path: Path, flags: int) -> int:
            raise PermissionError(13, "Permission denied", str(path))

        monkeypatch.setattr(os, "open", open_)
        with pytest.raises(NotFound) as refusal:
            Tree(root).answer(request("/"))

        assert refusal.value.sentence == "The server may not read this file."

    def test_check(self, root: Path, tmp_path: Path) -> None:
        """Each state of the document root has its sentence, and a good one has none."""
        (tmp_path / "empty").mkdir()
        (tmp_path / "dangling").symlink_to("nowhere")
        put(tmp_path / "other" / "readme.txt", b"")
        names = ("root", "missing", "dangling", "empty", "other", "root/index.html")
        sentences = {name: check_root(tmp_path / name) for name in names}
        advice = (
            "Install the Exosphere client with `exoproxy client install SOURCE`, or set "
            "main.client.root to the folder that holds its index.html."
        )

        assert sentences == {
            "root": None,
            "missing": f"The document root {tmp_path}/missing does not exist. {advice}",
            "dangling": f"The document root {tmp_path}/dangling does not exist. {advice}",
            "empty": f"The document root {tmp_path}/empty is empty. {advice}",
            "other": f"The document root {tmp_path}/other has no index.html. {advice}",
            "root/index.html": (
                f"The document root {tmp_path}/root/index.html is not a folder. {advice}"
            ),
        }
