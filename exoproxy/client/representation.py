"""A content in one coding, with the fields that it is sent with (RFC 9110 section 3.2).

Made by `client.entity`, which chooses among those of a file.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from email.utils import formatdate
from pathlib import Path
from typing import Final

from exoproxy.client.ranges import Slice, multipart
from exoproxy.proxy.decision import File, Reply, Stamp
from exoproxy.wire.accept_encoding import IDENTITY
from exoproxy.wire.fields import Field

# Fields of a 304 (RFC 9110 section 15.4.5); a 412 and a 416 have them too.
_VALIDATING: Final = frozenset({b"Cache-Control", b"ETag", b"Last-Modified", b"Vary"})

# Pages alone have a use for these. The client is never shown within other sites' pages, which
# could lead its user's clicks. The second is what browsers do unless they were told otherwise:
# anything stricter turns the Origin of forms that the client sends to instances into `null`.
_OF_PAGES: Final[list[Field]] = [
    (b"Content-Security-Policy", b"frame-ancestors 'self'"),
    (b"Referrer-Policy", b"strict-origin-when-cross-origin"),
]


@dataclass(frozen=True, slots=True, kw_only=True)
class Representation:
    """An entity's content in one coding.

    `size` is the number of its bytes, `kind` its Content-Type. `whole` is the answer to a request
    without conditions, one object for every such request: nobody alters it.
    """

    coding: bytes
    etag: bytes
    kind: bytes
    size: int
    whole: Reply | File

    @property
    def content(self) -> bytes | None:
        """Return its bytes; None if they are sent from disk."""
        return self.whole.content if isinstance(self.whole, Reply) else None

    def not_modified(self, etag: bytes) -> Reply:
        """Return the 304 for a client that has it, or its like in another coding, as `etag`."""
        fields = [
            (b"ETag", etag) if name == b"ETag" else (name, value)
            for name, value in self._validating
        ]
        return Reply(status=304, fields=fields, route="static")

    def precondition_failed(self) -> Reply:
        """Return the answer to a condition that does not hold."""
        return Reply(status=412, fields=self._validating, route="static")

    def out_of_range(self) -> Reply:
        """Return the answer to ranges that lie outside."""
        outside = (b"Content-Range", b"bytes */%d" % self.size)
        return Reply(status=416, fields=[*self._validating, outside], route="static")

    @property
    def _validating(self) -> list[Field]:
        return [field for field in self.whole.fields if field[0] in _VALIDATING]

    def partial(self, parts: Sequence[Slice]) -> Reply | File:
        """Return the answer with parts of it.

        Several parts are sent only of what is in memory and has no coding: where they would have to
        say so, RFC 9110 leaves open. The whole is always right (section 14.2).
        """
        whole, content = self.whole, self.content
        if len(parts) > 1:
            if content is None or self.coding != IDENTITY:
                return whole
            # The tag is a digest of the content: the content can't hold it.
            boundary = self.etag.strip(b'"')
            kind = (b"Content-Type", b"multipart/byteranges; boundary=" + boundary)
            fields = [kind, *(field for field in whole.fields if field[0] != b"Content-Type")]
            encoded = multipart(content, parts, self.kind, boundary)
            return Reply(status=206, fields=fields, content=encoded, route="static")
        part = parts[0]
        fields = [*whole.fields, (b"Content-Range", part.content_range(self.size))]
        if isinstance(whole, File):
            return replace(whole, status=206, fields=fields, offset=part.offset, length=part.length)
        return Reply(
            status=206, fields=fields, content=whole.content[part.offset : part.end], route="static"
        )


def in_memory(
    content: bytes, kind: bytes, etag: bytes, modified: int, coding: bytes = IDENTITY
) -> Representation:
    """Return the representation that a content of memory is in its coding.

    `kind` is the Content-Type, `modified` in seconds since the epoch.
    """
    fields = _fields(kind, etag, modified, coding)
    whole = Reply(status=200, fields=fields, content=content, route="static")
    return Representation(coding=coding, etag=etag, kind=kind, size=len(content), whole=whole)


def on_disk(path: Path, stamp: Stamp, kind: bytes, etag: bytes, modified: int) -> Representation:
    """Return the representation that a file is as it lies there; else as `in_memory`."""
    fields = _fields(kind, etag, modified, IDENTITY)
    _, _, size, _, _ = stamp
    whole = File(status=200, fields=fields, path=path, stamp=stamp, offset=0, length=size)
    return Representation(coding=IDENTITY, etag=etag, kind=kind, size=size, whole=whole)


def _fields(kind: bytes, etag: bytes, modified: int, coding: bytes) -> list[Field]:
    fields: list[Field] = [
        (b"Content-Type", kind),
        (b"ETag", etag),
        (b"Last-Modified", formatdate(modified, usegmt=True).encode()),
        (b"Accept-Ranges", b"bytes"),
        # The names of the client's files hold no hash: a copy is good after asking, never before.
        (b"Cache-Control", b"no-cache"),
        (b"Vary", b"Accept-Encoding"),
        (b"X-Content-Type-Options", b"nosniff"),
    ]
    if kind.startswith(b"text/html"):
        fields += _OF_PAGES
    if coding != IDENTITY:
        fields.append((b"Content-Encoding", coding))
    return fields
