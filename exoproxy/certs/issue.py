"""From a wish to a certificate: account, order, proofs, issuance (RFC 8555 section 7).

Whoever calls publishes what proves the names, keeps what must outlive a crash, and stores the
certificate; all of that is handed in. Called by `attempt`, in the short-lived process that issues.
"""

import logging
import time
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from typing import Final

from exoproxy.certs.accounts import Accounts
from exoproxy.certs.authority import Authority, Binding
from exoproxy.certs.order import Challenge, Issued, Wish
from exoproxy.certs.state import PendingOrder

logger: Final = logging.getLogger("exoproxy")

Prove = Callable[[Sequence[Challenge]], AbstractContextManager[None]]


class Issuer:
    """Orders certificates from one authority, for one account."""

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
        raise NotImplementedError

    def order(self, wish: Wish, prove: Prove, saved: Callable[[PendingOrder], None]) -> Issued:
        """Return a new certificate as wished.

        `prove(challenges)` is entered when what it is given has to be there to be looked at, and
        left when the authority has looked, or when anything failed. `saved` is called with all
        that `pick_up` needs, before the certificate is asked for. Raises `IssuanceProblem`.
        """
        raise NotImplementedError

    def pick_up(self, pending: PendingOrder) -> Issued | None:
        """Return the certificate of an order that an earlier process did not see to its end.

        None if nothing comes of that order any more: start another one. Raises `IssuanceProblem`
        if the authority can't tell now.
        """
        raise NotImplementedError
