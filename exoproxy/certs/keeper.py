"""In the serving process: watches the store, swaps the certificate, starts the issuance process.

Every few seconds it looks, by a handful of `stat`s, whether the store holds something new, from
whomever: our own issuance process, one of another host on the same store, certbot, a person. The
new pair is loaded in a thread into a fresh context, which connections get that are accepted from
then on; those that are open keep theirs. Then our own listeners are asked what they serve.

When the certificate is due by `rules.renewal`, the issuance process is started, one at a time. It
decides again once it has the store's lock, so that several processes and hosts don't order twice.
Nothing is ever issued because of a reload. Here are neither ACME nor DNS; called by `service`.
"""

import asyncio
import logging
import random
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from exoproxy.certs.certbot.lineage import Stored
from exoproxy.certs.context import CertificateProblem
from exoproxy.certs.issuance import Start, run_to_its_end
from exoproxy.certs.serving import Served, ServingCertificate
from exoproxy.certs.state import State, load
from exoproxy.certs.store import Store
from exoproxy.certs.wanted import Wanted
from exoproxy.rules.renewal import Action, Ask, History, Renew, Wait, after_failure

logger: Final = logging.getLogger("exoproxy")

# Seconds between two looks; a ten-minute certificate has five minutes from its renewal to its end.
EVERY: Final = 5.0
# A context's session ticket keys live as long as it does: a day at most (RFC 9325 section 3.4).
REFRESH: Final = 86_400.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Issuing:
    """How a certificate by an authority is got; the process is ended after `limit` seconds."""

    wanted: Wanted
    store: Store
    start: Start
    limit: float


@dataclass(slots=True)
class Runs:
    """How often the issuance process was run, which may have found nothing to do.

    `failed` are those that ended with an exit code other than 0, or could not be started. It
    outlives the keepers that count in it.
    """

    all: int = 0
    failed: int = 0


