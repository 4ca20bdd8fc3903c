"""What `exoproxy.wire` makes of a case, and what the case asks for, in one form to compare.

Each case is fed in three ways: whole, byte by byte, and with another request behind it. The outcome
must be the same in all of them, and the request behind must be found where it begins.
"""

from collections.abc import Iterable
from dataclasses import dataclass, replace

import pytest

from cases import Case
from exoproxy.errors import ProxyError
from messages import Message, read_message
from wire_reading import Reading, bytewise, read_answer, read_requests, whole

TRAILING = b"GET /trailing HTTP/1.1\r\nHost: a\r\n\r\n"
TRAILING_MESSAGE, _ = read_message(TRAILING)

FEEDINGS = ("whole", "bytewise", "trailing")
NO_CONTENT_STATUSES = (b"1", b"204", b"205")


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """`verdict` is "accept", "cut", "passes" (not for the wire to judge), or status and code."""

    verdict: str
    messages: tuple[Message, ...] = ()
    tunnel: bytes = b""
    trailing_found: bool = False


def fed(cases: Iterable[Case], *, bytewise_up_to: int | None = None) -> pytest.MarkDecorator:
    """Parametrize a test by `case` and `feeding`; longer inputs are not fed byte by byte."""
    rows = [
        pytest.param(case, feeding, id=f"{case.id}-{feeding}")
        for case in cases
        for feeding in FEEDINGS
        if _makes_sense(case, feeding, bytewise_up_to)
    ]
    return pytest.mark.parametrize(("case", "feeding"), rows)


def expected(case: Case, feeding: str) -> Outcome:
    """Return what the case asks for."""
    trailing = feeding == "trailing"
    if case.verdict == "reject":
        return Outcome(verdict=f"{case.status} {case.code or 'any'}")
    if case.verdict == "cut":
        return Outcome(verdict="cut")
    if case.verdict == "refuse" or case.site:
        return Outcome(verdict="passes")
    tunnel = b""
    if case.direction == "response":
        bodyless = case.request.startswith(b"HEAD")
        messages = [read_message(one, bodyless=bodyless, fin=True)[0] for one in case.delivered]
    else:
        messages = [read_message(one)[0] for one in case.forwarded]
        if case.verdict == "tunnel":
            tunnel = read_message(case.forwarded[0])[1]
    return Outcome(
        verdict="accept",
        messages=tuple(_as_judged(message) for message in messages),
        tunnel=tunnel,
        trailing_found=trailing,
    )


def observed(case: Case, feeding: str) -> Outcome:
    """Return what the wire makes of the case, fed so."""
    data = case.input + (TRAILING if feeding == "trailing" else b"")
    pieces = bytewise(data) if feeding == "bytewise" else whole(data)
    try:
        reading = _read(case, pieces)
    except ProxyError as error:
        if case.verdict == "cut" and case.direction == "response":
            # Its head is on the way to the client: breaking off is all that can be done.
            return Outcome(verdict="cut")
        return Outcome(verdict=f"{error.status} {error.code if case.code else 'any'}")
    if case.verdict == "refuse" or case.site:
        return Outcome(verdict="passes")
    if reading.partial:
        return Outcome(verdict="cut")
    messages, rest = reading.messages, reading.rest
    found = rest.endswith(TRAILING)
    if messages[-1] == TRAILING_MESSAGE:
        messages, found = messages[:-1], True
    if case.direction == "response":
        # A 100 that nobody asked for stays here, and HTTP/1.0 knows no interim answers.
        old = b" HTTP/1.0" in case.request
        passed = [one for one in messages[:-1] if not old and b" 100 " not in one.line]
        messages = [*passed, messages[-1]]
    return Outcome(
        verdict="accept",
        messages=tuple(_as_judged(message) for message in messages),
        tunnel=rest.removesuffix(TRAILING) if case.verdict == "tunnel" else b"",
        trailing_found=found,
    )


def _makes_sense(case: Case, feeding: str, bytewise_up_to: int | None) -> bool:
    if feeding == "trailing":
        return not case.fin and case.verdict in {"accept", "reject", "tunnel"}
    return feeding == "whole" or bytewise_up_to is None or len(case.input) <= bytewise_up_to


def _read(case: Case, pieces: Iterable[bytes]) -> Reading:
    if case.direction == "request":
        return read_requests(pieces)
    return read_answer(pieces, method=case.request.split(b" ")[0], fin=case.fin)


def _as_judged(message: Message) -> Message:
    """Leave out what is decided where heads are written, not where they are read."""
    fields = tuple(field for field in message.fields if field[0].lower() != b"expect")
    message = replace(message, fields=fields)
    if message.framing == "close":
        return replace(message, framing="chunked")
    if message.line.partition(b" ")[2].startswith(NO_CONTENT_STATUSES):
        return replace(message, framing="none", length=None)
    return message
