"""Many connections, or tunnels, that do nothing: the memory that the front's processes take."""

import asyncio
import time
from dataclasses import dataclass
from typing import Final

import uvloop

from bench.front import Front
from bench.load.connection import Connection, message, request
from bench.load.turn import Sample, Wrong
from bench.processes import memory_bytes, tree
from bench.stage import Stage

# What a front loads and allocates but once is there after these.
_FIRST: Final = 100
_AT_ONCE: Final = 20
# For what a front does after an answer.
_SETTLE_SECONDS: Final = 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Idle:
    """So many connections after an answer each, or `tunnels` after a message each."""

    count: int
    tunnels: bool = False
    unit: str = "KB"
    fresh: bool = True

    def run(self, front: Front, stage: Stage, seconds: float) -> Sample:
        return uvloop.run(self._run(front, stage))

    async def _run(self, front: Front, stage: Stage) -> Sample:
        start = time.monotonic()
        held: list[Connection] = []
        try:
            await self._hold(held, _FIRST, front, stage)
            before = await _settled(front)
            await self._hold(held, self.count, front, stage)
            after = await _settled(front)
        finally:
            for each in held:
                each.close()
        return Sample(
            cost=(after - before) / self.count / 1024,
            count=self.count,
            seconds=time.monotonic() - start,
        )

    async def _hold(self, held: list[Connection], more: int, front: Front, stage: Stage) -> None:
        """Open so many more, a few at once."""
        trust, host = stage.trust(), stage.instance("http", stage.echo)
        page = request("/index.html", {})
        sent, expected = message(128)

        async def one() -> None:
            connection = await Connection.open(front.uap if self.tunnels else front.main, trust)
            held.append(connection)
            if self.tunnels:
                await connection.open_websocket(host)
                await connection.echo(sent, expected)
            elif (answer := await connection.ask(page)).status != 200:
                raise Wrong(f"the page got {answer.status}")

        for done in range(0, more, _AT_ONCE):
            await asyncio.gather(*(one() for _ in range(min(_AT_ONCE, more - done))))


async def _settled(front: Front) -> int:
    await asyncio.sleep(_SETTLE_SECONDS)
    return memory_bytes(tree(front.roots))
