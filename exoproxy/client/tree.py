"""The main host's static files: the document root, and the overrides that win over it.

`Tree.answer` resolves a path as nginx's `try_files $uri $uri/ /index.html` does, with one
difference: what ends in an asset's extension is never answered with a page. Each request asks the
file system anew, so that edits, and a release that takes another's place, are live with the next
request; what was read before is kept as long as the file is in the same state. Encoded forms are
made in a thread for the first client that could use them, and join what is kept. What is not here:
which names a path can mean (`client.paths`), the choice among forms, conditions and ranges
(`client.entity`).

Called by the main site's `decide`. It reads small files on the event loop: they come from the page
cache, once after each edit.
"""

import os
import stat
import time
from collections import OrderedDict
from pathlib import Path
from typing import Final
from urllib.parse import quote

from exoproxy.client.encoding import Encoding
from exoproxy.client.entity import Entity, FileChanged, read_entity
from exoproxy.client.paths import INDEX, file_name, is_asset
from exoproxy.errors import MethodNotAllowed, NotFound, NotInstalled, Overloaded
from exoproxy.proxy.decision import File, Reply, stamp_of
from exoproxy.wire.head import RequestHead
from exoproxy.wire.target import Target

KEEP_UP_TO: Final = 1024 * 1024
# The client has 45 files and 1.7 MB, its encoded forms 0.9 MB: this holds several releases and a
# folder of pictures.
CAPACITY: Final = 64 * 1024 * 1024
MOST_ENTITIES: Final = 4096

# A file system's clock ticks every 1 to 10 ms: a file that was changed this lately may change again
# without a trace in its status.
_TICK_NS: Final = 20_000_000
_TRIES: Final = 5

_INSTALL: Final = "Install the Exosphere client with `exoproxy client install SOURCE`"


