"""The file of what was learned: STATE_DIR/learned/HOSTNAME.json.

Written by the serving process alone, read by it at its start and by `exoproxy explain`. Losing it
costs each user of a cloud one login, so what can't be used counts as empty.
"""

import json
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Final

from pydantic import TypeAdapter

from exoproxy.certs.folder import opened
from exoproxy.learned.table import MOST, Naming
from exoproxy.rules.catalogue import Endpoint, endpoint_of

# As many namings as there may be, of names as long as can be, are 0.7 MB.
_LIMIT: Final = 1 << 20
# A clock that was set right meanwhile is no reason to forget; a year that is wrong would keep what
# it dated for that long.
_AHEAD: Final = timedelta(days=1)


class Unusable(Exception):
    """The file can't be used; the message is a sentence for the operator."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Row:
    """A naming as it is written; endpoints are `HOST:PORT`."""

    endpoint: str
    by: str
    last_named: datetime


_FORM: Final = TypeAdapter(list[_Row])


def read(path: Path, now: datetime) -> list[Naming]:
    """Return what the file holds, nothing if there is none.

    Raises `Unusable` for a file that may not be read, is too large, damaged, somebody else's, or
    from a future that `now` knows nothing of.
    """
    try:
        with opened(path.parent.parent, path.parent.name, make=False) as folder:
            content = folder.read(path.name, limit=_LIMIT)
    except FileNotFoundError:
        return []
    except PermissionError:
        raise Unusable(
            f"The file {path} may not be read by this user; it is the service's own, so root may."
        ) from None
    except OSError as error:
        raise Unusable(f"The file {path} can't be read: {error.strerror or error}.") from None
    try:
        namings = [_naming(row) for row in _FORM.validate_json(content, strict=True)]
        if len(namings) > MOST:
            raise ValueError("there are more than are ever written")
    except ValueError:  # that of pydantic is one, too
        raise Unusable(f"The file {path} is damaged, or was not written by exoproxy.") from None
    if any(naming.last_named > now + _AHEAD for naming in namings):
        raise Unusable(f"The file {path} is dated in the future; see that the clock is right.")
    return namings


def write(path: Path, namings: Iterable[Naming]) -> None:
    """Put the file in place in one step, readable by its owner alone; makes its folder.

    Raises `OSError`; the file is then as it was.
    """
    rows = [
        {
            "endpoint": str(naming.endpoint),
            "by": str(naming.by),
            "last_named": naming.last_named.isoformat(timespec="seconds"),
        }
        for naming in namings
    ]
    content = json.dumps(rows, indent=1).encode()
    with opened(path.parent.parent, path.parent.name) as folder:
        folder.write(path.name, content, mode=0o600)


def _naming(row: _Row) -> Naming:
    if row.last_named.tzinfo is None:
        raise ValueError("a time without a zone is no time that was written here")
    return Naming(endpoint=_endpoint(row.endpoint), by=_endpoint(row.by), last_named=row.last_named)


def _endpoint(text: str) -> Endpoint:
    endpoint = endpoint_of(f"https://{text}")
    if endpoint is None or str(endpoint) != text:
        raise ValueError("an endpoint is HOST:PORT in the form that is compared")
    return endpoint
