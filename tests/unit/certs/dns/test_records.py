"""The records of an attempt: a journal that is ahead of the provider, and a removal that ends."""

import contextlib
import itertools
import sys
from collections.abc import Callable
from types import FrameType

import pytest

from exoproxy.certs.dns.provider import Record
from exoproxy.certs.dns.records import Records
from exoproxy.certs.problem import IssuanceProblem

ZONE = "example.test"


def record(value: str, record_id: str = "") -> Record:
    return Record(zone=ZONE, name=f"_acme-challenge.{ZONE}", value=value, id=record_id)


A, B, C, LEFT = (record(value) for value in ("a", "b", "c", "left"))


class StopError(BaseException):
    """What a signal raises."""


class KilledError(BaseException):
    """The end of a process; nothing of it runs on."""


class Zone:
    """A provider by script, and the journal's file beside it.

    `before` and `after` run around each call: they raise what the script says. `events` is the
    transcript: what was noted, published and removed, in order.
    """

    def __init__(self, *values: str) -> None:
        self.values = list(values)
        self.journal: tuple[Record, ...] = ()
        self.events: list[str] = []
        self.before: Callable[[str], None] = lambda event: None
        self.after: Callable[[str], None] = lambda event: None

    def check(self, zone: str) -> None: ...

    def publish(self, record: Record) -> Record:
        with_id = Record(zone=record.zone, name=record.name, value=record.value, id="7")
        self._do(f"+{record.value}", lambda: self.values.append(record.value))
        return with_id

    def remove(self, record: Record) -> None:
        def remove() -> None:
            if record.value in self.values:
                self.values.remove(record.value)

        self._do(f"-{record.value}", remove)

    def note(self, records: tuple[Record, ...]) -> None:
        def note() -> None:
            self.journal = records

        self._do(f"[{' '.join(record.value for record in records)}]", note)

    def _do(self, event: str, action: Callable[[], None]) -> None:
        self.before(event)
        self.events.append(event)
        action()
        self.after(event)

    def records(self) -> Records:
        """Return what a process makes of the journal at its start."""
        return Records(self, self.note, self.journal)

    def noted(self) -> list[str]:
        return [record.value for record in self.journal]


def raising(event: str, *exceptions: BaseException) -> Callable[[str], None]:
    """Return a script that raises one exception after the other at an event, then none."""
    waiting = list(exceptions)

    def script(happening: str) -> None:
        if happening == event and waiting:
            raise waiting.pop(0)

    return script


def dying(event: str) -> Callable[[str], None]:
    """Return a script that ends a process at an event: from then on nothing happens any more."""
    dead = False

    def script(happening: str) -> None:
        nonlocal dead
        dead = dead or happening == event
        if dead:
            raise KilledError

    return script


class SignalAtLine:
    """A trace function that raises at the n-th line that `records` runs."""

    def __init__(self, line: int) -> None:
        self._left = line
        self.came = False

    def __call__(self, frame: FrameType, event: str, _: object) -> "SignalAtLine | None":
        if frame.f_globals.get("__name__") != Records.__module__:
            return None
        if event == "line" and not self.came:
            self._left -= 1
            if self._left < 0:
                self.came = True
                raise StopError
        return self


class TestJournal:
    """The journal names a record for as long as it may be there."""

    def test_transcript(self) -> None:
        """A record is noted before it is written, and struck out after it was removed."""
        zone = Zone()
        records = zone.records()
        records.publish(A)
        records.publish(B)

        assert records.remove_all() == ()
        assert zone.events == ["[a]", "+a", "[a b]", "+b", "-a", "[b]", "-b", "[]"]

    def test_ids(self) -> None:
        """The id that the provider gave is used for the removal."""
        zone = Zone()
        records = zone.records()
        records.publish(A)
        records.publish(B)

        assert zone.journal == (record("a", "7"), B)

    def test_no_journal_no_record(self) -> None:
        """What can't be noted is not written."""
        zone = Zone()
        zone.before = raising("[a]", OSError(28, "No space left on device"))
        with pytest.raises(OSError, match="No space"):
            zone.records().publish(A)

        assert zone.values == []

    @pytest.mark.parametrize("event", ["[a]", "+a", "[a b]", "+b", "-a", "[b]", "-b", "[]"])
    @pytest.mark.parametrize("moment", ["before", "after"])
    def test_killed_at_every_moment(self, event: str, moment: str) -> None:
        """Wherever a process is killed, the journal names all that is there, and a sweep takes it.

        The zone's other values stay.
        """
        zone = Zone("foreign")
        setattr(zone, moment, dying(event))
        records = zone.records()
        with contextlib.suppress(KilledError):
            records.publish(A)
            records.publish(B)
        records.remove_all()

        assert set(zone.values) - {"foreign"} <= set(zone.noted())

        zone.before = zone.after = lambda event: None

        assert zone.records().sweep() == ()
        assert zone.values == ["foreign"]
        assert zone.noted() == []


