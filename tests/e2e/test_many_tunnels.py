"""Two thousand silent websockets at once: all stay, all still work, and they cost little."""

import asyncio
from collections.abc import Iterator

import pytest

from deployment import Deployment
from descriptors import open_files
from peers import End, until

pytestmark = pytest.mark.alone

TUNNELS = 2_000
# Each takes two descriptors in either process.
DESCRIPTORS = 2 * TUNNELS + 500
AT_ONCE = 50

# Bytes of memory that a tunnel may cost, both sides together.
COST = 60_000


@pytest.fixture(autouse=True)
def descriptors() -> Iterator[None]:
    """Let this process, and those that it starts, open enough files."""
    with open_files(DESCRIPTORS):
        yield


async def test_two_thousand_idle_tunnels(deployment: Deployment) -> None:
    """They all stay up, each then carries a word there and back, and none costs over 60 KB."""
    limits = {"connections_per_client": 2 * TUNNELS, "connections_per_upstream": 2 * TUNNELS}
    async with deployment.way("uap", limits=limits) as way:
        before = way.site.memory()
        gate = asyncio.Semaphore(AT_ONCE)

        async def open_one() -> tuple[End, End]:
            async with gate:
                return await way.tunnel()

        # Which client belongs to which of the upstream's ends does not matter here.
        ends = await asyncio.gather(*(open_one() for _ in range(TUNNELS)))
        cost = (way.site.memory() - before) / TUNNELS
        spent = way.site.cpu()
        await asyncio.sleep(2)
        spent = way.site.cpu() - spent
        print(f"{cost / 1000:.1f} KB a tunnel; {spent / 2:.1%} of a core for {TUNNELS} silent ones")
        for client, there in ends:
            client.send(b"there")
            there.send(b"back")
        heard = [(await client.read(4), await there.read(5)) for client, there in ends]

        assert heard == [(b"back", b"there")] * TUNNELS
        assert cost <= COST
        assert spent < 0.5
        for client, _ in ends:
            client.close()
        await until(lambda: len(way.site.served()) == 2 * TUNNELS)
