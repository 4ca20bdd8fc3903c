"""When a certificate is due: a table of moments, and what holds for all of them."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from math import inf

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exoproxy.rules.renewal import (
    BUILT,
    Action,
    Ask,
    History,
    Life,
    NoWindow,
    Renew,
    Wait,
    Window,
    after_failure,
    after_stop,
    after_success,
    clock_is_plausible,
    next_action,
    next_asking,
    pick,
)

START = datetime(2026, 11, 1, 12, tzinfo=UTC)
MINUTE, HOUR, DAY = timedelta(minutes=1), timedelta(hours=1), timedelta(days=1)
SECOND = timedelta(seconds=1)

# A serial whose jitter is known to be inside, so that the edges of the table are far from it.
QUARTER = Life(not_before=START, not_after=START + 90 * DAY, serial=1)
SIX_DAYS = replace(QUARTER, not_after=START + 6 * DAY)
TEN_MINUTES = replace(QUARTER, not_after=START + 10 * MINUTE)
NEVER_FAILED = History()


def window(picked: datetime, ask_at: datetime | None = None) -> Window:
    return Window(start=picked - DAY, end=picked + DAY, picked=picked, ask_at=ask_at or picked)


def none_until(time: datetime) -> NoWindow:
    return NoWindow(ask_at=time)


class TestWithoutWindow:
    """Share of the life that is over -> what is done, for an authority that names no window."""

    CASES = (
        (QUARTER, 0.0, Wait),
        (QUARTER, 0.5, Wait),
        (QUARTER, 0.64, Wait),
        (QUARTER, 0.67, Renew),
        (QUARTER, 0.94, Renew),
        (QUARTER, 0.96, Renew),
        (QUARTER, 1.0, Renew),
        (QUARTER, 2.0, Renew),
        (SIX_DAYS, 0.49, Wait),
        (SIX_DAYS, 0.53, Renew),
        (TEN_MINUTES, 0.49, Wait),
        (TEN_MINUTES, 0.53, Renew),
        (TEN_MINUTES, 1.1, Renew),
    )

    @pytest.mark.parametrize(("life", "share", "kind"), CASES)
    def test_share_decides(self, life: Life, share: float, kind: type[Action]) -> None:
        """Renewal is at 2/3 of a life, and at 1/2 of one under ten days."""
        now = life.at(share)
        action = next_action(life, none_until(now + HOUR), NEVER_FAILED, now)

        assert type(action) is kind

    @pytest.mark.parametrize(
        ("length", "at"), [(10 * DAY - SECOND, 0.5), (10 * DAY, 2 / 3 - 0.02), (90 * DAY, 0.6466)]
    )
    def test_jitter_is_two_percent(self, length: timedelta, at: float) -> None:
        """Certificates of one moment are renewed at different ones, all within 2 % of the life."""
        found = []
        for serial in range(100):
            life = Life(not_before=START, not_after=START + length, serial=serial)
            found.append(renewal_of(life))

        shares = [(time - START) / length for time in found]
        assert min(shares) >= at - 0.0001
        assert max(shares) <= at + 0.0201
        assert max(shares) - min(shares) > 0.015

    def test_reasons_are_for_a_status_table(self) -> None:
        """The reason names the rule and the moment."""
        waiting = next_action(QUARTER, none_until(START + HOUR), NEVER_FAILED, START)
        due = next_action(SIX_DAYS, none_until(START + 5 * DAY), NEVER_FAILED, START + 4 * DAY)
        late = next_action(QUARTER, None, NEVER_FAILED, QUARTER.at(0.96))
        expired = next_action(QUARTER, None, NEVER_FAILED, QUARTER.at(1.5))
        missing = next_action(None, None, NEVER_FAILED, START)

        assert isinstance(waiting, Wait)
        assert waiting.reason.startswith("renews on 2026-12-")
        assert waiting.reason.endswith(" UTC, at 2/3 of its life")
        assert isinstance(due, Renew)
        assert due.reason.startswith("is due since 2026-11-04 ")
        assert due.reason.endswith(", at 1/2 of its life")
        assert late == Renew("is overdue: it expires on 2027-01-30 12:00 UTC")
        assert expired == Renew("is overdue: it expired on 2027-01-30 12:00 UTC")
        assert missing == Renew("is due: there is none yet")


class TestWithWindow:
    """The authority's word, and its limits."""

    EARLY = START + 10 * DAY
    LATE = START + 80 * DAY

    CASES = (
        # (window, now, what)
        (window(EARLY), EARLY - SECOND, Wait),
        (window(EARLY), EARLY, Renew),
        (window(LATE), LATE - HOUR, Wait),
        (window(LATE), LATE, Renew),
        # In time for an answer, and after it.
        (window(LATE, START + DAY), START + DAY - SECOND, Wait),
        (window(LATE, START + DAY), START + DAY, Ask),
        (window(LATE, START + DAY), START + 3 * DAY, Ask),
        (none_until(START + DAY), START + DAY - SECOND, Wait),
        (none_until(START + DAY), START + DAY, Ask),
        (None, START, Ask),
        # What is due is due, whether or not the authority can be asked.
        (window(EARLY, START + DAY), EARLY, Renew),
        (none_until(START + DAY), START + 61 * DAY, Renew),
        (None, START + 61 * DAY, Renew),
        # An authority that would like the renewal before the certificate begins: it is revoked.
        (window(START - 9 * DAY), START, Renew),
        # One that would like it too late.
        (window(QUARTER.not_after), QUARTER.at(0.951), Renew),
        (window(QUARTER.not_after + 9 * DAY), QUARTER.at(0.951), Renew),
    )

    @pytest.mark.parametrize(("known", "now", "kind"), CASES)
    def test_table(
        self, known: Window | NoWindow | None, now: datetime, kind: type[Action]
    ) -> None:
        """The picked moment decides, until 1/20 of the life is left."""
        action = next_action(QUARTER, known, NEVER_FAILED, now)

        assert type(action) is kind

    def test_waits_for_the_first_of_two(self) -> None:
        """Waiting ends when the authority is to be asked again, or when it is time."""
        now, soon = START, START + HOUR
        asks_first = next_action(QUARTER, window(soon + HOUR, soon), NEVER_FAILED, now)
        renews_first = next_action(QUARTER, window(soon, soon + HOUR), NEVER_FAILED, now)

        reason = "renews on 2026-11-01 {} UTC, as the authority asks for"
        assert asks_first == Wait(soon, reason.format("14:00"))
        assert renews_first == Wait(soon, reason.format("13:00"))

    def test_reserve_goes_before_a_late_window(self) -> None:
        """A window at the end of the life gives way to 1/20 of it, and the reason says so."""
        now = QUARTER.at(0.949)
        known = window(QUARTER.not_after, now + HOUR)
        action = next_action(QUARTER, known, NEVER_FAILED, now)

        assert isinstance(action, Wait)
        assert action.reason == "renews on 2027-01-26 00:00 UTC, when 1/20 of its life is left"

    def test_asks_if_the_next_asking_is_out_of_reach(self) -> None:
        """A time to ask that is more than a day off was written by a clock that was ahead."""
        known = window(START + 60 * DAY, START + 3 * DAY)

        assert type(next_action(QUARTER, known, NEVER_FAILED, START)) is Ask

    def test_a_certificate_that_is_missing_has_no_window(self) -> None:
        """What an authority said of another certificate doesn't delay the first one."""
        known = window(START + 60 * DAY, START + HOUR)

        assert type(next_action(None, known, NEVER_FAILED, START)) is Renew


