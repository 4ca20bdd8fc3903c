"""Starting the short-lived process that gets certificates, and seeing that it ends.

It is a process of its own because the ACME client blocks, the DNS provider's SDK is heavy, and the
DNS token has no place in what faces the internet. Called by `keeper`.
"""

import asyncio
import logging
import sys
from collections.abc import Awaitable, Callable
from contextlib import suppress
from pathlib import Path
from typing import Final, Protocol

logger: Final = logging.getLogger("exoproxy")

# Seconds for everything but the wait for DNS, which is configured: 15 minutes for the store's lock,
# and 10 for an authority that is slow to validate and to sign.
SLACK: Final = 1500.0
# Seconds after SIGTERM in which the process removes its DNS records.
GRACE: Final = 20.0


class Child(Protocol):
    """A process that was started, as `asyncio.subprocess.Process` is one."""

    @property
    def returncode(self) -> int | None: ...

    async def wait(self) -> int: ...

    def terminate(self) -> None: ...

    def kill(self) -> None: ...


Start = Callable[[], Awaitable[Child]]


async def start_renewal(name: str, config: Path) -> Child:
    """Start `exoproxy cert renew --if-due NAME`, which decides once more what is to be done.

    Its messages go where this process's go; it lowers its own priority. Raises `OSError`.
    """
    # -P: nothing is imported from the folder that this process happens to be in.
    command = (sys.executable, "-P", "-m", "exoproxy", "cert", "renew", "--if-due", name)
    return await asyncio.create_subprocess_exec(
        *command, "--config", str(config), stdin=asyncio.subprocess.DEVNULL
    )


async def run_to_its_end(start: Start, *, limit: float, grace: float = GRACE) -> int | None:
    """Start a process and return its exit code; None if it could not be started.

    After `limit` seconds, or when this is cancelled, it gets SIGTERM, and `grace` seconds later
    SIGKILL. Cancelled a second time, it is left to the SIGTERM.
    """
    try:
        child = await start()
    except OSError as error:
        logger.error("The process that gets certificates can't be started: %s", error)
        return None
    try:
        async with asyncio.timeout(limit):
            return await child.wait()
    except TimeoutError:
        logger.error("The process that gets certificates is ended: it took over %d s", limit)
    finally:
        if child.returncode is None:
            await _end(child, grace)
    return child.returncode


async def _end(child: Child, grace: float) -> None:
    with suppress(ProcessLookupError):
        child.terminate()
    try:
        async with asyncio.timeout(grace):
            await child.wait()
    except TimeoutError:
        logger.warning(
            "The process that gets certificates did not end within %d s and is killed; the next "
            "one removes the DNS records that this one leaves",
            grace,
        )
        with suppress(ProcessLookupError):
            child.kill()
        await child.wait()
