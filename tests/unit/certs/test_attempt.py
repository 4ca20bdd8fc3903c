"""An attempt: whether it is made, what it leaves behind however it ends, and in which order.

The authority and the proof of the names are scripted here; the store and the state are real. What
a real authority and a real DNS make of it is tested with the real ones.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from chains import DAY, NOW, RENEWAL, Chain, chain_for
from exoproxy.certs import attempt as module
from exoproxy.certs.acme import ari
from exoproxy.certs.acme.ari import Suggestion
from exoproxy.certs.acme.order import Challenge, Issued, Wish
from exoproxy.certs.attempt import Attempt, When
from exoproxy.certs.context import ari_id
from exoproxy.certs.dns.provider import Record
from exoproxy.certs.problem import IssuanceProblem
from exoproxy.certs.state import PendingOrder, State, load, save
from exoproxy.certs.store import Store
from exoproxy.certs.wanted import Wanted
from exoproxy.rules.renewal import History, NoWindow, Window
from exoproxy.settings.acme import Acme

NAME = "proxy.example.org"
NAMES = (NAME, f"*.{NAME}")
DIRECTORY = "https://ca.example.org/directory"
STAGING = "https://staging.example.org/directory"
WANTED = Wanted(key="uap.regions.X.certificate", names=NAMES, directory=DIRECTORY)
RECORD = Record(zone="example.org", name=f"_acme-challenge.{NAME}", value="v", id="1")
FRESH = chain_for(*NAMES, start=NOW - DAY, end=NOW + 89 * DAY)
DUE = chain_for(*NAMES, start=NOW - 60 * DAY, end=NOW + 20 * DAY)


class Told(BaseException):
    """Stands for a signal."""


@dataclass
class Script:
    """What the authority does, and what happened. `fails` is raised by the order."""

    store: Store
    fails: BaseException | None = None
    prevented: IssuanceProblem | None = None
    unreachable: bool = False
    picked_up: Issued | None = None
    suggestion: Suggestion | None = None
    suggested: int = 0
    happened: list[str] = field(default_factory=list)
    wishes: list[Wish] = field(default_factory=list)
    meanwhile: State | None = None
    tidied: tuple[Record, ...] = ()
    untidy: IssuanceProblem | None = None
    skew: float = 0.0
    acme: Acme = field(default_factory=lambda: Acme(staging_directory=STAGING))
    issues: Chain = field(default_factory=lambda: FRESH)

    def issued(self) -> Issued:
        return Issued(key=self.issues.key, fullchain=self.issues.fullchain)

    def state(self) -> State:
        return load(self.store.state_file(NAME))

    def keep(self, chain: Chain, **changes: Any) -> None:
        """Put a certificate into the store, and what is remembered of it."""
        self.store.prepare(NAME)
        self.store.save(NAME, key=chain.key, fullchain=chain.fullchain, renewal=RENEWAL)
        self.remember(**{"directory": DIRECTORY, **changes})

    def remember(self, **changes: Any) -> None:
        save(self.store.state_file(NAME), State(**changes))

    def run(self, when: When) -> module.Outcome:
        return Attempt(WANTED, self.acme, self.store, print).run(when)


@pytest.fixture
def script(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Script:
    made = Script(Store(tmp_path / "store"))

    class Authority:
        host = "ca.example.org"
        caa_identities = ("example.org",)

        def __init__(self, url: str, *, ca_file: Path | None) -> None:
            made.happened.append(f"open {url}")
            if made.unreachable:
                raise IssuanceProblem("The authority does not answer.")
            self.url = url
            self.clock_skew = made.skew

    class Issuer:
        def __init__(self, authority: Authority, accounts: object, **_: object) -> None:
            self._url = authority.url

        def order(
            self,
            wish: Wish,
            prove: Callable[[Sequence[Challenge]], Any],
            saved: Callable[[PendingOrder], None],
        ) -> Issued:
            made.happened.append("order")
            made.wishes.append(wish)
            made.meanwhile = made.state()
            with prove(()):
                if made.fails:
                    raise made.fails
            saved(pending())
            made.happened.append("finalize")
            return made.issued()

        def pick_up(self, pending: PendingOrder) -> Issued | None:
            made.happened.append("pick up")
            return made.picked_up

    class Proof:
        kind = "dns-01"

        def tidy(self, journaled: tuple[Record, ...]) -> None:
            made.tidied = journaled
            if made.untidy:
                raise made.untidy

        def check(self, names: Sequence[str], identities: Sequence[str]) -> None:
            made.happened.append("check")
            if made.prevented:
                raise made.prevented

        @contextmanager
        def published(self, challenges: Sequence[Challenge]) -> Iterator[None]:
            yield

    def ask(_authority: Authority, _certificate: object) -> Suggestion | None:
        made.suggested += 1
        return made.suggestion

    monkeypatch.setattr(module, "Authority", Authority)
    monkeypatch.setattr(module, "Issuer", Issuer)
    monkeypatch.setattr(module, "proof_of", lambda *_: Proof())
    monkeypatch.setattr(ari, "ask", ask)
    return made


def pending(**changes: Any) -> PendingOrder:
    content: dict[str, Any] = {
        "directory": DIRECTORY,
        "names": NAMES,
        "profile": None,
        "order": "https://ca.example.org/order/1",
        "key": "PEM",
    }
    return PendingOrder(**(content | changes))


def test_a_missing_certificate_is_ordered_and_stored(script: Script) -> None:
    """With an empty store the rule calls for an order, and everything is forgotten at its end."""
    outcome = script.run(When.DUE)

    assert outcome.issued
    assert script.happened == [f"open {DIRECTORY}", "check", "order", "finalize"]
    assert script.store.newest(NAME) is not None
    assert replace(script.state(), window=None) == State(directory=DIRECTORY)


def test_a_good_certificate_is_left_alone(script: Script) -> None:
    """What is not due is not ordered, whoever asks for what is missing or due."""
    ask_at = datetime.now(UTC) + timedelta(hours=1)
    script.keep(FRESH, window=NoWindow(ask_at=ask_at))

    assert not script.run(When.DUE).issued
    assert "already" in script.run(When.MISSING).sentence
    assert script.happened == []


def test_a_person_gets_another_one(script: Script) -> None:
    """NOW orders whatever there is, in a back-off too."""
    tomorrow = datetime.now(UTC) + timedelta(hours=5)
    script.keep(FRESH, history=History(failures=3, retry_at=tomorrow))
    outcome = script.run(When.NOW)
    newest = script.store.newest(NAME)

    assert outcome.issued
    assert newest is not None
    assert newest.version == 2
    assert script.state().history == History()


def test_a_back_off_holds_where_nobody_watches(script: Script) -> None:
    """A due certificate is not ordered before the time that is noted; a person may."""
    soon = datetime.now(UTC) + timedelta(minutes=5)
    script.remember(history=History(failures=1, retry_at=soon, sentence="It was refused."))
    outcome = script.run(When.DUE)

    assert not outcome.issued
    assert "It was refused." in outcome.sentence
    assert script.happened == []
    assert script.run(When.MISSING).issued


@pytest.mark.parametrize(
    ("chain", "directory"),
    [
        (chain_for(*NAMES, start=NOW - 90 * DAY, end=NOW - DAY), DIRECTORY),
        (chain_for(NAME), DIRECTORY),
        (FRESH, STAGING),
    ],
    ids=["expired", "lacks the wildcard", "by another authority"],
)
def test_what_will_not_do_counts_as_missing(script: Script, chain: Chain, directory: str) -> None:
    """A person who asks for what is missing gets one in its place."""
    script.keep(chain, directory=directory)

    assert script.run(When.MISSING).issued


def test_a_failure_is_noted_with_its_back_off(script: Script) -> None:
    """The sentence and the next time stay, and what the authority asked for is waited for."""
    script.fails = IssuanceProblem("Too many certificates.", retry_after=7200)
    with pytest.raises(IssuanceProblem, match="Too many certificates"):
        script.run(When.DUE)
    history = script.state().history

    assert (history.failures, history.sentence) == (1, "Too many certificates.")
    assert history.retry_at is not None
    assert history.retry_at - datetime.now(UTC) > timedelta(seconds=7190)


def test_nothing_is_ordered_that_would_fail(script: Script) -> None:
    """What forbids the proof is found before the order, and noted as a failure."""
    script.prevented = IssuanceProblem("The CAA record forbids it.")
    with pytest.raises(IssuanceProblem, match="CAA"):
        script.run(When.DUE)

    assert "order" not in script.happened
    assert script.state().history.failures == 1


def test_an_attempt_counts_as_failed_until_it_ends(script: Script) -> None:
    """Whoever is killed in the middle has noted a back-off before."""
    script.run(When.DUE)

    assert script.meanwhile is not None
    assert script.meanwhile.history.failures == 1
    assert script.meanwhile.history.retry_at is not None


def test_being_told_to_stop_is_no_failure(script: Script) -> None:
    """What failed before still counts, no more; but an order that was placed has its price."""
    before = History(failures=2, retry_at=NOW - DAY, sentence="It was refused.")
    script.remember(history=before)
    script.fails = Told()
    with pytest.raises(Told):
        script.run(When.DUE)
    history = script.state().history

    assert (history.failures, history.sentence) == (2, "It was refused.")
    assert history.retry_at is not None
    assert timedelta(seconds=50) < history.retry_at - datetime.now(UTC) <= timedelta(minutes=1)


def test_being_told_to_stop_before_an_order_changes_nothing(
    script: Script, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The next start may try at once."""

    def prepare(*_: object) -> None:
        raise Told

    monkeypatch.setattr(Store, "prepare", prepare)
    with pytest.raises(Told):
        script.run(When.DUE)

    assert script.state().history == History()