class Keeper:
    """Keeps a mode's certificate fresh, from `start` to `stop`.

    `probe` is called with what is served after each swap. Without `issuing` the certificate is
    somebody else's to renew, and only its context is made anew each day. `now` and `clock` (any
    seconds that go on) are replaced in tests.
    """

    def __init__(
        self,
        certificate: ServingCertificate,
        probe: Callable[[Served], Awaitable[object]],
        *,
        issuing: Issuing | None = None,
        runs: Runs | None = None,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._certificate = certificate
        self._probe = probe
        self._issuing = issuing
        self._now = now
        self._clock = clock
        self._looking = asyncio.Lock()
        self._stored = certificate.served.stored
        self._state = State()
        # What was there when the certificate, and the state, were read last.
        self._seen: tuple[object, object] = (None, None)
        self._refresh_at = clock() + REFRESH
        self._told = ""
        # Starts of the issuance process since there was last nothing to do.
        self._starts = History()
        self._start_at = clock()
        self._tidied = False
        self._tasks: list[asyncio.Task[None]] = []
        self.runs = runs or Runs()

    def start(self) -> None:
        """Begin to keep; runs until `stop`."""
        loop = asyncio.get_running_loop()
        self._tasks.append(loop.create_task(_forever(self.look)))
        if self._issuing is not None:
            self._tasks.append(loop.create_task(_forever(self.issue_if_due)))

    async def stop(self) -> None:
        """End an issuance that is under way, and wait until it has cleaned up, for a while."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    @property
    def stored(self) -> Stored | None:
        """The newest certificate in the store when it was looked at last; None without a store."""
        return self._stored

    @property
    def history(self) -> History:
        """How the last attempts to get a certificate went, whichever process made them."""
        return self._state.history

    def next_action(self) -> Action | None:
        """Return what is to be done about the certificate; None if that is others' business."""
        if self._issuing is None:
            return None
        return self._issuing.wanted.next_action(self._stored, self._state, self._now())

    async def look(self) -> None:
        """Serve what the store holds if it has changed, and the same in a fresh context daily."""
        async with self._looking:
            # Not even a `stat` here: a network file system may take its time for one.
            seen = await asyncio.to_thread(self._traces)
            pair, state = seen
            if self._issuing is not None and state != self._seen[1]:
                path = self._issuing.store.state_file(self._issuing.wanted.name)
                self._state = await asyncio.to_thread(load, path)
            stale = self._clock() >= self._refresh_at
            if stale or (pair != self._seen[0] and self._issuing is not None):
                await self._load(stale=stale)
            # Only now: what a passing fault kept from being loaded is tried again.
            self._seen = seen

    async def issue_if_due(self) -> None:
        """Start the issuance process if there is something to do, and wait for its end."""
        await self.look()
        action = self.next_action()
        if self._issuing is None or action is None:
            return
        if action.reason != self._told:
            logger.info("The certificate for %s %s", self._issuing.wanted.name, action.reason)
            self._told = action.reason
        if isinstance(action, Wait) and not self._is_to_tidy():
            self._starts, self._start_at = History(), self._clock()
            return
        if self._clock() < self._start_at:
            return
        code = await run_to_its_end(self._issuing.start, limit=self._issuing.limit)
        self.runs.all += 1
        self.runs.failed += code != 0
        await self.look()
        self._pause(self._issuing, action, code)

    def _is_to_tidy(self) -> bool:
        """Tell, once, whether a killed process left DNS records: the next one removes them."""
        left, self._tidied = bool(self._state.records) and not self._tidied, True
        return left

    def _pause(self, issuing: Issuing, before: Action, code: int | None) -> None:
        """Don't start the process over and over, should it change nothing, or not enough.

        One that was ended between storing a certificate and asking when to renew it has done its
        work: the next one asks.
        """
        action = self.next_action()
        if action is None or isinstance(action, Wait):
            return
        now = self._now()
        life = issuing.wanted.life(self._stored, self._state)
        # Times differ between hosts on purpose; nobody gains by foreseeing them.
        jitter = random.random()  # noqa: S311
        self._starts = after_failure(self._starts, action.reason, now, None, jitter, life=life)
        if isinstance(before, Renew) and isinstance(action, Ask) and self._starts.failures == 1:
            return
        pause = ((self._starts.retry_at or now) - now).total_seconds()
        self._start_at = self._clock() + pause
        logger.error(
            "The certificate for %s %s, and the process that gets it %s. It is started again "
            "in %d s. Run `exoproxy cert renew %s` to see what is wrong",
            issuing.wanted.name,
            action.reason,
            "could not be started" if code is None else f"has just ended with exit code {code}",
            pause,
            issuing.wanted.name,
        )

    async def _load(self, *, stale: bool) -> None:
        served = self._certificate.served
        if stale:
            self._refresh_at = self._clock() + REFRESH
        try:
            loaded = await asyncio.to_thread(self._certificate.load)
            self._stored = loaded.stored
            if loaded.temporary and served.temporary and not stale:
                return
            self._certificate.serve(loaded)
        except CertificateProblem as problem:
            logger.error("The certificate stays as it is: %s", problem)
            return
        if loaded.fingerprint != served.fingerprint:
            await self._probe(loaded)

    def _traces(self) -> tuple[object, object]:
        """Return values that differ when the certificate, and the state, may have changed.

        A version's files come before the links to them, so that the last link's change is seen
        even if the folder's time has not moved on since it was looked at.
        """
        if self._issuing is None:
            return None, None
        store, name = self._issuing.store, self._issuing.wanted.name
        archive, live = store.folder / "archive", store.folder / "live"
        pair: list[object] = []
        for lineage in store.lineages(name):
            pair += [_changed(archive / lineage), _target(live / lineage / "fullchain.pem")]
        return pair, _changed(store.state_file(name))


async def _forever(look: Callable[[], Awaitable[None]]) -> None:
    while True:
        try:
            await look()
        except Exception:
            # Whatever went wrong this time, the next certificate shall be seen.
            logger.exception("Looking after the certificate failed; it goes on")
        await asyncio.sleep(EVERY)


def _changed(path: Path) -> tuple[int, int, int] | None:
    """Return what differs when a file or folder was changed or replaced; None if there is none."""
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_ino, status.st_mtime_ns, status.st_size


def _target(link: Path) -> str | None:
    with suppress(OSError):
        return str(link.readlink())
    return None
