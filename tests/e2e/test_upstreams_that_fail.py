"""Upstreams that can't be reached, break off or close: what a client gets, and who is asked again.

A request is sent twice only where that does no harm; half an answer never looks whole.
"""

import asyncio
import contextlib
import socket
from collections.abc import Iterator

import pytest

from authority import Authority
from deployment import CLOUD, INSTANCE, Deployment, Way
from peers import End, answer, code_of, status_of, until, upstream

CONNECT_TIMEOUT = 1


# No connection.


async def test_116_refused(way: Way) -> None:
    """Nobody listens: 502, and the client may go on using its connection."""
    with socket.socket() as nobody:
        nobody.bind((INSTANCE, 0))
        port = nobody.getsockname()[1]
        client = await way.connect(port)
        client.send(way.site.request(port))
        refused = await client.message()
    client.send(way.site.request(port))

    assert (status_of(refused), code_of(refused)) == (502, "upstream-refused")
    assert status_of(await client.message()) == 502


@pytest.fixture
def silent_port() -> Iterator[int]:
    """A port that drops every attempt to connect: its queue is full, and nobody accepts."""
    with contextlib.ExitStack() as stack:
        listener = stack.enter_context(socket.create_server((INSTANCE, 0), backlog=0))
        address = listener.getsockname()
        with contextlib.suppress(TimeoutError):
            while True:
                stack.enter_context(socket.create_connection(address, timeout=0.2))
        yield address[1]


async def test_116_timeout(deployment: Deployment, silent_port: int) -> None:
    """Nobody answers: 504 after the time configured."""
    async with deployment.way("uap", limits={"connect_timeout": CONNECT_TIMEOUT}) as way:
        clock = asyncio.get_running_loop().time
        began = clock()
        client = await way.connect(silent_port)
        client.send(way.site.request(silent_port))
        late = await client.message()

        assert (status_of(late), code_of(late)) == (504, "upstream-timeout")
        assert CONNECT_TIMEOUT <= clock() - began < CONNECT_TIMEOUT + 1


async def test_116_client_leaves_while_its_upstream_is_dialled(
    deployment: Deployment, silent_port: int
) -> None:
    """The attempt ends with the client: nothing is left of it long before its own time is over."""
    async with deployment.way("uap", limits={"connect_timeout": 60}) as way:
        client = await way.connect(silent_port)
        client.send(way.site.request(silent_port))
        await asyncio.sleep(0.2)
        client.close()

        assert await way.site.logged() == [(0, "client-gone")]


async def test_116_upstream_speaks_no_tls(uap: Way) -> None:
    """https to a port that speaks plain HTTP: 502, with a name for it."""
    host = uap.site.host(uap.upstream.port).removeprefix("http-")
    client = await uap.site.connect(host)
    client.send(b"GET / HTTP/1.1\r\nHost: %b\r\n\r\n" % host.encode())
    there = await uap.upstream.accepted()
    there.send(b"HTTP/1.1 400 Bad Request\r\n\r\n")
    got = await client.message()
    client.close()

    assert (status_of(got), code_of(got)) == (502, "upstream-tls")


@pytest.mark.parametrize("wrong", ["name", "signer"])
async def test_116_certificate_of_somebody_else(
    deployment: Deployment, authority: Authority, wrong: str
) -> None:
    """The main host sends nothing to an API whose certificate is not valid for its name."""
    context = authority.serve("other.example") if wrong == "name" else None
    context = context or authority.serve(CLOUD, self_signed=True)
    async with deployment.way("main") as way, upstream("127.0.0.1", context=context) as other:
        client = await way.connect()
        client.send(way.site.request(other.port))
        got = await client.message()

        assert (status_of(got), code_of(got)) == (502, "upstream-certificate")
        assert other.count == 0


# A kept connection that was dead.


async def kept(way: Way) -> tuple[End, End]:
    """Return a client and its upstream after one request, with both connections kept."""
    client = await way.connect()
    client.send(way.request())
    there = await way.upstream.accepted()
    await there.head()
    there.send(answer(b"first"))
    await client.message()
    return client, there


@pytest.mark.parametrize("method", [b"GET", b"HEAD", b"OPTIONS"])
@pytest.mark.parametrize("how", ["FIN", "RST"])
async def test_117_safe_request_meets_a_closing_connection(
    way: Way, method: bytes, how: str
) -> None:
    """The upstream closes as the request arrives: it is sent again, once, on a new connection."""
    client, there = await kept(way)
    client.send(way.request(line=method + b" /again HTTP/1.1"))
    asked = await there.message()
    there.reset() if how == "RST" else there.close()
    second = await way.upstream.accepted()
    again = await second.message()
    second.send(answer(b"" if method == b"HEAD" else b"second"))
    got = await client.message(bodyless=method == b"HEAD")

    assert again == asked
    assert status_of(got) == 200
    assert way.upstream.count == 2


async def test_117_only_once(way: Way) -> None:
    """A server that closes a new connection too has had its chance: 502."""
    client, there = await kept(way)
    client.send(way.request())
    await there.head()
    there.close()
    second = await way.upstream.accepted()
    await second.head()
    second.close()
    got = await client.message()

    assert (status_of(got), code_of(got)) == (502, "upstream-closed")
    assert way.upstream.count == 2