def test_a_window_in_the_past_leads_to_a_back_off(script: Script) -> None:
    """An authority that wants each new certificate renewed at once is not asked over and over."""
    script.suggestion = Suggestion(start=NOW - 2 * DAY, end=NOW - DAY, retry_after=None)
    script.run(When.DUE)
    again = script.run(When.DUE)

    assert not again.issued
    assert script.state().history.failures == 1


def test_a_fault_of_our_own_keeps_the_back_off(script: Script) -> None:
    """An exception that nobody thought of does not lead to a storm of orders."""
    script.fails = ZeroDivisionError()
    with pytest.raises(ZeroDivisionError):
        script.run(When.DUE)
    history = script.state().history

    assert history.failures == 1
    assert "ZeroDivisionError" in history.sentence


@pytest.mark.parametrize("kind", [IssuanceProblem, ValueError])
def test_a_long_sentence_keeps_the_back_off(script: Script, kind: type[Exception]) -> None:
    """However much an authority had to say, the file does not outgrow what is read of it."""
    script.fails = kind("no! " * 2**20)
    with pytest.raises(kind):
        script.run(When.DUE)
    history = script.state().history

    assert history.failures == 1
    assert history.retry_at is not None
    assert len(history.sentence) < 5000


def test_an_order_whose_answer_was_lost_is_picked_up(script: Script) -> None:
    """The certificate that exists already is stored without another order."""
    script.remember(pending=pending())
    script.picked_up = script.issued()
    outcome = script.run(When.DUE)

    assert outcome.issued
    assert script.happened == [f"open {DIRECTORY}", "pick up"]
    assert script.state().pending is None
    assert script.state().history == History()


