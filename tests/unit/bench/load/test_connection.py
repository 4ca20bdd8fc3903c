import asyncio

import pytest

from bench.load.connection import Connection, message, request
from bench.stand_ins import echoes


@pytest.mark.parametrize("size", [0, 125, 126, 128, 65_535, 65_536])
def test_message_comes_back_as_it_is_expected(size: int) -> None:
    """Client and stand-in agree on each form of a frame's length, fed whole or in two parts."""
    sent, expected = message(size)
    buffer = bytearray(sent[:-1])

    assert echoes(buffer) == b""
    buffer += sent[-1:] + sent

    assert echoes(buffer) == expected * 2
    assert not buffer


def test_request_names_its_host_once() -> None:
    """A field takes the place of the host, and a content brings its length."""
    asked = request("/sink", {"Host": "other"}, method="PUT", content=b"four")

    assert asked == b"PUT /sink HTTP/1.1\r\nHost: other\r\nContent-Length: 4\r\n\r\nfour"


@pytest.mark.parametrize(
    "wire",
    [
        b"HTTP/1.1 201 OK\r\ncontent-length: 5\r\n\r\nright",
        b"HTTP/1.1 201 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nri\r\n3\r\nght\r\n0\r\n\r\n",
    ],
)
async def test_both_framings_are_read_to_the_end(wire: bytes) -> None:
    """The answer's content is whole, and the next answer begins where it ends."""
    reader = asyncio.StreamReader()
    reader.feed_data(wire + wire)
    connection = Connection(reader, _Sink())

    first, second = await connection.ask(b""), await connection.ask(b"")

    assert first == second
    assert (first.status, first.text) == (201, b"right")


class _Sink(asyncio.StreamWriter):
    """A writer that nothing leaves."""

    def __init__(self) -> None:
        pass

    def __del__(self) -> None:
        pass

    def write(self, data: object) -> None:
        pass

    async def drain(self) -> None:
        pass
