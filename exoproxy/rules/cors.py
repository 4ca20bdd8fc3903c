"""Cross-origin calls: which pages may read answers, and the fields that tell the browser so.

The protocol is the Fetch standard's, section "CORS protocol". A site asks `request_origin` and
`Origins.allows` once for a request, answers a preflight with `preflight_fields`, gives its own
answers `answer_fields`, errors too, and edits proxied ones with `replace`. Not here: the refusal of
other origins at `/proxy`, which is a decision of the main site.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from enum import Enum
from typing import Final, Self

from exoproxy.errors import BadRequest, TargetNotAllowed
from exoproxy.rules.egress import host_address
from exoproxy.wire.fields import Field, Fields


class Mode(Enum):
    """Whose answers they are."""

    MAIN = "main"
    UAP = "uap"


_ORIGIN: Final = re.compile(r"(?P<scheme>https?)://(?P<host>\[[^\]]*\]|[^:/]*)(?::(?P<port>\d+))?")
_DEFAULT_PORT: Final = {"http": "80", "https": "443"}
_EXOSPHERE: Final = rb"https?://(?:[a-z0-9-]+\.)*exosphere\.localhost(?::[1-9][0-9]{0,4})?"
_LOCALHOST: Final = rb"http://localhost(?::[1-9][0-9]{0,4})?"
_DEVELOPMENT: Final = {
    Mode.MAIN: re.compile(_EXOSPHERE),
    Mode.UAP: re.compile(rb"(?:" + _EXOSPHERE + rb"|" + _LOCALHOST + rb")"),
}

_TOKEN: Final = re.compile(rb"[!#$%&'*+.^_`|~0-9A-Za-z-]+")  # RFC 9110 section 5.6.2
_MAX_METHOD: Final = 32
# A browser sends what a script asked for, unbounded. The client's longest list is 94 bytes.
_MAX_ASKED: Final = 4096

_METHODS: Final = {
    Mode.MAIN: (b"GET", b"POST", b"PUT", b"PATCH", b"DELETE", b"OPTIONS", b"HEAD"),
    Mode.UAP: (b"GET", b"POST", b"OPTIONS", b"HEAD"),
}
_CREDENTIALS: Final[Field] = (b"Access-Control-Allow-Credentials", b"true")
_MAX_AGE: Final[Field] = (b"Access-Control-Max-Age", b"86400")
# Not `*`: with credentials it means a field of that name.
_EXPOSE: Final[Field] = (
    b"Access-Control-Expose-Headers",
    b"X-Subject-Token, X-OpenStack-Request-Id, X-Compute-Request-Id, OpenStack-API-Version, "
    b"X-OpenStack-Nova-API-Version, X-OpenStack-Manila-API-Version, "
    b"Content-Length, Content-Range, ETag, Location, Retry-After, X-Exoproxy-Error",
)
_VARY: Final[Field] = (b"Vary", b"Origin")
_VARY_PREFLIGHT: Final[Field] = (
    b"Vary",
    b"Origin, Access-Control-Request-Method, Access-Control-Request-Headers",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Origins:
    """The web origins whose pages may call; `parse` makes one.

    `exact` are whole origins, byte for byte as browsers send them; `development` is the pattern of
    the developers' origins, or None. It is false if there are none: then answers don't vary.
    """

    exact: frozenset[bytes] = frozenset()
    development: re.Pattern[bytes] | None = None

    @classmethod
    def parse(cls, origins: Iterable[str], *, development: Mode | None = None) -> Self:
        """Read origins such as `https://my-example.exosphere.app`; add a mode's developers'.

        Raises ValueError with a sentence for the first that no browser would send.
        """
        return cls(
            exact=frozenset(_checked(origin).encode("ascii") for origin in origins),
            development=None if development is None else _DEVELOPMENT[development],
        )

    def __bool__(self) -> bool:
        return bool(self.exact) or self.development is not None

    def allows(self, origin: bytes) -> bool:
        """Tell whether pages of this origin may call; `null` and lists of origins never may."""
        if origin in self.exact:
            return True
        return self.development is not None and self.development.fullmatch(origin) is not None


def request_origin(fields: Fields) -> bytes | None:
    """Return the value of Origin, or None without one; several give a list that is no origin."""
    if b"origin" not in fields:
        return None
    return b", ".join(fields.all(b"origin"))


def is_preflight(method: bytes, fields: Fields) -> bool:
    """Tell whether the browser asks for leave; other OPTIONS requests are the application's."""
    return (
        method == b"OPTIONS" and b"access-control-request-method" in fields and b"origin" in fields
    )


