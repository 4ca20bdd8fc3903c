"""Makes encoded forms of files away from the event loop: one at a time, in one thread.

The thread lives while there is work. All contents get gzip first, then all zstd, then all Brotli:
after an update of the whole client each file has something soon. `client.tree` hands in entities
and collects what is finished with its next request; nobody waits for anything.

The libraries let go of the interpreter's lock while they work: a loop that sleeps for 1 ms at a
time woke up 6 ms late at most while Brotli worked. A lower priority for the thread made it 50 to
130 ms on a busy machine: it takes its turn late, and with it the lock.
"""

import threading
from collections import deque
from dataclasses import dataclass, replace
from typing import Final

from exoproxy.client.codings import encode
from exoproxy.client.entity import Entity

# The client has 45 files, and two thirds of them shrink. What finds no place comes again with the
# next request for it.
MOST_WAITING: Final = 64


@dataclass(frozen=True, slots=True, kw_only=True)
class Encoded:
    """An encoded form of the entity kept as `key`, whose own content has the tag `etag`.

    `last` says that no other form of that content follows.
    """

    key: str
    etag: bytes
    coding: bytes
    content: bytes
    last: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class _Work:
    key: str
    etag: bytes
    content: bytes
    codings: tuple[bytes, ...]


class Encoding:
    """What waits, the thread that does it, and what is finished.

    Its methods are called by one thread, the one that serves.
    """

    def __init__(self) -> None:
        self._finished: deque[Encoded] = deque()
        # What was handed in and has not come back as a whole: by key, the content's tag.
        self._under_way: dict[str, bytes] = {}
        # Of what both threads touch, all but the deque.
        self._lock = threading.Lock()
        # In the order of work; by key, so that a newer state takes the place of an older one.
        self._waiting: dict[str, _Work] = {}
        self._thread: threading.Thread | None = None
        self._working = False
        self._closed = False

    def begin(self, entity: Entity) -> None:
        """Have the forms made that an entity lacks, unless that is under way or too much waits."""
        key, etag, content = entity.key, entity.identity.etag, entity.identity.content
        known = self._under_way.get(key)
        if content is None or known == etag:
            return
        if known is None and len(self._under_way) >= MOST_WAITING:
            return
        with self._lock:
            if self._closed or not self._start():
                return
            self._under_way[key] = etag
            self._waiting[key] = _Work(key=key, etag=etag, content=content, codings=entity.lacking)

    def finished(self) -> Encoded | None:
        """Return a form that was finished, each once; None if there is none."""
        if not self._finished:
            return None
        encoded = self._finished.popleft()
        if encoded.last and self._under_way.get(encoded.key) == encoded.etag:
            del self._under_way[encoded.key]
        return encoded

    def wait(self) -> None:
        """Wait until nothing is left to do."""
        if self._thread is not None:
            self._thread.join()

    def close(self) -> None:
        """Give up what is unfinished; wait for the thread's end, which takes two seconds at most.

        Nothing is begun afterwards.
        """
        with self._lock:
            self._closed = True
            self._waiting.clear()
        self.wait()

    def _start(self) -> bool:
        """Make sure that the thread is there; the lock is held, so it finds the work."""
        if not self._working:
            thread = threading.Thread(target=self._run, name="exoproxy-encoding")
            try:
                thread.start()
            except RuntimeError:
                # The system has no thread to spare: files go out as they are for now.
                return False
            self._thread, self._working = thread, True
        return True

    def _run(self) -> None:
        try:
            while (work := self._next()) is not None:
                self._do(work)
        except BaseException:
            self._working = False
            raise

    def _next(self) -> _Work | None:
        with self._lock:
            if not self._waiting:
                self._working = False
                return None
            return self._waiting.pop(next(iter(self._waiting)))

    def _do(self, work: _Work) -> None:
        """Make one form; the others wait until everything else has had its turn."""
        coding, *others = work.codings
        content = encode(work.content, coding, lambda: self._wants(work))
        with self._lock:
            if content is None or not self._wants(work):
                return
            if others:
                self._waiting[work.key] = replace(work, codings=tuple(others))
        self._finished.append(
            Encoded(key=work.key, etag=work.etag, coding=coding, content=content, last=not others)
        )

    def _wants(self, work: _Work) -> bool:
        """Tell whether nothing newer has come; looked at without the lock now and then."""
        return not self._closed and work.key not in self._waiting
