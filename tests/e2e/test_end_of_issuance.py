"""A service that ends while it has a certificate got for it: nothing of that outlives it."""

import asyncio
import signal
from pathlib import Path

import pytest

from acme_world import NEEDS, World
from deployment import Deployment, Start
from peers import until

pytestmark = pytest.mark.needs(*NEEDS)

SECONDS = 30


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


def children_of(process: int) -> list[str]:
    """Return the ids of the processes that a process has started."""
    return Path(f"/proc/{process}/task/{process}/children").read_text(encoding="ascii").split()


def is_there(process: str) -> bool:
    """Tell whether there is a process with an id."""
    return Path("/proc", process).exists()
