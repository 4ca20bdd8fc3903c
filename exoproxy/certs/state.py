"""What is remembered of a certificate beside the certificate: STORE/exoproxy/NAME.json.

The renewal window, how the last attempts went, the order that a killed process left behind, and
the DNS records that it may have left. Losing the file costs a renewal that is a little early or
late, so a file that can't be used counts as none. Read by the serving process, written by the
process that issues, which holds the store's lock.
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Final

from pydantic import TypeAdapter, ValidationError

from exoproxy.certs.dns.provider import Record
from exoproxy.certs.folder import explained, opened, warn_once
from exoproxy.rules.renewal import History, NoWindow, Window

# An order with its authorizations, its certificate request and key is some 20 KB.
_LIMIT: Final = 1 << 20


@dataclass(frozen=True, slots=True, kw_only=True)
class PendingOrder:
    """An order whose certificate may exist at the authority already.

    `directory` is the authority's URL, `order` the order's own, and `key` the certificate's
    private key in PEM.
    """

    directory: str
    names: tuple[str, ...]
    profile: str | None
    order: str
    key: str = field(repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class State:
    """What is remembered of one certificate; all times are aware.

    `directory` is the URL of the authority that issued what is stored, empty if that is not known.
    `window_of` is the ARI id (RFC 9773) of the certificate that `window` is for. `records` are
    those that were written, or were about to be, and are not known to be removed.
    """

    directory: str = ""
    window: Window | NoWindow | None = None
    window_of: str = ""
    history: History = field(default_factory=History)
    pending: PendingOrder | None = None
    records: tuple[Record, ...] = ()


_FORM: Final = TypeAdapter(State)


def load(path: Path) -> State:
    """Return what the file says; nothing is remembered if it is missing, damaged or foreign."""
    try:
        with opened(path.parent.parent, path.parent.name, make=False) as folder:
            content = folder.read(path.name, limit=_LIMIT)
    except FileNotFoundError:
        return State()
    except OSError as error:
        warn_once(f"The file {path} can't be read and counts as none: {error.strerror or error}.")
        return State()
    try:
        state = _FORM.validate_json(content, strict=True)
    except ValidationError as error:
        # The message of pydantic repeats the content, which holds a private key.
        where = ".".join(str(part) for part in error.errors(include_input=False)[0]["loc"])
        warn_once(f"The file {path} is damaged{where and ' at '}{where} and counts as none.")
        return State()
    if state.history.failures < 0 or any(time.tzinfo is None for time in _times(state)):
        warn_once(f"The file {path} was not written by exoproxy and counts as none.")
        return State()
    return state


def save(path: Path, state: State) -> None:
    """Write the file, readable by its owner alone, in one step. Raises `IssuanceProblem`."""
    text = json.dumps(_FORM.dump_python(state, mode="json"), indent=2, ensure_ascii=False)
    # A sentence may quote what is no Unicode; that must not keep a back-off from being stored.
    content = f"{text}\n".encode(errors="replace")
    with explained(path.parent), opened(path.parent.parent, path.parent.name) as folder:
        folder.write(path.name, content, mode=0o600)


def _times(state: State) -> Iterator[datetime]:
    if isinstance(state.window, Window):
        yield from (state.window.start, state.window.end, state.window.picked)
    if state.window is not None:
        yield state.window.ask_at
    if state.history.retry_at is not None:
        yield state.history.retry_at
