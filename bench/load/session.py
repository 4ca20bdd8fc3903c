"""A recorded session of the Exosphere client, its API calls alone, against a slow cloud.

`session.json` says what was asked when. What was issued at about the same time is a burst; here a
burst begins as soon as the one before it is answered, so that nobody's thinking counts, and a
browser's six connections carry it. The stand-in cloud answers each call after 50 ms.
"""

import asyncio
import json
import time
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Final

import uvloop
from aiohttp import ClientError, ClientSession, ClientTimeout, TCPConnector
from yarl import URL

from bench.front import Front
from bench.load.turn import Meter, Sample, Wrong
from bench.stage import ADDRESS, Stage
from bench.stand_ins import SIZE, STATUS

_CONNECTIONS: Final = 6
# Milliseconds between two requests that are of different bursts.
_GAP: Final = 100
# The phase that users wait for.
_WAITED_FOR: Final = "choose project"
_FIELDS: Final = {
    "Accept": "*/*",
    "Accept-Encoding": "gzip, deflate, br, zstd",
    "Accept-Language": "en-US,en;q=0.9",
    "Host": "localhost",
    "Referer": "https://localhost/projects",
    "Sec-Fetch-Dest": "empty",
    "Sec-Fetch-Mode": "cors",
    "Sec-Fetch-Site": "same-origin",
    "User-Agent": "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 Chrome/156.0.0.0",
    "X-Auth-Token": "t" * 180,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """A request that was recorded; sizes are bytes of content, `at` milliseconds of its phase."""

    at: int
    method: str
    target: str
    service: str
    status: int
    asked: int
    answered: int


def recorded() -> dict[str, list[list[Call]]]:
    """Return the phases' bursts of calls."""
    text = Path(__file__).with_name("session.json").read_text(encoding="utf-8")
    names = ("at", "method", "target", "service", "status", "asked", "answered")
    return {
        phase: bursts([Call(**dict(zip(names, call, strict=True))) for call in calls])
        for phase, calls in json.loads(text)["phases"].items()
    }


def bursts(calls: list[Call]) -> list[list[Call]]:
    """Return the calls, which are in order, in groups that were issued together."""
    groups = [calls[:1]]
    for before, call in pairwise(calls):
        if call.at - before.at > _GAP:
            groups.append([])
        groups[-1].append(call)
    return groups


@dataclass(frozen=True, slots=True, kw_only=True)
class Session:
    """One session for each turn, however long; the cost is that of the whole.

    `Sample.wait` is the time from choosing a project until the last answer.
    """

    unit: str = "ms"
    fresh: bool = False

    def run(self, front: Front, stage: Stage, seconds: float) -> Sample:
        return uvloop.run(_replay(front, stage))


async def _replay(front: Front, stage: Stage) -> Sample:
    phases = recorded()
    waited = 0.0
    meter = Meter(front)
    start = time.monotonic()
    async with ClientSession(
        connector=TCPConnector(limit=_CONNECTIONS, ssl=stage.trust()),
        timeout=ClientTimeout(total=20),
        auto_decompress=False,
    ) as client:
        for phase, groups in phases.items():
            begun = time.monotonic()
            for group in groups:
                await asyncio.gather(*(_ask(client, front, stage, call) for call in group))
            if phase == _WAITED_FOR:
                waited = time.monotonic() - begun
    return Sample(
        cost=meter.microseconds() / 1000,
        count=sum(len(group) for groups in phases.values() for group in groups),
        seconds=time.monotonic() - start,
        wait=waited * 1000,
    )


async def _ask(client: ClientSession, front: Front, stage: Stage, call: Call) -> None:
    fields = {
        **_FIELDS,
        "exo-proxy-orig-host": ADDRESS,
        "exo-proxy-orig-port": str(stage.cloud[call.service]),
        STATUS: str(call.status),
        SIZE: str(call.answered),
        **({"Content-Type": "application/json"} if call.asked else {}),
    }
    try:
        async with client.request(
            call.method,
            URL(f"https://127.0.0.1:{front.main}{call.target}", encoded=True),
            headers=fields,
            data=b"x" * call.asked or None,
            server_hostname="localhost",
        ) as answer:
            content = await answer.read()
    except (ClientError, TimeoutError) as error:
        raise Wrong(f"a call got no answer: {error or type(error).__name__}") from None
    if answer.status != call.status:
        raise Wrong(f"a call got {answer.status} instead of {call.status}")
    if "Content-Encoding" not in answer.headers and len(content) != call.answered:
        raise Wrong(f"a call got {len(content)} bytes instead of {call.answered}")
