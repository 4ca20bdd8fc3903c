"""The service's side of systemd's notifications: sd_notify(3) and sd_watchdog_enabled(3).

What is not here: the sockets that systemd passes (`net.inherited`). Called by `service`.

Own lines, because the protocol is a datagram of text: of the libraries, `sdnotify` has had no
release since 2017 and knows no watchdog, `systemd-python` is built from source against libsystemd,
and `cysystemd` brings the journal along.
"""

import os
import socket
import time
from collections.abc import Callable, MutableMapping
from contextlib import suppress
from typing import Final

from exoproxy.rules.printable import printable

_VARIABLES: Final = ("NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID")

# Seconds to wait for a systemd that does not read. Its queue holds 512 datagrams, so that none is
# lost to a burst, and one that is stuck does not stop the event loop for longer.
_PATIENCE: Final = 0.1

# systemd drops a datagram of more than 4096 bytes; a character takes up to four.
_MAX_STATUS: Final = 512


class Notifier:
    """Tells systemd what the process is doing; silent where systemd did not start it.

    Nothing here raises: a notification that can't be sent costs the status shown, and at worst
    systemd's own timeout applies. The variables are removed from `environment`, so that no child
    speaks for this process. `clock` is CLOCK_MONOTONIC in nanoseconds.

    `variables` are those that were removed, but for the process id, for a successor.

    `watchdog` is the number of seconds between two calls of `beat`, half of WatchdogSec=; None
    where systemd expects none from this process.
    """

    def __init__(
        self,
        environment: MutableMapping[str, str] = os.environ,
        *,
        clock: Callable[[], int] = time.monotonic_ns,
    ) -> None:
        name, microseconds, pid = (environment.pop(each, "") for each in _VARIABLES)
        self._address = _address(name)
        given = {"NOTIFY_SOCKET": name, "WATCHDOG_USEC": microseconds}
        self.variables = {key: value for key, value in given.items() if value}
        self._clock = clock
        self.watchdog: float | None = None
        meant = pid in {"", str(os.getpid())}
        if self._address is not None and meant and microseconds.isdecimal():
            self.watchdog = int(microseconds) / 2_000_000 or None

    def ready(self, status: str) -> None:
        """Say that the start, or a reload, is done, with a line for `systemctl status`."""
        self._send("READY=1", _status(status))

    def leave_to(self, pid: int) -> None:
        """Say that this process is the service's main process from now on, and speak no more."""
        self._send(f"MAINPID={pid}")
        self._address = self.watchdog = None

    def reloading(self) -> None:
        """Say that a reload has begun; `ready` ends it, whether it worked or not."""
        # Type=notify-reload tells by the time which of several reloads this one is.
        self._send("RELOADING=1", f"MONOTONIC_USEC={self._clock() // 1000}")

    def stopping(self, status: str) -> None:
        """Say that the end has begun."""
        self._send("STOPPING=1", _status(status))

    def beat(self) -> None:
        """Say that the event loop turns."""
        self._send("WATCHDOG=1")

    def _send(self, *assignments: str) -> None:
        if self._address is None:
            return
        with suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
            sock.settimeout(_PATIENCE)
            sock.sendto("\n".join(assignments).encode(), self._address)


def _address(name: str) -> str | None:
    """Return the address for `NOTIFY_SOCKET`: a path, or `@` and an abstract name (unix(7))."""
    if name.startswith("/"):
        return name
    return "\0" + name[1:] if name.startswith("@") else None


def _status(text: str) -> str:
    return f"STATUS={printable(text)[:_MAX_STATUS]}"
