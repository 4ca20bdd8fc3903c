"""Notifications, as a systemd at the other end of the socket gets them."""

import os
import socket
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from exoproxy.ops.systemd import Notifier


@pytest.fixture
def manager(tmp_path: Path) -> Iterator[socket.socket]:
    """systemd's end: what was sent is there at once, or nothing was sent."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
        sock.bind(str(tmp_path / "notify"))
        sock.setblocking(False)
        yield sock


def environment(manager: socket.socket, **variables: str) -> dict[str, str]:
    return {"NOTIFY_SOCKET": manager.getsockname(), **variables}


def received(manager: socket.socket) -> str:
    return manager.recv(65536).decode()


def test_each_state_is_told(manager: socket.socket) -> None:
    """What systemd reads is what sd_notify(3) lists, one assignment a line."""
    notifier = Notifier(environment(manager), clock=lambda: 5_000_999)
    notifier.ready("Serving")
    notifier.reloading()
    notifier.stopping("Draining")
    notifier.beat()
    told = [received(manager) for _ in range(4)]

    assert told == [
        "READY=1\nSTATUS=Serving",
        "RELOADING=1\nMONOTONIC_USEC=5000",
        "STOPPING=1\nSTATUS=Draining",
        "WATCHDOG=1",
    ]


def test_abstract_name_is_reached() -> None:
    """A name with @ is one of the abstract namespace (unix(7))."""
    name = f"exoproxy-test-{os.getpid()}"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(f"\0{name}")
        manager.setblocking(False)
        Notifier({"NOTIFY_SOCKET": f"@{name}"}).beat()
        told = received(manager)

    assert told == "WATCHDOG=1"


def test_status_says_one_thing_alone(manager: socket.socket) -> None:
    """A text with a line end can't claim another state, and a long one is not dropped whole."""
    Notifier(environment(manager)).ready("a\nREADY=1\udc80" + "🦊" * 2000)
    told = received(manager)

    assert told.startswith("READY=1\nSTATUS=a?READY=1?🦊")
    assert len(told.encode()) < 4096


@pytest.mark.parametrize(
    "variables",
    [{}, {"NOTIFY_SOCKET": ""}, {"NOTIFY_SOCKET": "vsock:2:99"}, {"WATCHDOG_USEC": "60000000"}],
)
def test_without_systemd_nothing_is_told(variables: dict[str, str]) -> None:
    """Without a socket that is known, all is silent, and no beat is expected."""
    notifier = Notifier(variables)
    notifier.ready("Serving")

    assert notifier.watchdog is None


def test_missing_socket_is_not_fatal(tmp_path: Path) -> None:
    """A socket that is gone costs a notification, never the process."""
    Notifier({"NOTIFY_SOCKET": str(tmp_path / "gone")}).ready("Serving")


def test_stuck_manager_is_not_fatal(manager: socket.socket) -> None:
    """A systemd that reads nothing holds the process for a moment, not for ever."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as other:
        other.setblocking(False)
        with suppress(BlockingIOError):
            while True:
                other.sendto(b"WATCHDOG=1", manager.getsockname())
    Notifier(environment(manager)).beat()

    assert received(manager) == "WATCHDOG=1"


@pytest.mark.parametrize(
    ("variables", "seconds"),
    [
        ({"WATCHDOG_USEC": "60000000"}, 30.0),
        ({"WATCHDOG_USEC": "60000000", "WATCHDOG_PID": str(os.getpid())}, 30.0),
        ({"WATCHDOG_USEC": "60000000", "WATCHDOG_PID": "1"}, None),
        ({"WATCHDOG_USEC": "0"}, None),
        ({"WATCHDOG_USEC": "soon"}, None),
        ({}, None),
    ],
)
def test_beats_come_twice_as_often_as_expected(
    manager: socket.socket, variables: dict[str, str], seconds: float | None
) -> None:
    """The interval is half of what systemd allows, and only where it means this process."""
    assert Notifier(environment(manager, **variables)).watchdog == seconds


def test_children_do_not_notify(manager: socket.socket) -> None:
    """The variables are gone once they are read, and no others."""
    variables = environment(manager, WATCHDOG_USEC="1", WATCHDOG_PID="1", LANG="C")
    Notifier(variables)

    assert variables == {"LANG": "C"}


def test_successor_speaks_for_the_service(manager: socket.socket) -> None:
    """It gets the variables, but for the process id; the predecessor names it and falls silent."""
    variables = environment(manager, WATCHDOG_USEC="4000000", WATCHDOG_PID=str(os.getpid()))
    first = Notifier(variables)
    second = Notifier(dict(first.variables))
    first.leave_to(7)
    first.stopping("Draining")
    second.beat()

    assert (received(manager), received(manager)) == ("MAINPID=7", "WATCHDOG=1")
    assert (first.watchdog, second.watchdog) == (None, 2)
    assert Notifier({}).variables == {}
