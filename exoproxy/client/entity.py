"""A file as it is served: its representation, and the answer to a request for it.

`client.tree` finds and keeps entities; `Entity.answer` is pure. A small file's content is kept in
memory with its finished answer, so that a plain GET costs a look-up; a large one is sent from disk.
"""

import hashlib
import os
import stat
import time
from dataclasses import dataclass
from email.utils import formatdate
from pathlib import Path

from exoproxy.client.conditions import Verdict, evaluate, is_conditional, range_applies
from exoproxy.client.content_types import content_type
from exoproxy.client.ranges import Slice, Unsatisfiable, parse_range
from exoproxy.proxy.decision import File, Reply
from exoproxy.wire.fields import Field
from exoproxy.wire.head import RequestHead

# Fields of a 304 (RFC 9110 section 15.4.5); a 412 and a 416 have them too.
_VALIDATING = frozenset({b"Cache-Control", b"ETag", b"Last-Modified", b"Vary"})

# What tells one state of a file from another: device, inode, size, modification and change time in
# nanoseconds. The change time also sees a copy that keeps the size and sets the modification time.
Stamp = tuple[int, int, int, int, int]


class FileChanged(Exception):
    """The file was not the same before and after it was read; its content may be mixed."""


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
class Representation:
    """An entity's content in one coding (RFC 9110 section 3.2), with the fields of a 200 for it.

    `content` is None for a file that is sent from disk.
    """

    etag: bytes
    fields: list[Field]
    size: int
    content: bytes | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Entity:
    """A regular file in the state that `stamp` names; `path` has no links left in it.

    `identity` is its only representation as yet: codings come beside it. `whole` is the answer to
    a request without conditions, one object for every such request: nobody alters it.
    """

    path: Path
    stamp: Stamp
    modified: int
    identity: Representation
    whole: Reply | File

    @property
    def weight(self) -> int:
        """Return the bytes of memory that the content takes."""
        return len(self.identity.content or b"")

    def answer(self, request: RequestHead) -> Reply | File:
        """Return the answer to a GET or HEAD for this file: 200, 206, 304, 412 or 416."""
        fields = request.fields
        if not is_conditional(fields):
            return self.whole
        chosen = self.identity
        match evaluate(fields, chosen.etag, self.modified):
            case Verdict.FAILED:
                return Reply(status=412, fields=_validating(chosen), content=b"")
            case Verdict.NOT_MODIFIED:
                return Reply(status=304, fields=_validating(chosen), content=b"")
        wanted = fields.get(b"range")
        # Ranges are defined for GET alone (RFC 9110 section 14.2).
        if (
            wanted is None
            or request.method != b"GET"
            or not range_applies(fields, chosen.etag, self.modified)
        ):
            return self.whole
        try:
            part = parse_range(wanted, chosen.size)
        except Unsatisfiable:
            outside = (b"Content-Range", b"bytes */%d" % chosen.size)
            return Reply(status=416, fields=[*_validating(chosen), outside], content=b"")
        return self.whole if part is None else self._part(chosen, part)

    def _part(self, chosen: Representation, part: Slice) -> Reply | File:
        fields = [*chosen.fields, (b"Content-Range", part.content_range(chosen.size))]
        if chosen.content is None:
            return File(
                status=206, fields=fields, path=self.path, offset=part.offset, length=part.length
            )
        content = chosen.content[part.offset : part.offset + part.length]
        return Reply(status=206, fields=fields, content=content)


def read_entity(path: Path, name: str, keep_up_to: int) -> Entity:
    """Read the file at `path`, which is served under `name`, in one state of it.

    Its content is kept up to `keep_up_to` bytes. Raises `FileChanged` if the file changes while it
    is read, and `OSError`.
    """
    # A named pipe that takes the file's place must not block the process.
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    try:
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode):
            raise FileChanged
        content = None
        if status.st_size <= keep_up_to:
            content = os.read(descriptor, status.st_size + 1)
            after = os.fstat(descriptor)
            if len(content) != status.st_size or stamp_of(after) != stamp_of(status):
                raise FileChanged
    finally:
        os.close(descriptor)
    return _entity(path, name, status, content)


def _entity(path: Path, name: str, status: os.stat_result, content: bytes | None) -> Entity:
    if content is None:
        etag = b'"%x-%x-%x"' % (status.st_size, status.st_mtime_ns, status.st_ino)
    else:
        etag = b'"%s"' % hashlib.sha256(content).hexdigest()[:32].encode()
    # Never later than the answer itself (RFC 9110 section 8.8.2.1).
    modified = min(status.st_mtime_ns // 1_000_000_000, int(time.time()))
    fields: list[Field] = [
        (b"Content-Type", content_type(name)),
        (b"ETag", etag),
        (b"Last-Modified", formatdate(modified, usegmt=True).encode()),
        (b"Accept-Ranges", b"bytes"),
        # The names of the client's files hold no hash: a copy is good after asking, never before.
        (b"Cache-Control", b"no-cache"),
        (b"Vary", b"Accept-Encoding"),
        (b"X-Content-Type-Options", b"nosniff"),
    ]
    size = status.st_size
    whole: Reply | File
    if content is None:
        whole = File(status=200, fields=fields, path=path, offset=0, length=size)
    else:
        whole = Reply(status=200, fields=fields, content=content)
    return Entity(
        path=path,
        stamp=stamp_of(status),
        modified=modified,
        identity=Representation(etag=etag, fields=fields, size=size, content=content),
        whole=whole,
    )


def _validating(chosen: Representation) -> list[Field]:
    return [field for field in chosen.fields if field[0] in _VALIDATING]
