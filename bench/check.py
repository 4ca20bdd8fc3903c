"""Whether a front answers a scenario rightly: one that doesn't is left out, with the reason."""

from typing import Final

import uvloop

from bench.front import Front
from bench.load.connection import Answer, Connection, request
from bench.load.requests import Requests
from bench.load.turn import Load, Wrong
from bench.processes import settle
from bench.stage import Stage

# Loads other than by wrk look at each of their answers: a short turn is a check.
_TRIAL_SECONDS: Final = 0.2


def check(load: Load, front: Front, stage: Stage) -> None:
    """Raise Wrong unless the front answers as the stage says it should."""
    if isinstance(load, Requests):
        if load.gzip:
            # exoproxy compresses a file once, after the first request for it, and has it for the
            # one that follows; nobody is to be measured meanwhile.
            uvloop.run(_ask(load, front, stage, judged=False))
            settle(front.roots)
            uvloop.run(_ask(load, front, stage, judged=False))
        uvloop.run(_ask(load, front, stage, judged=True))
    else:
        load.run(front, stage, _TRIAL_SECONDS)


async def _ask(load: Requests, front: Front, stage: Stage, *, judged: bool) -> None:
    port = front.main if load.role == "main" else front.uap
    asked = request(
        load.path, load.all_fields, method=load.method, content=b"x" * (load.upload or 0)
    )
    expected = (stage.files / load.answer).read_bytes()
    connection = await Connection.open(port, stage.trust())
    try:
        # Twice, because the second may take another way: a kept connection, a kept compression.
        for _ in range(2):
            answer = await connection.ask(asked)
            if judged:
                judge(answer, expected, gzip=load.gzip)
    finally:
        connection.close()


def judge(answer: Answer, expected: bytes, *, gzip: bool) -> None:
    """Raise Wrong unless the answer is 200 with the content expected, compressed as asked."""
    if answer.status != 200:
        raise Wrong(f"it answers {answer.status}")
    if answer.gzipped != gzip:
        raise Wrong("it doesn't compress" if gzip else "it compresses unasked")
    if answer.text != expected:
        raise Wrong("it answers with another content")
