"""As many requests reach the upstream as are answered, and each answer belongs to its request.

Hostilely changed requests through a running engine, with h11 reading on the other side. Each answer
names the request that it is for; what is not answered by the upstream is answered by the proxy, and
that is the last answer of its connection.
"""

import asyncio
from random import Random
from typing import NamedTuple

import h11
import pytest
import uvloop

from fuzz.mutations import mutate
from fuzz.test_smuggling import CORPUS, read
from harness.answers import answers_in
from harness.peer import Peer
from harness.proxy import Proxy
from messages import Message

MARKED = b"POST /marked/%d HTTP/1.1\r\nHost: a\r\nContent-Length: 6\r\n\r\nmarked"
BATCHES = 10
PER_BATCH = 1000


class Seen(NamedTuple):
    """A request as the upstream saw it."""

    method: bytes
    target: bytes
    content: bytes


class Upstream:
    """Reads by h11, and names in each answer the request that it is for."""

    def __init__(self) -> None:
        self.seen: list[Seen] = []
        self.refused: list[str] = []
        self.peers: list[H11Peer] = []


class H11Peer(Peer):
    """A connection of the upstream."""

    def __init__(self, upstream: Upstream) -> None:
        super().__init__()
        self._upstream = upstream
        self._connection = h11.Connection(h11.SERVER, max_incomplete_event_size=1 << 20)
        self._request: h11.Request | None = None
        self._content = b""
        upstream.peers.append(self)

    def data_received(self, data: bytes) -> None:
        self._connection.receive_data(data)
        try:
            self._read()
        except h11.RemoteProtocolError as error:
            self._upstream.refused.append(str(error))
            self.transport.abort()

    def _read(self) -> None:
        while True:
            event = self._connection.next_event()
            if isinstance(event, h11.Request):
                self._request, self._content = event, b""
            elif isinstance(event, h11.Data):
                self._content += bytes(event.data)
            elif isinstance(event, h11.EndOfMessage):
                self._answer()
            else:
                return

    def _answer(self) -> None:
        assert self._request is not None
        seen = Seen(self._request.method, self._request.target, self._content)
        self._upstream.seen.append(seen)
        answer = h11.Response(
            status_code=200,
            headers=[
                (b"Content-Length", b"2"),
                (b"X-Number", b"%d" % len(self._upstream.seen)),
                (b"X-Method", seen.method),
                (b"X-Target", seen.target),
                (b"X-Length", b"%d" % len(seen.content)),
            ],
        )
        self.send(self._connection.send(answer) or b"")
        if seen.method != b"HEAD":
            self.send(self._connection.send(h11.Data(data=b"ok")) or b"")
        self._connection.send(h11.EndOfMessage())
        self._connection.start_next_cycle()


def named_in(answer: Message) -> tuple[bytes, ...]:
    """Return the request that an answer names."""
    fields = dict(answer.fields)
    return tuple(fields[name] for name in (b"X-Number", b"X-Method", b"X-Target", b"X-Length"))


def is_own(answer: Message) -> bool:
    return b"X-Exoproxy-Error" in dict(answer.fields)


def as_seen(message: Message) -> Seen:
    method, target, _ = message.line.split(b" ")
    return Seen(method, target, message.content)


async def one_connection(proxy: Proxy, upstream: Upstream, data: bytes, random: Random) -> bool:
    """Send `data` on a connection of its own; return whether the proxy refused a part of it."""
    reading, _ = read([data], upgrades=False)
    before = len(upstream.seen)
    lines = [message.line for message in reading.messages]
    client = await proxy.connect()
    at = random.randrange(len(data) + 1)
    client.send(data[:at])
    await asyncio.sleep(0)
    client.send(data[at:])
    await client.until(lambda: client.ended or len(finals(client, lines)) >= len(lines))
    # Nothing is being answered any more; what is incomplete ends here.
    client.finish()
    await client.until_ended()
    client.close()
    answers, seen = finals(client, lines), upstream.seen[before:]
    sent = [as_seen(message) for message in reading.messages]
    refused = bool(answers) and is_own(answers[-1])

    assert upstream.refused == []
    # As many seen as answered, and each answer is the one to its request.
    assert [named_in(answer) for answer in answers[: len(seen)]] == [
        (b"%d" % number, one.method, one.target, b"%d" % len(one.content))
        for number, one in enumerate(seen, start=before + 1)
    ]
    assert len(answers) == len(seen) + refused
    # The upstream saw what was sent, in order, as far as the proxy did not refuse it.
    assert seen == (sent[: len(seen)] if refused else sent)
    return refused


def finals(client: Peer, lines: list[bytes]) -> list[Message]:
    """Return the answers to requests with these first lines."""
    found, _ = answers_in(client, lines)
    return [one for one in found if not one.line.startswith(b"HTTP/1.1 1")]


async def run(batch: int) -> None:
    random = Random(f"sockets {batch}")
    upstream = Upstream()
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: H11Peer(upstream), "127.0.0.1", 0)
    proxy = Proxy(server.sockets[0].getsockname()[1])
    refused = 0
    try:
        for number in range(PER_BATCH):
            marked = (
                b"POST /marked/%d HTTP/1.1\r\nHost: a\r\nContent-Length: 6\r\n\r\nmarked" % number
            )
            data = mutate(random.choice(CORPUS), random) + marked
            try:
                refused += await one_connection(proxy, upstream, data, random)
            except Exception as error:
                error.add_note(f"sent: {data!r}")
                raise
        await proxy.left_clean()
    finally:
        await proxy.stop()
        server.close()
        for peer in upstream.peers:
            peer.transport.abort()
            await peer.until_closed()

    # Both happen often, or the changes prove nothing.
    assert refused > PER_BATCH / 5
    assert len(upstream.seen) > PER_BATCH / 5


@pytest.mark.parametrize("batch", range(BATCHES))
def test_as_many_answers_as_requests(batch: int) -> None:
    """Through the whole engine no request is made out of another's bytes, and none is lost."""
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(run(batch))
