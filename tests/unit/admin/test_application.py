"""The admin site on its port: what it tells, whom it tells nothing, and when it ends."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import timedelta
from ipaddress import ip_address

import pytest

from exoproxy.admin.application import AdminSite, serving
from exoproxy.admin.running import Running
from exoproxy.net.sockets import open_socket
from messages import Message
from peers import End, request, status_of
from process import NAME, NOW, process, record
from status_form import faults

LOOPBACK = ip_address("127.0.0.1")


class Site:
    """An admin site that a test asks."""

    def __init__(self, port: int) -> None:
        self.port = port
        self._ends: list[End] = []

    async def connect(self) -> End:
        """Return a connection."""
        end = End(*await asyncio.open_connection("127.0.0.1", self.port))
        self._ends.append(end)
        return end

    async def ask(self, path: str, *fields: tuple[bytes, bytes], **options: str) -> Message:
        """Return the answer to a request on a connection of its own."""
        method, host = options.get("method", "GET"), options.get("host", f"127.0.0.1:{self.port}")
        end = await self.connect()
        end.send(request(host, *fields, line=f"{method} {path} HTTP/1.1".encode()))
        return await end.message(bodyless=method == "HEAD")

    def leave(self) -> None:
        """End the connections."""
        for end in self._ends:
            end.close()


@asynccontextmanager
async def admin(running: Running) -> AsyncIterator[Site]:
    sock = open_socket(LOOPBACK, 0)
    site = Site(sock.getsockname()[1])
    async with serving(running, sock, now=lambda: NOW):
        try:
            yield site
        finally:
            site.leave()


def field(message: Message, name: str) -> str:
    values = [value for key, value in message.fields if key.lower() == name.lower().encode()]
    assert len(values) == 1
    return values[0].decode()


async def test_tells_the_status() -> None:
    """As JSON, of the form that others read."""
    running = process()
    running.traffic.count(record())
    async with admin(running) as site:
        message = await site.ask("/status.json")
    found = json.loads(message.content)

    assert field(message, "content-type") == "application/json; charset=utf-8"
    assert list(faults(found)) == []
    assert found["totals"]["requests"] == 1


async def test_tells_the_metrics() -> None:
    """In the form that is asked for."""
    async with admin(process()) as site:
        plain = await site.ask("/metrics")
        opened = await site.ask(
            "/metrics", (b"Accept", b"application/openmetrics-text; version=1.0.0")
        )

    assert field(plain, "content-type") == "text/plain; version=0.0.4; charset=utf-8"
    assert b"exoproxy_build_info{" in plain.content
    assert b"process_open_fds " in plain.content
    assert field(opened, "content-type").startswith("application/openmetrics-text; version=1.0.0")
    assert opened.content.endswith(b"# EOF\n")


async def test_shows_a_page() -> None:
    """Without anything that is loaded from elsewhere or allowed by the kind of element."""
    async with admin(process()) as site:
        message = await site.ask("/")

    assert field(message, "content-type") == "text/html; charset=utf-8"
    assert b"<!doctype html>" in message.content.lower()
    assert "unsafe" not in field(message, "content-security-policy")


async def test_readiness() -> None:
    """Ready, degraded with what to do, not yet, no longer."""
    running = process()
    async with admin(running) as site:
        assert (await site.ask("/readyz")).content == b"ready\n"
        running.configuration = replace(running.configuration, problem="wrong")
        degraded = await site.ask("/readyz")
        assert status_of(degraded) == 200
        assert degraded.content.startswith(b"degraded\nThe last reload failed")
        running.draining = True
        draining = await site.ask("/readyz")
        assert (status_of(draining), b"being stopped" in draining.content) == (503, True)
        assert (await site.ask("/livez")).content == b"alive\n"
        running.draining, running.servers = False, []
        starting = await site.ask("/readyz")

    assert (status_of(starting), b"starting" in starting.content) == (503, True)


@pytest.mark.parametrize("path", ["/", "/status.json", "/metrics", "/livez", "/readyz", "/none"])
async def test_every_answer_is_guarded(path: str) -> None:
    """Nothing is kept, framed, guessed, or shared with other origins."""
    async with admin(process()) as site:
        message = await site.ask(path, (b"Origin", b"https://elsewhere.example"))

    assert field(message, "cache-control") == "no-store"
    assert field(message, "x-content-type-options") == "nosniff"
    assert "frame-ancestors 'none'" in field(message, "content-security-policy")
    assert field(message, "server") == "exoproxy"
    assert not [name for name, _ in message.fields if name.lower().startswith(b"access-control")]


@pytest.mark.parametrize(
    "host", ["127.0.0.1:9180", "[::1]:9180", "localhost:9180", "LOCALHOST", NAME, "192.0.2.7"]
)
async def test_own_names_are_answered(host: str) -> None:
    """An address can't be pointed anywhere else, and the own name only by its operator."""
    async with admin(process()) as site:
        assert status_of(await site.ask("/livez", host=host)) == 200


