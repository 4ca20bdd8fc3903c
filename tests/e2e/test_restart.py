"""Restarts and upgrades behind a socket that outlives the process: nobody gets an error."""

import asyncio
import fcntl
import signal
import socket
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from deployment import Deployment, Start
from load import load

RESTARTS = 3


@contextmanager
def held(port: int) -> Iterator[socket.socket]:
    """Listen as systemd does for a socket unit; the descriptor is none of the first ones."""
    with (
        socket.create_server(("127.0.0.1", port), backlog=4096) as low,
        socket.socket(fileno=fcntl.fcntl(low, fcntl.F_DUPFD_CLOEXEC, 50)) as sock,
    ):
        yield sock


@pytest.mark.parametrize("kept", [True, False], ids=["kept", "new"])
async def test_restarts_under_load(
    deployment: Deployment, start_exoproxy: Start, kept: bool
) -> None:
    """Neither a kept connection nor a new one meets an error, however often it is restarted."""
    first = deployment.uap()
    first.process.terminate()
    first.process.wait(10)
    command = ("uap", "--region", "Here", "--config", str(first.configuration))
    with held(first.port) as sock:
        process, _ = start_exoproxy(*command, says="Serving", sockets=[sock])
        async with load(first.port, first.hostname, first.trust, kept=kept) as measured:
            for _ in range(RESTARTS):
                await asyncio.sleep(1)
                process.send_signal(signal.SIGTERM)
                assert await asyncio.to_thread(process.wait, 20) == 0
                starting = asyncio.to_thread(
                    start_exoproxy, *command, says="Serving", sockets=[sock]
                )
                process, _ = await starting
            await asyncio.sleep(1)

    assert measured.failures == []
    assert measured.answered > 500