def preflight_fields(mode: Mode, origin: bytes, fields: Fields) -> list[Field]:
    """Return the fields of the 204 for a preflight from an allowed origin.

    The names asked for are echoed, so that there is no list to keep up with the clouds' APIs: what
    a page may send is limited by its origin. Names that are no tokens are left out, and if too many
    are asked for, all of them. The UAP grants the method asked for too.
    """
    methods = _METHODS[mode]
    method = fields.get(b"access-control-request-method") or b""
    if (
        mode is Mode.UAP
        and method not in methods
        and len(method) <= _MAX_METHOD
        and _TOKEN.fullmatch(method)
    ):
        methods = (*methods, method)
    answer = [
        (b"Access-Control-Allow-Origin", origin),
        _CREDENTIALS,
        (b"Access-Control-Allow-Methods", b", ".join(methods)),
        _MAX_AGE,
        _VARY_PREFLIGHT,
    ]
    asked = b",".join(fields.all(b"access-control-request-headers"))
    names = [name for element in asked.split(b",") if _TOKEN.fullmatch(name := element.strip())]
    if names and len(asked) <= _MAX_ASKED:
        answer.append((b"Access-Control-Allow-Headers", b", ".join(names)))
    return answer


def answer_fields(origin: bytes | None) -> list[Field]:
    """Return the fields of any other answer; `origin` is the request's if it is allowed."""
    if origin is None:
        return [_VARY]
    return [(b"Access-Control-Allow-Origin", origin), _CREDENTIALS, _EXPOSE, _VARY]


def replace(fields: list[Field], origin: bytes | None, *, own_stays: bool = False) -> list[Field]:
    """Return an upstream's fields with ours in the place of its own Access-Control-* fields.

    `origin` is the request's if it is allowed. Without one, an application's own CORS stays its own
    where `own_stays`. Vary is always seen to, lest a cache gives a page the answer that another
    origin got.
    """
    drops = origin is not None or not own_stays
    kept: list[Field] = []
    varies = False
    for pair in fields:
        name = pair[0].lower()
        if name == b"vary":
            varies = varies or _varies_by_origin(pair[1])
        elif drops and name.startswith(b"access-control-"):
            continue
        kept.append(pair)
    if origin is not None:
        kept += ((b"Access-Control-Allow-Origin", origin), _CREDENTIALS, _EXPOSE)
    if not varies:
        kept.append(_VARY)
    return kept


def _varies_by_origin(vary: bytes) -> bool:
    return any(member.strip() in {b"*", b"origin"} for member in vary.lower().split(b","))


def _checked(origin: str) -> str:
    """Return the origin if it is written as browsers write it."""
    if origin in {"*", "null"}:
        raise ValueError("name each origin: * and null would let every page call with credentials")
    parts = _ORIGIN.fullmatch(origin)
    if parts is None or not origin.isascii() or origin != origin.lower():
        raise ValueError(
            "an origin is http:// or https://, a host in lower case and perhaps a port, "
            "without a slash at the end, as in https://my-example.exosphere.app"
        )
    if (port := parts["port"]) is not None:
        if port == _DEFAULT_PORT[parts["scheme"]]:
            raise ValueError("browsers leave the scheme's own port out of an origin: do so too")
        if port.startswith("0") or len(port) > 5 or int(port) > 65535:
            raise ValueError("the port of an origin is a number between 1 and 65535")
    try:
        address = host_address(parts["host"])
    except (BadRequest, TargetNotAllowed):
        raise ValueError("the host of an origin is a host name or an IP address") from None
    # Only IPv6 has several spellings.
    if address is not None and parts["host"].strip("[]") != str(address):
        raise ValueError(f"browsers write this address as [{address}]: do so too")
    return origin
