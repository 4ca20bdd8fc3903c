"""What a site learns of an answer's content, and that the client's answer stays as it is."""

import gzip
import tracemalloc
import zlib
from collections.abc import Callable

import brotli  # type: ignore[import-untyped] # without annotations; nobody publishes any
import pytest
import zstandard

from engine_room import NAME, Room, engine_room, settled
from exoproxy.proxy.observation import (
    BROKEN_CODING,
    LONGEST,
    TOO_LARGE,
    TOO_MANY,
    UNKNOWN_CODING,
    Held,
    observation_of,
)
from heads import answer as head_of
from memory import left_by
from messages import Message
from peers import answer, request, until

CONTENT = b'{"token": {"catalog": []}}' * 100
CREATED = b"201 Created"
ENCODERS: dict[str, Callable[[bytes], bytes]] = {
    "gzip": gzip.compress,
    "X-GZip": gzip.compress,
    "deflate": zlib.compress,
    "br": brotli.compress,
    "zstd": zstandard.compress,
}


class Reader:
    """An observer that remembers what it was told."""

    status = 201

    def __init__(self) -> None:
        self.told: list[bytes | str] = []

    def read(self, content: bytes) -> None:
        self.told.append(content)

    def missed(self, reason: str) -> None:
        self.told.append(reason)


