"""What a try gave, in one sentence that says what is wrong and what to do."""

from dataclasses import dataclass
from enum import StrEnum


class Kind(StrEnum):
    """How it went. A `NOTE` was not tried, or can't be judged from this host; it fails nothing."""

    OK = "ok"
    NOTE = "note"
    FAILED = "failed"


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """`subject` is a name, a listener, a file or a unit; `sentence` goes on from it."""

    kind: Kind
    subject: str
    sentence: str


def ok(subject: str, sentence: str) -> Finding:
    """Return that all is well."""
    return Finding(kind=Kind.OK, subject=subject, sentence=sentence)


def note(subject: str, sentence: str) -> Finding:
    """Return what the reader has to judge."""
    return Finding(kind=Kind.NOTE, subject=subject, sentence=sentence)


def failed(subject: str, sentence: str) -> Finding:
    """Return what keeps the deployment, or a part of it, from working."""
    return Finding(kind=Kind.FAILED, subject=subject, sentence=sentence)
