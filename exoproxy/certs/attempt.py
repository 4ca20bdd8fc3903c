"""One attempt to get one certificate, from whether it is due to the files in the store.

It has the store for itself while it lasts: what other processes did meanwhile is read once the
lock is got, so that no two of them renew the same certificate. An attempt counts as failed from
before its order until its end, so that a process that is killed again and again keeps the back-off
too. Runs in the issuance process, called by `cert`; all of it blocks.
"""

import logging
import random
import secrets
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from enum import Enum, auto
from typing import Any, Final

from exoproxy.certs.acme import ari
from exoproxy.certs.acme.account import read_binding
from exoproxy.certs.acme.authority import Authority
from exoproxy.certs.acme.order import Challenge, Issued, Wish
from exoproxy.certs.certbot.accounts import Accounts
from exoproxy.certs.certbot.lineage import Stored
from exoproxy.certs.certbot.renewal_conf import renewal_by
from exoproxy.certs.context import ari_id
from exoproxy.certs.dns.provider import Record
from exoproxy.certs.issue import Issuer
from exoproxy.certs.problem import IssuanceProblem
from exoproxy.certs.proof import Proof, Say, proof_of
from exoproxy.certs.state import PendingOrder, State, load, save
from exoproxy.certs.store import Store
from exoproxy.certs.wanted import Wanted, directory_url
from exoproxy.rules.renewal import (
    Action,
    Ask,
    History,
    NoWindow,
    Renew,
    Window,
    after_failure,
    after_stop,
    after_success,
    next_asking,
    window,
)
from exoproxy.settings.acme import Acme

logger: Final = logging.getLogger("exoproxy")

# Beyond this the times of the authority and of this machine are not the same.
_SKEW: Final = 300.0  # seconds
# How long another process may have the store: for a whole attempt with slow name servers.
_PATIENCE: Final = 900.0
_BROKEN_OFF: Final = "The attempt ended without a word: see whether the machine has enough memory."


class When(Enum):
    """What makes an attempt go to the authority."""

    MISSING = auto()
    """There is no certificate that will do. A person asks, so that no back-off holds."""

    DUE = auto()
    """The renewal rule says so. Nobody watches."""

    NOW = auto()
    """A person wants another one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What an attempt led to, in a sentence; `issued` tells whether there is a new certificate."""

    issued: bool
    sentence: str


