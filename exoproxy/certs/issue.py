"""From a wish to a certificate: account, order, proofs, issuance (RFC 8555 section 7).

Whoever calls publishes what proves the names, keeps what must outlive a crash, and stores the
certificate; all of that is handed in. Called by `attempt`, in the short-lived process that issues.
"""

import logging
import time
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from typing import Final

from exoproxy.certs.acme.account import Registrar
from exoproxy.certs.acme.authority import Authority, Binding
from exoproxy.certs.acme.leaf import checked, new_key, signing_request
from exoproxy.certs.acme.order import Authorization, Challenge, Issued, Order, Wish
from exoproxy.certs.acme.refusal import Refusal, clean, explain, explain_proof
from exoproxy.certs.certbot.accounts import Accounts
from exoproxy.certs.problem import IssuanceProblem
from exoproxy.certs.state import PendingOrder

logger: Final = logging.getLogger("exoproxy")

Prove = Callable[[Sequence[Challenge]], AbstractContextManager[object]]

# Seconds for the authority to look at all proofs, and to issue. Both take it some seconds.
_PROOF_SECONDS: Final = 180.0
_ISSUE_SECONDS: Final = 180.0
# Seconds between two questions: growing, and bounded where the authority says how many.
_FIRST_PAUSE: Final = 0.25
_LONGEST_PAUSE: Final = 5.0
_SHORTEST_ASKED, _LONGEST_ASKED = 0.25, 30.0

# An authority may want more proofs than there are names (RFC 8555 section 7.1.3), but no zone full
# of records.
_PROOFS_PER_NAME: Final = 5

# Errors of an order that names a certificate which it replaces, where that may be the reason.
_BLAMED_ON_REPLACES: Final = {"alreadyReplaced", "conflict", "malformed", "unauthorized"}


