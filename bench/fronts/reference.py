"""A plain proxy on aiohttp's server and client: what Python gives without an engine of its own."""

import sys
from importlib.metadata import version
from typing import Final

from bench.front import Front, Peer
from bench.processes import Processes
from bench.stage import Stage


def _start(stage: Stage, processes: Processes) -> Front:
    main, uap = stage.ports.take(), stage.ports.take()
    pid = processes.start(
        "aiohttp",
        [
            *(sys.executable, "-m", "bench.aiohttp_proxy"),
            *(str(main), str(uap), str(stage.certificate), str(stage.files)),
        ],
        [("127.0.0.1", main), ("127.0.0.1", uap)],
    )
    return Front(
        name="aiohttp", version=version("aiohttp"), main=main, uap=uap, roots=(pid,), python=True
    )


PEERS: Final = (Peer(name="aiohttp", package="aiohttp", present=lambda: True, start=_start),)
