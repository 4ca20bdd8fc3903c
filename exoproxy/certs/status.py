"""What `exoproxy cert status` shows: which certificates there are, and what comes next for each.

`rows` is a pure function of what others read (`Known`), `table` lays rows out for people and
`values` for programs. Who reads the settings and the store, and prints, is `cli`.
"""

import textwrap
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final, Literal

from cryptography import x509
from cryptography.x509.oid import NameOID

from exoproxy.certs.context import covers, warnings_of
from exoproxy.certs.dns.provider import Record
from exoproxy.certs.state import State
from exoproxy.rules.printable import printable
from exoproxy.rules.renewal import Life, NoWindow, Renew, Wait, Window, next_action

Origin = Literal["acme", "local", "files"]

_ABSENT: Final = "not on this host"
_EXPIRED: Final = "expired"
# An issuer writes what it likes into its name; with this a row fits into 80 columns.
_LONGEST_ISSUER: Final = 28
# Lines longer than that are hard to read, however wide the terminal is.
_WIDEST: Final = 120
_NARROWEST: Final = 60


@dataclass(frozen=True, slots=True, kw_only=True)
class Known:
    """What is known about one name.

    `key` is where the configuration asks for it, e.g. `main`, and empty if it doesn't. `names` are
    those to be covered. `certificate` is None if there is none, and `life` if there is none that
    will do; `window` is when the authority would like it renewed. `trouble` says why it can't be
    read.
    """

    key: str
    name: str
    names: tuple[str, ...]
    origin: Origin
    certificate: x509.Certificate | None = None
    life: Life | None = None
    window: Window | NoWindow | None = None
    path: Path | None = None
    state: State = field(default_factory=State)
    trouble: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One line of the table, with the sentences below it.

    `covers` are the certificate's names. `next_step` says what happens next and why, at `next_at`
    if the moment is known. `errors` are sentences with what to do, `left_behind` the names of DNS
    records that are still to be removed.
    """

    name: str
    key: str
    origin: Origin
    covers: tuple[str, ...]
    issuer: str
    not_after: datetime | None
    left: str
    next_step: str
    next_at: datetime | None
    errors: tuple[str, ...]
    left_behind: tuple[str, ...]
    path: Path | None


def rows(known: Sequence[Known], now: datetime) -> list[Row]:
    """Return what there is to say about each name, in the same order; `now` is aware."""
    return [_row(each, now) for each in known]


def values(found: Sequence[Row]) -> list[dict[str, Any]]:
    """Return rows as values of JSON; what there is none of is null, times are in UTC."""
    return [
        {
            "name": row.name,
            "configured_at": row.key or None,
            "source": row.origin,
            "covers": list(row.covers),
            "issuer": row.issuer or None,
            "not_after": _iso(row.not_after),
            "left": row.left or None,
            "next_step": row.next_step,
            "next_at": _iso(row.next_at),
            "errors": list(row.errors),
            "records_left": list(row.left_behind),
            "path": str(row.path) if row.path else None,
        }
        for row in found
    ]


def table(found: Sequence[Row], width: int) -> str:
    """Return rows as an aligned table for a terminal of `width` columns, with a final line end.

    Sentences are wrapped below their row. A row whose cells don't fit begins with its name on a
    line of its own. Names, URLs and paths are never cut.
    """
    width = max(_NARROWEST, min(width, _WIDEST))
    heads = ("NAME", "SOURCE", "ISSUER", "VALID UNTIL", "LEFT")
    lines = [heads, *(_cells(row) for row in found)]
    widths = [max(len(line[column]) for line in lines) for column in range(len(heads))]
    tight = sum(widths) + 2 * (len(widths) - 1) > width
    printed = list(_aligned(heads, widths, tight))
    for row, cells in zip(found, lines[1:], strict=True):
        printed += _aligned(cells, widths, tight)
        for label, sentence in _notes(row):
            printed += textwrap.wrap(
                printable(sentence),
                width,
                initial_indent=f"    {label:8}",
                subsequent_indent=" " * 12,
                break_long_words=False,
                break_on_hyphens=False,
            )
    return "\n".join(line.rstrip() for line in printed) + "\n"


def life_left(until: datetime, now: datetime) -> str:
    """Return how long something is still valid, in the largest unit that says it well."""
    left = until - now
    if left < timedelta():
        return f"{_EXPIRED} {_span(-left)} ago"
    return _span(left)


def _row(known: Known, now: datetime) -> Row:
    certificate, state = known.certificate, known.state
    next_step, next_at = _next(known, now)
    return Row(
        name=known.name,
        key=known.key,
        origin=known.origin,
        covers=() if certificate is None else covered(certificate),
        issuer="" if certificate is None else issuer_of(certificate),
        not_after=None if certificate is None else certificate.not_valid_after_utc,
        left="" if certificate is None else life_left(certificate.not_valid_after_utc, now),
        next_step=next_step,
        next_at=next_at,
        errors=tuple(_errors(known, now)),
        left_behind=tuple(_left_behind(state.records)),
        path=known.path,
    )


def _next(known: Known, now: datetime) -> tuple[str, datetime | None]:
    """Return what happens next and why, and when."""
    if known.trouble:
        return "unknown", None
    if not known.key:
        return "none: the configuration does not name it, so it is not renewed", None
    if known.certificate is None and known.state == State():
        return f"none: {_ABSENT}, whose services have not asked for it", None
    if known.origin == "files":
        return "none: it is renewed by whoever puts the files there", None
    if known.origin == "local":
        return "is made anew by the service once 1/3 of its life is left", None
    life = known.life
    action = next_action(life, known.window, known.state.history, now)
    if isinstance(action, Wait):
        return action.reason, action.until
    if isinstance(action, Renew) and known.certificate is not None and life is None:
        return f"is due: {_unfit(known, known.certificate)}", None
    return action.reason, None


def _unfit(known: Known, certificate: x509.Certificate) -> str:
    """Return why a certificate that is there will not do."""
    if missing := [name for name in known.names if not covers(certificate, name)]:
        return f"the one there is does not cover {', '.join(missing)}"
    return f"the one there is comes from {known.state.directory}, not from acme.directory"


def _errors(known: Known, now: datetime) -> Iterator[str]:
    if known.trouble:
        yield known.trouble
    if known.key and known.certificate is not None:
        yield from warnings_of(known.certificate, known.names, now)
    if known.state.history.sentence:
        yield known.state.history.sentence


def covered(certificate: x509.Certificate) -> tuple[str, ...]:
    """Return the names and addresses that a certificate is for."""
    try:
        alternatives = certificate.extensions.get_extension_for_class(
            x509.SubjectAlternativeName
        ).value
    except (x509.ExtensionNotFound, x509.DuplicateExtension, ValueError):
        return ()
    addresses = alternatives.get_values_for_type(x509.IPAddress)
    return (*alternatives.get_values_for_type(x509.DNSName), *map(str, addresses))


def issuer_of(certificate: x509.Certificate) -> str:
    """Return the issuer's organization and name, as `Let's Encrypt E7`."""
    organization, name = (
        " ".join(str(each.value) for each in certificate.issuer.get_attributes_for_oid(oid))
        for oid in (NameOID.ORGANIZATION_NAME, NameOID.COMMON_NAME)
    )
    both = name if organization in name else f"{organization} {name}".rstrip()
    both = printable(both)
    return both if len(both) <= _LONGEST_ISSUER else f"{both[: _LONGEST_ISSUER - 1]}…"


def _left_behind(records: Sequence[Record]) -> Iterator[str]:
    yield from dict.fromkeys(record.name for record in records)


def _cells(row: Row) -> tuple[str, ...]:
    name = printable(row.name)
    if row.not_after is None:
        return name, row.origin, "-", "-", "-"
    left = _EXPIRED if row.left.startswith(_EXPIRED) else row.left
    return name, row.origin, row.issuer, f"{row.not_after:%Y-%m-%d %H:%M} UTC", left


def _aligned(cells: Sequence[str], widths: Sequence[int], tight: bool) -> Iterator[str]:
    padded = [f"{cell:{width}}" for cell, width in zip(cells, widths, strict=True)]
    if tight:
        yield cells[0]
        padded = ["", *padded[1:]]
    yield "  ".join(padded)


def _notes(row: Row) -> Iterator[tuple[str, str]]:
    if row.covers and row.covers != (row.name,):
        yield "covers", ", ".join(row.covers)
    yield "next", row.next_step
    # The reason for waiting says what failed.
    for error in row.errors:
        if error not in row.next_step:
            yield "error", error
    for name in row.left_behind:
        yield "DNS", f"{name} may still have a TXT record of ours; the next attempt removes it"
    if row.path:
        yield "file", str(row.path)


def _span(span: timedelta) -> str:
    minutes = int(span.total_seconds()) // 60
    for unit, length in (("days", 24 * 60), ("hours", 60), ("minutes", 1)):
        if minutes >= 2 * length:
            return f"{minutes // length} {unit}"
    return "1 minute" if minutes else "less than a minute"


def _iso(moment: datetime | None) -> str | None:
    return None if moment is None else moment.astimezone(UTC).isoformat()