class TestBackOff:
    """What follows a failure."""

    def failures(
        self,
        count: int,
        *,
        jitter: float = 0.5,
        life: Life | None = None,
        retry_after: float | None = None,
    ) -> list[timedelta]:
        """Return how long is waited after each of `count` failures."""
        history, waits = NEVER_FAILED, []
        for _ in range(count):
            history = after_failure(history, "No.", START, retry_after, jitter, life=life)
            assert history.retry_at is not None
            waits.append(history.retry_at - START)
        return waits

    def test_steps(self) -> None:
        """1, 5, 15 minutes, 1, 3, 6 hours, and 6 hours for good."""
        expected = [MINUTE, 5 * MINUTE, 15 * MINUTE, HOUR, 3 * HOUR, 6 * HOUR, 6 * HOUR]

        assert self.failures(7) == expected
        assert self.failures(7, life=QUARTER) == expected
        assert self.failures(7, life=SIX_DAYS) == expected

    @pytest.mark.parametrize(("jitter", "factor"), [(0.0, 0.9), (0.5, 1.0), (1.0, 1.1)])
    def test_jitter_is_ten_percent(self, jitter: float, factor: float) -> None:
        """Each step is up to 10 % shorter or longer."""
        assert self.failures(2, jitter=jitter) == [MINUTE * factor, 5 * MINUTE * factor]

    @pytest.mark.parametrize(
        ("retry_after", "waited"),
        [
            (-5, MINUTE),
            (0, MINUTE),
            (59, MINUTE),
            (61, 61 * SECOND),
            (86400, DAY),
            (86401, DAY),
            (1e30, DAY),
            (inf, DAY),
        ],
    )
    def test_what_the_authority_asks_for(self, retry_after: float, waited: timedelta) -> None:
        """Retry-After is waited for at least, up to a day."""
        assert self.failures(1, retry_after=retry_after) == [waited]

    def test_counts_and_remembers(self) -> None:
        """The history tells how often it failed, and why last."""
        first = after_failure(NEVER_FAILED, "First.", START, None, 0.5)
        second = after_failure(first, "Second.", START, None, 0.5)

        assert (first.failures, first.sentence) == (1, "First.")
        assert (second.failures, second.sentence) == (2, "Second.")

    def test_ten_minutes_get_several_attempts(self) -> None:
        """A certificate of ten minutes is tried for once a minute until it ends."""
        assert self.failures(6, life=TEN_MINUTES) == [MINUTE] * 6

        now, attempts, history = TEN_MINUTES.at(0.52), 0, NEVER_FAILED
        while attempts < 9:
            assert isinstance(next_action(TEN_MINUTES, None, history, now), Renew)
            attempts += 1
            history = after_failure(history, "No.", now, None, 1.0, life=TEN_MINUTES)
            action = next_action(TEN_MINUTES, None, history, now)
            assert isinstance(action, Wait)
            if action.until >= TEN_MINUTES.not_after:
                break
            now = action.until

        assert attempts == 5

    @pytest.mark.parametrize(
        "life", [None, QUARTER, replace(QUARTER, not_after=START + MINUTE)], ids=str
    )
    def test_outranks_everything(self, life: Life | None) -> None:
        """Nothing is tried before the back-off is over: no certificate, due, overdue, expired."""
        for share in (0.1, 0.7, 0.96, 1.1):
            now = START if life is None else life.at(share)
            history = History(failures=2, retry_at=now + HOUR, sentence="It was refused.")
            action = next_action(life, None, history, now)

            assert isinstance(action, Wait)
            assert action.until == now + HOUR

    def test_is_over_at_its_moment(self) -> None:
        """At the very moment that was stored the next attempt may start."""
        history = History(failures=1, retry_at=START, sentence="No.")

        assert type(next_action(None, None, history, START)) is Renew

    def test_reason_carries_the_sentence(self) -> None:
        """The table shows how often it failed, when it is tried again, and what was wrong."""
        history = History(failures=1, retry_at=START + HOUR, sentence="It was refused.")
        again = replace(history, failures=3)

        assert next_action(None, None, history, START) == Wait(
            START + HOUR, "failed once and is tried again on 2026-11-01 13:00 UTC: It was refused."
        )
        assert next_action(QUARTER, None, again, START) == Wait(
            START + HOUR,
            "failed 3 times and is tried again on 2026-11-01 13:00 UTC: It was refused.",
        )

    @pytest.mark.parametrize(
        ("now", "verb"),
        [(START + 9 * MINUTE, "expires before that,"), (START + 11 * MINUTE, "expired")],
    )
    def test_says_if_the_certificate_ends_before(self, now: datetime, verb: str) -> None:
        """A back-off that outlives the certificate is not silent about it."""
        history = History(failures=2, retry_at=now + HOUR, sentence="Too many requests.")
        action = next_action(TEN_MINUTES, None, history, now)

        assert f"; the one that is served {verb} on 2026-11-01 12:10 UTC: " in action.reason

    def test_ends_with_a_clock_that_was_ahead(self) -> None:
        """A back-off of more than a day is none of ours: the clock was wrong when it began."""
        history = History(failures=1, retry_at=START + 700 * DAY, sentence="No.")

        assert type(next_action(None, None, history, START)) is Renew

    def test_holds_on_a_host_whose_clock_is_behind(self) -> None:
        """A whole day that an authority asked for is kept by the store's other hosts, too."""
        history = after_failure(NEVER_FAILED, "No.", START, DAY.total_seconds(), 0.5)

        assert type(next_action(None, None, history, START - SECOND)) is Wait
        assert type(next_action(None, None, history, START - HOUR)) is Wait
        assert type(next_action(None, None, history, START - HOUR - SECOND)) is Renew


