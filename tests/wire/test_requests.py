"""Every case of requests through real sockets: what the upstream saw, and what the client got.

Clients are bare connections, the upstream is scripted; both keep every byte. What each verdict
promises is said in `cases`.
"""

from dataclasses import replace

import pytest

from cases import REQUESTS, Case
from harness.answers import answers_in, as_content, is_head, problem_in
from harness.between import Between
from harness.peer import send
from harness.upstream import Respond, UpstreamPeer
from messages import Message, read_message
from verdicts import TRAILING, fed
from wire_reading import closes, read_requests

# What is longer is sent in one piece only; the unit tests feed it byte by byte.
LONG = 1000


def select(verdict: str) -> list[Case]:
    """Return the cases of no special site."""
    return [case for case in REQUESTS if case.verdict == verdict and case.site is None]


def without_expect(message: Message) -> Message:
    """Leave out Expect: it is passed on only where content is still to come."""
    fields = tuple(field for field in message.fields if field[0] != b"Expect")
    return replace(message, fields=fields)


def respond_with(answer: bytes) -> Respond:
    def respond(peer: UpstreamPeer, request: Message) -> None:
        head, mark, _ = answer.partition(b"\r\n\r\n")
        peer.send(head + mark if is_head(request.line) else answer)

    return respond


@fed(select("accept"), bytewise_up_to=LONG)
async def test_request_accepted(case: Case, feeding: str, between: Between) -> None:
    """The upstream sees the request as it should, and its answer comes back; so does the next."""
    proxy, upstream = between
    upstream.respond = respond_with(case.answer)
    trailing = feeding == "trailing"
    ends = closes(read_requests([case.input]).heads[-1])
    requests, answers = list(case.forwarded), list(case.delivered)
    if trailing and not ends:
        requests.append(TRAILING)
        answers.append(case.answer if is_head(requests[-2]) else answers[-1])
    expected = [
        as_content(read_message(answer, bodyless=is_head(request), fin=True)[0])
        for request, answer in zip(requests, answers, strict=True)
    ]

    client = await proxy.connect()
    await send(client, case.input + (TRAILING if trailing else b""), feeding)
    await client.until(lambda: client.ended or len(answers_in(client, requests)[0]) >= len(answers))
    if not ends:
        client.finish()
    await client.until_ended()
    client.close()
    found, rest = answers_in(client, requests)

    assert [without_expect(request) for request in upstream.requests] == [
        without_expect(read_message(request)[0]) for request in requests
    ]
    assert ([as_content(message) for message in found], rest) == (expected, b"")
    assert client.ended == "clean"


@fed(select("reject"), bytewise_up_to=LONG)
async def test_request_rejected(case: Case, feeding: str, between: Between) -> None:
    """What breaks the grammar is answered and the connection closed; no upstream sees it whole."""
    proxy, upstream = between
    upstream.respond = respond_with(case.answer)

    client = await proxy.connect()
    await send(client, case.input + (TRAILING if feeding == "trailing" else b""), feeding)
    await client.until_ended()
    client.close()
    data = client.received
    for _ in case.forwarded:
        _, data = read_message(data)
    status, code, closing = problem_in(data)

    assert (status, code if case.code else None, closing) == (case.status, case.code, True)
    assert client.ended == "clean"
    await upstream.until_all_ended(but=len(case.forwarded))
    assert upstream.requests == [read_message(request)[0] for request in case.forwarded]


@pytest.mark.parametrize("case", select("refuse"), ids=str)
async def test_request_refused(case: Case, between: Between) -> None:
    """What we don't serve is answered by ourselves, and nothing is forwarded."""
    proxy, upstream = between
    upstream.respond = lambda peer, request: peer.send(case.answer)

    client = await proxy.connect()
    client.send(case.input)
    await client.until(lambda: answers_in(client, [case.input])[0])
    client.close()
    status, code, _ = problem_in(client.received)

    assert (status, code) == (case.status, case.code)
    assert upstream.requests == [read_message(request)[0] for request in case.forwarded]
    await upstream.until_all_ended()


@pytest.mark.parametrize("case", select("cut"), ids=str)
async def test_request_cut(case: Case, between: Between) -> None:
    """A request that its client does not complete is never completed upstream."""
    proxy, upstream = between

    client = await proxy.connect()
    client.send(case.input)
    if b"\r\n\r\n" in case.input:
        await upstream.until(lambda: any(b"\r\n\r\n" in peer.rest for peer in upstream.peers))
    client.finish()
    await client.until_ended()
    client.close()
    await upstream.until_all_ended()

    assert upstream.requests == []


@fed(select("tunnel"), bytewise_up_to=LONG)
async def test_tunnel(case: Case, feeding: str, between: Between) -> None:
    """Both heads arrive as they should, and every byte behind them, in both directions."""
    proxy, upstream = between

    def respond(peer: UpstreamPeer, request: Message) -> None:
        peer.tunnel = True
        peer.send(case.answer)

    upstream.respond = respond
    request, up = read_message(case.forwarded[0])
    answer, down = read_message(case.delivered[0])
    trailing = TRAILING if feeding == "trailing" else b""

    client = await proxy.connect()
    await send(client, case.input + trailing, feeding)
    await client.until(lambda: answers_in(client) == ([answer], down))
    client.send(b"up")
    peer = upstream.peers[0]
    await peer.until(lambda: peer.rest.endswith(b"up"))
    peer.send(b"down")
    await client.until(lambda: client.received.endswith(b"down"))
    client.close()
    await peer.until_ended()
    peer.close()

    assert upstream.requests == [request]
    assert peer.rest == up + trailing + b"up"
    assert read_message(client.received) == (answer, down + b"down")
