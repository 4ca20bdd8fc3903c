"""Handing over to a successor: an upgrade that neither a request nor a websocket notices.

The command is started once more, from what is installed by now, and gets our listening sockets.
When it serves, the predecessor accepts no more; it finishes its requests, and its websockets stay
until they end. A successor that doesn't get that far is ended, and nothing has changed.

The successor says that it serves by a byte in a pipe, whose number is in a variable.
"""

import asyncio
import os
import socket
import sys
from collections.abc import Iterable, Mapping, MutableMapping
from contextlib import suppress
from typing import Final

from exoproxy.net.inherited import handed

_READY: Final = "EXOPROXY_READY"
# Seconds until a successor serves; half a minute of them for a disk that is slow to read Python.
_PATIENCE: Final = 60.0


class HandoverProblem(Exception):
    """There is no successor; the message says why."""


async def start_successor(
    sockets: Iterable[tuple[str, socket.socket]],
    notifications: Mapping[str, str],
    *,
    patience: float = _PATIENCE,
) -> int:
    """Start this process's command once more, and return its process id once it serves.

    `sockets` are listening ones with names, `notifications` the variables by which systemd is told.
    Raises `HandoverProblem`.
    """
    passed = list(sockets)
    try:
        reads, writes = os.pipe()
    except OSError as error:
        raise HandoverProblem(f"a successor can't be started ({error})") from error
    environment = {**os.environ, **notifications, **handed(passed), _READY: str(writes)}
    try:
        try:
            # -P: nothing is imported from the folder that this process happens to be in.
            child = await asyncio.create_subprocess_exec(
                *(sys.executable, "-P", "-m", "exoproxy", *sys.argv[1:]),
                stdin=asyncio.subprocess.DEVNULL,
                env=environment,
                pass_fds=[writes, *(sock.fileno() for _, sock in passed)],
            )
        except OSError as error:
            raise HandoverProblem(f"a successor can't be started ({error})") from error
        finally:
            os.close(writes)
        try:
            await _serves(child, reads, patience)
        except BaseException:
            with suppress(ProcessLookupError):
                child.kill()
            await child.wait()
            raise
    finally:
        os.close(reads)
    return child.pid


async def _serves(child: asyncio.subprocess.Process, reads: int, patience: float) -> None:
    loop, told = asyncio.get_running_loop(), asyncio.Event()
    loop.add_reader(reads, told.set)
    try:
        async with asyncio.timeout(patience):
            await told.wait()
            if os.read(reads, 1):
                return
            code = await child.wait()
    except TimeoutError:
        raise HandoverProblem(f"the successor did not serve within {patience:g} s") from None
    finally:
        loop.remove_reader(reads)
    raise HandoverProblem(f"the successor ended with exit code {code}; its messages say why")


class Predecessor:
    """The process that has started this one to be its successor; None most of the time.

    Its variable is removed from `environment`.
    """

    def __init__(self, environment: MutableMapping[str, str] = os.environ) -> None:
        number = environment.pop(_READY, "")
        self._pipe = int(number) if number.isascii() and number.isdigit() else None
        if self._pipe is not None:
            os.set_inheritable(self._pipe, False)

    def take_leave(self) -> None:
        """Tell it that this process serves; it then accepts no more."""
        if self._pipe is not None:
            # It may have ended meanwhile.
            with suppress(OSError):
                os.write(self._pipe, b"1")
                os.close(self._pipe)
            self._pipe = None