class TestSuccess:
    """What follows a certificate."""

    def test_clears_the_history(self) -> None:
        """A certificate that is not due ends the count of failures."""
        failed = History(failures=5, retry_at=START, sentence="No.")

        assert after_success(failed, QUARTER, None, START + HOUR, 0.5) == NEVER_FAILED

    def test_a_certificate_that_is_due_at_once_is_a_failure(self) -> None:
        """A clock that is far ahead leads into the back-off, not into one order after another."""
        now = START + 61 * DAY
        history = after_success(NEVER_FAILED, QUARTER, None, now, 0.5)

        assert history.failures == 1
        assert history.retry_at == now + MINUTE
        assert "(2027-01-01 12:00 UTC) is due again already: set the clock." in history.sentence
        assert after_success(history, QUARTER, None, now, 0.5).failures == 2

    def test_due_at_once_because_the_authority_says_so(self) -> None:
        """A window in the past leads to ever longer waits, not to an order after the other."""
        now = START + HOUR
        past = Window(start=START - 2 * HOUR, end=START, picked=START - HOUR, ask_at=now + HOUR)
        history = after_success(NEVER_FAILED, QUARTER, past, now, 0.5)

        assert "the authority wants it renewed at once" in history.sentence
        assert isinstance(next_action(QUARTER, past, history, now), Wait)
        assert after_success(history, QUARTER, past, now, 0.5).failures == 2

    def test_stopped_after_an_order(self) -> None:
        """It is no failure, but the next order is a minute away, or later if it was before."""
        history = after_stop(NEVER_FAILED, START)
        action = next_action(None, None, history, START)
        later = replace(NEVER_FAILED, failures=3, retry_at=START + HOUR, sentence="No.")

        assert (history.failures, history.retry_at) == (0, START + MINUTE)
        assert isinstance(action, Wait)
        assert action.reason.startswith("was stopped and is tried again")
        assert after_stop(later, START) == later