class Tree:
    """The files below `root`, and below `overrides`, which win.

    `root` may be a link that is switched at any time. Files up to `keep_up_to` bytes are kept in
    memory with their encoded forms, `capacity` bytes of all in all; the least recently used go
    first.
    """

    def __init__(
        self,
        root: Path,
        overrides: Path | None = None,
        *,
        keep_up_to: int = KEEP_UP_TO,
        capacity: int = CAPACITY,
    ) -> None:
        # Absolute, but with the links left in: they are followed anew by each request.
        self._bases = [os.path.join(base.absolute(), "") for base in (overrides, root) if base]
        self._keep_up_to = keep_up_to
        self._capacity = capacity
        self._kept: OrderedDict[str, Entity] = OrderedDict()
        self._weight = 0
        self._encoding = Encoding()

    def close(self) -> None:
        """Make no more encoded forms, wait until that has ended, and let go of what is kept."""
        self._encoding.close()
        # Whoever holds the tree, until the next collection of garbage perhaps, holds little.
        self._kept.clear()
        self._weight = 0

    def answer(self, request: RequestHead) -> Reply | File:
        """Return the answer to a request for a file.

        Raises `MethodNotAllowed` for other methods than GET and HEAD, `NotFound` for a path that
        can't or must not be served, `NotInstalled` where a page is asked for and there is no
        index.html, and `Overloaded` while the file is being rewritten.
        """
        if request.method not in (b"GET", b"HEAD"):
            raise MethodNotAllowed("Files are served to GET and HEAD alone.", allow="GET, HEAD")
        self._collect()
        target = request.target
        name = file_name(target.path)
        entity = self._look_up(name)
        if entity is None:
            if self._look_up(f"{name}/{INDEX}") is not None:
                return _to_folder(name, target)
            if is_asset(name):
                raise NotFound("There is no such file in the client.")
            entity = self._look_up(INDEX)
        if entity is None:
            raise NotInstalled
        if entity.lacking and b"accept-encoding" in request.fields:
            self._encode(entity)
        return entity.answer(request)

    def _look_up(self, name: str) -> Entity | None:
        """Return the regular file of that name in its present state; the first base wins."""
        for base in self._bases:
            path = base + name
            try:
                status = os.stat(path)
            except OSError:
                continue
            entity = self._kept.get(path)
            # The same inode in the same state is the file that was judged and read, whatever links
            # lead to it by now.
            if entity is not None and entity.stamp == stamp_of(status):
                self._kept.move_to_end(path)
                return entity
            if stat.S_ISREG(status.st_mode) and (found := self._read(base, name)) is not None:
                return found
        return None

    def _read(self, base: str, name: str) -> Entity | None:
        """Read a file, and keep it unless it may still change unseen; None if it is gone."""
        key = base + name
        for _ in range(_TRIES):
            try:
                entity = read_entity(self._resolved(base, name), key, self._keep_up_to)
            except FileChanged:
                continue
            except FileNotFoundError:
                # Gone, or gone with the release that it was part of.
                if not os.path.exists(key):
                    return None
                continue
            except PermissionError as error:
                raise NotFound(
                    "The server may not read this file.",
                    hint="Its operator can grant the permission to read it to exoproxy's user.",
                ) from error
            # A new release has many an old file.
            if (earlier := self._kept.get(key)) is not None:
                entity = entity.with_codings_of(earlier)
            *_, changed = entity.stamp
            self._forget(key)
            if not 0 <= time.time_ns() - changed < _TICK_NS:
                self._keep(entity)
            return entity
        raise Overloaded("This file is being rewritten just now; please try again.")

    def _resolved(self, base: str, name: str) -> Path:
        """Return where a file is once every link is followed: below the root or the overrides.

        Raises `NotFound` for a file elsewhere. The check and the later opening are two steps: who
        can swap folders in the document root between them can put any file there anyway.
        """
        # The base comes first: if it is switched meanwhile, the file is still sought below it.
        below = os.path.realpath(base)
        resolved = os.path.realpath(os.path.join(below, name))
        inside = [below, *(os.path.realpath(other) for other in self._bases if other != base)]
        if not any(resolved.startswith(os.path.join(folder, "")) for folder in inside):
            raise NotFound(
                "This file is a link that leaves the document root.",
                hint="Links are followed as long as they stay inside.",
            )
        return Path(resolved)

    def _encode(self, entity: Entity) -> None:
        """Have an entity's encoded forms made, if it is kept, so that they have a place."""
        if self._kept.get(entity.key) is entity:
            self._encoding.begin(entity)

    def _collect(self) -> None:
        """Put encoded forms that were finished meanwhile to what they are made of.

        They are thrown away if that is not kept any more, or the file has another content by now.
        """
        while (encoded := self._encoding.finished()) is not None:
            entity = self._kept.get(encoded.key)
            if entity is not None and entity.identity.etag == encoded.etag:
                self._forget(entity.key)
                self._keep(entity.with_coding(encoded.coding, encoded.content))

    def _keep(self, entity: Entity) -> None:
        self._kept[entity.key] = entity
        self._weight += entity.weight
        while self._weight > self._capacity or len(self._kept) > MOST_ENTITIES:
            _, oldest = self._kept.popitem(last=False)
            self._weight -= oldest.weight

    def _forget(self, key: str) -> None:
        if (entity := self._kept.pop(key, None)) is not None:
            self._weight -= entity.weight


def check_root(root: Path) -> str | None:
    """Return a sentence that says what to do when `root` holds no client, None when all is well."""
    try:
        names = os.listdir(root)
        if INDEX in names:
            os.close(os.open(root / INDEX, os.O_RDONLY))
            return None
        problem = f"has no {INDEX}" if names else "is empty"
    except FileNotFoundError:
        problem = "does not exist"
    except NotADirectoryError:
        problem = "is not a folder"
    except OSError as error:
        problem = f"can't be read ({error.strerror}: {error.filename})"
    return (
        f"The document root {root} {problem}. {_INSTALL}, or set main.client.root to the folder "
        f"that holds its {INDEX}."
    )


def _to_folder(name: str, target: Target) -> Reply:
    """Return the redirect to a folder's own address, so that its page's relative links work.

    The Location is made from the judged name: it starts with exactly one slash.
    """
    location = f"/{quote(name)}/".encode()
    if target.query is not None:
        location += b"?" + target.query
    fields = [(b"Location", location), (b"Cache-Control", b"no-cache")]
    return Reply(status=301, fields=fields, route="static")