class Attempt:
    """An attempt for one name. `say` tells a person how far it is."""

    def __init__(self, wanted: Wanted, acme: Acme, store: Store, say: Say) -> None:
        self._wanted = wanted
        self._acme = acme
        self._store = store
        self._say = say
        self._file = store.state_file(wanted.name)
        self._state = State()
        self._proof: Proof = proof_of(acme, store.answers, self._journal, say)
        self._authority: Authority | None = None
        self._ordered = False

    def run(self, when: When) -> Outcome:
        """Get the certificate if `when` holds, and store it.

        Raises `IssuanceProblem`, after its sentence and the back-off were noted.
        """
        with self._store.lock(timeout=_PATIENCE, waiting=self._say):
            stored = self._begin()
            if (sentence := self._reason_to_wait(when, stored)) is not None:
                return Outcome(issued=False, sentence=sentence)
            before = self._state.history
            try:
                self._note(history=self._failed(before, _BROKEN_OFF, None))
                new = self._obtain(stored)
            except IssuanceProblem as problem:
                self._remember(self._failed(before, str(problem), problem.retry_after))
                raise
            except Exception as error:
                fault = IssuanceProblem(
                    f"exoproxy failed ({error!r}): report it with what the log says."
                )
                self._remember(self._failed(before, str(fault), None))
                raise
            except BaseException:
                # Told to end, which is no failure.
                now = datetime.now(UTC)
                self._remember(after_stop(before, now) if self._ordered else before)
                raise
            # Now, or a process would have to be started for it.
            self._ask(new)
            self._note(history=self._succeeded(before, new))
            return Outcome(issued=True, sentence=f"The certificate is stored: {_valid(new)}")

    def rehearse(self) -> Outcome:
        """Get a certificate from the staging authority, and throw it away.

        Nothing but the staging account is kept. Raises `IssuanceProblem`.
        """
        with self._store.lock(timeout=_PATIENCE, waiting=self._say):
            self._begin()
            authority = self._opened(directory_url(self._acme.staging_directory))
            issuer = self._issuer(authority, Accounts(self._store.folder, authority.url))
            self._proof.check(self._wanted.names, authority.caa_identities)
            issuer.order(self._wish(None), self._proof.published, lambda _: None)
            sentence = f"{authority.host} issued a certificate, which was only a trial: all is well"
            return Outcome(issued=False, sentence=sentence)

    def probe(self) -> None:
        """Write a TXT record for each name as for its challenge, see it everywhere, remove it.

        No authority is asked. Raises `IssuanceProblem`.
        """
        challenges = [
            Challenge(
                kind="dns-01",
                domain=name.removeprefix("*."),
                token="",
                value=f"exoproxy-probe-{secrets.token_hex(8)}",
                record=f"_acme-challenge.{name.removeprefix('*.')}",
                url="",
            )
            for name in self._wanted.names
        ]
        with self._store.lock(timeout=_PATIENCE, waiting=self._say):
            self._begin()
            with self._proof.published(challenges):
                pass
            if self._state.records:
                raise IssuanceProblem(
                    "The record was written and seen, and could not be removed again: see that the "
                    "provider's secret may delete records; the next attempt tries to."
                )

    def _begin(self) -> Stored | None:
        """Read what there is, tidy up after an earlier process, and return what is stored."""
        self._state = load(self._file)
        try:
            self._proof.tidy(self._state.records)
        except IssuanceProblem as problem:
            # What is left stays in the journal; it is in nobody's way.
            logger.warning("%s", problem)
        stored, pending = self._store.newest(self._wanted.name), self._state.pending
        if stored is not None and pending is not None and _is_of(pending, stored):
            # It was ended before it could say so; at the next renewal the order would be picked up.
            self._note_success(pending.directory)
        return stored

    def _reason_to_wait(self, when: When, stored: Stored | None) -> str | None:
        """Return why there is nothing to do now, or None."""
        if when is When.NOW:
            return None
        if when is When.MISSING:
            life = self._wanted.life(stored, self._state)
            if stored is None or life is None or datetime.now(UTC) >= life.not_after:
                return None
            return f"There is a certificate already: {_valid(stored)}"
        action = self._action(stored)
        if isinstance(action, Ask) and stored is not None:
            self._ask(stored)
            action = self._action(stored)
        return None if isinstance(action, Renew) else action.reason

    def _action(self, stored: Stored | None) -> Action:
        """Return what the renewal rule says about what there is now."""
        return self._wanted.next_action(stored, self._state, datetime.now(UTC))

    def _ask(self, stored: Stored) -> None:
        """Ask the authority when it would like the renewal. Its silence is no failure."""
        now = datetime.now(UTC)
        try:
            suggestion = ari.ask(self._opened(self._wanted.directory), stored.certificate)
        except IssuanceProblem as problem:
            logger.warning("The authority can't be asked when to renew: %s", problem)
            suggestion = None
        said: Window | NoWindow = NoWindow(ask_at=next_asking(now, None))
        if suggestion is not None:
            said = window(
                suggestion.start,
                suggestion.end,
                known=self._wanted.window(stored, self._state),
                now=now,
                retry_after=suggestion.retry_after,
                fraction=_random(),
            )
        self._note(window=said, window_of=ari_id(stored.certificate))

    def _obtain(self, stored: Stored | None) -> Stored:
        """Pick up what was ordered before, or order, and store it."""
        self._store.prepare(self._wanted.name)
        authority = self._opened(self._wanted.directory)
        accounts = Accounts(self._store.folder, authority.url)
        issuer = self._issuer(authority, accounts)
        issued = self._picked_up(issuer)
        if issued is None:
            self._proof.check(self._wanted.names, authority.caa_identities)
            wish = self._wish(self._replaced(stored))
            self._ordered = True
            issued = issuer.order(wish, self._proof.published, self._keep)
        account = accounts.load()
        new = self._store.save(
            self._wanted.name,
            key=issued.key,
            fullchain=issued.fullchain,
            renewal=renewal_by(self._acme, authority.url, "" if account is None else account.id),
        )
        self._note_success(authority.url)
        return new

    def _note_success(self, directory: str) -> None:
        """Note that a certificate by this authority is stored."""
        self._note(
            directory=directory,
            window=None,
            window_of="",
            history=History(),
            pending=None,
        )

    def _picked_up(self, issuer: Issuer) -> Issued | None:
        """Return the certificate of an order whose answer an earlier process did not get."""
        pending = self._state.pending
        if pending is None:
            return None
        wanted = (self._wanted.directory, set(self._wanted.names), self._acme.profile)
        if (pending.directory, set(pending.names), pending.profile) == wanted:
            self._say("Picking up the order of an earlier attempt")
            if (issued := issuer.pick_up(pending)) is not None:
                return issued
        self._note(pending=None)
        return None

    def _replaced(self, stored: Stored | None) -> str | None:
        """Return what the order replaces: such an order is exempt from limits (RFC 9773)."""
        if stored is None or self._wanted.life(stored, self._state) is None:
            return None
        return ari_id(stored.certificate) or None

    def _wish(self, replaces: str | None) -> Wish:
        return Wish(
            names=self._wanted.names,
            challenge=self._proof.kind,
            key_type=self._acme.key_type,
            profile=self._acme.profile,
            replaces=replaces,
        )

    def _issuer(self, authority: Authority, accounts: Accounts) -> Issuer:
        key_id, file = self._acme.eab_key_id, self._acme.eab_key_file
        binding = read_binding(key_id, file) if key_id and file else None
        return Issuer(authority, accounts, email=self._acme.email, binding=binding, say=self._say)

    def _opened(self, directory: str) -> Authority:
        """Return the authority; its directory is read once."""
        if self._authority is None:
            self._authority = Authority(directory, ca_file=self._acme.ca_file)
            skew = self._authority.clock_skew
            if abs(skew) > _SKEW:
                logger.warning(
                    "This machine's clock is %d minutes %s of the authority's: set it, for "
                    "instance with `timedatectl set-ntp true`",
                    abs(skew) // 60,
                    "ahead" if skew > 0 else "behind",
                )
        return self._authority

    def _failed(self, before: History, sentence: str, retry_after: float | None) -> History:
        life = self._wanted.life(self._store.newest(self._wanted.name), self._state)
        now = datetime.now(UTC)
        return after_failure(before, sentence, now, retry_after, _random(), life=life)

    def _succeeded(self, before: History, new: Stored) -> History:
        life = self._wanted.life(new, self._state)
        if life is None:
            return History()
        said = self._wanted.window(new, self._state)
        return after_success(before, life, said, datetime.now(UTC), _random())

    def _remember(self, history: History) -> None:
        """Note how it went. A full disk is what the caller tells anyway."""
        with suppress(IssuanceProblem):
            self._note(history=history)

    def _keep(self, order: PendingOrder) -> None:
        self._note(pending=order)

    def _journal(self, records: tuple[Record, ...]) -> None:
        self._note(records=records)

    def _note(self, **changes: Any) -> None:
        """Change what is remembered, durably. Raises `IssuanceProblem`."""
        self._state = replace(self._state, **changes)
        save(self._file, self._state)


def _is_of(pending: PendingOrder, stored: Stored) -> bool:
    """Tell whether what is stored came of that order: each has a key of its own."""
    return stored.key.read_bytes() == pending.key.encode()


def _random() -> float:
    """Return a number from 0 to 1; it spreads load and guards nothing."""
    return random.random()  # noqa: S311


def _valid(stored: Stored) -> str:
    certificate = stored.certificate
    return f"{stored.fullchain}, valid until {certificate.not_valid_after_utc:%Y-%m-%d %H:%M} UTC"
