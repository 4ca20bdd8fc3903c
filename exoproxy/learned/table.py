"""Who has named which endpoint, and when last. In memory, and bounded.

An endpoint counts for 30 days from when it was last named. Whether who named it is still believed,
and whether the endpoint may be dialled, is for `main` to say.
"""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from exoproxy.rules.catalogue import Endpoint

LIFE: Final = timedelta(days=30)
# A login within an hour of the last one changes nothing, so that it costs no write of the file.
GRAIN: Final = timedelta(hours=1)
# The largest clouds have some forty services in a handful of regions. Beyond these bounds the
# oldest go; all of it is 0.5 MB of memory at most. One is a host, since whoever runs a host may
# name from each of its ports, and would push out what others have named.
MOST_BY_ONE: Final = 256
MOST: Final = 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class Naming:
    """One endpoint, and the Keystone that named it; `last_named` is aware, and true to an hour."""

    endpoint: Endpoint
    by: Endpoint
    last_named: datetime

    @property
    def expires(self) -> datetime:
        """When it counts no more, unless it is named again."""
        return self.last_named + LIFE


class Table:
    """The namings that count."""

    def __init__(self, namings: Iterable[Naming] = ()) -> None:
        self._namings: dict[Endpoint, list[Naming]] = {}
        self._keep(namings)

    def name(self, by: Endpoint, endpoints: Iterable[Endpoint], now: datetime) -> bool:
        """Remember that `by` names these endpoints now; tell whether that changed anything."""
        known = {each.endpoint: each for each in self.namings(now) if each.by == by}
        named = [
            Naming(endpoint=endpoint, by=by, last_named=now)
            for endpoint in endpoints
            if endpoint not in known or now - known[endpoint].last_named >= GRAIN
        ]
        if named:
            self._keep([*self.namings(now), *named])
        return bool(named)

    def of(self, endpoint: Endpoint, now: datetime) -> list[Naming]:
        """Return who has named an endpoint, as far as it counts now."""
        return [each for each in self._namings.get(endpoint, ()) if now < each.expires]

    def namings(self, now: datetime) -> list[Naming]:
        """Return all that counts now, by endpoint."""
        return [
            each
            for endpoint in sorted(self._namings)
            for each in self._namings[endpoint]
            if now < each.expires
        ]

    def _keep(self, namings: Iterable[Naming]) -> None:
        """Keep of these what the bounds allow, and of each endpoint and Keystone the last."""
        kept: dict[tuple[Endpoint, Endpoint], Naming] = {}
        by_one: Counter[str] = Counter()
        for each in sorted(namings, key=lambda each: each.last_named, reverse=True):
            key = (each.endpoint, each.by)
            if key not in kept and by_one[each.by.host] < MOST_BY_ONE and len(kept) < MOST:
                kept[key] = each
                by_one[each.by.host] += 1
        self._namings = {}
        for naming in kept.values():
            self._namings.setdefault(naming.endpoint, []).append(naming)
