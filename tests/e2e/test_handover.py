"""SIGUSR2: a successor takes the sockets over, and nobody who is connected notices."""

import asyncio
import os
import signal
import socket
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from deployment import Deployment, Site
from load import load
from peers import answer, until

Told = Callable[[], list[str]]


@pytest.fixture
def told(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Told]:
    """What systemd is told, so far; whoever is the main process then is ended after the test."""
    heard: list[str] = []
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
        sock.bind(str(tmp_path / "notify"))
        sock.setblocking(False)
        monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "notify"))

        def listen() -> list[str]:
            with suppress(BlockingIOError):
                while True:
                    heard.extend(sock.recv(4096).decode().splitlines())
            return heard

        yield listen
        listen()
    for pid in successors(heard):
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)


def successors(heard: list[str]) -> list[int]:
    """Return the main processes after the first."""
    return [int(line.removeprefix("MAINPID=")) for line in heard if line.startswith("MAINPID=")]


def lives(pid: int) -> bool:
    """Tell whether there is such a process, and it is no zombie."""
    with suppress(FileNotFoundError):
        return ") Z " not in Path(f"/proc/{pid}/stat").read_text("ascii")
    return False


async def handed_over(site: Site, told: Told) -> int:
    """Send SIGUSR2; return the process id of the successor."""
    before = len(successors(told()))
    site.process.send_signal(signal.SIGUSR2)
    await until(lambda: len(successors(told())) > before, within=30)
    await until(lambda: b"serves now" in site.output.read_bytes())
    return successors(told())[-1]


async def test_nobody_notices(deployment: Deployment, told: Told) -> None:
    """A running request and a websocket stay where they are; who comes now meets the successor."""
    async with deployment.way("uap") as way:
        client, there = await way.tunnel()
        waiting, beyond = await way.asked()
        successor = await handed_over(way.site, told)
        beyond.send(answer(b"late"))
        late = await waiting.head()
        client.send(b"\x82\x81mask!")
        there.send(b"\x82\x01!")
        fresh, further = await way.asked()
        further.send(answer(b"new"))
        new = await fresh.message()
        words = await there.read(7), await client.read(3)

        assert b"\r\nConnection: close\r\n" in late
        assert (words, new.content) == ((b"\x82\x81mask!", b"\x82\x01!"), b"new")
        assert way.site.process.poll() is None
        client.close()
        there.close()
        assert await asyncio.to_thread(way.site.process.wait, 10) == 0
        os.kill(successor, signal.SIGTERM)
        await until(lambda: not lives(successor), within=10)

        assert successors(told()) == [successor]


@pytest.mark.parametrize("kept", [True, False], ids=["kept", "new"])
async def test_under_load(deployment: Deployment, told: Told, kept: bool) -> None:
    """No request fails, on a kept connection or a new one."""
    site = deployment.uap()
    async with load(site.port, site.hostname, site.trust, kept=kept) as measured:
        await asyncio.sleep(1)
        successor = await handed_over(site, told)
        assert await asyncio.to_thread(site.process.wait, 20) == 0
        await asyncio.sleep(1)
    os.kill(successor, signal.SIGTERM)
    await until(lambda: not lives(successor), within=10)

    assert measured.failures == []
    assert measured.answered > 300


async def test_successor_that_fails(deployment: Deployment, told: Told) -> None:
    """A broken file leaves the process at work, and it says why."""
    site = deployment.uap()
    async with deployment.through(site, complaint="Not handed over") as way:
        output = way.site.output
        way.site.configuration.write_text("mian: {}\n", "utf-8")
        way.site.process.send_signal(signal.SIGUSR2)
        await until(lambda: b"Not handed over" in output.read_bytes(), within=30)
        said = output.read_text("utf-8")
        client, there = await way.asked()
        there.send(answer(b"still here"))

        assert (await client.message()).content == b"still here"
        assert "mian: is not known; did you mean `main`?" in said
        assert "the successor ended with exit code 2" in said
        assert successors(told()) == []


async def test_end_during_the_handover(deployment: Deployment, told: Told) -> None:
    """SIGTERM while the websockets are waited for ends them as at any other drain."""
    async with deployment.way("uap", limits={"drain": 1}) as way:
        client, there = await way.tunnel()
        successor = await handed_over(way.site, told)
        way.site.process.send_signal(signal.SIGTERM)
        goodbye = await client.read(2)
        client.close()
        there.close()
        assert await asyncio.to_thread(way.site.process.wait, 10) == 0
        os.kill(successor, signal.SIGTERM)
        await until(lambda: not lives(successor), within=10)

        assert goodbye == b"\x88\x02"