async def test_117_new_connection_is_no_race(way: Way) -> None:
    """A new connection that ends without an answer is the server's failure, not a race: 502."""
    client = await way.connect()
    client.send(way.request())
    there = await way.upstream.accepted()
    await there.head()
    there.close()
    got = await client.message()

    assert (status_of(got), code_of(got)) == (502, "upstream-closed")
    assert way.upstream.count == 1


async def test_117_half_an_answer_is_not_asked_for_again(way: Way) -> None:
    """Once a byte of an answer has come, the server has worked on the request: 502."""
    client, there = await kept(way)
    client.send(way.request())
    await there.head()
    there.send(b"HTTP/1.1 2")
    await there.sent()
    there.writer.close()
    got = await client.message()

    assert (status_of(got), code_of(got)) == (502, "upstream-closed")
    assert way.upstream.count == 1


UNSAFE = [(method, b"") for method in (b"POST", b"PUT", b"PATCH", b"DELETE")]


@pytest.mark.parametrize(
    ("method", "content"), [*UNSAFE, (b"GET", b"{}"), (b"POST", b"{}"), (b"DELETE", b"{}")]
)
async def test_118_other_requests_are_never_sent_twice(
    way: Way, method: bytes, content: bytes
) -> None:
    """What may have had an effect, or has a content, is answered with 502 instead."""
    client = await way.connect()
    # In one segment: such a request takes a kept connection only right after its last answer.
    client.send(way.request())
    client.send(way.request(line=method + b" /servers HTTP/1.1", content=content))
    there = await way.upstream.accepted()
    await there.message()
    there.send(answer(b"first"))
    await client.message()
    await there.message()
    there.close()
    got = await client.message()

    assert (status_of(got), code_of(got)) == (502, "upstream-closed")
    assert way.upstream.count == 1


async def test_kept_connection_that_ended_is_not_used(way: Way) -> None:
    """An upstream that closes an idle connection in peace costs nobody anything, POST neither."""
    client, there = await kept(way)
    sockets = way.site.sockets()
    there.writer.close()
    await until(lambda: way.site.sockets() < sockets)
    client.send(way.request(line=b"POST /servers HTTP/1.1", content=b"{}"))
    second = await way.upstream.accepted()
    await second.message()
    second.send(answer(b"second"))

    assert (await client.message()).content == b"second"


async def test_120_connections_are_kept_apart(uap: Way) -> None:
    """Another scheme or another address at the same port never gets a kept connection."""
    await kept(uap)
    port = uap.upstream.port
    async with upstream("127.0.0.3", port=port) as neighbour:
        other = uap.site.host(port, "127.0.0.3")
        client = await uap.site.connect(other)
        client.send(b"GET / HTTP/1.1\r\nHost: %b\r\n\r\n" % other.encode())
        there = await neighbour.accepted()
        asked = await there.message()
        there.send(answer())
        await client.message()
        client.close()
    https = uap.site.host(port).removeprefix("http-")
    client = await uap.site.connect(https)
    client.send(b"GET / HTTP/1.1\r\nHost: %b\r\n\r\n" % https.encode())
    there = await uap.upstream.accepted()
    hello = await there.read(1)
    client.close()

    assert asked.fields[0] == (b"Host", other.encode())
    assert hello == b"\x16"


# Half an answer.


@pytest.mark.parametrize(
    ("head", "sent"),
    [
        (b"Content-Length: 10\r\n\r\n", b"half"),
        (b"Transfer-Encoding: chunked\r\n\r\n", b"a\r\nhalf"),
        (b"Transfer-Encoding: chunked\r\n\r\n", b"4\r\nhalf\r\n"),
    ],
    ids=["length", "within a chunk", "between chunks"],
)
@pytest.mark.parametrize("how", ["FIN", "RST"])
async def test_119_upstream_breaks_off(way: Way, head: bytes, sent: bytes, how: str) -> None:
    """The client gets what there was and RST: no second head, no last chunk, no orderly end."""
    client = await way.connect()
    client.send(way.request())
    there = await way.upstream.accepted()
    await there.head()
    there.send(b"HTTP/1.1 200 OK\r\n" + head + sent)
    received = await client.head()
    if b"chunked" in head:
        assert await client.read(7) == b"4\r\nhalf"
    else:
        assert await client.read(4) == b"half"
    if how == "RST":
        there.reset()
    else:
        there.writer.close()

    assert received.count(b"HTTP/1.1") == 1
    assert await client.ended() == "RST"
    assert await way.site.logged() == [(200, "upstream-closed")]


async def test_119_reset_is_no_end_of_content(way: Way) -> None:
    """Content that ends with the connection ends with FIN; RST breaks it off."""
    client = await way.connect()
    client.send(way.request())
    there = await way.upstream.accepted()
    await there.head()
    there.send(b"HTTP/1.1 200 OK\r\n\r\nhalf")
    await client.head()
    await client.read(7)
    there.reset()

    assert await client.ended() == "RST"


async def test_119_garbage_within_the_content(way: Way) -> None:
    """A chunk that is none breaks the answer off, as an end would."""
    client = await way.connect()
    client.send(way.request())
    there = await way.upstream.accepted()
    await there.head()
    there.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\n")
    await client.head()
    await client.read(7)
    there.send(b"no chunk\r\n")

    assert await client.ended() == "RST"
    assert await there.ended() == "RST"
    assert await way.site.logged() == [(200, "upstream-answer")]
