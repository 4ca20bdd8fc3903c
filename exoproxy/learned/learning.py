"""Learning of endpoints: `Learned` reads answers of Keystones, remembers, and keeps the file.

One serving process has one `Learned` for as long as it lives, over reloads too; nobody writes its
file but a predecessor that has handed over. It is used in the event loop only, and waits for no
disk there.
"""

import asyncio
import contextlib
import logging
from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from exoproxy.certs.folder import warn_once
from exoproxy.learned import file
from exoproxy.learned.table import LIFE, Naming, Table
from exoproxy.rules.catalogue import Endpoint, endpoints_of

logger: Final = logging.getLogger("exoproxy")

# Users log in by the dozen when a course begins: seconds from the first change to the write.
PAUSE: Final = 1.0
_SHOWN: Final = 10


def _now() -> datetime:
    return datetime.now(UTC)


class Learned:
    """What was learned. `path` is its file; `clock` says the time of day, aware.

    What `of` says of an endpoint stays true, but for what expires, as long as `generation` does.
    """

    def __init__(
        self,
        path: Path,
        namings: Iterable[Naming] = (),
        *,
        clock: Callable[[], datetime] = _now,
        pause: float = PAUSE,
    ) -> None:
        self._path = path
        self._table = Table(namings)
        self.clock = clock
        self.generation = 0
        self._pause = pause
        self._unwritten = False
        self._failed = False
        self._writing: asyncio.Task[None] | None = None
        self._closing = asyncio.Event()

    @classmethod
    def opened(cls, path: Path) -> "Learned":
        """Return what the file holds; one that can't be used is logged and counts as empty."""
        try:
            return cls(path, file.read(path, _now()))
        except file.Unusable as problem:
            logger.warning("%s Endpoints of catalogues are learned anew from logins.", problem)
            return cls(path)

    def of(self, endpoint: Endpoint) -> list[Naming]:
        """Return who has named an endpoint, as far as it counts now."""
        return self._table.of(endpoint, self.clock())

    def namings(self) -> list[Naming]:
        """Return all that counts now, by endpoint."""
        return self._table.namings(self.clock())

    def reader(self, by: Endpoint) -> "Reader":
        """Return who reads the answer of the Keystone `by` to a login."""
        return Reader(self, by)

    def learn(self, by: Endpoint, endpoints: Sequence[Endpoint]) -> None:
        """Remember that `by` names these endpoints, and write that down a little later."""
        now = self.clock()
        new = [endpoint for endpoint in endpoints if not self._table.of(endpoint, now)]
        if not self._table.name(by, endpoints, now):
            return
        self.generation += 1
        if new:
            shown = ", ".join(map(str, new[:_SHOWN]))
            more = f" and {len(new) - _SHOWN} more" if len(new) > _SHOWN else ""
            logger.info("%s names in its catalogue, for %d days: %s%s", by, LIFE.days, shown, more)
        self._unwritten = True
        if self._writing is None or self._writing.done():
            self._writing = asyncio.get_running_loop().create_task(self._write())

    async def close(self) -> None:
        """Write what is not written yet; to be called once no request is left."""
        self._closing.set()
        if self._writing is not None:
            await self._writing

    async def _write(self) -> None:
        while self._unwritten:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(self._pause):
                    await self._closing.wait()
            self._unwritten = False
            try:
                await asyncio.to_thread(_merge, self._path, self.namings(), self.clock())
            except OSError as error:
                if not self._failed:
                    logger.warning(
                        "What is learned of catalogues can't be kept in %s (%s), so that a restart "
                        "will forget it: let the service's user write there.",
                        self._path,
                        error.strerror or error,
                    )
                self._failed = True
            else:
                self._failed = False


def _merge(path: Path, namings: Iterable[Naming], now: datetime) -> None:
    """Write the namings, and what the file holds beside them; raises `OSError`."""
    # At an upgrade that is handed over, a predecessor's last logins come beside a successor's.
    with contextlib.suppress(file.Unusable):
        namings = [*namings, *file.read(path, now)]
    file.write(path, Table(namings).namings(now))


class Reader:
    """Reads the answers of one Keystone: an observer, as `proxy.decision` wants it."""

    # RFC 9110 section 15.3.2: a token was made. All other answers to a login name nothing.
    status = 201

    def __init__(self, learned: Learned, by: Endpoint) -> None:
        self._learned = learned
        self.by = by

    def read(self, content: bytes) -> None:
        """Learn what a catalogue names; a token without one, or what is no token, names nothing."""
        self._learned.learn(self.by, endpoints_of(content))

    def missed(self, reason: str) -> None:
        """Say once why the catalogue was not read."""
        warn_once(
            f"No endpoints are learned from the answer of {self.by} to a login: {reason}. "
            "List the cloud's API hosts in main.proxy.allow."
        )
