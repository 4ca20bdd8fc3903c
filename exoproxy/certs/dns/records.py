"""The TXT records of one attempt: written with a journal, and taken away whatever happens.

Left-over records pile up and mislead. So the journal names a record before the provider hears of
it, and until the provider said that it is gone; what a killed process left is removed by the next
one. Called by `attempt`, in a process where a signal may raise an exception at any moment; that
exception must not be an `Exception`, or the libraries below take it for a failed request.
"""

from collections.abc import Callable, Collection
from typing import Final

from exoproxy.certs.dns.provider import Provider, Record
from exoproxy.certs.problem import IssuanceProblem

# A second time for what a signal, or a fault of the moment, came between.
_TIMES: Final = 2

# Zone, name and value: an id is not known before a record is written.
_Key = tuple[str, str, str]


class Records:
    """What was written by this process, and what earlier ones left.

    `journal` durably notes all records that may be there; it is called before each publishing and
    after each removal, and may raise. `journaled` is what it noted last.
    """

    def __init__(
        self,
        provider: Provider,
        journal: Callable[[tuple[Record, ...]], None],
        journaled: tuple[Record, ...] = (),
    ) -> None:
        self._provider = provider
        self._journal = journal
        self._known = {_key(record): record for record in journaled}
        self._left = set(self._known)
        self.interrupted: BaseException | None = None
        """The signal's exception that came while records were removed, if one did. It is not
        raised there, so that the removal ends; the caller raises it when that suits."""

    def publish(self, record: Record) -> None:
        """Note and write a record. Raises `IssuanceProblem`, and what the journal raises.

        After a failure the record may be there: `remove_all` takes it away.
        """
        key = _key(record)
        self._known[key] = record
        self._left.discard(key)
        self._note()
        self._known[key] = self._provider.publish(record)

    def remove_all(self) -> tuple[str, ...]:
        """Remove what `publish` wrote, or may have written; return a sentence for what remains.

        Raises nothing. What remains stays in the journal, for `sweep` in a later process.
        """
        return self._remove(self._known.keys() - self._left)

    def sweep(self) -> tuple[str, ...]:
        """Remove what an earlier process left, as `remove_all` does."""
        return self._remove(self._left)

    def _remove(self, keys: Collection[_Key]) -> tuple[str, ...]:
        for _ in range(_TIMES):
            try:
                return self._remove_each(keys)
            except BaseException as interruption:
                self.interrupted = interruption
        return tuple(_remains(key, "exoproxy was told to stop.") for key in sorted(keys))

    def _remove_each(self, keys: Collection[_Key]) -> tuple[str, ...]:
        waiting = sorted(keys)
        for _ in range(_TIMES):
            said = {}
            for key in waiting:
                try:
                    self._remove_one(key)
                except IssuanceProblem as problem:
                    said[key] = str(problem)
                except Exception as error:
                    # A journal that can't be written, on a full disk: the others are removed still.
                    said[key] = f"{type(error).__name__}: {error}"
            waiting = list(said)
        return tuple(_remains(key, why) for key, why in said.items())

    def _remove_one(self, key: _Key) -> None:
        if key in self._known:
            self._provider.remove(self._known[key])
            del self._known[key]
        # Again, too, where the last time it could not be noted.
        self._note()

    def _note(self) -> None:
        self._journal(tuple(self._known.values()))


def _key(record: Record) -> _Key:
    return record.zone, record.name, record.value


def _remains(key: _Key, why: str) -> str:
    zone, name, _ = key
    return (
        f"The TXT record {name} may still be in the zone {zone}, and is removed at the next "
        f"attempt: {why}"
    )
