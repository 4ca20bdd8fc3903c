"""When is a certificate due? A pure function of what is known about it.

All times are aware, in UTC.
"""

from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Life:
    """From when to when a certificate is valid."""

    not_before: datetime
    not_after: datetime


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
class History:
    """How the last attempts went; all of it is kept over restarts.

    `failures` counts those since the last success. Before `retry_at` there is no other one.
    `sentence` says what went wrong last, and is empty after a success.
    """

    failures: int = 0
    retry_at: datetime | None = None
    sentence: str = ""