@pytest.mark.parametrize(
    ("now", "plausible"),
    [
        (datetime(1970, 1, 1, tzinfo=UTC), False),
        (BUILT - SECOND, False),
        (BUILT, True),
        (datetime(2040, 1, 1, tzinfo=UTC), True),
    ],
)
def test_clock(now: datetime, plausible: bool) -> None:
    """Nothing is decided by a clock that is before this version's making."""
    action = next_action(None, None, NEVER_FAILED, now)

    assert clock_is_plausible(now) is plausible
    assert isinstance(action, Renew if plausible else Wait)
    assert plausible or "set the clock" in action.reason


@pytest.mark.parametrize(
    ("retry_after", "waited"),
    [(None, 6 * HOUR), (0, MINUTE), (-1, MINUTE), (600, 10 * MINUTE), (1e9, DAY), (inf, DAY)],
)
def test_next_asking(retry_after: float | None, waited: timedelta) -> None:
    """The authority is asked again within 1 minute to 1 day."""
    assert next_asking(START, retry_after) == START + waited


@pytest.mark.parametrize(("fraction", "hours"), [(0.0, 0), (0.25, 6), (1.0, 24)])
def test_pick(fraction: float, hours: int) -> None:
    """The picked moment lies in the window, both ends included."""
    assert pick(START, START + DAY, fraction) == START + hours * HOUR


moments = st.floats(0, 12000).map(lambda days: BUILT + days * DAY)
lengths = st.one_of(
    st.integers(1, 3600), st.integers(3600, 10 * 86400), st.integers(86400, 400 * 86400)
).map(lambda seconds: timedelta(seconds=seconds))


@st.composite
def lives(draw: st.DrawFn) -> Life:
    begin = draw(moments)
    return Life(
        not_before=begin,
        not_after=begin + draw(lengths),
        serial=draw(st.integers(0, 2**159)),
    )


