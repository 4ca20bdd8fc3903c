"""Clients that wait for 100 before they send their content, and upstreams that may never say it."""

import pytest

from harness.answers import answers_in, finals_in
from harness.between import Between
from harness.peer import Peer
from harness.upstream import Upstream, UpstreamPeer
from messages import read_message

HEAD = b"POST / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\n"
OLD_HEAD = HEAD.replace(b"HTTP/1.1", b"HTTP/1.0")
CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"
PLAIN = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
TOO_LARGE = b"HTTP/1.1 413 Content Too Large\r\nContent-Length: 2\r\n\r\nno"
# Longer than anybody lets a client wait for its 100.
A_WHILE = 2


@pytest.fixture(name="upstream")
def plain_upstream(between: Between) -> Upstream:
    between.upstream.respond = lambda peer, request: peer.send(PLAIN)
    return between.upstream


async def head_seen(upstream: Upstream) -> UpstreamPeer:
    """Return the upstream's connection as soon as the head has come."""
    await upstream.until(lambda: any(b"\r\n\r\n" in peer.rest for peer in upstream.peers))
    return upstream.peers[0]


async def continued(client: Peer) -> None:
    await client.until(lambda: client.received)

    assert client.received == CONTINUE


async def served(client: Peer, upstream: Upstream) -> None:
    """Send the content, and get the answer; nothing else may come."""
    client.received = b""
    client.send(b"abcde")
    await client.until(lambda: finals_in(client))

    assert client.received == PLAIN
    assert [request.content for request in upstream.requests] == [b"abcde"]
    client.close()


async def test_upstream_says_100(between: Between, upstream: Upstream) -> None:
    """The upstream's 100 lets the client go on, and comes once."""
    client = await between.proxy.connect()
    client.send(HEAD)
    peer = await head_seen(upstream)
    peer.send(CONTINUE + CONTINUE)
    await continued(client)
    await served(client, upstream)

    assert (b"Expect", b"100-continue") in upstream.requests[0].fields


async def test_upstream_says_nothing(between: Between, upstream: Upstream) -> None:
    """A client does not wait for ever: it gets a 100 of ours, and the late one goes nowhere."""
    client = await between.proxy.connect()
    client.send(HEAD)
    peer = await head_seen(upstream)
    between.proxy.pass_time(A_WHILE)
    await continued(client)
    peer.send(CONTINUE)
    await served(client, upstream)


async def test_upstream_refuses(between: Between, upstream: Upstream) -> None:
    """A final answer in place of the 100 arrives, and the connections are not used again."""
    client = await between.proxy.connect()
    client.send(HEAD)
    peer = await head_seen(upstream)
    peer.send(TOO_LARGE)
    await client.until_ended()
    client.close()
    found, rest = answers_in(client)

    assert [answer.line for answer in found] == [b"HTTP/1.1 413 Content Too Large"]
    assert (client.ended, rest) == ("clean", b"")
    assert b"\r\nConnection: close\r\n" in client.received
    await peer.until_ended()
    assert upstream.requests == []


async def test_http10_gets_no_100(between: Between, upstream: Upstream) -> None:
    """HTTP/1.0 knows no 100: nobody waits, and the upstream's goes nowhere."""
    client = await between.proxy.connect()
    client.send(OLD_HEAD)
    peer = await head_seen(upstream)
    between.proxy.pass_time(A_WHILE)
    peer.send(CONTINUE)
    client.send(b"abcde")
    await client.until_ended()
    client.close()
    answer, rest = read_message(client.received)

    assert (answer.content, rest) == (b"ok", b"")
    assert [name for name, _ in upstream.requests[0].fields] == [b"Host"]
