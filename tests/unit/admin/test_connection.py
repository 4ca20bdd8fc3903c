"""Connections to the admin site: so many, and none that holds on without moving."""

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import pytest
from aiohttp import web

from exoproxy.admin import connection
from exoproxy.admin.connection import MOST_CONNECTIONS, Door
from peers import End, request, status_of, until

LARGE = 8 * 2**20


async def large(_: web.Request) -> web.Response:
    return web.Response(body=bytes(LARGE))


async def small(_: web.Request) -> web.Response:
    return web.Response(text="small")


async def read(request: web.Request) -> web.Response:
    return web.Response(body=await request.read())


Connect = Callable[[], Awaitable[End]]


@asynccontextmanager
async def house() -> AsyncIterator[tuple[web.Server, Connect]]:
    """Serve two answers behind a door, to connections that all end here."""
    app = web.Application()
    app.router.add_get("/large", large)
    app.router.add_get("/small", small)
    app.router.add_post("/read", read)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    assert runner.server is not None
    listener = await asyncio.get_running_loop().create_server(Door(runner.server), "127.0.0.1", 0)
    port, ends = listener.sockets[0].getsockname()[1], list[End]()

    async def connect() -> End:
        ends.append(End(*await asyncio.open_connection("127.0.0.1", port)))
        return ends[-1]

    try:
        yield runner.server, connect
    finally:
        for end in ends:
            end.close()
        listener.close()
        await runner.cleanup()


async def test_no_more_than_there_are_places() -> None:
    """Where all are being answered, those beyond are closed at once, until one is through."""
    async with house() as (server, connect):
        ends = [await connect() for _ in range(MOST_CONNECTIONS)]
        for end in ends:
            begun = request("127.0.0.1", line=b"POST /read HTTP/1.1", content=b"x")
            end.send(begun.removesuffix(b"x"))
        await until(lambda: server.requests_count == MOST_CONNECTIONS)
        assert await (await connect()).ended() in {"FIN", "RST"}
        ends[0].close()
        await until(lambda: len(server.connections) < MOST_CONNECTIONS)
        another = await connect()
        another.send(request("127.0.0.1", line=b"GET /small HTTP/1.1"))

        assert status_of(await another.message()) == 200


@pytest.mark.parametrize("sent", [b"", b"GET /small HTTP/1.1\r\nHost: a"])
async def test_who_says_nothing_keeps_nobody_out(sent: bytes) -> None:
    """Of too many that wait, the oldest makes place for the newest."""
    async with house() as (server, connect):
        ends = []
        for _ in range(2 * MOST_CONNECTIONS):
            ends.append(await connect())
            ends[-1].send(sent)
        probe = await connect()
        probe.send(request("127.0.0.1", line=b"GET /small HTTP/1.1"))
        got = await probe.message()

        assert status_of(got) == 200
        assert await ends[0].ended() in {"FIN", "RST"}
        await until(lambda: len(server.connections) <= MOST_CONNECTIONS)


@pytest.mark.parametrize("sent", [b"", b"GET /small HTTP/1.1\r\nHost: a"])
async def test_a_head_has_to_come(sent: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    """Who says nothing, or never finishes, is closed."""
    monkeypatch.setattr(connection, "HEAD_SECONDS", 0.2)
    async with house() as (server, connect):
        end = await connect()
        end.send(sent)

        assert await end.ended() in {"FIN", "RST"}
        await until(lambda: not server.connections)


async def test_an_answer_has_to_be_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    """Who takes nothing of it is closed; who takes his time within the limit gets it all."""
    monkeypatch.setattr(connection, "TAKE_SECONDS", 0.3)
    async with house() as (server, connect):
        end = await connect()
        end.stop_taking()
        end.send(request("127.0.0.1", line=b"GET /large HTTP/1.1"))
        await until(lambda: server.requests_count == 1)

        await until(lambda: not server.connections)
        monkeypatch.setattr(connection, "TAKE_SECONDS", 30.0)
        patient = await connect()
        patient.send(request("127.0.0.1", line=b"GET /large HTTP/1.1"))
        assert len((await patient.message()).content) == LARGE


@pytest.mark.parametrize(
    "sent",
    [b"\x16\x03\x01\x02\x00\x01\x00", b"<script>\r\n\r\n", b"GET / HTTP/1.1\r\nHost : x\r\n\r\n"],
)
async def test_what_is_no_http_is_not_quoted(sent: bytes, caplog: pytest.LogCaptureFixture) -> None:
    """Neither to the client nor to the log, whose lines it could fill."""
    caplog.set_level(logging.DEBUG)
    async with house() as (_, connect):
        end = await connect()
        end.send(sent)
        message = await end.message()

    assert status_of(message) == 400
    assert message.content == b"The request is not valid HTTP.\n"
    assert dict(message.fields)[b"X-Content-Type-Options"] == b"nosniff"
    assert [each for each in caplog.records if each.name.startswith("aiohttp")] == []
