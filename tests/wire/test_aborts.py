"""An upstream that stops in the middle: at each moment, in each manner, for each kind of client.

However an answer is framed, the client must be able to tell a whole one from a part of it.
"""

import asyncio
from collections.abc import Callable
from itertools import product

import pytest
import uvloop

from exoproxy.net.transport import FAST
from harness.answers import answers_in, finals_in, problem_in
from harness.between import Tls, running
from harness.peer import Peer
from harness.proxy import Proxy
from harness.upstream import UpstreamPeer
from messages import Message, read_message

PLAIN = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
LONG_AGO = 10_000

# Framing -> the head, the first half of the content, the second half.
ANSWERS = {
    "length": (b"Content-Length: 10\r\n", b"hello", b"world"),
    "chunked": (b"Transfer-Encoding: chunked\r\n", b"5\r\nhello\r\n", b"5\r\nworld\r\n0\r\n\r\n"),
    "until-close": (b"", b"hello", b"world"),
}

# (moment, framing) -> what the client gets when the upstream sends FIN over plain TCP, FIN without
# close_notify over TLS, RST, or nothing more. "whole": a complete answer of what came; "broken": a
# connection that breaks off, and no complete answer.
EXPECTED = {
    ("before head", "length"): ("502", "502", "502", "504"),
    ("before head", "chunked"): ("502", "502", "502", "504"),
    ("before head", "until-close"): ("502", "502", "502", "504"),
    ("in head", "length"): ("502", "502", "502", "504"),
    ("in head", "chunked"): ("502", "502", "502", "504"),
    ("in head", "until-close"): ("502", "502", "502", "504"),
    ("in body", "length"): ("broken", "broken", "broken", "broken"),
    ("in body", "chunked"): ("broken", "broken", "broken", "broken"),
    ("in body", "until-close"): ("whole", "broken", "broken", "broken"),
    ("at end", "length"): ("whole", "whole", "whole", "whole"),
    ("at end", "chunked"): ("whole", "whole", "whole", "whole"),
    ("at end", "until-close"): ("whole", "broken", "broken", "broken"),
}
CODES = {"502": "upstream-closed", "504": "upstream-timeout"}
COLUMNS = {("fin", False): 0, ("fin", True): 1, ("rst", False): 2, ("rst", True): 2}


def outcome(moment: str, framing: str, end: str, over_tls: bool) -> str:
    """Return what the table says."""
    if (end, over_tls) == ("fin", True) and not tells_fin_from_close_notify():
        over_tls = False
    return EXPECTED[moment, framing][COLUMNS.get((end, over_tls), 3)]


def tells_fin_from_close_notify() -> bool:
    """Return whether the loop's TLS does. asyncio's own does not: nothing is served on it."""
    return FAST or isinstance(asyncio.get_running_loop(), uvloop.Loop)


def sent(moment: str, framing: str) -> bytes:
    """Return what the upstream sends before it stops."""
    fields, first, second = ANSWERS[framing]
    head = b"HTTP/1.1 200 OK\r\nX: y\r\n" + fields + b"\r\n"
    return {
        "before head": b"",
        "in head": head[:20],
        "in body": head + first,
        "at end": head + first + second,
    }[moment]


def arrived(moment: str, framing: str, client: Peer) -> bool:
    """Return whether the client has got all that it can have got."""
    if moment == "in body":
        return b"hello" in client.received
    if moment == "at end" and framing == "until-close":
        return b"world" in client.received
    return moment != "at end" or bool(finals_in(client))


def stop(peer: UpstreamPeer, end: str, proxy: Proxy) -> None:
    stops: dict[str, Callable[[], None]] = {
        "fin": peer.finish,
        "rst": peer.reset,
        "stall": lambda: proxy.pass_time(LONG_AGO),
    }
    stops[end]()


@pytest.mark.parametrize(
    ("moment", "framing", "end", "version", "over_tls"),
    [
        pytest.param(*row, id="{}-{}-{}-1.{}-{}".format(*row[:4], "tls" if row[4] else "plain"))
        for row in product(
            ("before head", "in head", "in body", "at end"),
            ANSWERS,
            ("fin", "rst", "stall"),
            (0, 1),
            (False, True),
        )
    ],
)
async def test_upstream_stops(
    moment: str, framing: str, end: str, version: int, over_tls: bool, tls: Tls
) -> None:
    """The client gets a whole answer, an error, or a connection that visibly breaks off."""
    wanted = outcome(moment, framing, end, over_tls)

    async with running(tls if over_tls else None) as (proxy, upstream):
        upstream.respond = lambda peer, request: peer.send(sent(moment, framing))
        client = await proxy.connect(tls.client if over_tls else None)
        client.send(b"GET / HTTP/1.%d\r\nHost: a\r\n\r\n" % version)
        await upstream.until(lambda: upstream.requests)
        await client.until(lambda: arrived(moment, framing, client))
        upstream.respond = lambda peer, request: peer.send(PLAIN)
        if not (moment == "at end" and end == "stall" and wanted == "whole"):
            stop(upstream.peers[0], end, proxy)
        await client.until(lambda: client.ended or finals_in(client))

        if wanted == "broken":
            assert (client.ended, finals_in(client)) == ("broken", [])
        elif wanted == "whole":
            half = b"hello" if moment == "in body" else b"helloworld"

            assert [answer.content for answer in answers(client)] == [half]
        else:
            assert problem_in(client.received)[:2] == (int(wanted), CODES[wanted])
        if wanted != "broken":
            await still_serves(client, version)
        client.close()


def answers(client: Peer) -> list[Message]:
    found, rest = answers_in(client)

    assert rest == b""
    return found


async def still_serves(client: Peer, version: int) -> None:
    """The connection ends as HTTP/1.0 wants it, or serves the next request of HTTP/1.1."""
    if version == 0:
        await client.until_ended()

        assert client.ended == "clean"
        return
    client.received = b""
    client.send(b"GET /again HTTP/1.1\r\nHost: a\r\n\r\n")
    await client.until(lambda: client.ended or finals_in(client))

    assert client.received
    assert read_message(client.received)[0] == read_message(PLAIN)[0]


@pytest.mark.parametrize("version", [0, 1])
async def test_until_close_over_tls_ends_with_close_notify(version: int, tls: Tls) -> None:
    """Over TLS content that ends with the connection is whole when the upstream says goodbye."""
    async with running(tls) as (proxy, upstream):
        upstream.respond = lambda peer, request: peer.send(sent("at end", "until-close"))
        client = await proxy.connect(tls.client)
        client.send(b"GET / HTTP/1.%d\r\nHost: a\r\n\r\n" % version)
        await client.until(lambda: b"world" in client.received)
        upstream.respond = lambda peer, request: peer.send(PLAIN)
        upstream.peers[0].close()
        await client.until(lambda: client.ended or finals_in(client))

        assert [answer.content for answer in answers(client)] == [b"helloworld"]
        await still_serves(client, version)
        client.close()
