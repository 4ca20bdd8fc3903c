"""A small answer of an instance, over many connections and from many instances in rotation.

The cost should not grow with either. Connections are open, and instances known, before it counts.
"""

import asyncio
import time
from dataclasses import dataclass
from itertools import cycle
from typing import Final

import uvloop

from bench.front import Front
from bench.load.connection import Connection, request
from bench.load.turn import Meter, Sample, Wrong, percentile
from bench.stage import INSTANCES, Stage

_AT_ONCE: Final = 16


@dataclass(frozen=True, slots=True, kw_only=True)
class Rotation:
    """Requests under way are at most 16, however many connections and instances there are."""

    connections: int = 32
    instances: int = 1
    unit: str = "µs"
    fresh: bool = False

    def run(self, front: Front, stage: Stage, seconds: float) -> Sample:
        return uvloop.run(self._run(front, stage, seconds))

    async def _run(self, front: Front, stage: Stage, seconds: float) -> Sample:
        trust = stage.trust()
        hosts = (
            stage.instance("http", stage.plain, address) for address in INSTANCES[: self.instances]
        )
        requests = cycle([request("/small.json", {"Host": host}) for host in hosts])
        times: list[float] = []

        async def use(connections: list[Connection], end: float) -> None:
            for connection in cycle(connections):
                if (now := time.monotonic()) >= end:
                    return
                if (answer := await connection.ask(next(requests))).status != 200:
                    raise Wrong(f"an instance got {answer.status}")
                times.append((time.monotonic() - now) * 1000)

        opened: list[Connection] = []
        try:
            while len(opened) < self.connections:
                opened.append(await Connection.open(front.uap, trust))
            for count in range(max(self.connections, self.instances)):
                answer = await opened[count % self.connections].ask(next(requests))
                if answer.status != 200:
                    raise Wrong(f"an instance got {answer.status}")
            users = [opened[n::_AT_ONCE] for n in range(min(_AT_ONCE, self.connections))]
            meter = Meter(front)
            start = time.monotonic()
            await asyncio.gather(*(use(each, start + seconds) for each in users))
            used = meter.microseconds()
        finally:
            for each in opened:
                each.close()
        return Sample(
            cost=used / len(times),
            count=len(times),
            seconds=time.monotonic() - start,
            p50=percentile(times, 0.5),
            p99=percentile(times, 0.99),
        )
