"""Standard output that takes nothing: requests go on, and what is lost is counted and told."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

import exoproxy
from authority import Authority
from deployment import UAP_NAME, Deployment, Site
from peers import request, until

# Their lines are more than a pipe holds and exoproxy keeps, by far.
COUNT = 8000
# Pipelined; the answer to each is short.
AT_ONCE = 200
ASKED = request(UAP_NAME, line=b"OPTIONS * HTTP/1.1")

Serve = Callable[[int | None], Site]


@pytest.fixture
def serve(authority: Authority, tmp_path: Path) -> Iterator[Serve]:
    """Start the UAP with this descriptor as its standard output, or with none."""
    started: list[subprocess.Popen[bytes]] = []
    errors = tmp_path / "errors.log"

    def with_output(output: int | None) -> Site:
        def start(
            *arguments: str, says: str, env: object = None
        ) -> tuple[subprocess.Popen[bytes], Path]:
            # The shell closes what Popen always opens.
            close = ["sh", "-c", 'exec "$@" >&-', "sh"] if output is None else []
            with errors.open("wb") as sink:
                process = subprocess.Popen(  # noqa: S603 - the project's own command
                    [*close, sys.executable, "-m", "exoproxy", *arguments],
                    stdin=subprocess.DEVNULL,
                    stdout=output,
                    stderr=sink,
                    env={**os.environ, "PYTHONPATH": str(Path(exoproxy.__file__).parent.parent)},
                )
            started.append(process)
            while says not in errors.read_text("utf-8"):
                assert process.poll() is None, errors.read_text("utf-8")
            return process, errors

        return Deployment(authority, tmp_path, start).uap()

    yield with_output
    for process in started:
        process.kill()
        process.wait()


async def crowd(site: Site) -> None:
    """Ask many times; each is answered."""
    client = await site.connect(UAP_NAME)
    for _ in range(COUNT // AT_ONCE):
        client.send(ASKED * AT_ONCE)
        for _ in range(AT_ONCE):
            assert (await client.head()).startswith(b"HTTP/1.1 204 ")
    client.close()


async def end(site: Site) -> int:
    """Let the process drain."""
    site.process.send_signal(signal.SIGTERM)
    await until(lambda: site.process.poll() is not None)
    return site.process.returncode


def told(site: Site) -> list[str]:
    """Return what the process's own log says of its other one."""
    return [line["message"] for line in site.log() if line["logger"] == "exoproxy.access"]


async def test_reader_who_stops(serve: Serve) -> None:
    """Nobody waits; lines arrive whole as soon as he reads on, and the others are counted."""
    reading, writing = os.pipe()
    site = serve(writing)
    os.close(writing)
    before = site.memory()
    await crowd(site)
    grown = site.memory() - before
    os.set_blocking(reading, False)
    arrived = b""

    def read_on() -> bool:
        nonlocal arrived
        try:
            arrived += os.read(reading, 1 << 20)
        except BlockingIOError:
            return len(told(site)) == 2
        return False

    await until(read_on)
    code = await end(site)
    os.close(reading)
    lines = [json.loads(line) for line in arrived.splitlines()]
    name = "The access log's standard output"

    assert code == 0
    assert 1000 < len(lines) < COUNT
    assert {line["status"] for line in lines} == {204}
    assert told(site) == [
        f"{name} takes no lines: nobody reads it; from now on they are lost, until it does",
        f"{name} takes lines again; {COUNT - len(lines)} were lost meanwhile",
    ]
    assert grown < 16 * 2**20


async def test_reader_who_has_gone(serve: Serve) -> None:
    """A broken pipe ends nothing."""
    reading, writing = os.pipe()
    site = serve(writing)
    os.close(writing)
    os.close(reading)
    await crowd(site)

    assert await end(site) == 0
    [sentence] = told(site)
    assert "takes no lines: Broken pipe" in sentence


async def test_full_disk(serve: Serve) -> None:
    """Each write fails; requests don't."""
    full = os.open("/dev/full", os.O_WRONLY)
    site = serve(full)
    os.close(full)
    await crowd(site)

    assert await end(site) == 0
    [sentence] = told(site)
    assert "takes no lines: No space left on device" in sentence


async def test_no_standard_output(serve: Serve) -> None:
    """A descriptor that was closed before may be a client's by now: nothing is written to it."""
    site = serve(None)
    await crowd(site)

    assert await end(site) == 0
    assert told(site) == []
