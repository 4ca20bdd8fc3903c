"""Preconditions of a request for a file (RFC 9110 section 13), as pure functions of values.

`client.entity` asks `evaluate` whether to send, to say 304 or to say 412, and `range_applies`
whether a Range field counts. Byte ranges themselves are in `client.ranges`.
"""

import calendar
import re
from enum import Enum, auto
from typing import Final

from exoproxy.wire.fields import Fields

# RFC 9110 section 8.8.3: entity-tag = [ "W/" ] DQUOTE *etagc DQUOTE. A comma may stand in a tag.
_ENTITY_TAG: Final = re.compile(rb'(?:W/)?"[\x21\x23-\x7e\x80-\xff]*"')

_DAY: Final = rb"(?:Mon|Tue|Wed|Thu|Fri|Sat|Sun)"
_MONTH: Final = rb"(?P<month>Jan|Feb|Mar|Apr|May|Jun|Jul|Aug|Sep|Oct|Nov|Dec)"
_TIME: Final = rb"(?P<hour>[0-9]{2}):(?P<minute>[0-9]{2}):(?P<second>[0-9]{2})"
_MONTHS: Final = b"Jan Feb Mar Apr May Jun Jul Aug Sep Oct Nov Dec".split()

# RFC 9110 section 5.6.7: IMF-fixdate is sent; the obsolete RFC 850 and asctime forms are accepted.
_DATES: Final = (
    re.compile(
        _DAY + rb", (?P<day>[0-9]{2}) " + _MONTH + rb" (?P<year>[0-9]{4}) " + _TIME + rb" GMT"
    ),
    re.compile(
        rb"(?:Mon|Tues|Wednes|Thurs|Fri|Satur|Sun)day, (?P<day>[0-9]{2})-"
        + _MONTH
        + rb"-(?P<year>[0-9]{2}) "
        + _TIME
        + rb" GMT"
    ),
    re.compile(_DAY + b" " + _MONTH + rb" (?P<day>[0-9 ][0-9]) " + _TIME + rb" (?P<year>[0-9]{4})"),
)


class Verdict(Enum):
    """What the preconditions of a request come to."""

    SEND = auto()
    NOT_MODIFIED = auto()
    FAILED = auto()


def is_conditional(fields: Fields) -> bool:
    """Tell whether a request has a precondition or a range at all; most have none."""
    return (
        b"if-none-match" in fields
        or b"if-modified-since" in fields
        or b"range" in fields
        or b"if-match" in fields
        or b"if-unmodified-since" in fields
    )


def evaluate(fields: Fields, etag: bytes, modified: int) -> Verdict:
    """Judge the preconditions of a GET or HEAD in the order of RFC 9110 section 13.2.2.

    `etag` is the strong entity tag of the representation that would be sent, and `modified` its
    modification time in whole seconds since the epoch.
    """
    if b"if-match" in fields:
        if not lists_tag(fields.all(b"if-match"), etag, weakly=False):
            return Verdict.FAILED
    elif (limit := http_date(fields.get(b"if-unmodified-since"))) is not None and modified > limit:
        return Verdict.FAILED
    if b"if-none-match" in fields:
        if lists_tag(fields.all(b"if-none-match"), etag, weakly=True):
            return Verdict.NOT_MODIFIED
    elif (since := http_date(fields.get(b"if-modified-since"))) is not None and modified <= since:
        return Verdict.NOT_MODIFIED
    return Verdict.SEND


def lists_tag(values: list[bytes], etag: bytes, *, weakly: bool) -> bool:
    """Tell whether field lines are `*` or name the tag, by the weak or the strong comparison."""
    joined = b",".join(values)
    if joined in (etag, b"*"):
        return True
    tags = _ENTITY_TAG.findall(joined)
    return etag in tags or (weakly and b"W/" + etag in tags)


def range_applies(fields: Fields, etag: bytes, modified: int | None) -> bool:
    """Tell whether If-Range lets the Range field count (RFC 9110 section 13.1.5).

    A weak tag never does, and a date only when it is exactly the modification time: the client
    would otherwise glue parts of two contents together. Without `modified`, no date does.
    """
    value = fields.get(b"if-range")
    if value is None or value == etag:
        return True
    return modified is not None and http_date(value) == modified


def http_date(value: bytes | None) -> int | None:
    """Return the seconds since the epoch of an HTTP-date; None without one or if it is no date."""
    for pattern in _DATES:
        if value is not None and (match := pattern.fullmatch(value)):
            break
    else:
        return None
    year, day = int(match["year"]), int(match["day"])
    if len(match["year"]) == 2:
        # RFC 850 dates end in 1999 in practice; RFC 9110 has a sliding window, 70 a fixed one.
        year += 1900 if year >= 70 else 2000
    hour, minute, second = int(match["hour"]), int(match["minute"]), int(match["second"])
    month = _MONTHS.index(match["month"]) + 1
    # Second 60 is a leap second, which the epoch does not count.
    if year < 1970 or not 1 <= day <= 31 or hour > 23 or minute > 59 or second > 60:
        return None
    return calendar.timegm((year, month, day, hour, minute, second))