def test_the_pending_order_is_kept_when_its_answer_is_lost(script: Script) -> None:
    """What was saved before the certificate was asked for is there for the next process."""
    script.picked_up = None
    script.remember(pending=pending())
    script.fails = IssuanceProblem("The connection was cut.")
    with pytest.raises(IssuanceProblem):
        script.run(When.DUE)

    assert script.happened[-2:] == ["check", "order"]
    assert script.state().pending is None


def test_an_order_whose_certificate_is_stored_has_ended(script: Script) -> None:
    """Who was killed just before it could say so has not failed; nothing is stored twice."""
    soon = datetime.now(UTC) + timedelta(minutes=5)
    order = pending(key=FRESH.key.decode())
    failed = History(failures=1, retry_at=soon, sentence="It ended without a word.")
    script.keep(FRESH, directory="", pending=order, history=failed)
    script.run(When.DUE)

    assert "pick up" not in script.happened
    assert replace(script.state(), window=None, window_of="") == State(directory=DIRECTORY)


def test_to_be_stopped_after_a_success_changes_nothing(
    script: Script, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What failed before the certificate came is over, whatever comes after it."""

    def ask(*_: object) -> None:
        raise Told

    monkeypatch.setattr(ari, "ask", ask)
    script.remember(
        history=History(failures=2, retry_at=NOW - DAY, sentence="It was refused."),
        window=NoWindow(ask_at=NOW),
        window_of="another",
    )
    with pytest.raises(Told):
        script.run(When.DUE)

    assert script.store.newest(NAME) is not None
    assert script.state() == State(directory=DIRECTORY)


@pytest.mark.parametrize(
    "changes",
    [{"names": (NAME,)}, {"directory": STAGING}, {"profile": "shortlived"}],
    ids=repr,
)
def test_an_order_for_something_else_is_dropped(script: Script, changes: dict[str, Any]) -> None:
    """After a change of the configuration the old order is of no use."""
    script.remember(pending=pending(**changes))
    script.run(When.DUE)

    assert "pick up" not in script.happened
    assert "order" in script.happened


def test_left_records_are_removed_first(script: Script) -> None:
    """What a killed process left is told to the proof, also when nothing is due."""
    script.keep(FRESH, records=(RECORD,))
    script.run(When.DUE)

    assert script.tidied == (RECORD,)


def test_the_authority_is_asked_about_a_new_certificate_at_once(script: Script) -> None:
    """No other process has to be started for that."""
    script.suggestion = Suggestion(start=NOW + 50 * DAY, end=NOW + 51 * DAY, retry_after=None)
    script.run(When.DUE)

    assert isinstance(script.state().window, Window)
    assert not script.run(When.DUE).issued
    assert script.suggested == 1


def test_the_authority_is_asked_when_to_renew(script: Script) -> None:
    """Its window is kept, with one moment of it that stays the same at later questions."""
    start, end = NOW + 30 * DAY, NOW + 40 * DAY
    script.suggestion = Suggestion(start=start, end=end, retry_after=60)
    script.keep(FRESH)
    script.run(When.DUE)
    first = script.state().window
    assert isinstance(first, Window)
    script.remember(directory=DIRECTORY, window=replace(first, ask_at=NOW))
    script.run(When.DUE)
    second = script.state().window
    assert isinstance(second, Window)

    assert start <= first.picked <= end
    assert second.picked == first.picked
    assert second.ask_at > NOW
    assert script.suggested == 2

    later = Suggestion(start=end, end=end + DAY, retry_after=60)
    script.suggestion = later
    script.remember(directory=DIRECTORY, window=replace(second, ask_at=NOW))
    script.run(When.DUE)
    third = script.state().window

    assert isinstance(third, Window)
    assert later.start <= third.picked <= later.end


def test_what_an_authority_said_is_for_one_certificate(script: Script) -> None:
    """A window is kept with what the certificate is called by, and an order names it."""
    chain = chain_for(*NAMES, end=NOW + 60 * DAY, names_issuer=True)
    script.suggestion = Suggestion(start=NOW + DAY, end=NOW + 2 * DAY, retry_after=60)
    script.keep(chain)
    script.run(When.DUE)

    assert script.state().window_of == ari_id(chain.certificate) != ""

    script.run(When.NOW)
    script.keep(chain, directory=STAGING)
    script.run(When.NOW)

    # One of another authority is nothing that this one could replace.
    assert [wish.replaces for wish in script.wishes] == [ari_id(chain.certificate), None]


def test_a_silent_authority_delays_nothing(script: Script) -> None:
    """That it can't be asked is no failure; the age of the certificate decides."""
    script.unreachable = True
    script.keep(FRESH)
    outcome = script.run(When.DUE)

    assert not outcome.issued
    assert isinstance(script.state().window, NoWindow)
    assert script.state().history == History()


def test_a_rehearsal_leaves_nothing(script: Script) -> None:
    """The staging authority is asked, and neither a certificate nor a word of it is kept."""
    outcome = Attempt(WANTED, Acme(staging_directory=STAGING), script.store, print).rehearse()

    assert not outcome.issued
    assert script.happened == [f"open {STAGING}", "check", "order", "finalize"]
    assert script.store.newest(NAME) is None
    assert script.state() == State()


def test_a_due_certificate_is_replaced(script: Script) -> None:
    """At 2/3 of its life it is ordered anew."""
    script.keep(DUE)

    assert script.run(When.DUE).issued


def test_a_store_that_can_not_be_written_costs_the_authority_nothing(
    script: Script, monkeypatch: pytest.MonkeyPatch
) -> None:
    """That a certificate could be kept is proved before one is asked for."""

    def full(*_: object) -> None:
        raise IssuanceProblem("There is no room left.")

    monkeypatch.setattr(Store, "prepare", full)
    with pytest.raises(IssuanceProblem, match="no room left"):
        script.run(When.DUE)

    assert script.happened == []
    assert script.state().history.failures == 1


def test_the_first_thing_that_went_wrong_is_told(
    script: Script, monkeypatch: pytest.MonkeyPatch
) -> None:
    """That the failure could not be noted either is not what an operator has to know first."""
    script.fails = IssuanceProblem("It was refused.")

    def full_later(path: Path, state: State) -> None:
        if script.happened:
            raise IssuanceProblem("There is no room left.")
        save(path, state)

    monkeypatch.setattr(module, "save", full_later)
    with pytest.raises(IssuanceProblem, match="It was refused"):
        script.run(When.DUE)

    assert script.state().history.failures == 1


def test_nothing_is_ordered_whose_failure_could_not_be_noted(
    script: Script, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without a back-off there would be one order after another."""

    def full(*_: object) -> None:
        raise IssuanceProblem("There is no room left.")

    monkeypatch.setattr(module, "save", full)
    with pytest.raises(IssuanceProblem, match="no room left"):
        script.run(When.DUE)

    assert script.happened == []


def test_what_can_not_be_tidied_up_is_in_nobodys_way(
    script: Script, caplog: pytest.LogCaptureFixture
) -> None:
    """A provider that fails for what was left may take what is new."""
    script.untidy = IssuanceProblem("The token is wrong.")
    outcome = script.run(When.DUE)

    assert outcome.issued
    assert "The token is wrong." in caplog.text


@pytest.mark.parametrize(("skew", "told"), [(299.0, ""), (7200.0, "ahead"), (-7200.0, "behind")])
def test_a_wrong_clock_is_told(
    script: Script, caplog: pytest.LogCaptureFixture, skew: float, told: str
) -> None:
    """A clock that is minutes off is the reason of much that fails later."""
    script.skew = skew
    script.run(When.DUE)
    [*messages] = [message for message in caplog.messages if "clock" in message]

    assert len(messages) == bool(told)
    assert all(f"is 120 minutes {told} of" in message for message in messages)


def test_a_short_life_has_short_back_offs(script: Script) -> None:
    """A certificate of an hour is tried for every six minutes, however often that failed."""
    script.keep(
        chain_for(*NAMES, start=NOW - timedelta(minutes=50), end=NOW + timedelta(minutes=10)),
        history=History(failures=9, retry_at=NOW, sentence="No."),
    )
    script.fails = IssuanceProblem("It was refused.")
    with pytest.raises(IssuanceProblem):
        script.run(When.DUE)
    until = script.state().history.retry_at

    assert until is not None
    assert until - datetime.now(UTC) < timedelta(minutes=7)


def test_a_new_certificate_that_is_due_is_a_failure(script: Script) -> None:
    """Whatever makes it so, such as a clock that is ahead: the back-off holds."""
    script.issues = DUE
    script.run(When.DUE)

    assert script.state().history.failures == 1
    assert "set the clock" in script.state().history.sentence


def test_it_is_ordered_as_configured(script: Script) -> None:
    """Kind of key and profile are the settings', and certbot is told how it can go on."""
    script.acme = Acme(challenge="http-01", key_type="rsa-4096", profile="shortlived")
    script.run(When.DUE)
    [wish] = script.wishes
    conf = (script.store.folder / "renewal" / f"{NAME}.conf").read_text(encoding="utf-8")

    assert (wish.key_type, wish.profile, wish.names) == ("rsa-4096", "shortlived", NAMES)
    assert "authenticator = standalone" in conf


def test_an_account_is_bound_as_configured(script: Script, tmp_path: Path) -> None:
    """The key for that is read before anything is asked, and nothing goes on without it."""
    script.acme = Acme(eab_key_id="mine", eab_key_file=tmp_path / "none")
    with pytest.raises(IssuanceProblem, match=r"acme\.eab_key_file"):
        script.run(When.DUE)

    assert "order" not in script.happened


@pytest.mark.parametrize("removed", [True, False])
def test_a_probe_orders_nothing(
    script: Script, monkeypatch: pytest.MonkeyPatch, removed: bool
) -> None:
    """Each name has a value of its own at its challenge; one that stays is told and journaled."""
    seen: list[Challenge] = []
    journaled: list[Callable[[tuple[Record, ...]], None]] = []

    class Proof:
        def tidy(self, records: tuple[Record, ...]) -> None:
            script.tidied = records

        @contextmanager
        def published(self, challenges: Sequence[Challenge]) -> Iterator[None]:
            seen.extend(challenges)
            journaled[0]((RECORD,))
            yield
            if removed:
                journaled[0](())

    def proof_of(_acme: Acme, _answers: Path, journal: Any, _say: object) -> Proof:
        journaled.append(journal)
        return Proof()

    monkeypatch.setattr(module, "proof_of", proof_of)
    script.remember(records=(replace(RECORD, value="left"),))
    attempt = Attempt(WANTED, script.acme, script.store, print)
    if removed:
        attempt.probe()
    else:
        with pytest.raises(IssuanceProblem, match="could not be removed again"):
            attempt.probe()

    assert [each.record for each in seen] == [f"_acme-challenge.{NAME}"] * 2
    assert len({each.value for each in seen}) == 2
    assert script.tidied == (replace(RECORD, value="left"),)
    assert script.state().records == (() if removed else (RECORD,))
    assert script.state().history == History()
    assert script.happened == []
