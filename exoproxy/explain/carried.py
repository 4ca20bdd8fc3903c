"""What a request and its answer look like on the other side, by a sample of each.

The site's own edits are asked, with fields that browsers and servers usually send: what is said
here is what is done there.
"""

from collections.abc import Iterable, Iterator
from typing import Final

from exoproxy.explain.step import Step
from exoproxy.proxy.decision import Decision, Forward
from exoproxy.rules.redaction import escape
from exoproxy.wire.fields import Field, Fields
from exoproxy.wire.head import RequestHead, ResponseHead

# What browsers send along, and what an edit may keep to itself.
REQUEST: Final[tuple[Field, ...]] = (
    (b"Cookie", b"name=value"),
    (b"Referer", b"https://example.org/"),
    (b"X-Auth-Token", b"token"),
)
_ANSWER: Final[tuple[Field, ...]] = (
    (b"Server", b"example"),
    (b"Set-Cookie", b"name=value; Domain=example.org"),
    (b"Access-Control-Allow-Origin", b"*"),
)
# Of a value; the list of exposed fields is long.
_LONGEST: Final = 80


def carried(request: RequestHead, forward: Forward) -> Iterator[Step]:
    """Explain what goes on to the upstream, and how its answer comes back."""
    yield Step(subject="request", sentence=_changes("sent", request.fields, forward.fields))
    head = ResponseHead(200, b"OK", 1, Fields(_ANSWER))
    sentence = _changes("comes back", _ANSWER, forward.edit_response(head))
    if forward.compress:
        sentence += "; JSON and text that come plain are compressed"
    yield Step(subject="answer", sentence=sentence)


def cors(decision: Decision, origin: str) -> Step:
    """Explain what the browser lets a page of an origin see of an answer."""
    shown = escape(origin.encode())
    fields = decision.fields
    if isinstance(decision, Forward):
        fields = decision.edit_response(ResponseHead(200, b"OK", 1, Fields(_ANSWER)))
    allowed = Fields(fields).get(b"access-control-allow-origin")
    if allowed == origin.encode():
        return Step(
            subject="cors",
            sentence=f"a page of {shown} may read the answer, and send its user's credentials",
        )
    return Step(
        subject="cors",
        sentence=f"{shown} is not in allowed_origins: its pages can't read the answer"
        f"{', unless the application there permits it' if allowed else ''}",
    )


def preflight(decision: Decision) -> Step:
    """Explain the answer to the browser's question before the request proper."""
    if isinstance(decision, Forward):
        return Step(
            subject="preflight", sentence="OPTIONS goes to the upstream, which answers for itself"
        )
    methods = Fields(decision.fields).get(b"access-control-allow-methods")
    if methods is None:
        return Step(
            subject="preflight",
            sentence=f"OPTIONS is answered {decision.status} here, and permits nothing",
        )
    return Step(
        subject="preflight",
        sentence=f"OPTIONS is answered {decision.status} here: {methods.decode()}, and the fields "
        "asked for",
    )


def _changes(what: str, before: Iterable[Field], after: Iterable[Field]) -> str:
    """Put into words how fields differ: new ones, other values, and those that are gone."""
    old, new = list(before), list(after)
    changed = [pair for pair in old if pair not in new]
    values = {name.lower(): escape(value, _LONGEST) for name, value in changed}
    added = []
    for name, value in new:
        if (name, value) not in old:
            instead = values.pop(name.lower(), None)
            was = "" if instead is None else f" (instead of {instead})"
            added.append(f"{name.decode()}: {escape(value, _LONGEST)}{was}")
    gone = [name.decode() for name, _ in old if name.lower() in values]
    parts = [f"with {'; '.join(added)}"] if added else []
    parts += [f"without {', '.join(gone)}"] if gone else []
    return f"{what} {'; '.join(parts)}" if parts else f"{what} as it is"
