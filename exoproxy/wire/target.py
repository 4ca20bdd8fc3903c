"""Request target and authority (RFC 9112 section 3.2, RFC 9110 section 7.2, RFC 3986).

Bytes are kept as they came: what goes upstream is cut out of them, never put together again from
decoded parts. What is not here: whether a host is served, and what a path means.
"""

import re
from dataclasses import dataclass, field
from functools import lru_cache
from ipaddress import AddressValueError, IPv6Address
from typing import Final

from exoproxy.errors import BadHost, BadRequest

# A DNS name is at most 253 octets; a port adds six.
LONGEST_AUTHORITY: Final = 260

# Stricter than RFC 3986: no percent-encoding, no sub-delims and no empty label in a name, no
# userinfo, no empty port. Underscores are in use in local names.
AUTHORITY: Final = re.compile(
    rb"(?:((?!.*\.\.)[0-9A-Za-z_](?:[0-9A-Za-z_.-]*[0-9A-Za-z_])?)\.?|\[([0-9A-Fa-f:.]+)\])"
    rb"(?::([1-9][0-9]{0,4}))?"
)
ABSOLUTE: Final = re.compile(rb"([A-Za-z][0-9A-Za-z+.-]*)://([^/?]*)([^?]*)(\?.*)?", re.DOTALL)
DEFAULT_PORTS: Final = {b"http": 80, b"https": 443}


@dataclass(frozen=True, slots=True)
class Authority:
    """`host[:port]`: lower-case, without a final dot or brackets; `raw` is as received."""

    host: str
    port: int | None
    raw: bytes


@dataclass(slots=True, eq=False)
class Target:
    """A request target: `path` and `query` as received, `origin` both in origin form.

    `path` is `*` for the asterisk form and empty for the authority form of CONNECT. `scheme` and
    `authority` are set for the absolute form only. Not frozen: one is made for every request, and
    freezing would triple the cost.
    """

    # A query may hold a token, and a repr ends up in logs.
    origin: bytes = field(repr=False)
    path: bytes
    query: bytes | None = field(repr=False)
    scheme: bytes | None = None
    authority: Authority | None = None


def parse_authority(raw: bytes) -> Authority:
    """Return the authority of a Host field or an absolute target; raises `BadHost`."""
    if len(raw) > LONGEST_AUTHORITY:
        raise BadHost
    return _authority(raw)


# The same few hosts come with every request; names that don't parse are not kept.
@lru_cache(maxsize=4096)
def _authority(raw: bytes) -> Authority:
    match = AUTHORITY.fullmatch(raw)
    if match is None:
        raise BadHost
    name, literal, digits = match.groups()
    port = int(digits) if digits else None
    if port is not None and port > 65535:
        raise BadHost
    if literal:
        try:
            IPv6Address(literal.decode())
        except AddressValueError:
            raise BadHost from None
    return Authority(host=(name or literal).decode().lower(), port=port, raw=raw)


def parse_target(method: bytes, raw: bytes) -> Target:
    """Return the target in one of its four forms; raises `BadRequest` (RFC 9112 section 3.2)."""
    if raw.startswith(b"/"):
        # `//host/path` is a path as well: only a scheme makes an authority.
        path, mark, query = raw.partition(b"?")
        return Target(raw, path, query if mark else None)
    if method == b"CONNECT":
        return Target(raw, b"", None)
    if raw == b"*":
        if method == b"OPTIONS":
            return Target(raw, raw, None)
        raise BadRequest("The target * goes with OPTIONS only.")
    return _absolute(raw)


def _absolute(raw: bytes) -> Target:
    match = ABSOLUTE.fullmatch(raw)
    if match is None:
        raise BadRequest("The request target is not a path.")
    scheme, authority, path, query = match.groups()
    scheme = scheme.lower()
    if scheme not in DEFAULT_PORTS:
        raise BadRequest("The request target's scheme is neither http nor https.")
    path = path or b"/"
    return Target(
        path + (query or b""),
        path,
        query[1:] if query else None,
        scheme,
        parse_authority(authority),
    )
