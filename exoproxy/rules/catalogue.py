"""Which endpoints does a Keystone name in the answer to a login?

The answer to `POST /v3/auth/tokens` carries the service catalogue of the token (Identity API v3,
"Password authentication with scoped authorization"): services, and the URLs of their endpoints.
Only those that the Cloud CORS Proxy can dial are of interest: host and port of `https` URLs.

The content comes from another server, so nothing of its form is taken for granted: what is not as
expected names nothing, and there is no error. Whether an endpoint may be dialled is not asked here
(`rules.egress`); neither is who is believed (`main`).
"""

import json
import re
from collections.abc import Iterator
from itertools import islice
from typing import Any, Final, NamedTuple, NoReturn

from exoproxy.errors import BadRequest, TargetNotAllowed
from exoproxy.rules.egress import host_address

# A catalogue of forty services in three regions is some 60 KB; what is larger is not read, because
# a megabyte of empty lists, which is a kilobyte on the wire, held up everybody for 80 ms.
LONGEST: Final = 1 << 18
# Of more endpoints than this, the first ones in the order of the document count.
MOST: Final = 256
# As many services are looked at, and as many endpoints in all, most of which may be of internal
# interfaces. To judge 4,000 names that are as long as can be, and none, took a quarter of a second.
MOST_URLS: Final = 1024

# Stricter than RFC 3986: no userinfo, no percent-encoding in the host, no empty port. What follows
# the authority is of no interest: templates such as $(tenant_id)s stand in paths. The host's length
# is bounded, as a name's is, so that to find no match takes no longer for a longer URL.
_URL: Final = re.compile(
    r"[Hh][Tt][Tt][Pp][Ss]://(?P<host>\[[0-9A-Fa-f:.]{2,45}\]|[0-9A-Za-z.-]{1,253})"
    r"(?::(?P<port>[1-9][0-9]{0,4}))?(?:[/?#].*)?",
    re.DOTALL,
)


class Endpoint(NamedTuple):
    """Where a service is: `host` is a lower-case name, or an address as `str()` writes it."""

    host: str
    port: int

    def __str__(self) -> str:
        """Return `HOST:PORT`, an IPv6 address in brackets."""
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


def endpoints_of(content: bytes) -> tuple[Endpoint, ...]:
    """Return the https endpoints that a token's catalogue names, each once, in its order.

    At most `MOST` from the first `MOST_URLS` count, and none of content that is longer than
    `LONGEST`, is no JSON (RFC 8259) or no token. Of members with the same name the last counts, as
    in the client's browser. Never raises.
    """
    if len(content) > LONGEST:
        return ()
    try:
        answer = json.loads(content.decode(), parse_constant=_refuse)
    except (ValueError, RecursionError):  # no UTF-8, no JSON, numbers or nesting without end
        return ()
    found: dict[Endpoint, None] = {}
    for url in _urls(answer):
        endpoint = endpoint_of(url)
        if endpoint is not None:
            found[endpoint] = None
            if len(found) == MOST:
                break
    return tuple(found)


def endpoint_of(url: str) -> Endpoint | None:
    """Return where an https URL leads, or None for any other text."""
    parts = _URL.fullmatch(url)
    if parts is None:
        return None
    port = int(parts["port"] or 443)
    try:
        address = host_address(parts["host"])
    except (BadRequest, TargetNotAllowed):
        return None
    if port > 65535:
        return None
    return Endpoint(parts["host"].lower() if address is None else str(address), port)


def _urls(answer: object) -> Iterator[str]:
    services = islice(_list(_member(_member(answer, "token"), "catalog")), MOST_URLS)
    endpoints = (each for service in services for each in _list(_member(service, "endpoints")))
    for endpoint in islice(endpoints, MOST_URLS):
        url = _member(endpoint, "url")
        if isinstance(url, str):
            yield url


def _member(value: object, name: str) -> object:
    return value.get(name) if isinstance(value, dict) else None


def _list(value: object) -> list[Any]:
    return value if isinstance(value, list) else []


def _refuse(constant: str) -> NoReturn:
    # NaN and Infinity, which Python takes and RFC 8259 section 6 does not know.
    raise ValueError(constant)