@st.composite
def windows(draw: st.DrawFn) -> Window:
    start = draw(moments)
    end = start + draw(lengths)
    fraction = draw(st.floats(0, 1))
    return Window(start=start, end=end, picked=pick(start, end, fraction), ask_at=draw(moments))


known_windows = st.one_of(st.none(), windows(), st.builds(NoWindow, ask_at=moments))
histories = st.one_of(
    st.just(NEVER_FAILED),
    st.builds(History, failures=st.integers(1, 9), retry_at=moments, sentence=st.just("No.")),
)
shares = st.floats(0, 1.2)


@given(life=lives(), share=st.floats(0, 0.4999), asked=st.booleans())
def test_never_before_half_of_the_life(life: Life, share: float, asked: bool) -> None:
    """Without the authority's wish nothing is renewed in the first half of its life."""
    now = life.at(share)
    action = next_action(life, none_until(now + HOUR) if asked else None, NEVER_FAILED, now)

    assert type(action) is (Wait if asked else Ask)


@given(life=lives(), known=known_windows, share=st.floats(0.9501, 3))
def test_always_before_the_end(life: Life, known: Window | NoWindow | None, share: float) -> None:
    """Whatever the authority wishes, the last twentieth of the life is for renewing."""
    assert type(next_action(life, known, NEVER_FAILED, life.at(share))) is Renew


@given(
    life=st.one_of(st.none(), lives()),
    known=known_windows,
    history=histories,
    now=moments,
)
def test_waits_for_what_is_ahead(
    life: Life | None, known: Window | NoWindow | None, history: History, now: datetime
) -> None:
    """A wait ends in the future, within a day of a back-off, and before the certificate does."""
    action = next_action(life, known, history, now)
    if not isinstance(action, Wait):
        return

    assert action.until > now
    if history.retry_at == action.until:
        assert action.until <= now + DAY
    else:
        assert life is not None
        assert action.until < life.not_after


@given(life=lives(), known=known_windows, shares=st.lists(shares, min_size=2, max_size=8))
def test_monotonic(life: Life, known: Window | NoWindow | None, shares: Sequence[float]) -> None:
    """With the same knowledge, what is due stays due as time goes on."""
    rank = [
        isinstance(next_action(life, known, NEVER_FAILED, life.at(share)), Renew)
        for share in sorted(shares)
    ]

    assert rank == sorted(rank)


@given(life=lives(), known=known_windows, now_at=shares, between=st.floats(0, 0.999))
def test_no_oscillation(
    life: Life, known: Window | NoWindow | None, now_at: float, between: float
) -> None:
    """A wait is the same until it ends, and at its end there is something to do."""
    now = life.at(now_at)
    action = next_action(life, known, NEVER_FAILED, now)
    if not isinstance(action, Wait):
        return
    later = now + (action.until - now) * between

    assert later >= action.until or next_action(life, known, NEVER_FAILED, later) == action
    assert not isinstance(next_action(life, known, NEVER_FAILED, action.until), Wait)


@given(
    life=lives(),
    now_at=st.floats(0.5, 0.9),
    jitter=st.floats(0, 1),
    retry_after=st.one_of(st.none(), st.floats(-10, 1e9)),
    failures=st.integers(0, 20),
)
def test_back_off_is_kept(
    life: Life, now_at: float, jitter: float, retry_after: float | None, failures: int
) -> None:
    """Between a failure and the time stored with it nothing is done; then it is tried again."""
    now = life.at(now_at)
    before = History(failures=failures, retry_at=None, sentence="")
    history = after_failure(before, "No.", now, retry_after, jitter, life=life)
    retry_at = history.retry_at
    assert retry_at is not None

    assert now + 54 * SECOND <= retry_at <= now + DAY
    assert isinstance(next_action(life, None, history, now), Wait)
    assert isinstance(next_action(life, None, history, retry_at - SECOND), Wait)
    assert not isinstance(next_action(life, None, history, retry_at), Wait)


def renewal_of(life: Life) -> datetime:
    """Return when a certificate is renewed whose authority names no window, by bisection."""
    early, late = life.not_before, life.not_after
    while late - early > SECOND / 10:
        middle = early + (late - early) / 2
        known = none_until(middle + HOUR)
        if isinstance(next_action(life, known, NEVER_FAILED, middle), Renew):
            late = middle
        else:
            early = middle
    return late
