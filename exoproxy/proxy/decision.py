"""What a site decides about a request: `Reply`, `File` or `Forward`. Values only.

The `route` of each is a word for the log and the metrics: which of the product's ways it takes.

`Site.decide` does no I/O beyond asking for a file's state; `proxy.inbound` carries out what it
decides.
"""

import os
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from exoproxy.net.dial import Upstream
from exoproxy.net.listen import Peer
from exoproxy.wire.fields import Field
from exoproxy.wire.head import RequestHead, ResponseHead

# What tells one state of a file from another: device, inode, size, modification and change time in
# nanoseconds. The change time also sees a copy that keeps the size and sets the modification time.
Stamp = tuple[int, int, int, int, int]


def stamp_of(status: os.stat_result) -> Stamp:
    """Return the stamp of a file's status."""
    return (
        status.st_dev,
        status.st_ino,
        status.st_size,
        status.st_mtime_ns,
        status.st_ctime_ns,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    """An answer that is in memory as a whole.

    `fields` holds everything but Content-Length, Connection and Date, which the engine writes.
    """

    status: int
    fields: list[Field] = field(default_factory=list)
    content: bytes = b""
    route: str = "own"


@dataclass(frozen=True, slots=True, kw_only=True)
class File:
    """An answer whose content is `length` bytes of a file from `offset` on, read as it is sent.

    The fields are those of the file in the state that `stamp` names; in another one it is not sent.
    """

    status: int
    fields: list[Field]
    path: Path
    stamp: Stamp
    offset: int
    length: int
    route: str = "static"


EditResponse = Callable[[ResponseHead], list[Field]]


class Observer(Protocol):
    """Who reads what an upstream answered, when it has passed to the client as a whole.

    Called by the event loop, so it must be quick; it can't change the answer, and raises nothing.
    """

    status: int
    """The status of the answers that are read."""

    def read(self, content: bytes) -> None:
        """Take the content, without the codings that it was sent in."""

    def missed(self, reason: str) -> None:
        """Learn why the content of an answer with that status was not read: half a sentence."""


@dataclass(slots=True, eq=False, kw_only=True)
class Forward:
    """A request to send on, and how its answer is edited.

    `target` is the request target in origin form, byte for byte; `fields` are the request's
    end-to-end fields with Host. `edit_response` returns the answer's end-to-end fields. Both are
    without framing (Content-Length and the hop-by-hop fields): the engine writes that from the
    parsed value. `compress` allows to encode the answer's content. A request whose content has more
    than `content_limit` bytes gets 413; 0 leaves it at `limits.body`. With `told_id` the upstream,
    one of our own, learns the request's id by X-Request-Id, for the pages that it makes. An
    `observer` reads the answer's content beside the client. Not frozen: one is made for every
    request, and freezing would triple the cost.
    """

    upstream: Upstream
    # These hold what the client trusts the upstream with, and a repr ends up in logs.
    target: bytes = field(repr=False)
    fields: list[Field] = field(repr=False)
    edit_response: EditResponse
    route: str = "upstream"
    compress: bool = False
    content_limit: int = 0
    told_id: bool = False
    observer: Observer | None = None


Decision = Reply | File | Forward


class Site(Protocol):
    """The rules of one mode, composed."""

    name: str
    """For the access log and the metrics: `main`, `uap`, `redirect`."""

    def decide(self, request: RequestHead, peer: Peer) -> Decision:
        """Return what to do; raises `ProxyError` for what is refused."""

    def own_fields(self, request: RequestHead | None) -> list[Field]:
        """Return fields for answers of our own, errors too: CORS and security."""
