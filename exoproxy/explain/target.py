"""A host or URL as a person gives it, taken apart as a browser would."""

import re
from dataclasses import dataclass
from ipaddress import ip_address
from typing import Final
from urllib.parse import quote

from exoproxy.rules.address_space import IPAddress
from exoproxy.rules.redaction import escape

# As browsers read an address: what stands before the @ is no host, what follows the # stays there.
_TARGET: Final = re.compile(
    r"(?:(?P<scheme>[A-Za-z][A-Za-z0-9+.-]*)://(?:[^/?#@]*@)?)?"
    r"(?P<host>\[[^\]/?#]*\]|[^/?#:]*)(?::(?P<port>[^/?#]*))?(?P<path>[^#]*)(?:#.*)?",
    re.DOTALL,
)
# Browsers send other characters of a path and a query percent-encoded.
_SENT_AS_IS: Final = "".join(map(chr, range(0x21, 0x7F)))


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """A host or URL, taken apart: `port` is text as written or "", `path` in origin form."""

    scheme: str
    host: str
    port: str
    path: str

    @property
    def name(self) -> str:
        """The host as sites compare it."""
        return self.host.lower().removesuffix(".")

    @property
    def shown(self) -> str:
        """The host for a terminal."""
        return escape(self.host.encode()) or "the empty name"

    @property
    def authority(self) -> str:
        """The host and port, as in a Host field."""
        return f"{self.host}:{self.port}" if self.port else self.host


def read_target(target: str) -> Asked:
    """Take a host or URL apart as a browser would; what is wrong with it, the sites find."""
    if (address := literal(target)) is not None:
        host = f"[{address}]" if address.version == 6 else target
        return Asked(scheme="https", host=host, port="", path="/")
    # Bytes of the command line that are no text of the locale come as surrogates.
    parts = _TARGET.fullmatch(target.strip().encode(errors="backslashreplace").decode())
    if parts is None:
        raise ValueError("the pattern matches anything")
    path = parts["path"]
    return Asked(
        scheme=(parts["scheme"] or "https").lower(),
        host=parts["host"],
        port=parts["port"] or "",
        path=quote(path if path.startswith("/") else f"/{path}", safe=_SENT_AS_IS),
    )


def literal(host: str) -> IPAddress | None:
    """Return the address that a text is, None if it is none."""
    try:
        return ip_address(host)
    except ValueError:
        return None
