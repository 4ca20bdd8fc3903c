"""Asks a running process for its status, at its admin_listen.

The process is another one, of another version perhaps, and what answers there may be something
else altogether: all that comes is bounded and judged. Who reads the settings and chooses whom to
ask is `cli.status`; `admin.terminal` sets the answer for a terminal.
"""

import contextlib
import http.client
import socket
import time
from dataclasses import dataclass
from threading import Timer
from typing import Final

from exoproxy.admin.value import Status, parse
from exoproxy.rules.printable import printable
from exoproxy.settings.addresses import ListenAddress

_PATH: Final = "/status.json"
_SECONDS: Final = 5.0
_LARGEST: Final = 4 * 2**20


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """A process to ask: where it answers, and which may.

    `sites` are those that have this address in the configuration, of which a host runs one: the
    names of regions, and None for the main host.
    """

    listen: ListenAddress
    sites: tuple[str | None, ...]

    @property
    def name(self) -> str:
        """Which process is meant, in words."""
        return " or ".join(map(_name, self.sites))

    @property
    def unit(self) -> str:
        """The systemd unit that runs it, as a shell takes it."""
        if len(self.sites) > 1:
            return "'exoproxy-*'"
        return f"exoproxy-uap@{self.sites[0]}" if self.sites[0] else "exoproxy-main"


def _name(region: str | None) -> str:
    return f"region {region}" if region else "main"


class Silent(Exception):
    """Nobody listens there."""


class Unusable(Exception):
    """Something answers there that is not the process asked for, or not in a usable way."""


def ask(target: Target) -> tuple[bytes, Status]:
    """Return the status of a process, as it came and as a value.

    Raises `Silent` or `Unusable`, each with a sentence. Nothing is followed, no more than 4 MiB are
    read, and 5 s are the whole of the patience.
    """
    place = f"{target.name} is to answer at {target.listen}"
    try:
        content = _fetch(_reachable(target.listen), target.listen.port)
    except _Unreached as error:
        raise Silent(
            f"{place}, and nobody listens there ({error}); is the service running? "
            f"See: systemctl status {target.unit}"
        ) from None
    except TimeoutError:
        raise Unusable(
            f"{place}, and did not within {_SECONDS:.0f} s; it may hang: "
            f"see: journalctl -u {target.unit}"
        ) from None
    except (OSError, http.client.HTTPException, _Other) as error:
        raise Unusable(
            f"{place}, but something else answers there ({_what(error)}); see who listens: "
            f"ss -ltnp 'sport = :{target.listen.port}'"
        ) from None
    try:
        status = parse(content)
    except ValueError as error:
        raise Unusable(
            f"{place}, and its answer is not a status as this version knows it "
            f"({printable(str(error))}); after an upgrade: systemctl restart {target.unit}"
        ) from None
    if status["region"] not in target.sites:
        found = _name(status["region"])
        raise Unusable(
            f"{place}, but {printable(found)} does; each process on a host needs an admin_listen "
            "of its own"
        )
    return content, status


class _Unreached(Exception):
    """No connection."""


class _Other(Exception):
    """An answer that no exoproxy gives."""


def _fetch(host: str, port: int) -> bytes:
    """Return the content at the path.

    Raises `_Unreached`, and then TimeoutError, another OSError, HTTPException or `_Other`.
    """
    until = time.monotonic() + _SECONDS
    connection = http.client.HTTPConnection(host, port, timeout=_SECONDS)
    try:
        connection.connect()
    except OSError as error:
        raise _Unreached(_what(error)) from None
    # The timeout is that of a single read: who sends a byte now and then would never end.
    timer = Timer(_SECONDS, _end, [connection.sock])
    timer.daemon = True
    timer.start()
    try:
        connection.request("GET", _PATH, headers={"Accept": "application/json"})
        answer = connection.getresponse()
        if answer.status != http.client.OK:
            raise _Other(f"status {answer.status}")
        if answer.headers.get_content_type() != "application/json":
            raise _Other("no JSON")
        content = answer.read(_LARGEST + 1)
        if time.monotonic() >= until:
            raise TimeoutError
        if len(content) > _LARGEST:
            raise _Other(f"more than {_LARGEST >> 20} MiB")
        if answer.length:
            raise _Other("an answer that breaks off")
    except (OSError, http.client.HTTPException, _Other):
        if time.monotonic() >= until:
            raise TimeoutError from None
        raise
    finally:
        timer.cancel()
        connection.close()
    return content


def _end(sock: socket.socket) -> None:
    with contextlib.suppress(OSError):  # gone already
        sock.shutdown(socket.SHUT_RDWR)


def _reachable(listen: ListenAddress) -> str:
    """Return the address at which this host reaches a listener of its own."""
    if listen.address.is_unspecified:
        return "127.0.0.1" if listen.address.version == 4 else "::1"
    return str(listen.address)


def _what(error: Exception) -> str:
    if isinstance(error, _Other):
        return str(error)
    if isinstance(error, http.client.HTTPException):
        return "not HTTP"
    return printable(getattr(error, "strerror", None) or type(error).__name__)
