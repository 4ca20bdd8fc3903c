"""The PROXY header, versions 1 and 2: who the client of a balancer in front of us is.

The specification is HAProxy's `proxy-protocol.txt`; its section numbers are named below. What is
not here: who may send the header, and reading it from a socket (`net.listen`, which calls `read`).
"""

from collections.abc import Callable
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address
from typing import Final

from exoproxy.errors import BadRequest

_V1: Final = b"PROXY "
_V2: Final = b"\r\n\r\n\x00\r\nQUIT\n"

# Section 2.1: the longest line of version 1, its CRLF included.
_V1_LONGEST: Final = 107
_V2_FIXED: Final = 16

# Section 2.2: the upper four bits are the version, the lower four the command.
_LOCAL: Final = 0x20
_PROXY: Final = 0x21

# Section 2.2: family and protocol -> length of one address in the address block. Ports follow the
# two addresses of the internet families. "Receivers must drop connections presenting unexpected
# values": whatever is not in the table.
_UNSPEC: Final = 0x00
_INTERNET: Final[dict[int, tuple[int, Callable[[bytes], IPv4Address | IPv6Address]]]] = {
    0x11: (4, IPv4Address),
    0x12: (4, IPv4Address),
    0x21: (16, IPv6Address),
    0x22: (16, IPv6Address),
}
_UNIX: Final = frozenset({0x31, 0x32})
_UNIX_BLOCK: Final = 216


@dataclass(frozen=True, slots=True, kw_only=True)
class ProxyHeader:
    """A complete header.

    `length` counts its bytes: what follows them is the connection's own. `address` and `port` are
    the client's; `address` is None when the header speaks of none (UNKNOWN, LOCAL, UNSPEC, a Unix
    socket), and the connection's own address is meant.
    """

    length: int
    address: IPv4Address | IPv6Address | None = None
    port: int = 0


def read(data: bytes) -> ProxyHeader | None:
    """Read the header at the start of a connection.

    None: `data` is a part of a header, all of it, and more is needed. Raises BadRequest for what
    can't become a header.
    """
    if data.startswith(_V2):
        return _read_v2(data)
    if data.startswith(_V1):
        return _read_v1(data)
    if _V1.startswith(data) or _V2.startswith(data):
        return None
    raise BadRequest("The connection does not begin with a PROXY header.")


def _read_v1(data: bytes) -> ProxyHeader | None:
    """Read `PROXY TCP4 192.0.2.1 198.51.100.1 56324 443` and its CRLF (section 2.1)."""
    end = data.find(b"\r\n", 0, _V1_LONGEST)
    if end < 0:
        if len(data) >= _V1_LONGEST:
            raise BadRequest("The PROXY header's line is too long.")
        return None
    length = end + 2
    words = data[len(_V1) : end].split(b" ")
    if words[0] == b"UNKNOWN":
        return ProxyHeader(length=length)
    if len(words) != 5 or words[0] not in {b"TCP4", b"TCP6"}:
        raise BadRequest("The PROXY header's line is not of the form that version 1 has.")
    make = IPv4Address if words[0] == b"TCP4" else IPv6Address
    address = _v1_address(words[1], make)
    _v1_address(words[2], make)
    port = _v1_port(words[3])
    _v1_port(words[4])
    return ProxyHeader(length=length, address=address, port=port)


def _v1_address(
    word: bytes, make: Callable[[str], IPv4Address | IPv6Address]
) -> IPv4Address | IPv6Address:
    # A scope (fe80::1%eth0) means nothing outside the host that wrote it.
    if b"%" not in word:
        try:
            return make(word.decode("ascii"))
        except ValueError:
            pass
    raise BadRequest("The PROXY header holds an address that is none.")


def _v1_port(word: bytes) -> int:
    # Section 2.1: "in the range [0..65535] without leading zeros".
    if word.isdigit() and len(word) <= 5 and (word == b"0" or word[:1] != b"0"):
        port = int(word)
        if port <= 65535:
            return port
    raise BadRequest("The PROXY header holds a port that is none.")


def _read_v2(data: bytes) -> ProxyHeader | None:
    """Read the binary header (section 2.2)."""
    if len(data) < _V2_FIXED:
        # Judged as early as it is there, so that a wrong sender doesn't keep us waiting.
        if len(data) > len(_V2):
            _command(data[len(_V2)])
        return None
    command = _command(data[12])
    family = data[13]
    length = _V2_FIXED + int.from_bytes(data[14:16], "big")
    if command == _PROXY and family not in _INTERNET and family not in _UNIX and family != _UNSPEC:
        raise BadRequest("The PROXY header's address family is not known.")
    if len(data) < length:
        return None
    if command == _LOCAL or family == _UNSPEC:
        # "The receiver must ignore the address block": no telling where TLVs would begin.
        return ProxyHeader(length=length)
    block = data[_V2_FIXED:length]
    if family in _UNIX:
        _check_tlvs(block, _UNIX_BLOCK)
        return ProxyHeader(length=length)
    size, make = _INTERNET[family]
    _check_tlvs(block, 2 * size + 4)
    return ProxyHeader(
        length=length,
        address=make(block[:size]),
        port=int.from_bytes(block[2 * size : 2 * size + 2], "big"),
    )


def _command(byte: int) -> int:
    if byte not in {_LOCAL, _PROXY}:
        raise BadRequest("The PROXY header's version or command is not known.")
    return byte


def _check_tlvs(block: bytes, offset: int) -> None:
    """Check that type-length-value triples fill the block from `offset` on (section 2.2.1).

    None of them is used; one that runs past the end shows that sender and receiver disagree about
    where the connection's own bytes begin.
    """
    if len(block) < offset:
        raise BadRequest("The PROXY header is too short for its addresses.")
    while offset < len(block):
        if len(block) < offset + 3:
            raise BadRequest("The PROXY header ends within an extension.")
        offset += 3 + int.from_bytes(block[offset + 1 : offset + 3], "big")
    if offset != len(block):
        raise BadRequest("The PROXY header ends within an extension.")
