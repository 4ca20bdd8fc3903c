"""Numbers for people: 1.2 k, 3.4 MB, 12 ms, 3 d 4 h.

The admin page and `exoproxy status` both write their figures so. Pure; the units are SI's, with an
ordinary space before them.
"""

from datetime import datetime
from typing import Final

NONE: Final = "-"

_PREFIXES: Final = ("", "k", "M", "G", "T", "P", "E")
_UNITS: Final = (("d", 86_400), ("h", 3_600), ("min", 60), ("s", 1))


def count(number: float) -> str:
    """Return a number of things: 999, 1.2 k, 34 M."""
    figure, prefix = _scaled(number)
    return f"{figure} {prefix}".rstrip()


def size(octets: float) -> str:
    """Return a number of bytes: 999 B, 3.4 MB; a kB is 1,000 of them."""
    figure, prefix = _scaled(octets)
    return f"{figure} {prefix}B"


def duration(seconds: float | None) -> str:
    """Return how long something took: 0.4 ms, 12 ms, 1.2 s, 12 min; None is a dash."""
    if seconds is None:
        return NONE
    if seconds >= 600:
        return span(seconds)
    # As printed: 999.6 ms are 1.0 s.
    if seconds < 0.9995:
        return f"{_short(max(0.0, seconds) * 1000)} ms"
    return f"{_short(seconds)} s"


def span(seconds: float) -> str:
    """Return a length of time in its two largest units: 45 s, 12 min, 4 h 12 min, 3 d 4 h."""
    left = max(0, int(seconds))
    for index, (unit, length) in enumerate(_UNITS):
        if left >= length:
            whole, rest = divmod(left, length)
            # Seconds beside minutes only where they are many of it.
            if index + 1 < len(_UNITS) and not (unit == "min" and whole >= 10):
                below, shorter = _UNITS[index + 1]
                if rest // shorter:
                    return f"{whole} {unit} {rest // shorter} {below}"
            return f"{whole} {unit}"
    return "0 s"


def share(part: float, whole: float) -> str:
    """Return a part in percent: 0 %, < 0.1 %, 0.3 %, 12 %; of nothing it is a dash."""
    if not whole:
        return NONE
    percent = 100 * part / whole
    if 0 < percent < 0.1:
        return "< 0.1 %"
    return f"{_short(percent)} %"


def plural(number: int, one: str, several: str = "") -> str:
    """Return a number with its noun: 1 request, 1.2 k requests."""
    return f"{count(number)} {one if number == 1 else several or f'{one}s'}"


def moment(text: str) -> datetime:
    """Return the time that ISO 8601 text names. Raises ValueError if it names none with a zone."""
    found = datetime.fromisoformat(text)
    if found.tzinfo is None:
        raise ValueError(f"{text!a} has no time zone")
    return found


def ago(then: str, now: str) -> str:
    """Return how long before `now` a moment was, both in ISO 8601: 12 s ago, in 3 d 4 h."""
    seconds = (moment(now) - moment(then)).total_seconds()
    if abs(seconds) < 1:
        return "just now"
    return f"{span(seconds)} ago" if seconds > 0 else f"in {span(-seconds)}"


def _scaled(number: float) -> tuple[str, str]:
    for prefix in _PREFIXES:
        # As printed: 999.6 k are 1.0 M.
        if number < 999.5 or prefix == _PREFIXES[-1]:
            break
        number /= 1000
    return (f"{number:.0f}" if not prefix else _short(number)), prefix


def _short(number: float) -> str:
    """Return two significant figures, or all digits before the point."""
    return f"{number:.1f}".removesuffix(".0") if number < 9.95 else f"{number:.0f}"
