"""The invariant: no request path is answered with a byte from outside the document root.

Nor from a dot file within. The root is a link that is switched among releases between any two steps
of an answer; all that must not come out is marked.
"""

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any
from unittest import mock

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from exoproxy.client import tree as tree_module
from exoproxy.client.tree import Tree
from exoproxy.errors import ClientError, OwnError
from exoproxy.proxy.decision import File, Reply
from exoproxy.wire.fields import Fields
from exoproxy.wire.head import RequestHead
from exoproxy.wire.target import Authority, Target

SECRET = b"SECRET"

NAMES = ("index.html", "elm-web.js", "assets", "a.css", "out.js", "outdoors", "secret.txt", "up")
SEGMENTS = st.one_of(
    st.sampled_from(NAMES),
    st.sampled_from(
        [
            *("", ".", "..", "...", "%2e%2e", ".%2e", "%2E.", "%252e%252e", "..%2f..", "..%5c.."),
            *("%00", "a.css%00.js", "..%00", "\\", "..\\..", "%c0%ae%c0%ae", "%e0%80%ae", "%2f"),
            *(".env", ".git", "%2eenv", "config", "%2fetc%2fpasswd", "~", "%7e", "..;", "%", "%zz"),
            *("releases", "current", "outside", "1", "2", "root", "..%c0%af", "%ff", "up.js"),
        ]
    ),
    st.text(max_size=4).map(lambda text: "".join(f"%{byte:02x}" for byte in text.encode())),
)
PATHS = st.lists(SEGMENTS, min_size=1, max_size=5).map(lambda parts: "/" + "/".join(parts))


def put(path: Path, content: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with two releases, overrides, and secrets on every way out of them."""
    world = tmp_path_factory.mktemp("world")
    put(world / "outside" / "secret.txt", SECRET)
    put(world / "outside" / "index.html", SECRET)
    put(world / "secret.txt", SECRET)
    for release in "12":
        root = world / "releases" / release
        for name in ("index.html", "elm-web.js", "assets/a.css", "assets/index.html"):
            put(root / name, f"{release} {name}".encode() * (1 if release == "1" else 40))
        for name in (".env", ".git/config", "assets/.env"):
            put(root / name, SECRET)
        (root / "out.js").symlink_to(world / "outside" / "secret.txt")
        (root / "outdoors").symlink_to("../../outside")
        (root / "assets" / "up").symlink_to("../..")
        (root / "up.js").symlink_to("../../secret.txt")
    put(world / "releases" / "secret.txt", SECRET)
    put(world / "overrides" / "a.css", b"own a.css")
    (world / "overrides" / "elm-web.js").symlink_to("../current/elm-web.js")
    (world / "overrides" / "outdoors").symlink_to("../outside")
    (world / "current").symlink_to("releases/1")
    return world


def switch(world: Path, release: str) -> None:
    """Let `current` name another release, as an installation does."""
    (world / "next").unlink(missing_ok=True)
    (world / "next").symlink_to(release)
    (world / "next").replace(world / "current")


@contextmanager
def switching(world: Path, plan: list[bool]) -> Iterator[None]:
    """Switch the release before those system calls of an answer for which the plan says so."""
    steps = iter(plan)
    releases = iter(["releases/2", "releases/1"] * len(plan))

    def before(real: Callable[..., Any]) -> Callable[..., Any]:
        def call(*arguments: Any, **named: Any) -> Any:
            if next(steps, False):
                switch(world, next(releases))
            return real(*arguments, **named)

        return call

    with (
        mock.patch.object(os, "stat", before(os.stat)),
        mock.patch.object(os.path, "realpath", before(os.path.realpath)),
        mock.patch.object(os, "open", before(os.open)),
    ):
        yield


def request(path: str, accept: bytes) -> RequestHead:
    raw = path.encode()
    return RequestHead(
        method=b"GET",
        target=Target(origin=raw, path=raw, query=None),
        minor=1,
        fields=Fields([(b"Accept-Encoding", accept)]),
        authority=Authority(host="a", port=None, raw=b"a"),
    )


@settings(
    max_examples=400, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    paths=st.lists(PATHS, min_size=1, max_size=4),
    plan=st.lists(st.booleans(), max_size=24),
    keep=st.sampled_from([1024 * 1024, 4]),
)
def test_nothing_from_outside(world: Path, paths: list[str], plan: list[bool], keep: int) -> None:
    """Whatever is asked for, and whenever the release is switched, no marked byte comes out."""
    switch(world, "releases/1")
    inside = [str(world / each) + os.sep for each in ("releases/1", "releases/2", "overrides")]
    with mock.patch.object(tree_module, "_TICK_NS", 0):
        tree = Tree(world / "current", world / "overrides", keep_up_to=keep)
        with switching(world, plan):
            for path in paths:
                # What is refused is refused; what fails otherwise is a defect.
                with suppress(ClientError, OwnError):
                    judge(tree.answer(request(path, b"br")), inside)
        tree.close()


def judge(answer: Reply | File, inside: list[str]) -> None:
    if isinstance(answer, File):
        assert str(answer.path).startswith(tuple(inside))
        assert "/." not in str(answer.path)
    else:
        assert SECRET not in answer.content
        assert answer.status in {200, 301}
        if answer.status == 301:
            location = dict(answer.fields)[b"Location"]
            assert location.startswith(b"/")
            assert not location.startswith((b"//", b"/\\"))
