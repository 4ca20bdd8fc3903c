"""The cases of `tests/wire_cases/*.toml`: what comes in on a wire, and what must come of it.

One file per theme. At its top stand `title` and `direction`: "request" where the input is what a
client sends, "response" where it is what an upstream answers. Then one `[[case]]` each:

id         the number of the rule and a short word for it; unique
name       what is special about the input, for people
source     where the rule comes from
input      the bytes on the wire. A TOML string of which each character is one byte (Latin-1), so
           that `\\u00e9` is the byte E9 and `\\u0000` NUL. `{9000 x a}` stands for 9000 times `a`.
each       a list; the case is repeated for each element, which takes the place of `{each}`
verdict    what must come of it, below
status     of our own answer, when there is one
code       its X-Exoproxy-Error
forwarded  what the upstream sees: a list of requests. Left out: the input itself, as one request,
           where it is accepted, else none
delivered  what the client sees: a list of answers, interim ones first. Left out: the input itself,
           or for requests one `answer` for each that is forwarded
request    for responses: the request that is answered; left out: `GET / HTTP/1.1`
answer     for requests: what the upstream answers; left out: 200 with two bytes
fin        true: the sender closes its side after the input
site       the mode whose rules the case is about: "main" or "uap"; left out: none's
authority  host and port that the request is for, when that is what the case is about
note       why, where neither the name nor the source says it

Verdicts:

accept     it is passed on. `forwarded` and `delivered` are compared message by message: the first
           line, the fields in their order and the content byte by byte; of a request also whether
           it is framed by length or by chunks, but never where chunks end
reject     it breaks the grammar or the framing. A request is answered with `status` and `code` and
           the connection is closed; no upstream ever sees a complete request. A response becomes a
           502 and its connection is closed
refuse     the grammar is right, but we don't serve it: we answer `status` by ourselves and nothing
           is forwarded
cut        the input ends too early, or turns out to be broken after its head has gone on. The other
           side must notice: its message is never completed. With a `status`, nothing has gone on
tunnel     the upgrade succeeds. `forwarded` and `delivered` are one head each, with the bytes of
           the tunnel behind it

Whatever is answered by ourselves never holds the word CANARY, which stands in many inputs.
"""

import re
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

FOLDER = Path(__file__).parent / "wire_cases"

Direction = Literal["request", "response"]
Verdict = Literal["accept", "reject", "refuse", "cut", "tunnel"]

PLAIN_REQUEST = "GET / HTTP/1.1\r\nHost: a\r\n\r\n"
PLAIN_ANSWER = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"

# Keys of a case and of a file; anything else is a slip of the pen.
FILE_KEYS = {"title", "direction", "case"}
CASE_KEYS = {
    "answer",
    "authority",
    "code",
    "delivered",
    "each",
    "fin",
    "forwarded",
    "id",
    "input",
    "name",
    "note",
    "request",
    "site",
    "source",
    "status",
    "verdict",
}
VERDICTS = {"accept", "reject", "refuse", "cut", "tunnel"}

_REPEAT = re.compile(r"\{(\d+) x ([^{}]*)\}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """One input and what must come of it; the module says what each field means."""

    id: str
    group: str
    name: str
    source: str
    direction: Direction
    input: bytes
    verdict: Verdict
    status: int | None
    code: str | None
    forwarded: tuple[bytes, ...]
    delivered: tuple[bytes, ...]
    request: bytes
    answer: bytes
    fin: bool
    site: str | None
    authority: tuple[str, int | None] | None

    def __str__(self) -> str:
        return self.id


def unfold(text: str, each: str = "") -> bytes:
    """Return the bytes that a string of a case stands for."""
    text = text.replace("{each}", each)
    while _REPEAT.search(text):
        # From the inside out: a repeated line may hold a repeated letter.
        text = _REPEAT.sub(lambda match: match[2] * int(match[1]), text)
    return text.encode("latin-1")


def load(folder: Path = FOLDER) -> Iterator[Case]:
    """Yield every case of every file, repeated ones once for each of their elements."""
    for path in sorted(folder.glob("*.toml")):
        page = tomllib.loads(path.read_text(encoding="utf-8"))
        if unknown := page.keys() - FILE_KEYS:
            raise ValueError(f"{path.name}: unknown keys {sorted(unknown)}")
        group = path.stem.partition("_")[0]
        for row in page["case"]:
            if unknown := row.keys() - CASE_KEYS:
                raise ValueError(f"{path.name}: case {row.get('id')}: unknown keys {unknown}")
            if row["verdict"] not in VERDICTS:
                raise ValueError(f"{path.name}: case {row['id']}: no verdict {row['verdict']!r}")
            if row["verdict"] in {"reject", "refuse"} and "status" not in row:
                raise ValueError(f"{path.name}: case {row['id']}: no status")
            if "each" not in row:
                yield _case(row, group, page["direction"], row["id"], "")
            for number, element in enumerate(row.get("each", ()), start=1):
                yield _case(row, group, page["direction"], f"{row['id']}.{number}", element)


def _case(row: dict[str, Any], group: str, direction: Direction, name: str, each: str) -> Case:
    accepted = row["verdict"] in {"accept", "tunnel"}
    own = row["input"] if accepted else ""
    request, answer = row.get("request", PLAIN_REQUEST), row.get("answer", PLAIN_ANSWER)
    if direction == "request":
        forwarded = row.get("forwarded", [own] if own else [])
        delivered = row.get("delivered", [answer] * len(forwarded))
    else:
        forwarded = row.get("forwarded", [request])
        delivered = row.get("delivered", [own] if own else [])
    host = row.get("authority")
    return Case(
        id=name,
        group=group,
        name=row["name"],
        source=row["source"],
        direction=direction,
        input=unfold(row["input"], each),
        verdict=row["verdict"],
        status=row.get("status"),
        code=row.get("code"),
        forwarded=tuple(unfold(text, each) for text in forwarded),
        delivered=tuple(unfold(text, each) for text in delivered),
        request=unfold(request, each),
        answer=unfold(answer, each),
        fin=row.get("fin", False),
        site=row.get("site"),
        authority=None if host is None else (host[0], host[1] if len(host) > 1 else None),
    )


CASES = tuple(load())
REQUESTS = tuple(case for case in CASES if case.direction == "request")
RESPONSES = tuple(case for case in CASES if case.direction == "response")
