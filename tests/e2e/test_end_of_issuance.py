"""A service that ends while it has a certificate got for it: nothing of that outlives it."""

import asyncio
import os
import signal
from pathlib import Path

import pytest

from acme_world import NEEDS, World
from deployment import UAP_NAME, Deployment, Start
from peers import until

pytestmark = pytest.mark.needs(*NEEDS)

SECONDS = 30
# What a process says that is going to try again.
STOPPED = f"The certificate for {UAP_NAME} was stopped and is tried again on "


async def test_the_zone_is_clean_when_the_service_has_ended(
    world: World, tmp_path: Path, start_exoproxy: Start
) -> None:
    """Told to end alone, it has the issuing process end, and waits until its records are gone."""
    deployment = Deployment(
        world.authority, tmp_path, start_exoproxy, acme=world.settings(), trusted=world.root_file
    )
    process = deployment.uap().process
    await until(lambda: world.name_server.left() != {}, within=SECONDS)
    children = children_of(process.pid)
    process.send_signal(signal.SIGTERM)
    code = await asyncio.to_thread(process.wait, SECONDS)

    assert code == 0
    assert world.name_server.left() == {}
    assert not any(map(is_there, children))


async def test_a_successor_goes_on(world: World, tmp_path: Path, start_exoproxy: Start) -> None:
    """Handing over ends the issuing process as well; the successor sees to the certificate then."""
    deployment = Deployment(
        world.authority, tmp_path, start_exoproxy, acme=world.settings(), trusted=world.root_file
    )
    site = deployment.uap()
    await until(lambda: world.name_server.left() != {}, within=SECONDS)
    (issuing,) = children_of(site.process.pid)
    # Else it would be done before there is a successor.
    os.kill(int(issuing), signal.SIGSTOP)
    site.process.send_signal(signal.SIGUSR2)
    await until(lambda: b" serves now" in site.output.read_bytes(), within=SECONDS)
    os.kill(int(issuing), signal.SIGCONT)
    text = site.output.read_text("utf-8")
    successor = int(text.partition(" serves now")[0].rpartition("Process ")[2])
    try:
        code = await asyncio.to_thread(site.process.wait, SECONDS)
        gone = not is_there(issuing)
        await until(lambda: STOPPED in site.output.read_text("utf-8"), within=SECONDS)
    finally:
        os.kill(successor, signal.SIGTERM)
    await until(lambda: not is_there(str(successor)) or is_zombie(successor), within=SECONDS)

    assert (code, gone) == (0, True)
    assert [line for line in site.log() if line.get("level") == "ERROR"] == []
    assert world.name_server.left() == {}


def is_zombie(process: int) -> bool:
    return ") Z " in Path(f"/proc/{process}/stat").read_text("ascii")


def children_of(process: int) -> list[str]:
    """Return the ids of the processes that a process has started."""
    return Path(f"/proc/{process}/task/{process}/children").read_text(encoding="ascii").split()


def is_there(process: str) -> bool:
    """Tell whether there is a process with an id."""
    return Path("/proc", process).exists()