class Issuer:
    """Orders certificates from one authority, for the account stored for it or a new one."""

    def __init__(
        self,
        authority: Authority,
        accounts: Accounts,
        *,
        email: str | None = None,
        binding: Binding | None = None,
        say: Callable[[str], None] = lambda sentence: None,
        monotonic: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        """Ask nothing yet.

        `email` and `binding` are for an account that has to be registered; `say` hears of each
        step.
        """
        self._authority = authority
        self._registrar = Registrar(authority, accounts, email=email, binding=binding, say=say)
        self._say = say
        self._monotonic = monotonic
        self._sleep = sleep

    def order(self, wish: Wish, prove: Prove, saved: Callable[[PendingOrder], None]) -> Issued:
        """Return a new certificate as wished.

        `prove(challenges)` is entered when what it is given has to be there to be looked at, and
        left when the authority has looked, or when anything failed. `saved` is called with all
        that `pick_up` needs, before the certificate is asked for. Raises `IssuanceProblem`.
        """
        self._check_profile(wish.profile)
        self._registrar.sign_in()
        self._say(f"Ordering a certificate for {', '.join(wish.names)} at {self._authority.host}")
        try:
            order = self._place(wish)
        except Refusal as refusal:
            if refusal.kind != "accountDoesNotExist":
                raise
            self._registrar.sign_in_again()
            order = self._place(wish)
        self._prove(order, wish, prove)
        pending = PendingOrder(
            directory=self._authority.url,
            names=wish.names,
            profile=wish.profile,
            order=order.url,
            key=new_key(wish.key_type).decode("ascii"),
        )
        saved(pending)
        return self._finish(pending)

    def pick_up(self, pending: PendingOrder) -> Issued | None:
        """Return the certificate of an order that an earlier process did not see to its end.

        None if nothing comes of that order any more: start another one. Raises `IssuanceProblem`
        if the authority can't tell now.
        """
        if pending.directory != self._authority.url or not self._registrar.sign_in_if_known():
            return None
        self._say(f"Picking up the order for {', '.join(pending.names)} at {self._authority.host}")
        try:
            return self._finish(pending, is_proved=False)
        except _Abandoned as problem:
            reason = str(problem)
        except Refusal as refusal:
            if not refusal.final:
                raise
            reason = str(refusal)
        logger.info("Nothing comes of the earlier order, and a new one is made: %s", reason)
        return None

    def _check_profile(self, profile: str | None) -> None:
        offered = self._authority.profiles
        if profile is None or profile in offered:
            return
        host = self._authority.host
        raise IssuanceProblem(
            f"{host} does not offer the profile {profile}: set acme.profile to one of "
            f"{', '.join(sorted(offered))}, or to null for its own choice."
            if offered
            else f"{host} offers no profiles: set acme.profile to null."
        )

    def _place(self, wish: Wish) -> Order:
        """Place the order, without naming what it replaces if that may be what is refused."""
        # Who offers no renewal information knows no `replaces` either (RFC 9773 section 5).
        replaces = wish.replaces if self._authority.renewal_info else None
        try:
            return self._authority.new_order(wish.names, profile=wish.profile, replaces=replaces)
        except Refusal as refusal:
            blamed = refusal.kind in _BLAMED_ON_REPLACES or refusal.status == 409
            if replaces is None or not blamed:
                raise
            logger.info("The order is made again without what it replaces: %s", refusal)
        return self._authority.new_order(wish.names, profile=wish.profile, replaces=None)

    def _prove(self, order: Order, wish: Wish, prove: Prove) -> None:
        """Have every name proved that is not proved already."""
        ordered = {name.removeprefix("*.").lower() for name in wish.names}
        if len(order.authorizations) > _PROOFS_PER_NAME * len(wish.names):
            raise IssuanceProblem(
                f"{self._authority.host} wants {len(order.authorizations)} proofs for "
                f"{', '.join(wish.names)}: check acme.directory."
            )
        asked: dict[str, Challenge] = {}
        for url in order.authorizations:
            authorization, _ = self._authority.authorization(url)
            if authorization.status == "valid":
                continue
            if authorization.domain.lower() not in ordered:
                raise IssuanceProblem(
                    f"{self._authority.host} wants {authorization.domain} proved, which was not "
                    "ordered: check acme.directory."
                )
            self._check_hope(authorization, wish)
            asked[url] = self._chosen(authorization, wish)
        if not asked:
            return
        domains = ", ".join(sorted({challenge.domain for challenge in asked.values()}))
        self._say(f"Proving {domains} by {wish.challenge}")
        with prove(tuple(asked.values())):
            self._say(f"{self._authority.host} looks at the proof for {domains}")
            for challenge in asked.values():
                if challenge.pending:
                    self._authority.answer(challenge)
            patience = self._patience(_PROOF_SECONDS)
            for url in asked:
                self._wait_until_proved(url, wish, patience)

    def _chosen(self, authorization: Authorization, wish: Wish) -> Challenge:
        for challenge in authorization.challenges:
            if challenge.kind == wish.challenge:
                return challenge
        offered = ", ".join(authorization.offered)
        wildcard = f"*.{authorization.domain}" in wish.names
        name = f"*.{authorization.domain}" if wildcard else authorization.domain
        raise IssuanceProblem(
            f"{self._authority.host} does not let {name} be proved by {wish.challenge}: set "
            f"acme.challenge to what it offers ({offered})."
        )

    def _wait_until_proved(self, url: str, wish: Wish, patience: "_Patience") -> None:
        while True:
            authorization, retry_after = self._authority.authorization(url)
            if authorization.status == "valid":
                return
            self._check_hope(authorization, wish)
            if not patience.wait(retry_after):
                raise IssuanceProblem(
                    f"{self._authority.host} did not look at the proof for {authorization.domain} "
                    f"within {_PROOF_SECONDS:.0f} seconds: try again later, and look at the "
                    "authority's status page if it goes on."
                )

    def _check_hope(self, authorization: Authorization, wish: Wish) -> None:
        """Raise `IssuanceProblem` if a name that is not proved can't be proved any more."""
        if authorization.status == "pending":
            return
        if authorization.complaint is not None:
            raise IssuanceProblem(
                explain_proof(
                    authorization.complaint,
                    host=self._authority.host,
                    domain=authorization.domain,
                    kind=wish.challenge,
                )
            )
        raise IssuanceProblem(
            f"{self._authority.host} calls the proof of {authorization.domain} "
            f"{clean(authorization.status)} and does not say why: try again."
        )

    def _finish(self, pending: PendingOrder, *, is_proved: bool = True) -> Issued:
        """See an order to its end, wherever it stands. Raises `_Abandoned` if it has a bad one."""
        key = pending.key.encode("ascii", "replace")
        try:
            request = signing_request(key, pending.names)
        except (ValueError, TypeError) as error:
            raise _Abandoned("The key that was kept for the order is damaged.") from error
        patience = self._patience(_ISSUE_SECONDS)
        order, retry_after = self._authority.order(pending.order)
        asked = False
        while True:
            if order.status == "valid" and order.certificate:
                self._say(f"Fetching the certificate for {', '.join(pending.names)}")
                return self._fetched(order.certificate, key, pending.names)
            if order.status == "invalid" or (order.status == "pending" and not is_proved):
                raise self._abandoned(order)
            if order.status == "ready" and not asked:
                self._say(f"Asking {self._authority.host} for the certificate")
                order, retry_after = self._authority.finalize(order, request)
                asked = True
                continue
            if not patience.wait(retry_after):
                raise IssuanceProblem(
                    f"{self._authority.host} did not issue the certificate within "
                    f"{_ISSUE_SECONDS:.0f} seconds: the order is kept, and the next attempt asks "
                    "for it again."
                )
            order, retry_after = self._authority.order(order.url)

    def _fetched(self, url: str, key: bytes, names: Sequence[str]) -> Issued:
        try:
            return checked(self._authority.certificate(url), key, names)
        except ValueError as error:
            raise _Abandoned(
                f"{self._authority.host} issued a certificate that can't be used, because it "
                f"{error}: try again, and tell the authority if it goes on."
            ) from error

    def _abandoned(self, order: Order) -> IssuanceProblem:
        host = self._authority.host
        if order.complaint is not None:
            return _Abandoned(explain(order.complaint, host=host, doing="issue the certificate"))
        return _Abandoned(
            f"{host} gave the order up and does not say why: try again, and look at the "
            "authority's status page if it goes on."
        )

    def _patience(self, seconds: float) -> "_Patience":
        return _Patience(seconds, self._monotonic, self._sleep)


class _Abandoned(IssuanceProblem):
    """The order has ended without a usable certificate."""


class _Patience:
    """Pauses between questions, until so many seconds are over."""

    def __init__(
        self, seconds: float, monotonic: Callable[[], float], sleep: Callable[[float], None]
    ) -> None:
        self._monotonic = monotonic
        self._sleep = sleep
        self._deadline = monotonic() + seconds
        self._pause = _FIRST_PAUSE

    def wait(self, asked: float | None) -> bool:
        """Pause for as long as was asked for, if it was; return False once there is no time."""
        left = self._deadline - self._monotonic()
        if left <= 0:
            return False
        pause = self._pause
        if asked is not None:
            pause = min(max(asked, _SHORTEST_ASKED), _LONGEST_ASKED)
        self._pause = min(2 * self._pause, _LONGEST_PAUSE)
        self._sleep(min(pause, left))
        return True
