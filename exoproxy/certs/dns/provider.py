"""What a DNS provider must be able to do: one TXT value in, the same one out.

A name may hold several values (a host and its wildcard share theirs), so that nothing here ever
replaces or clears a name. Implemented by `cloudflare` and `rfc2136`, called by `records`.
"""

from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """One TXT value. `zone` and `name` are lower-case without a dot at the end.

    `value` is the text itself, without quotes. `id` is what the provider calls the record, empty
    where it has no ids or none is known yet.
    """

    zone: str
    name: str
    value: str
    id: str = ""


class Provider(Protocol):
    """Writes and removes TXT values in the zones that it may write. All of it blocks."""

    def check(self, zone: str) -> None:
        """Prove that the zone can be written, without writing. Raises `IssuanceProblem`."""

    def publish(self, record: Record) -> Record:
        """Add the value beside those there, and return the record with its id.

        A value that is there already is as good as written. Raises `IssuanceProblem`.
        """

    def remove(self, record: Record) -> None:
        """Take this value away, and no other; one that is not there is as good as removed.

        Without an id the record is looked up by name and value. Raises `IssuanceProblem`.
        """
