"""When is a certificate due? A pure function of what is known about it.

All times are aware, in UTC. Both processes decide by this: the serving one when to start an
issuance, the issuing one whether there is still something to do once it has the store's lock.

In this order:

1. A clock before `BUILT` is wrong, and nothing is decided by it.
2. A back-off outranks everything. Its steps are shorter for short lives (see `after_failure`), so
   that a certificate of ten minutes gets several attempts before it ends. What the authority asks
   for (Retry-After) is kept up to a day; if the certificate ends before, the reason says so.
3. No certificate, or less than 1/20 of its life left: now, whatever the authority's window says.
4. The moment picked in the authority's window (RFC 9773); the authority is asked in time.
5. Without a window: at 2/3 of the life, at 1/2 of lives under 10 days.

An authority that can't be asked never holds a renewal up: what is due is due without its answer.
"""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from typing import Final

# The year in which this version was made: no clock that is right shows an earlier one.
BUILT: Final = datetime(2026, 1, 1, tzinfo=UTC)

_MINUTE: Final = timedelta(minutes=1)
_DAY: Final = timedelta(days=1)
# What hosts on one store, or a clock before and after it was set, may differ by.
_SKEW: Final = timedelta(hours=1)
# How often to try after the clock was found wrong; time synchronisation mends it within that.
_CLOCK_PAUSE: Final = _MINUTE

# Earliest moment in the life, as a share of it; the share of jitter is added. Many certificates
# made at the same time are not to be renewed at the same time.
_USUAL: Final = 2 / 3 - 0.02
_SHORT_LIVED: Final = 1 / 2
_SHORT_LIFE: Final = timedelta(days=10)
_JITTER: Final = 0.02
# What must be left of the life for anything else to be waited for.
_RESERVE: Final = 1 / 20

# After the first failure, the second, ...; the last step stays.
_BACK_OFF: Final = tuple(timedelta(minutes=minutes) for minutes in (1, 5, 15, 60, 180, 360))
_BACK_OFF_JITTER: Final = 0.1
# No step is longer than this share of the certificate's life, and none shorter than the first.
_BACK_OFF_SHARE: Final = 1 / 10

# RFC 9773 section 4.3: how often to ask where the authority doesn't say.
_ASK_EVERY: Final = timedelta(hours=6)


@dataclass(frozen=True, slots=True, kw_only=True)
class Life:
    """From when to when a certificate is valid.

    `serial` is its number; it decides where within the jitter the renewal falls.
    """

    not_before: datetime
    not_after: datetime
    serial: int = 0

    def at(self, share: float) -> datetime:
        """Return the moment at which this share of the life is over."""
        return self.not_before + (self.not_after - self.not_before) * share


@dataclass(frozen=True, slots=True, kw_only=True)
class Window:
    """When the authority would like the renewal (ACME Renewal Information, RFC 9773).

    `picked` is the moment between `start` and `end` that was chosen at random, once for a window.
    The authority is to be asked again at `ask_at`.
    """

    start: datetime
    end: datetime
    picked: datetime
    ask_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class NoWindow:
    """The authority names no window, or could not be asked; it is to be asked again at `ask_at`."""

    ask_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class History:
    """How the last attempts went; all of it is kept over restarts.

    `failures` counts those since the last success. Before `retry_at` there is no other one.
    `sentence` says what went wrong last, and is empty after a success.
    """

    failures: int = 0
    retry_at: datetime | None = None
    sentence: str = ""


@dataclass(frozen=True, slots=True)
class Renew:
    """Get a certificate now. The reason is a line of a status table, as in the other actions."""

    reason: str


@dataclass(frozen=True, slots=True)
class Ask:
    """Ask the authority now when it would like the renewal."""

    reason: str


@dataclass(frozen=True, slots=True)
class Wait:
    """Do nothing until a moment, which is always in the future."""

    until: datetime
    reason: str


Action = Renew | Ask | Wait


def next_action(
    life: Life | None, window: Window | NoWindow | None, history: History, now: datetime
) -> Action:
    """Return what is to be done about a certificate.

    `life` is None if there is no certificate that will do, `window` if the authority has not been
    asked about this one.
    """
    if not clock_is_plausible(now):
        return Wait(
            now + _CLOCK_PAUSE,
            f"decides nothing while this machine's clock says {_day(now)}, before this version "
            "was made: set the clock",
        )
    if (waiting := _back_off(life, history, now)) is not None:
        return waiting
    if life is None:
        return Renew("is due: there is none yet")
    if now >= life.not_after:
        return Renew(f"is overdue: it expired on {_moment(life.not_after)}")
    last_call = life.at(1 - _RESERVE)
    if now >= last_call:
        return Renew(f"is overdue: it expires on {_moment(life.not_after)}")
    if isinstance(window, Window):
        due, reason = window.picked, "as the authority asks for"
    else:
        due, reason = _due(life)
    if due >= last_call:
        due, reason = last_call, "when 1/20 of its life is left"
    if now >= due:
        return Renew(f"is due since {_moment(due)}, {reason}")
    # No answer is valid for longer than a day: a later time was written by a clock that was ahead.
    if window is None or not now < window.ask_at <= now + _DAY:
        return Ask("is not due; the authority is asked when it would like the renewal")
    return Wait(min(due, window.ask_at), f"renews on {_moment(due)}, {reason}")


def clock_is_plausible(now: datetime) -> bool:
    """Tell whether this machine's clock may be right: a board without a battery starts in 1970."""
    return now >= BUILT