def observed(content: bytes, *fields: str, parts: int = 1) -> list[bytes | str]:
    """Return what an observer is told of an answer with status 201."""
    reader = Reader()
    observation = observation_of(reader, head_of("HTTP/1.1 201 Created", *fields), Held())
    if observation is not None:
        size = -(-len(content) // parts) or 1
        for at in range(0, len(content), size):
            observation.feed(content[at : at + size])
        observation.end()
    return reader.told


@pytest.mark.parametrize("parts", [1, 7])
def test_reads_the_content_as_a_whole(parts: int) -> None:
    """However many parts it came in."""
    assert observed(CONTENT, parts=parts) == [CONTENT]
    assert observed(b"") == [b""]


@pytest.mark.parametrize("coding", ENCODERS)
def test_reads_what_an_upstream_has_encoded(coding: str) -> None:
    """By each coding that browsers accept."""
    encoded = ENCODERS[coding](CONTENT)

    assert observed(encoded, f"Content-Encoding: {coding}", parts=3) == [CONTENT]


@pytest.mark.parametrize("status", ["200 OK", "204 No Content", "300 Multiple Choices", "401 No"])
def test_reads_no_other_status(status: str) -> None:
    """Nor says anything about it."""
    reader = Reader()

    head = head_of(f"HTTP/1.1 {status}", "Content-Encoding: x")

    assert observation_of(reader, head, Held()) is None
    assert reader.told == []


@pytest.mark.parametrize(
    "fields",
    [
        ["Content-Encoding: compress"],
        ["Content-Encoding: gzip, gzip"],
        ["Content-Encoding: gzip", "Content-Encoding: br"],
        ["Content-Encoding:"],
    ],
    ids=repr,
)
def test_reads_no_other_coding(fields: list[str]) -> None:
    """Several are none that any server of an API uses."""
    assert observed(CONTENT, *fields) == [UNKNOWN_CODING]


@pytest.mark.parametrize("coding", ENCODERS)
def test_broken_content_is_told(coding: str) -> None:
    """What is not in the coding that it claims."""
    assert observed(b"\x00" + CONTENT, f"Content-Encoding: {coding}") == [BROKEN_CODING]


@pytest.mark.parametrize("coding", ENCODERS)
def test_cut_content_is_no_more_than_there_is(coding: str) -> None:
    """Its reader finds the end missing."""
    encoded = ENCODERS[coding](CONTENT)
    (found,) = observed(encoded[: len(encoded) // 2], f"Content-Encoding: {coding}")

    assert isinstance(found, bytes)
    assert CONTENT.startswith(found)
    assert found != CONTENT


def test_content_up_to_the_bound_is_read() -> None:
    """And not a byte more, as it came or as it decodes."""
    full = bytes(LONGEST)

    assert observed(full, parts=5) == [full]
    assert observed(full + b"x", parts=5) == [TOO_LARGE]
    for coding, encode in ENCODERS.items():
        field = f"Content-Encoding: {coding}"

        assert observed(encode(full), field) == [full]
        assert observed(encode(full + b"x"), field) == [TOO_LARGE]


@pytest.mark.parametrize("coding", ENCODERS)
def test_a_bomb_takes_bounded_memory(coding: str) -> None:
    """Twenty times the bound in a few kilobytes."""
    bomb = ENCODERS[coding](bytes(20 * LONGEST))
    peaks: list[int] = []

    def work(number: int) -> None:
        assert observed(bomb, f"Content-Encoding: {coding}") == [TOO_LARGE]
        peaks.append(tracemalloc.get_traced_memory()[1])

    left_by(work, times=2)

    assert max(peaks) < 12 * LONGEST


def test_too_much_is_not_kept_meanwhile() -> None:
    """From the bound on nothing is remembered, however much comes."""
    reader = Reader()
    observation = observation_of(reader, head_of("HTTP/1.1 201 Created"), Held())
    assert observation is not None

    def work(number: int) -> None:
        observation.feed(bytes(LONGEST // 2))

    assert left_by(work, times=20) < LONGEST // 4
    observation.end()
    assert reader.told == [TOO_LARGE]


def test_tiny_parts_take_no_more_than_they_hold() -> None:
    """An upstream may send two bytes at a time, each a chunk: they are not kept one by one."""
    observation = observation_of(Reader(), head_of("HTTP/1.1 201 Created"), Held())
    assert observation is not None

    def work(number: int) -> None:
        for _ in range(5_000):
            observation.feed(b"%02d" % number)

    assert left_by(work, times=20) < 2 * 5_000 * 20 * 2


def test_all_together_hold_a_bounded_amount() -> None:
    """The largest are given up, and what is small is read all the same."""
    held, large, small = Held(10_000), Reader(), Reader()
    head = head_of("HTTP/1.1 201 Created")
    every = [observation_of(reader, head, held) for reader in (large, large, small, large)]
    for number in range(1, 101):
        for observation, size in zip(every, (80, 90, 3, 100), strict=True):
            assert observation is not None
            observation.feed(bytes(size))

            assert held.size <= 10_000, number
    for observation in every:
        assert observation is not None
        observation.end()

    assert small.told == [bytes(300)]
    assert large.told.count(TOO_MANY) == 2
    assert held.size == 0


# On its way through the engine.


async def through(room: Room, sent: bytes, *fields: tuple[bytes, bytes]) -> Message:
    """Let the upstream answer with these bytes; return what the client got."""
    client, there = await room.asked(request(NAME, *fields))
    there.send(sent)
    got = await client.message()
    await settled()
    return got


@pytest.mark.parametrize("coding", ["", *ENCODERS])
async def test_the_client_gets_the_same(coding: str) -> None:
    """Observed or not, byte for byte, and the observer all of it."""
    content = ENCODERS[coding](CONTENT) if coding else CONTENT
    fields = [(b"Content-Encoding", coding.encode())] if coding else []
    got = []
    for observer in (Reader(), None):
        async with engine_room(observer=observer) as room:
            got.append(await through(room, answer(content, *fields, status=CREATED)))
        if observer is not None:
            assert observer.told == [CONTENT]

    assert got[0] == got[1]
    assert got[0].content == content


async def test_what_the_engine_compresses_is_read_before() -> None:
    """The observer reads what the upstream sent, not what the client gets."""
    reader = Reader()
    json = (b"Content-Type", b"application/json")
    async with engine_room(observer=reader) as room:
        sent = answer(CONTENT, json, status=CREATED)
        got = await through(room, sent, (b"Accept-Encoding", b"gzip"))

    assert gzip.decompress(got.content) == CONTENT
    assert reader.told == [CONTENT]


async def test_content_in_parts_passes_as_it_comes() -> None:
    """The first part is with the client before the last has come, and is read with it."""
    reader = Reader()
    async with engine_room(observer=reader) as room:
        client, there = await room.asked()
        there.send(b"HTTP/1.1 201 Created\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n")
        await client.head()

        assert await client.read(8) == b"3\r\nabc\r\n"
        await settled()
        assert reader.told == []

        there.send(b"3\r\ndef\r\n0\r\n\r\n")
        await client.read(13)
        await settled()

    assert reader.told == [b"abcdef"]


async def test_a_request_that_follows_finds_it_read() -> None:
    """What the answer taught is known when the client has it."""
    reader = Reader()
    async with engine_room(observer=reader) as room:
        client, there = await room.asked()
        there.send(answer(CONTENT, status=CREATED))
        await client.message()
        client.send(request(NAME))
        await there.head()

        assert reader.told == [CONTENT]


async def test_nothing_is_read_where_the_client_leaves() -> None:
    """The rest of the answer does not come here any more."""
    reader = Reader()
    async with engine_room(observer=reader) as room:
        client, there = await room.asked()
        there.send(b"HTTP/1.1 201 Created\r\nContent-Length: 9\r\n\r\nabc")
        await client.head()
        client.close()
        await there.ended()

    assert reader.told == []


async def test_nothing_is_read_of_an_answer_that_breaks_off() -> None:
    """Half a catalogue is none."""
    reader = Reader()
    async with engine_room(observer=reader) as room:
        client, there = await room.asked()
        there.send(b"HTTP/1.1 201 Created\r\nContent-Length: 9\r\n\r\nabc")
        await client.head()
        there.close()
        await client.ended()

    assert reader.told == []


async def test_an_answer_without_content_is_not_read() -> None:
    """As to HEAD."""
    reader = Reader()
    async with engine_room(observer=reader) as room:
        client, there = await room.asked(request(NAME, line=b"HEAD / HTTP/1.1"))
        there.send(b"HTTP/1.1 201 Created\r\nContent-Length: 9\r\n\r\n")
        await client.message(bodyless=True)
        await settled()

    assert reader.told == []


@pytest.mark.parametrize("leaves", ["client", "upstream"])
async def test_an_answer_that_breaks_off_is_let_go(leaves: str) -> None:
    """Nothing of it is held or read, whoever has left."""
    reader = Reader()
    async with engine_room(observer=reader) as room:
        client, there = await room.asked()
        there.send(b"HTTP/1.1 201 Created\r\nContent-Length: 2000\r\n\r\n" + bytes(1000))
        await client.head()
        held = room.engine.observed.size
        (client if leaves == "client" else there).close()
        await until(lambda: not room.engine.observed.size)

    assert (held, reader.told) == (1000, [])
