"""Messages through websockets to an instance and back, one under way on each connection."""

import asyncio
import time
from dataclasses import dataclass

import uvloop

from bench.front import Front
from bench.load.connection import Connection, message
from bench.load.turn import Meter, Sample, percentile
from bench.stage import Stage


@dataclass(frozen=True, slots=True, kw_only=True)
class Echo:
    """`size` is a message's bytes; the cost is that of a message there and back."""

    size: int
    connections: int = 16
    unit: str = "µs"
    fresh: bool = False

    def run(self, front: Front, stage: Stage, seconds: float) -> Sample:
        return uvloop.run(self._run(front, stage, seconds))

    async def _run(self, front: Front, stage: Stage, seconds: float) -> Sample:
        trust, host = stage.trust(), stage.instance("http", stage.echo)
        sent, expected = message(self.size)
        times: list[float] = []

        async def talk(connection: Connection) -> None:
            while (now := time.monotonic()) < end:
                await connection.echo(sent, expected)
                times.append((time.monotonic() - now) * 1000)

        connections = [await Connection.open(front.uap, trust) for _ in range(self.connections)]
        try:
            for each in connections:
                await each.open_websocket(host)
            meter = Meter(front)
            start = time.monotonic()
            end = start + seconds
            await asyncio.gather(*map(talk, connections))
            used = meter.microseconds()
        finally:
            for each in connections:
                each.close()
        return Sample(
            cost=used / len(times),
            count=len(times),
            seconds=time.monotonic() - start,
            p50=percentile(times, 0.5),
            p99=percentile(times, 0.99),
        )