class TestRemoval:
    """Removing goes on to its end."""

    def test_signal_while_publishing(self) -> None:
        """A record whose publishing was cut off, written or not, is removed."""
        for moment in ("before", "after"):
            zone = Zone()
            records = zone.records()
            records.publish(A)
            setattr(zone, moment, raising("+b", StopError()))
            with pytest.raises(StopError):
                records.publish(B)

            assert records.remove_all() == ()
            assert (zone.values, zone.noted()) == ([], [])

    def test_failure_while_publishing(self) -> None:
        """So is one that the provider failed at, for its answer may have been lost."""
        zone = Zone()
        zone.after = raising("+a", IssuanceProblem("It timed out."))
        records = zone.records()
        with pytest.raises(IssuanceProblem):
            records.publish(A)

        assert zone.values == ["a"]
        assert records.remove_all() == ()
        assert zone.values == []

    @pytest.mark.parametrize("event", ["-a", "[b c]", "-b", "[c]", "-c", "[]"])
    @pytest.mark.parametrize("moment", ["before", "after"])
    def test_signal_while_removing(self, event: str, moment: str) -> None:
        """A signal's exception in the middle is kept for the caller, and all is removed."""
        zone = Zone()
        records = zone.records()
        for each in (A, B, C):
            records.publish(each)
        stop = StopError()
        setattr(zone, moment, raising(event, stop))

        assert records.remove_all() == ()
        assert records.interrupted is stop
        assert (zone.values, zone.noted()) == ([], [])

    def test_signal_at_every_line(self) -> None:
        """Whatever line a signal comes at, what is in the zone is in the journal.

        At nearly all lines nothing escapes either; around the outermost `try` there is no other.
        """
        escaped = 0
        for line in itertools.count():
            zone = Zone()
            records = zone.records()
            for each in (A, B):
                records.publish(each)
            signal = SignalAtLine(line)
            sys.settrace(signal)
            try:
                records.remove_all()
            except StopError:
                escaped += 1
            else:
                assert (zone.values, zone.noted()) == ([], [])
            finally:
                sys.settrace(None)

            assert set(zone.values) <= set(zone.noted())
            if not signal.came:
                break

        assert line > 30
        assert escaped <= 3

    def test_two_signals(self) -> None:
        """Who is told to stop twice stops: what remains is in the journal, and told."""
        zone = Zone()
        records = zone.records()
        records.publish(A)
        records.publish(B)
        zone.before = raising("-a", StopError(), StopError())

        assert records.remove_all() == (
            "The TXT record _acme-challenge.example.test may still be in the zone example.test, "
            "and is removed at the next attempt: exoproxy was told to stop.",
            "The TXT record _acme-challenge.example.test may still be in the zone example.test, "
            "and is removed at the next attempt: exoproxy was told to stop.",
        )
        assert sorted(zone.noted()) == sorted(zone.values) == ["a", "b"]

    def test_fails_once(self) -> None:
        """A fault of the moment is tried again, after the others."""
        zone = Zone()
        records = zone.records()
        records.publish(A)
        records.publish(B)
        zone.before = raising("-a", IssuanceProblem("It timed out."))

        assert records.remove_all() == ()
        assert zone.events[-4:] == ["-b", "[a]", "-a", "[]"]
        assert records.interrupted is None

    def test_fails_twice(self) -> None:
        """A record that can't be removed is told and stays in the journal; others are removed."""
        zone = Zone()
        records = zone.records()
        records.publish(A)
        records.publish(B)
        zone.before = raising("-a", *[IssuanceProblem("It timed out.")] * 2)

        assert records.remove_all() == (
            "The TXT record _acme-challenge.example.test may still be in the zone example.test, "
            "and is removed at the next attempt: It timed out.",
        )
        assert (zone.values, zone.noted()) == (["a"], ["a"])

    def test_full_disk(self) -> None:
        """A journal that can't be written stops no removal, and names too much rather than less."""
        zone = Zone()
        records = zone.records()
        records.publish(A)
        records.publish(B)

        def full(event: str) -> None:
            if event.startswith("["):
                raise OSError(28, "No space left on device")

        zone.before = full
        said = records.remove_all()

        assert zone.values == []
        assert zone.noted() == ["a", "b"]
        assert [sentence.partition("attempt: ")[2] for sentence in said] == [
            "OSError: [Errno 28] No space left on device"
        ] * 2

    def test_nothing(self) -> None:
        """Without records nothing is asked or noted."""
        zone = Zone()

        assert zone.records().remove_all() == ()
        assert zone.records().sweep() == ()
        assert zone.events == []


class TestSweep:
    """What an earlier process left."""

    def test_own_and_left(self) -> None:
        """A sweep takes what was left, and the removal what was written since, each no more."""
        zone = Zone("left", "foreign")
        zone.journal = (LEFT,)
        records = zone.records()
        records.publish(A)

        assert records.sweep() == ()
        assert (zone.values, zone.noted()) == (["foreign", "a"], ["a"])
        assert records.remove_all() == ()
        assert (zone.values, zone.noted()) == (["foreign"], [])

    def test_what_is_left_stays_noted(self) -> None:
        """A removal without a sweep keeps what an earlier process left in the journal."""
        zone = Zone("left")
        zone.journal = (LEFT,)
        records = zone.records()
        records.publish(A)
        records.remove_all()

        assert (zone.values, zone.noted()) == (["left"], ["left"])

    def test_written_again(self) -> None:
        """A value that was left and is written again belongs to this process."""
        zone = Zone("a")
        zone.journal = (A,)
        records = zone.records()
        records.publish(A)
        zone.events.clear()

        assert records.sweep() == ()
        assert zone.events == []
        assert records.remove_all() == ()
        assert zone.noted() == []
