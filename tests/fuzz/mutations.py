"""Small, hostile changes to a request, drawn from a seeded source.

The operators are those with which differences between parsers were found again and again: bytes
lost and doubled, line ends and white space in odd places, fields doubled, swapped, folded and
renamed, numbers and chunk sizes changed, framing fields added.
"""

import re
from collections.abc import Callable, Sequence
from random import Random
from typing import Final

ODD: Final = (
    b"\r", b"\n", b"\r\n", b"\n\r", b"\r\n\r\n", b"\x00", b" ", b"\t", b"\x0b", b"\x0c", b"\x7f",
    b"\x85", b"\xa0", b",", b";", b":", b"=", b'"', b"\\", b"#", b"?", b"/", b"+", b"-", b"_", b"0",
    b"0x", b"0\r\n\r\n", b"\xff", b"chunked", b"identity", b"HTTP/1.0", b"GET / HTTP/1.1\r\n",
)  # fmt: skip
FRAMING: Final = (
    b"Content-Length: 0", b"Content-Length: 5", b"Content-Length: 1000", b"content-length:5",
    b"Content-Length: +5", b"Content-Length: 5, 5", b"Content_Length: 5", b"Content-Length : 5",
    b"Transfer-Encoding: chunked", b"Transfer-Encoding:chunked", b"transfer-encoding: CHUNKED",
    b"Transfer-Encoding: identity", b"Transfer-Encoding: x, chunked", b"Transfer-Encoding : x",
    b"Transfer-Encoding: chunked\r\n ", b"Transfer_Encoding: chunked", b"TE: chunked",
    b"Transfer-Encoding:\x0bchunked", b"Transfer-Encoding: chunked\x00", b"Trailer: Content-Length",
    b"Connection: close", b"Connection: content-length", b"Connection: transfer-encoding",
    b"Upgrade: h2c", b"Expect: 100-continue", b"Host: b",
)  # fmt: skip
NUMBER: Final = re.compile(rb"[0-9A-Fa-f]+")

Mutation = Callable[[bytes, Random], bytes]


def _at(data: bytes, random: Random) -> int:
    return random.randrange(len(data) + 1)


def duplicate_byte(data: bytes, random: Random) -> bytes:
    at = _at(data, random)
    return data[:at] + data[at : at + 1] + data[at:]


def remove_byte(data: bytes, random: Random) -> bytes:
    at = _at(data, random)
    return data[:at] + data[at + 1 :]


def replace_byte(data: bytes, random: Random) -> bytes:
    at = _at(data, random)
    return data[:at] + random.randbytes(1) + data[at + 1 :]


def replace_by_odd(data: bytes, random: Random) -> bytes:
    at = _at(data, random)
    return data[:at] + random.choice(ODD) + data[at + 1 :]


def insert_odd(data: bytes, random: Random) -> bytes:
    at = _at(data, random)
    return data[:at] + random.choice(ODD) + data[at:]


def insert_at_line_end(data: bytes, random: Random) -> bytes:
    lines = data.split(b"\r\n")
    at = random.randrange(len(lines))
    odd = random.choice(ODD)
    lines[at] = random.choice((lines[at] + odd, odd + lines[at]))
    return b"\r\n".join(lines)


def change_line_end(data: bytes, random: Random) -> bytes:
    lines = data.split(b"\r\n")
    at = random.randrange(len(lines))
    end = random.choice((b"\n", b"\r", b"\r\r\n", b"", b"\n\n", b"\r\n\r\n"))
    return b"\r\n".join(lines[:at]) + end + b"\r\n".join(lines[at:])


def duplicate_line(data: bytes, random: Random) -> bytes:
    lines = data.split(b"\r\n")
    at = random.randrange(len(lines))
    return b"\r\n".join([*lines[: at + 1], *lines[at:]])


def swap_lines(data: bytes, random: Random) -> bytes:
    lines = data.split(b"\r\n")
    one, other = random.randrange(len(lines)), random.randrange(len(lines))
    lines[one], lines[other] = lines[other], lines[one]
    return b"\r\n".join(lines)


def remove_line(data: bytes, random: Random) -> bytes:
    lines = data.split(b"\r\n")
    del lines[random.randrange(len(lines))]
    return b"\r\n".join(lines)


def fold_line(data: bytes, random: Random) -> bytes:
    at = _at(data, random)
    return data[:at] + b"\r\n" + random.choice((b" ", b"\t")) + data[at:]


def swap_case(data: bytes, random: Random) -> bytes:
    at = _at(data, random)
    return data[:at] + data[at : at + 12].swapcase() + data[at + 12 :]


def change_number(data: bytes, random: Random) -> bytes:
    """Change one number, hexadecimal or not: lengths, sizes, versions and ports are all numbers."""
    numbers = list(NUMBER.finditer(data))
    if not numbers:
        return data
    found = random.choice(numbers)
    value = int(found[0], 16)
    changed = random.choice(
        (
            b"%x" % (value + 1),
            b"%x" % max(0, value - 1),
            b"%d" % value,
            b"0" + found[0],
            b"0x" + found[0],
            b"+" + found[0],
            b"-" + found[0],
            b" " + found[0],
            found[0] + b" ",
            found[0] + b";a=b",
            found[0] + b"_0",
            b"f" * 16,
            b"1" + 16 * b"0",
            b"",
        )
    )
    return data[: found.start()] + changed + data[found.end() :]


def add_framing(data: bytes, random: Random) -> bytes:
    lines = data.split(b"\r\n")
    at = random.randint(1, max(1, min(len(lines) - 1, 4)))
    return b"\r\n".join([*lines[:at], random.choice(FRAMING), *lines[at:]])


MUTATIONS: Final[Sequence[Mutation]] = (
    duplicate_byte,
    remove_byte,
    replace_byte,
    replace_by_odd,
    insert_odd,
    insert_at_line_end,
    change_line_end,
    duplicate_line,
    swap_lines,
    remove_line,
    fold_line,
    swap_case,
    change_number,
    add_framing,
)


def mutate(data: bytes, random: Random) -> bytes:
    """Return `data` after one to three changes."""
    for _ in range(random.choice((1, 1, 1, 2, 2, 3))):
        data = random.choice(MUTATIONS)(data, random)
    return data


def cut(data: bytes, random: Random) -> list[bytes]:
    """Return `data` in up to six pieces."""
    ends = sorted(_at(data, random) for _ in range(random.randrange(6)))
    return [data[a:b] for a, b in zip([0, *ends], [*ends, len(data)], strict=True)]
