"""What of a request may appear in a log.

The access log, `exoproxy explain` and every message that quotes a client go through here. The
result is one line of printable ASCII and `…`, and it holds no secret: a query keeps its keys and
loses its values (JupyterLab's `token=`, OpenID's `code=`), and of the fields only those on a list
are shown. What is not on it, such as Authorization, Cookie or X-Auth-Token, can't be shown by
mistake. Contents of messages are never logged, so there is nothing for them here.
"""

import re
from typing import Final

from exoproxy.wire.fields import Fields

_ELLIPSIS: Final = "…"
_MAX_PATH: Final = 1024
_MAX_KEYS: Final = 32
_MAX_KEY: Final = 64
_MAX_VALUE: Final = 256
# All but printable ASCII, and the two with a meaning in a quoted string.
_UNSAFE: Final = re.compile(rb"""[^ !#-\[\]-~]""")

# None of them holds a secret, a person's data beyond the user agent, or another URL's query.
LOGGED_FIELDS: Final = frozenset(
    {
        b"accept-encoding",
        b"connection",
        b"content-encoding",
        b"content-length",
        b"content-type",
        b"exo-proxy-orig-host",
        b"exo-proxy-orig-port",
        b"host",
        b"openstack-api-version",
        b"origin",
        b"range",
        b"server",
        b"transfer-encoding",
        b"upgrade",
        b"user-agent",
        b"via",
        b"x-openstack-request-id",
    }
)


def escape(raw: bytes, limit: int = _MAX_VALUE) -> str:
    r"""Return the first `limit` bytes as printable ASCII, others written `\xHH`.

    The quotation mark and the backslash are written so too; `…` shows that something is cut off.
    """
    if len(raw) <= limit and _UNSAFE.search(raw) is None:
        return raw.decode("ascii")
    shown = raw if len(raw) <= limit else raw[:limit]
    text = _UNSAFE.sub(lambda match: b"\\x%02x" % match[0][0], shown).decode("ascii")
    return text if shown is raw else text + _ELLIPSIS


def target(raw: bytes) -> str:
    """Return a request target, in origin form, for the log: the path, and the query's keys."""
    path, mark, query = raw.partition(b"?")
    text = escape(path, _MAX_PATH)
    if not mark:
        return text
    elements = query.split(b"&", _MAX_KEYS)
    keys = [_without_value(element) for element in elements[:_MAX_KEYS]]
    if len(elements) > _MAX_KEYS:
        keys.append(_ELLIPSIS)
    return f"{text}?{'&'.join(keys)}"


def _without_value(element: bytes) -> str:
    key, _, value = element.partition(b"=")
    # Without a value, what looks like a key may be the secret itself, with Base64's padding.
    if not value.strip(b"="):
        return _ELLIPSIS if element else ""
    return f"{escape(key, _MAX_KEY)}={_ELLIPSIS}"


def logged_fields(fields: Fields) -> dict[str, str]:
    """Return the fields that may be logged, by lower-case name; of several lines, the last."""
    return {
        key.decode("ascii"): escape(value)
        for name, value in fields
        if (key := name.lower()) in LOGGED_FIELDS
    }
