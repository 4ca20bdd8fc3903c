"""When an authority would like a certificate renewed (ACME Renewal Information, RFC 9773).

Nothing here ever fails: without a usable suggestion a certificate is renewed by its age. Called by
`attempt`; what becomes of the window is decided in `rules.renewal`.
"""

import logging
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

from cryptography import x509

from exoproxy.certs.acme.authority import Authority
from exoproxy.certs.acme.refusal import clean
from exoproxy.certs.context import ari_id
from exoproxy.certs.problem import IssuanceProblem

logger: Final = logging.getLogger("exoproxy")


@dataclass(frozen=True, slots=True, kw_only=True)
class Suggestion:
    """From when to when to renew, aware; `retry_after` in seconds until it is to be asked again."""

    start: datetime
    end: datetime
    retry_after: float | None


def ask(authority: Authority, certificate: x509.Certificate) -> Suggestion | None:
    """Return when the authority would like this certificate renewed, None if it doesn't say."""
    name = ari_id(certificate)
    if authority.renewal_info is None or not name:
        return None
    try:
        document, retry_after = authority.suggestion(name)
        window = document["suggestedWindow"]
        start, end = _moment(window["start"]), _moment(window["end"])
        if end <= start:
            raise ValueError("it ends before it begins")
    except IssuanceProblem as problem:
        logger.warning("The time for renewal could not be asked for: %s", problem)
        return None
    except (KeyError, TypeError, ValueError, OverflowError) as error:
        logger.warning(
            "%s suggests no usable time for renewal (%s).", authority.host, clean(str(error))
        )
        return None
    if page := clean(document.get("explanationURL")):
        logger.warning("%s explains when to renew: %s", authority.host, page)
    return Suggestion(start=start, end=end, retry_after=retry_after)


def _moment(text: Any) -> datetime:
    """Return a time of RFC 3339. Raises `ValueError` or `TypeError`."""
    moment = datetime.fromisoformat(text)
    if moment.tzinfo is None:
        raise ValueError("it has a time without a zone")
    return moment.astimezone(UTC)
