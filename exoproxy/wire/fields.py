"""Header fields: an ordered list of (name, value) byte pairs, as they came (RFC 9110 section 5).

Names keep their case and values their bytes; look-ups are by lower-case name. What is not here: the
grammar of a head (`wire.head`) and the meaning of single fields (`rules`).
"""

from collections.abc import Iterable, Iterator
from functools import cache, lru_cache
from typing import Final

Field = tuple[bytes, bytes]

# RFC 9110 section 7.6.1, and Alt-Svc, which advertises an endpoint of the connection it came on
# (RFC 7838 section 2.4): these speak of one connection and never cross the proxy.
HOP_BY_HOP: Final = frozenset(
    {
        b"alt-svc",
        b"connection",
        b"keep-alive",
        b"proxy-authenticate",
        b"proxy-authorization",
        b"proxy-connection",
        b"te",
        b"trailer",
        b"transfer-encoding",
        b"upgrade",
    }
)
# And what frames a message: the engine writes it anew from the parsed value.
NOT_FORWARDED: Final = HOP_BY_HOP | {b"content-length"}

# Naming one of these in Connection must not remove it: they route or authorize the request.
NEVER_BY_LISTING: Final = frozenset({b"host", b"authorization"})


# What Connection lists without naming a field.
USUAL: Final = frozenset({b"close", b"keep-alive", b"upgrade"})
NOTHING: Final[frozenset[bytes]] = frozenset()
# Bytes of a list value above which its elements are not remembered.
COMMON: Final = 64


class Fields:
    """The fields of one head, in the order of the wire.

    `pairs` is the list itself; `get` and `all` take the lower-case name.
    """

    __slots__ = ("_index", "pairs")

    def __init__(self, pairs: Iterable[Field] = ()) -> None:
        self.pairs: list[Field] = list(pairs)
        # Lower-case name -> the last value. Fields that come more than once are rare: `all` looks
        # them up in the list.
        self._index: dict[bytes, bytes] = {name.lower(): value for name, value in self.pairs}

    def get(self, name: bytes) -> bytes | None:
        """Return the value of a field that comes at most once; of several, the last."""
        return self._index.get(name)

    def all(self, name: bytes) -> list[bytes]:
        """Return the values of every field line of that name, in order."""
        value = self._index.get(name)
        if value is None:
            return []
        if len(self._index) == len(self.pairs):
            return [value]
        return [value for key, value in self.pairs if key.lower() == name]

    def tokens(self, name: bytes) -> frozenset[bytes]:
        """Return the lower-case elements of a comma-separated list field, empty ones left out."""
        if name not in self._index:
            return NOTHING
        once = len(self._index) == len(self.pairs)
        joined = self._index[name] if once else b",".join(self.all(name))
        return _common_elements(joined) if len(joined) <= COMMON else _elements(joined)

    def end_to_end(self, drop: frozenset[bytes] = frozenset()) -> list[Field]:
        """Return the pairs that may cross the proxy (RFC 9110 section 7.6.1).

        Left out are the hop-by-hop fields, those that Connection lists, Content-Length, and those
        in `drop`.
        """
        gone = _not_forwarded(drop, self.tokens(b"connection"))
        return [pair for pair in self.pairs if pair[0].lower() not in gone]

    @property
    def distinct(self) -> int:
        """How many different names there are; fewer than `len` when a name comes twice."""
        return len(self._index)

    def __contains__(self, name: bytes) -> bool:
        return name in self._index

    def __iter__(self) -> Iterator[Field]:
        return iter(self.pairs)

    def __len__(self) -> int:
        return len(self.pairs)

    def __repr__(self) -> str:
        # Names only: values may be tokens and cookies, and a repr ends up in logs.
        return f"Fields({[name for name, _ in self.pairs]!r})"


def _elements(value: bytes) -> frozenset[bytes]:
    stripped = (element.strip(b" \t") for element in value.lower().split(b","))
    return frozenset(element for element in stripped if element)


# Nearly every value of Connection is one of a few.
_common_elements = lru_cache(maxsize=1024)(_elements)


def _not_forwarded(drop: frozenset[bytes], listed: frozenset[bytes]) -> frozenset[bytes]:
    gone = _with_fixed(drop)
    return gone if listed <= USUAL else gone | (listed - NEVER_BY_LISTING)


@cache
def _with_fixed(drop: frozenset[bytes]) -> frozenset[bytes]:
    """Return the union; there are as many sets to drop as there are callers."""
    return NOT_FORWARDED | drop


def encode(pairs: Iterable[Field]) -> bytes:
    """Return field lines, each with its CRLF; the caller vouches for the values' bytes."""
    # 1.6 µs for 16 fields; formatting each line takes 2.9 µs.
    return b"\r\n".join([*map(b": ".join, pairs), b""])