def pick(start: datetime, end: datetime, fraction: float) -> datetime:
    """Return a moment in the authority's window (RFC 9773 section 4.2).

    `fraction` is a random number from 0 to 1; it is drawn once for a window, and what is returned
    is kept with it.
    """
    return start + (end - start) * fraction


def window(
    start: datetime,
    end: datetime,
    *,
    known: Window | NoWindow | None,
    now: datetime,
    retry_after: float | None,
    fraction: float,
) -> Window:
    """Return the window that the authority has just named, asked about at `now`.

    While it is the same as the `known` one, so is the moment picked; `fraction` is for another.
    """
    if isinstance(known, Window) and (known.start, known.end) == (start, end):
        picked = known.picked
    else:
        picked = pick(start, end, fraction)
    return Window(start=start, end=end, picked=picked, ask_at=next_asking(now, retry_after))


def next_asking(now: datetime, retry_after: float | None) -> datetime:
    """Return when to ask for the window again: 1 minute to 1 day from now (RFC 9773 section 4.3).

    `retry_after` is in seconds; None if the authority didn't say, or didn't answer.
    """
    return now + (_ASK_EVERY if retry_after is None else _clamped(retry_after, _MINUTE, _DAY))


def after_failure(
    history: History,
    sentence: str,
    now: datetime,
    retry_after: float | None,
    jitter: float,
    *,
    life: Life | None = None,
) -> History:
    """Return the history after an attempt that failed at `now` because of `sentence`.

    The next attempt is 1, 5, 15 minutes, then 1, 3, 6 hours away, 10 % more or less; `jitter` is a
    random number from 0 to 1. With the `life` of the certificate that is being served no step is
    longer than 1/10 of it: a certificate of ten minutes is tried for once a minute, one of six
    days as any other. `retry_after`, in seconds, is what the authority asked for: it is waited for
    at least, up to a day.
    """
    step = _BACK_OFF[min(history.failures, len(_BACK_OFF) - 1)]
    if life is not None:
        longest = (life.not_after - life.not_before) * _BACK_OFF_SHARE
        step = min(step, max(longest, _BACK_OFF[0]))
    wait = step * (1 + _BACK_OFF_JITTER * (2 * jitter - 1))
    if retry_after is not None:
        wait = max(wait, _clamped(retry_after, timedelta(), _DAY))
    return History(failures=history.failures + 1, retry_at=now + wait, sentence=sentence)


def after_success(
    history: History,
    life: Life,
    window: Window | NoWindow | None,
    now: datetime,
    jitter: float,
) -> History:
    """Return the history after a certificate was issued, whose life and window these are.

    One that is due again at once counts as a failure: with a clock that is far ahead, or windows
    that always lie in the past, there would be no end to orders.
    """
    if not isinstance(next_action(life, window, History(), now), Renew):
        return History()
    sentence = (
        f"The new certificate is valid from {_moment(life.not_before)} to "
        f"{_moment(life.not_after)}, and the authority wants it renewed at once: look what its "
        "status page says."
    )
    if isinstance(next_action(life, None, History(), now), Renew):
        sentence = (
            f"The new certificate is valid from {_moment(life.not_before)} to "
            f"{_moment(life.not_after)}, which by this machine's clock ({_moment(now)}) is due "
            "again already: set the clock."
        )
    return after_failure(history, sentence, now, None, jitter, life=life)


def after_stop(history: History, now: datetime) -> History:
    """Return the history after an attempt that was told to end when it had ordered already.

    That is no failure; but a service that is started over and over must not order each time.
    """
    retry_at = now + _BACK_OFF[0]
    if history.retry_at is not None:
        retry_at = max(retry_at, history.retry_at)
    sentence = history.sentence or "The attempt was told to end."
    return History(failures=history.failures, retry_at=retry_at, sentence=sentence)


def _back_off(life: Life | None, history: History, now: datetime) -> Wait | None:
    until = history.retry_at
    # None of ours is longer than a day: a later time was written by a clock that was far ahead. One
    # that is a little ahead must not end a back-off of a whole day, though.
    if until is None or not now < until <= now + _DAY + _SKEW:
        return None
    times = {0: "was stopped", 1: "failed once"}.get(
        history.failures, f"failed {history.failures} times"
    )
    reason = f"{times} and is tried again on {_moment(until)}"
    if life is not None and until >= life.not_after:
        expires = "expired" if now >= life.not_after else "expires before that,"
        reason += f"; the one that is served {expires} on {_moment(life.not_after)}"
    return Wait(until, f"{reason}: {history.sentence}")


def _due(life: Life) -> tuple[datetime, str]:
    """Return when to renew if the authority doesn't say, and how that was reckoned."""
    short = life.not_after - life.not_before < _SHORT_LIFE
    earliest, name = (_SHORT_LIVED, "1/2") if short else (_USUAL, "2/3")
    # Stable for a certificate: a moment that moved at each call might never come.
    digest = sha256(str(life.serial).encode()).digest()
    fraction = int.from_bytes(digest[:4], "big") / 2**32
    return life.at(earliest + _JITTER * fraction), f"at {name} of its life"


def _clamped(seconds: float, least: timedelta, most: timedelta) -> timedelta:
    """Return seconds within bounds; what an authority sends may be beyond any timedelta."""
    return timedelta(seconds=max(least.total_seconds(), min(most.total_seconds(), seconds)))


def _moment(time: datetime) -> str:
    return f"{time.astimezone(UTC):%Y-%m-%d %H:%M} UTC"


def _day(time: datetime) -> str:
    return f"{time.astimezone(UTC):%Y-%m-%d}"