@pytest.mark.parametrize(
    "host",
    ["rebound.example:9180", f"x.{NAME}", "localhost.example", "127.0.0.1.example", "a@b", ""],
)
@pytest.mark.parametrize("path", ["/status.json", "/metrics", "/readyz", "/none"])
async def test_other_names_are_told_nothing(host: str, path: str) -> None:
    """A page whose name was pointed here (DNS rebinding) reads nothing."""
    async with admin(process()) as site:
        message = await site.ask(path, host=host)

    assert status_of(message) in {400, 421}
    assert message.content.startswith((b"421 misdirected-request: ", b"400 bad-host: "))


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "OPTIONS", "PATCH"])
async def test_nothing_can_be_changed(method: str) -> None:
    """Only GET and HEAD mean something here, and no other origin gets a preflight."""
    async with admin(process()) as site:
        message = await site.ask("/status.json", method=method)

    assert status_of(message) == 405
    assert field(message, "allow") == "GET, HEAD"


async def test_head_is_a_get_without_content() -> None:
    """With the length that a GET's has."""
    async with admin(process()) as site:
        message = await site.ask("/livez", method="HEAD")

    assert status_of(message) == 200
    assert (message.length, message.content) == (6, b"")


async def test_a_defect_is_told_the_log_alone(caplog: pytest.LogCaptureFixture) -> None:
    """The client learns no more than that there is one, and the site goes on."""
    running = process(mode="main", region=None)  # of which nothing is configured
    async with admin(running) as site:
        message = await site.ask("/status.json")
        assert status_of(await site.ask("/livez")) == 200

    assert status_of(message) == 500
    assert message.content.startswith(b"500 internal-error: ")
    assert "what is served is not configured" in caplog.text


async def test_leaves_nothing_behind() -> None:
    """Port, connections, thread and task are gone at the end, whoever is still connected."""
    before = asyncio.all_tasks()
    sock = open_socket(LOOPBACK, 0)
    port = sock.getsockname()[1]
    site = Site(port)
    async with serving(process(), sock, now=lambda: NOW):
        idle, half = await site.connect(), await site.connect()
        half.send(b"GET /livez HTTP/1.1\r\n")
        assert status_of(await site.ask("/livez")) == 200

    assert await idle.ended() in {"FIN", "RST"}
    assert await half.ended() in {"FIN", "RST"}
    with open_socket(LOOPBACK, port):
        pass
    site.leave()
    await asyncio.sleep(0)
    assert asyncio.all_tasks() == before


async def test_minutes_pass(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whenever one begins, what has passed until then is taken down."""
    running, moment = process(), NOW
    slept: list[float] = []

    async def sleep(seconds: float) -> None:
        nonlocal moment
        slept.append(seconds)
        if len(slept) > 3:
            raise asyncio.CancelledError
        running.traffic.count(record())
        moment += timedelta(seconds=seconds)

    site = AdminSite(running, lambda: moment)
    monkeypatch.setattr("exoproxy.admin.application.asyncio.sleep", sleep)
    with pytest.raises(asyncio.CancelledError):
        await site.mark_minutes()
    monkeypatch.undo()
    found = await site.status()
    site.close()

    assert slept == [29, 60, 60, 60]
    assert [each["requests"] for each in found["hour"][-4:]] == [1, 1, 1, 0]
