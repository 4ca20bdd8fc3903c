"""The process that serves does not feel that a certificate is got beside it."""

import json
import os
import signal
import socket
import ssl
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from acme_world import NEEDS, World
from deployment import REGION, UAP_NAME
from issuing_host import IssuingHost
from ports import free_port

pytestmark = [pytest.mark.needs(*NEEDS), pytest.mark.alone]

SECONDS = 30
LONGEST_BLOCK = 0.050
# Of 60 MB or so; what an issuance in this process would cost is 54 MB.
MEMORY = 2 * 1024 * 1024

# The service itself, with a beat on its event loop that writes down how long the loop was blocked
# at most. Time in which the kernel let other processes have the core is not the loop's.
SERVICE = """
import asyncio, json, os, sys, time
from exoproxy.service.life import Life
from exoproxy.cli import main

EVERY = 0.005
live = Life.live

def waited():
    with open("/proc/thread-self/schedstat") as file:
        return int(file.read().split()[1]) / 1e9

async def beat(path):
    longest = beats = 0
    while True:
        began, before = time.monotonic(), waited()
        await asyncio.sleep(EVERY)
        longest = max(longest, time.monotonic() - began - EVERY - (waited() - before))
        beats += 1
        if beats % 50 == 0:
            with open(path + ".new", "w") as file:
                json.dump({"longest": longest, "beats": beats}, file)
            os.replace(path + ".new", path)

async def beating(self, *arguments):
    task = asyncio.create_task(beat(sys.argv[1]))
    try:
        await live(self, *arguments)
    finally:
        task.cancel()

Life.live = beating
sys.exit(main(sys.argv[2:]))
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Service:
    """A UAP at work, its beat, and the certificates it serves."""

    process: subprocess.Popen[bytes]
    port: int
    beat: Path

    def fingerprint(self) -> bytes:
        """Return the certificate that a new connection gets."""
        context = ssl.create_default_context()
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
        with (
            socket.create_connection(("127.0.0.1", self.port), timeout=SECONDS) as plain,
            context.wrap_socket(plain, server_hostname=UAP_NAME) as secured,
        ):
            return secured.getpeercert(binary_form=True) or b""

    def memory(self) -> int:
        """Return the bytes of memory that the process has now."""
        text = Path(f"/proc/{self.process.pid}/status").read_text("ascii")
        (line,) = [line for line in text.splitlines() if line.startswith("VmRSS:")]
        return int(line.split()[1]) * 1024

    def beats(self) -> int:
        """Return how often the loop's beat was heard."""
        return int(json.loads(self.beat.read_text())["beats"]) if self.beat.exists() else 0

    def longest_block(self) -> float:
        """Return for how many seconds the loop was blocked at most."""
        return float(json.loads(self.beat.read_text())["longest"])


@contextmanager
def serving(host: IssuingHost, port: int) -> Iterator[Service]:
    """Start the UAP; it is told to end at the end."""
    beat = host.folder / "beat.json"
    with (host.folder / "service.log").open("wb") as log:
        process = subprocess.Popen(  # noqa: S603 - the project's own command
            [
                *(sys.executable, "-c", SERVICE, str(beat)),
                *("uap", "--region", REGION, "--config", str(host.config)),
            ],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            env={**os.environ, "PYTHONUNBUFFERED": "1"},
        )
    try:
        service = Service(process=process, port=port, beat=beat)
        wait_for(service.beats)
        yield service
        process.send_signal(signal.SIGTERM)

        assert process.wait(SECONDS) == 0
    finally:
        process.kill()
        process.wait()


def wait_for(condition: Callable[[], object]) -> None:
    """Wait until something is so."""
    deadline = time.monotonic() + SECONDS
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_neither_memory_nor_the_loop_feels_an_issuance(world: World, tmp_path: Path) -> None:
    """Memory is what it was, and the event loop was never blocked for more than 50 ms."""
    port = free_port()
    host = IssuingHost(world=world, folder=tmp_path)
    host.configure(port=port)
    with serving(host, port) as service:
        first, before = service.fingerprint(), service.memory()
        wait_for(lambda: service.fingerprint() != first)
        for _ in range(3):
            known = service.fingerprint()
            code, said = host.run("renew")
            assert code == 0, said
            wait_for(lambda known=known: service.fingerprint() != known)  # type: ignore[misc]
        grown = service.memory() - before
        beats = service.beats()
        wait_for(lambda: service.beats() > beats + 50)
        longest = service.longest_block()

    assert host.verifies()
    assert grown < MEMORY
    assert longest < LONGEST_BLOCK
    print(f"grown by {grown} bytes, blocked for {longest * 1000:.1f} ms at most")
