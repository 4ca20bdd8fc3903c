"""A file as it is served: its representations, and the choice of the answer to a request for it.

`client.tree` finds and keeps entities; `Entity.answer` is pure. A small file's content is kept in
memory with its finished answers, one for each coding, so that a plain GET costs a look-up; a large
file is sent from disk as it is. Encoded forms are made elsewhere (`client.encoding`), and until
then the file goes out as it is, even to a client that refuses that: the alternative were a 406,
which nobody could use (RFC 9110 section 12.4.1).
"""

import hashlib
import os
import stat
import time
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from exoproxy.client.codings import CODINGS, tag_of
from exoproxy.client.conditions import (
    Verdict,
    evaluate,
    is_conditional,
    lists_tag,
    range_applies,
)
from exoproxy.client.content_types import content_type, shrinks
from exoproxy.client.ranges import Unsatisfiable, parse_ranges
from exoproxy.client.representation import Representation, in_memory, on_disk
from exoproxy.proxy.compress import LEAST
from exoproxy.proxy.decision import File, Reply, Stamp, stamp_of
from exoproxy.wire.accept_encoding import IDENTITY, Weights, accepts, preferred, weights
from exoproxy.wire.fields import Fields
from exoproxy.wire.head import RequestHead


class FileChanged(Exception):
    """The file was not the same before and after it was read; its content may be mixed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Entity:
    """A regular file in the state that `stamp` names; `path` has no links left in it.

    `key` is the path that it was looked up by. `encoded` are its representations in codings, the
    smallest first; those of the codings in `lacking` can still be made.
    """

    key: str
    path: Path
    stamp: Stamp
    modified: int
    identity: Representation
    lacking: tuple[bytes, ...] = ()
    encoded: Mapping[bytes, Representation] = field(default_factory=dict)

    @property
    def weight(self) -> int:
        """Return the bytes of memory that the contents take."""
        own = len(self.identity.content or b"")
        return own + sum(each.size for each in self.encoded.values())

    def with_coding(self, coding: bytes, content: bytes) -> "Entity":
        """Return the entity with one of the codings that it lacks, unless that saves nothing."""
        lacking = tuple(each for each in self.lacking if each != coding)
        if len(content) >= self.identity.size:
            return replace(self, lacking=lacking)
        etag = tag_of(self.identity.etag, coding)
        made = in_memory(content, self.identity.kind, etag, self.modified, coding)
        encoded = sorted([*self.encoded.values(), made], key=lambda each: each.size)
        return replace(self, lacking=lacking, encoded={each.coding: each for each in encoded})

    def with_codings_of(self, other: "Entity") -> "Entity":
        """Return the entity with the codings of an earlier state, if the content is the same."""
        if other.identity.etag != self.identity.etag or not self.lacking:
            return self
        entity = replace(self, lacking=other.lacking)
        for coding, each in other.encoded.items():
            entity = entity.with_coding(coding, each.content or b"")
        return entity

    def answer(self, request: RequestHead) -> Reply | File:
        """Return the answer to a GET or HEAD for this file: 200, 206, 304, 412 or 416."""
        fields = request.fields
        said = weights(fields)
        chosen = self.identity
        if said is not None and (coding := preferred(said, self.encoded)) is not None:
            chosen = self.encoded[coding]
        if not is_conditional(fields):
            return chosen.whole
        match evaluate(fields, chosen.etag, self.modified):
            case Verdict.FAILED:
                return chosen.precondition_failed()
            case Verdict.NOT_MODIFIED:
                return chosen.not_modified(chosen.etag)
        if said is not None and (etag := self._held(fields, said)) is not None:
            return chosen.not_modified(etag)
        # Ranges are defined for GET alone (RFC 9110 section 14.2).
        if request.method == b"GET" and (wanted := fields.get(b"range")) is not None:
            return self._ranges(chosen, wanted, fields)
        return chosen.whole

    def _held(self, fields: Fields, said: Weights) -> bytes | None:
        """Return the tag of a representation that the client has and takes, though not the chosen.

        It may have come before another coding was ready, or from a process that ended: then the
        content is the same, and what a client has and takes is the best choice for it. A coding
        that it does not take is none, even if it is in some cache on the way.
        """
        if b"if-none-match" not in fields:
            return None
        listed = fields.all(b"if-none-match")
        tags = {IDENTITY: self.identity.etag}
        if self.lacking or self.encoded:
            tags |= {coding: tag_of(self.identity.etag, coding) for coding in CODINGS}
        for coding, etag in tags.items():
            if accepts(said, coding) and lists_tag(listed, etag, weakly=True):
                return etag
        return None

    def _ranges(self, chosen: Representation, wanted: bytes, fields: Fields) -> Reply | File:
        # A date can't tell codings apart (RFC 9110 section 13.1.5).
        modified = self.modified if chosen is self.identity else None
        if not range_applies(fields, chosen.etag, modified):
            return chosen.whole
        try:
            parts = parse_ranges(wanted, chosen.size)
        except Unsatisfiable:
            return chosen.out_of_range()
        return chosen.whole if parts is None else chosen.partial(parts)


def read_entity(path: Path, key: str, keep_up_to: int) -> Entity:
    """Read the file at `path`, which was looked up by `key`, in one state of it.

    The type is that of the key's extension. The content is kept up to `keep_up_to` bytes. Raises
    `FileChanged` if the file changes while it is read, and `OSError`.
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
    return _entity(path, key, status, content)


def _entity(path: Path, key: str, status: os.stat_result, content: bytes | None) -> Entity:
    kind = content_type(key)
    # Never later than the answer itself (RFC 9110 section 8.8.2.1).
    modified = min(status.st_mtime_ns // 1_000_000_000, int(time.time()))
    lacking: tuple[bytes, ...] = ()
    if content is None:
        etag = b'"%x-%x-%x"' % (status.st_size, status.st_mtime_ns, status.st_ino)
        identity = on_disk(path, stamp_of(status), kind, etag, modified)
    else:
        etag = b'"%s"' % hashlib.sha256(content).hexdigest()[:32].encode()
        identity = in_memory(content, kind, etag, modified)
        if len(content) >= LEAST and shrinks(kind):
            lacking = CODINGS
    return Entity(
        key=key,
        path=path,
        stamp=stamp_of(status),
        modified=modified,
        identity=identity,
        lacking=lacking,
    )
