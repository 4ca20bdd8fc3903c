"""The PROXY header: the table of headers, and what holds for any bytes."""

import re
import tomllib
from ipaddress import IPv4Address, IPv6Address, ip_address
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exoproxy.errors import BadRequest
from exoproxy.wire.proxy_protocol import ProxyHeader, read

TABLE = Path(__file__).parents[2] / "wire_cases" / "proxy_protocol" / "headers.toml"
CASES: dict[str, list[dict[str, Any]]] = tomllib.loads(TABLE.read_text(encoding="utf-8"))
SIGNATURE = b"\r\n\r\n\x00\r\nQUIT\n"


def cases(kind: str) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("case", CASES[kind], ids=lambda case: case["id"])


def wire(case: dict[str, Any]) -> bytes:
    if "text" in case:
        return str(case["text"]).encode("ascii")
    unfolded = re.sub(r"\{(\d+) x (..)\}", lambda m: int(m[1]) * m[2], case["hex"])
    return bytes.fromhex(unfolded)


def expected(case: dict[str, Any]) -> ProxyHeader:
    length = len(wire(case))
    if "address" not in case:
        return ProxyHeader(length=length)
    return ProxyHeader(length=length, address=ip_address(case["address"]), port=case["port"])


@cases("header")
def test_header_is_read(case: dict[str, Any]) -> None:
    """A complete header gives the client's address and port, and its own length."""
    assert read(wire(case)) == expected(case)


@cases("header")
def test_header_ends_where_its_connection_begins(case: dict[str, Any]) -> None:
    """What follows a header changes nothing of it."""
    assert read(wire(case) + b"\r\n\x16\x03\x01") == expected(case)


@cases("header")
def test_header_in_bytes(case: dict[str, Any]) -> None:
    """Each beginning of a header asks for more, and only the whole is a header."""
    data = wire(case)

    assert [read(data[:end]) for end in range(len(data))] == [None] * len(data)


@cases("part")
def test_part_asks_for_more(case: dict[str, Any]) -> None:
    """What may still become a header asks for more."""
    assert read(wire(case)) is None


@cases("bad")
def test_bad_header_is_refused(case: dict[str, Any]) -> None:
    """What is no header is refused."""
    with pytest.raises(BadRequest):
        read(wire(case))


@cases("bad")
def test_bad_header_in_bytes_is_never_read(case: dict[str, Any]) -> None:
    """No beginning of a bad header passes for a header, and what is refused stays refused."""
    data = wire(case)
    refused = []
    for end in range(len(data) + 1):
        try:
            assert read(data[:end]) is None
            refused.append(False)
        except BadRequest:
            refused.append(True)

    assert refused == sorted(refused)
    assert refused[-1]


def encode_v1(source: IPv4Address | IPv6Address, port: int) -> bytes:
    family = "TCP4" if source.version == 4 else "TCP6"
    return f"PROXY {family} {source} {source} {port} 443\r\n".encode()


def encode_v2(source: IPv4Address | IPv6Address, port: int, extensions: list[bytes]) -> bytes:
    family = 0x11 if isinstance(source, IPv4Address) else 0x21
    block = 2 * source.packed + port.to_bytes(2, "big") + b"\x01\xbb"
    for value in extensions:
        block += b"\x05" + len(value).to_bytes(2, "big") + value
    return SIGNATURE + bytes([0x21, family]) + len(block).to_bytes(2, "big") + block


@given(source=st.ip_addresses(), port=st.integers(0, 65535))
def test_any_version_1_header_comes_back(source: IPv4Address | IPv6Address, port: int) -> None:
    """Every address and port that version 1 can write is read as it was."""
    data = encode_v1(source, port)

    assert read(data) == ProxyHeader(length=len(data), address=source, port=port)


@given(
    source=st.ip_addresses(),
    port=st.integers(0, 65535),
    extensions=st.lists(st.binary(max_size=300), max_size=4),
)
def test_any_version_2_header_comes_back(
    source: IPv4Address | IPv6Address, port: int, extensions: list[bytes]
) -> None:
    """Every address and port that version 2 can write is read as it was, past its extensions."""
    data = encode_v2(source, port, extensions)

    assert read(data) == ProxyHeader(length=len(data), address=source, port=port)


@given(
    start=st.sampled_from(
        [b"", b"PROXY ", b"PROXY TCP4 ", SIGNATURE, SIGNATURE + b"\x21\x11\x00\x0c"]
    ),
    rest=st.binary(max_size=130),
)
def test_any_bytes_are_judged(start: bytes, rest: bytes) -> None:
    """Any bytes are a header, a part of one or refused, and a header lies within them."""
    data = start + rest
    try:
        header = read(data)
    except BadRequest:
        return

    if header is not None:
        assert header.length <= len(data)
        assert read(data[: header.length]) == header
