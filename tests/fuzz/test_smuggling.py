"""Whatever is let through is read by the next server as the same requests: as many, with the same
method, target, fields and content, and nothing in between.

The next server is h11, a second strict parser, written by others. Inputs are the accepted cases of
`tests/wire_cases` after a few hostile changes, one behind another; the changes come from a seed, so
that a failure comes back.
"""

from collections.abc import Iterable
from random import Random

import h11
import pytest

from cases import REQUESTS
from exoproxy.errors import ProxyError
from exoproxy.wire.fields import Fields, encode
from exoproxy.wire.framing import LAST_CHUNK, chunk
from fuzz.mutations import cut, mutate
from messages import FRAMING_FIELDS, Message
from wire_reading import Reading, RequestsReading

BATCHES = 10
PER_BATCH = 1000

CORPUS = [
    case.input
    for case in REQUESTS
    if case.verdict in {"accept", "tunnel"} and len(case.input) < 2000
]
MARKED = b"POST /marked HTTP/1.1\r\nHost: a\r\nContent-Length: 6\r\n\r\nmarked"


def read(pieces: Iterable[bytes], *, upgrades: bool = True) -> tuple[Reading, bool]:
    """Return what was read before the first error, and whether there was one."""
    reader = RequestsReading(upgrades=upgrades)
    try:
        for piece in pieces:
            reader.feed(piece)
    except ProxyError:
        return reader.reading, True
    return reader.reading, False


def write(message: Message) -> bytes:
    """Return a request as it goes upstream: its framing is made anew from what was read."""
    head = message.line + b"\r\n" + encode(message.fields)
    if message.upgrade:
        head += b"Connection: Upgrade\r\nUpgrade: websocket\r\n"
    if message.framing == "length":
        return head + b"Content-Length: %d\r\n\r\n" % len(message.content) + message.content
    if message.framing == "chunked":
        content = chunk(message.content) if message.content else b""
        return head + b"Transfer-Encoding: chunked\r\n\r\n" + content + LAST_CHUNK
    return head + b"\r\n"


Seen = tuple[bytes, bytes, list[tuple[bytes, bytes]], bytes]


def read_by_h11(data: bytes, *, between: bytes = b"") -> tuple[list[Seen], bool]:
    """Return the requests that h11 finds, and whether `data` consists of them and nothing else.

    `between` may stand once before each request.
    """
    seen: list[Seen] = []
    while data:
        connection = h11.Connection(h11.SERVER, max_incomplete_event_size=1 << 20)
        connection.receive_data(data.removeprefix(between))
        try:
            request = connection.next_event()
            content = b""
            while isinstance(event := connection.next_event(), h11.Data):
                content += bytes(event.data)
        except h11.RemoteProtocolError:
            return seen, False
        if not isinstance(request, h11.Request) or not isinstance(event, h11.EndOfMessage):
            return seen, False
        fields = Fields((bytes(name), bytes(value)) for name, value in request.headers.raw_items())
        pairs = fields.end_to_end(frozenset(FRAMING_FIELDS))
        seen.append((request.method, request.target, pairs, content))
        data = connection.trailing_data[0]
    return seen, True


def as_seen(message: Message) -> Seen:
    method, target, _ = message.line.split(b" ")
    return method, target, list(message.fields), message.content


@pytest.mark.parametrize("batch", range(BATCHES))
def test_same_requests_behind_the_proxy(batch: int) -> None:
    """What is accepted and written anew is read by h11 as the same requests."""
    random = Random(f"smuggling {batch}")
    accepted = refused = 0
    for _ in range(PER_BATCH):
        data = mutate(random.choice(CORPUS), random) + random.choice((b"", MARKED))
        reading, error = read([data])
        accepted += len(reading.messages)
        refused += error
        forwarded = b"".join(write(message) for message in reading.messages)
        seen, complete = read_by_h11(forwarded)

        assert (seen, complete) == ([as_seen(one) for one in reading.messages], True), data

    # Both happen often, or the changes prove nothing.
    assert accepted > PER_BATCH / 5
    assert refused > PER_BATCH / 5


@pytest.mark.parametrize("batch", range(BATCHES))
def test_same_requests_before_the_proxy(batch: int) -> None:
    """Of the bytes as they came, h11 reads every request that we read, with the same content."""
    random = Random(f"boundaries {batch}")
    compared = 0
    for _ in range(PER_BATCH):
        data = mutate(random.choice(CORPUS), random) + MARKED
        reading, _ = read([data])
        # The one thing that is tolerated here and not by h11 is an empty line.
        seen, _ = read_by_h11(data, between=b"\r\n")
        ours = [(one.line.split(b" ")[0], one.content) for one in reading.messages]
        theirs = [(method, content) for method, _, _, content in seen]
        compared += len(ours)

        assert ours == theirs[: len(ours)], data

    assert compared > PER_BATCH / 5


@pytest.mark.parametrize("batch", range(BATCHES))
def test_same_requests_in_any_pieces(batch: int) -> None:
    """Where the segments end changes nothing of what is read, nor whether it is refused."""
    random = Random(f"pieces {batch}")
    for _ in range(PER_BATCH):
        data = mutate(random.choice(CORPUS), random) + MARKED

        assert outcome(read([data])) == outcome(read(cut(data, random))), data


def outcome(result: tuple[Reading, bool]) -> tuple[list[Message], bytes, bool, bool]:
    reading, error = result
    return reading.messages, reading.rest, error or reading.partial, error
