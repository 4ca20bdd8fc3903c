"""wrk as the clients that nothing may go wrong for."""

import asyncio
import re
import shutil
import signal
import subprocess
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from deployment import Site

# As curl's --connect-to: the name is for TLS and the request, the address for the connection.
# Milliseconds between two requests of a connection: as fast as it can would starve the others.
SCRIPT = """\
wrk.resolve = function() wrk.addrs = wrk.lookup("127.0.0.1", "%d") end
function delay() return 10 end
"""
# It stops by itself should nobody end it.
LONGEST = "300s"


@dataclass(slots=True)
class Load:
    """What wrk told at its end: its lines about errors, and how many requests were answered."""

    errors: str = ""
    requests: int = 0


@asynccontextmanager
async def load(
    site: Site, folder: Path, *options: str, host: str = "", connections: int = 4
) -> AsyncIterator[Load]:
    """Have wrk ask for `GET /` over TLS, some hundred times a second, until the block ends.

    `options` are its own; nothing counts as failed because it took long, up to a minute.
    """
    program = shutil.which("wrk")
    assert program is not None
    script = folder / "load.lua"
    script.write_text(SCRIPT % site.port, "ascii")
    process = await asyncio.create_subprocess_exec(
        program,
        *("--threads", "1", "--connections", str(connections), "--duration", LONGEST),
        *("--timeout", "60s", "--script", str(script), *options),
        f"https://{host or site.hostname}/",
        stdout=subprocess.PIPE,
    )
    measured = Load()
    try:
        yield measured
    finally:
        process.send_signal(signal.SIGINT)
        said = (await process.communicate())[0].decode()
    measured.requests = sum(map(int, re.findall(r"(\d+) requests in", said)))
    measured.errors = "".join(re.findall(r".*(?:Socket errors|Non-2xx).*", said))
