"""What of a request may appear in a log: the list of it, and the form.

The access log, `exoproxy explain` and every message that quotes a client go through here. `shown`
is the list: a request's method, host, target and user agent. What is not on it, such as
Authorization, Cookie, Referer or X-Auth-Token, can't be shown by mistake. The result is one line of
printable ASCII and `…`, and it holds no secret: a query keeps those of its keys that are words and
loses its values (JupyterLab's `token=`, OpenID's `code=`), and so do a path's parameters
(`;jsessionid=`). Contents of messages are never logged, so there is nothing for them here.
"""

import re
from functools import lru_cache
from typing import Final, NamedTuple

from exoproxy.wire.head import RequestHead

_ELLIPSIS: Final = "…"
_MAX_PATH: Final = 1024
_MAX_KEYS: Final = 32
_MAX_VALUE: Final = 256
# All but printable ASCII, and the two with a meaning in a quoted string.
_UNSAFE: Final = re.compile(rb"""[^ !#-\[\]-~]""")
# A key that people chose; random ones, which may be secrets, have more digits or are longer. The
# percent sign is that of `filter%5Bname%5D`.
_WORD: Final = re.compile(rb"[A-Za-z_.:$%\[\]-]*+(?:[0-9][A-Za-z_.:$%\[\]-]*+){0,3}")
_LONGEST_WORD: Final = 32
# A target that is shown as it is: neither escaped nor shortened.
_PLAIN: Final = re.compile(rb"""[ !#-:<->@-\[\]-~]*+""")
_PARAMETER: Final = re.compile(rb";[^/;]*+")


class Shown(NamedTuple):
    """All that a log may hold of a request, each a text that can stand between quotation marks."""

    method: str
    host: str
    target: str
    agent: str


# Of bytes that are no request nothing is shown: nobody can tell what in them is a secret.
NO_REQUEST: Final = Shown("-", "-", "-", "")


def shown(request: RequestHead | None) -> Shown:
    """Return what may be logged of a request; None where no valid head came."""
    if request is None:
        return NO_REQUEST
    # Method and host have the grammar's few characters (`wire.head`, `wire.target`).
    return Shown(
        request.method.decode("ascii"),
        request.authority.host,
        # An authority, CONNECT's, is not judged by the grammar, and may hold a password.
        target(request.target.origin) if request.target.path else "-",
        _agent((request.fields.get(b"user-agent") or b"")[: _MAX_VALUE + 1]),
    )


def escape(raw: bytes, limit: int = _MAX_VALUE) -> str:
    r"""Return the first `limit` bytes as printable ASCII, others written `\xHH`, as nginx does.

    The quotation mark and the backslash are written so too; `…` shows that something is cut off.
    """
    if len(raw) <= limit and _UNSAFE.search(raw) is None:
        return raw.decode("ascii")
    cut = raw if len(raw) <= limit else raw[:limit]
    text = _UNSAFE.sub(lambda match: b"\\x%02X" % match[0][0], cut).decode("ascii")
    return text if cut is raw else text + _ELLIPSIS


# A browser sends the same with every request. One byte more than is shown, so that a cut shows.
_agent: Final = lru_cache(maxsize=1024)(escape)


def target(raw: bytes) -> str:
    """Return a request target, in origin form, for the log: the path, and the query's keys."""
    if len(raw) <= _MAX_PATH and _PLAIN.fullmatch(raw) is not None:
        return raw.decode("ascii")
    path, mark, query = raw.partition(b"?")
    text = _path(path)
    if not mark:
        return text
    elements = query.split(b"&", _MAX_KEYS)
    keys = [_without_value(element) for element in elements[:_MAX_KEYS]]
    if len(elements) > _MAX_KEYS:
        keys.append(_ELLIPSIS)
    return f"{text}?{'&'.join(keys)}"


def _path(path: bytes) -> str:
    if b";" not in path:
        return escape(path, _MAX_PATH)
    cut = path[:_MAX_PATH]
    pieces: list[str] = []
    at = 0
    for match in _PARAMETER.finditer(cut):
        pieces += (escape(cut[at : match.start()], _MAX_PATH), ";", _without_value(match[0][1:]))
        at = match.end()
    end = "" if cut == path else _ELLIPSIS
    return "".join((*pieces, escape(cut[at:], _MAX_PATH), end))


def _without_value(element: bytes) -> str:
    key, _, value = element.partition(b"=")
    # Without a value, what looks like a key may be the secret itself, with Base64's padding.
    if not value.strip(b"="):
        return _ELLIPSIS if element else ""
    return _named(key) if len(key) <= _LONGEST_WORD else f"{_ELLIPSIS}={_ELLIPSIS}"


# Clients of one kind ask with the same few keys.
@lru_cache(maxsize=1024)
def _named(key: bytes) -> str:
    name = key.decode("ascii") if _WORD.fullmatch(key) else _ELLIPSIS
    return f"{name}={_ELLIPSIS}"
