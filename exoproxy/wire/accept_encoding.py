"""Which content coding a client takes (RFC 9110 section 12.5.3), as a pure function of values.

Asked by `proxy.compress` for answers that are encoded on their way through, and by `client.entity`
for files whose encoded forms are at hand.
"""

from collections.abc import Iterable
from functools import lru_cache
from types import MappingProxyType
from typing import Final

from exoproxy.wire.fields import Fields

IDENTITY: Final = b"identity"

# Bytes of an Accept-Encoding above which it is not looked at; browsers send 23.
_LONGEST: Final = 512
# All that is ever asked about. To remember no other names bounds what a client can make us keep.
_KNOWN: Final = frozenset({b"br", b"zstd", b"gzip", IDENTITY, b"*"})

Weights = MappingProxyType[bytes, float]


def weights(fields: Fields) -> Weights | None:
    """Return what a request says of codings; None if it says nothing, or more than is read.

    Several field lines count as one list. Malformed weights refuse their coding.
    """
    value = fields.get(b"accept-encoding")
    if value is None or len(value) > _LONGEST:
        return None
    if fields.distinct < len(fields):
        value = b",".join(fields.all(b"accept-encoding"))
    return _parsed(value) if len(value) <= _LONGEST else None


def accepts(said: Weights, coding: bytes) -> bool:
    """Tell whether a client that said this takes a coding; identity, unless it is refused."""
    unnamed = said.get(b"*", 1.0 if coding == IDENTITY else 0.0)
    return said.get(coding, unnamed) > 0


def preferred(said: Weights, offered: Iterable[bytes]) -> bytes | None:
    """Return the coding of those offered that the client likes best, None for none of them.

    Of codings that it likes equally well, the first one offered wins, and all of them win over
    identity: a client that names no weight for it leaves the choice.
    """
    others = said.get(b"*", 0.0)
    best, most = None, 0.0
    for coding in offered:
        if (weight := said.get(coding, others)) > most:
            best, most = coding, weight
    return best if most >= said.get(IDENTITY, 0.0) else None


@lru_cache(maxsize=1024)
def _parsed(value: bytes) -> Weights:
    found: dict[bytes, float] = {}
    for element in value.lower().split(b","):
        coding, _, parameter = element.partition(b";")
        if (name := coding.strip()) in _KNOWN:
            found[name] = _weight(parameter)
    return MappingProxyType(found)


def _weight(parameter: bytes) -> float:
    name, _, value = parameter.partition(b"=")
    if name.strip() != b"q":
        return 1.0
    try:
        weight = float(value)
    except ValueError:
        return 0.0
    # `nan` is a float too, and no weight.
    return weight if 0.0 <= weight <= 1.0 else 0.0
