"""The stand-in instance does what applications on instances do."""

import asyncio
from datetime import UTC, datetime, timedelta

import pytest
from aiohttp.test_utils import TestClient
from aiohttp.web import Application, Request
from pytest_aiohttp import AiohttpClient

from exoproxy.demo.instance import instance

Client = TestClient[Request, Application]


@pytest.fixture
async def client(aiohttp_client: AiohttpClient) -> Client:
    return await aiohttp_client(instance())


async def test_page_is_html_and_loads_nothing_from_elsewhere(client: Client) -> None:
    """The page is one HTML document that names no other host."""
    async with client.get("/") as answer:
        page = await answer.text()

    assert answer.headers["Content-Type"] == "text/html; charset=utf-8"
    assert "http://" not in page
    assert "https://" not in page


@pytest.mark.parametrize("message", ["", "hello", "snø ☃", "x" * 100_000])
async def test_echo_returns_text(client: Client, message: str) -> None:
    """A text message comes back as it was sent."""
    async with client.ws_connect("/echo") as websocket:
        await websocket.send_str(message)
        answer = await websocket.receive_str()

    assert answer == message


async def test_echo_returns_bytes(client: Client) -> None:
    """A binary message comes back as binary, byte for byte."""
    async with client.ws_connect("/echo") as websocket:
        await websocket.send_bytes(bytes(range(256)))
        answer = await websocket.receive_bytes()

    assert answer == bytes(range(256))


async def test_cookie_counts_visits(client: Client) -> None:
    """The cookie that the instance set comes back to it, and counts."""
    counts = []
    for _ in range(3):
        async with client.get("/request") as answer:
            counts.append((await answer.json())["visits"])

    assert counts == [1, 2, 3]


@pytest.mark.parametrize("value", ["x", "-1", "²", "9" * 400])
async def test_cookie_of_another_kind_starts_anew(client: Client, value: str) -> None:
    """A cookie that isn't a small number counts as none."""
    async with client.get("/request", cookies={"visits": value}) as answer:
        visits = (await answer.json())["visits"]

    assert (answer.status, visits) == (200, 1)


async def test_request_shows_what_arrived(client: Client) -> None:
    """The fields that a proxy sets are shown, and no others."""
    headers = {"X-Forwarded-Proto": "https", "Host": "name.example", "Authorization": "secret"}
    async with client.get("/request", headers=headers) as answer:
        fields = (await answer.json())["fields"]

    assert fields == {"Host": "name.example", "X-Forwarded-Proto": "https"}


async def test_clock_ticks_at_once(client: Client) -> None:
    """The event stream begins with the time of now, without waiting for more to send."""
    async with client.get("/clock") as answer, asyncio.timeout(5):
        line = (await answer.content.readline()).decode()
    then = datetime.fromisoformat(line.removeprefix("data: ").strip())

    assert answer.headers["Content-Type"] == "text/event-stream"
    assert abs(datetime.now(UTC) - then) < timedelta(seconds=5)
