"""Every case of answers through real sockets, and that the next answer is the right one again."""

import pytest

from cases import RESPONSES, Case
from harness.answers import answers_in, as_content, finals_in, is_head, problem_in
from harness.between import Between
from harness.peer import Peer, send
from harness.upstream import Respond, UpstreamPeer
from messages import Message, read_message
from wire_reading import read_answer

# What is longer is sent in one piece only; the unit tests feed it byte by byte.
LONG = 1000

AGAIN = b"GET /again HTTP/1.1\r\nHost: a\r\n\r\n"
PLAIN = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
PLAIN_MESSAGE, _ = read_message(PLAIN)


def respond_once(case: Case, feeding: str) -> Respond:
    """Answer with the case first, and plainly from then on."""
    answered: list[UpstreamPeer] = []

    async def answer(peer: UpstreamPeer) -> None:
        await send(peer, case.input, feeding)
        if case.fin:
            peer.close()

    def respond(peer: UpstreamPeer, request: Message) -> None:
        if answered:
            peer.send(PLAIN)
        else:
            peer.upstream.spawn(answer(peer))
        answered.append(peer)

    return respond


async def again(client: Peer) -> Message:
    """Return the answer to one more request on the same connection."""
    client.received = b""
    client.send(AGAIN)
    await client.until(lambda: answers_in(client, [AGAIN])[0] or client.ended)
    return answers_in(client, [AGAIN])[0][0]


async def problem_for(client: Peer) -> tuple[int, str]:
    """Return status and code of the proxy's own answer, behind interim ones or not."""
    await client.until(lambda: finals_in(client))
    at = client.received.rindex(b"HTTP/1.1 ")
    return problem_in(client.received[at:])[:2]


def fed(*verdicts: str) -> pytest.MarkDecorator:
    """Parametrize a test by `case` and `feeding`."""
    rows = [
        pytest.param(case, feeding, id=f"{case.id}-{feeding}")
        for case in RESPONSES
        if case.verdict in verdicts
        for feeding in ("whole", "bytewise")
        if feeding == "whole" or len(case.input) < LONG
    ]
    return pytest.mark.parametrize(("case", "feeding"), rows)


def has_bytes_behind(case: Case) -> bool:
    """Return whether more comes than the answer: such a connection must not be used again."""
    method = case.request.split(b" ")[0]
    return read_answer([case.input], method=method, fin=case.fin).rest != b""


@fed("accept")
async def test_answer_accepted(case: Case, feeding: str, between: Between) -> None:
    """The client gets the answer as it should, and the right one to its next request."""
    proxy, upstream = between
    upstream.respond = respond_once(case, feeding)
    expected = [
        as_content(read_message(one, bodyless=is_head(case.request), fin=True)[0])
        for one in case.delivered
    ]

    client = await proxy.connect()
    client.send(case.request)
    await client.until(
        lambda: client.ended or len(answers_in(client, [case.request])[0]) >= len(expected)
    )
    found, rest = answers_in(client, [case.request])
    await upstream.settled()

    assert [as_content(message) for message in found] == expected
    assert rest == b""
    assert b"CANARY" not in client.received
    if b" HTTP/1.0" in case.request:
        await client.until_ended()
    else:
        assert await again(client) == PLAIN_MESSAGE
    if has_bytes_behind(case):
        await upstream.peers[0].until_ended()
    client.close()


@fed("reject", "refuse")
async def test_answer_rejected(case: Case, feeding: str, between: Between) -> None:
    """An answer that breaks the rules becomes a 502, and its connection is never used again."""
    proxy, upstream = between
    upstream.respond = respond_once(case, feeding)

    client = await proxy.connect()
    client.send(case.request)
    status, code = await problem_for(client)
    await upstream.until_all_ended()

    assert (status, code) == (case.status, case.code)
    assert await again(client) == PLAIN_MESSAGE
    client.close()


@fed("cut")
async def test_answer_cut(case: Case, feeding: str, between: Between) -> None:
    """An answer that its upstream does not complete is never completed for the client."""
    proxy, upstream = between
    upstream.respond = respond_once(case, feeding)

    client = await proxy.connect()
    client.send(case.request)
    if case.status is None:
        await client.until(lambda: client.ended or finals_in(client))
        if not case.fin and finals_in(client):
            # The fault came in one segment with the head, before anything was passed on.
            assert problem_in(client.received)[:2] == (502, "upstream-answer")
        else:
            assert (client.ended, finals_in(client)) == ("broken", [])
    else:
        assert await problem_for(client) == (case.status, case.code)
        assert await again(client) == PLAIN_MESSAGE
    client.close()
    await upstream.settled()


GET = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"
HEAD = b"HEAD / HTTP/1.1\r\nHost: a\r\n\r\n"


@pytest.mark.parametrize(
    ("request_", "answer", "kept"),
    [
        (GET, b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok", True),
        (GET, b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n", True),
        (GET, b"HTTP/1.1 204 No Content\r\n\r\n", True),
        (GET, b"HTTP/1.1 304 Not Modified\r\nETag: x\r\n\r\n", True),
        (GET, b"HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\n\r\n", False),
        (GET, b"HTTP/1.1 204 No Content\r\nContent-Length: 5\r\n\r\n", False),
        (GET, b"HTTP/1.1 205 Reset Content\r\nTransfer-Encoding: chunked\r\n\r\n", False),
        (HEAD, b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n", False),
        (HEAD, b"HTTP/1.1 200 OK\r\n\r\n", False),
        (GET, b"HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nok", False),
        (GET, b"HTTP/1.1 200 OK\r\nConnection: x, Close\r\nContent-Length: 2\r\n\r\nok", False),
    ],
)
async def test_connection_kept(
    request_: bytes, answer: bytes, kept: bool, between: Between
) -> None:
    """An upstream's connection is used again only where no content can be on its way behind."""
    proxy, upstream = between
    answers = [answer]
    upstream.respond = lambda peer, request: peer.send(answers.pop() if answers else PLAIN)

    client = await proxy.connect()
    client.send(request_)
    await client.until(lambda: answers_in(client, [request_])[0])

    assert await again(client) == PLAIN_MESSAGE
    assert len(upstream.peers) == (1 if kept else 2)
    client.close()
