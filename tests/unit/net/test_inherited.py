"""The sockets that systemd passes."""

import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from exoproxy.net import inherited
from exoproxy.net.inherited import Passed, inherited_sockets, parse_passed
from exoproxy.net.sockets import ListenError


def environment(count: int, names: str | None = None, pid: int | None = None) -> dict[str, str]:
    variables = {"LISTEN_PID": str(pid or os.getpid()), "LISTEN_FDS": str(count)}
    if names is not None:
        variables["LISTEN_FDNAMES"] = names
    return variables


@pytest.mark.parametrize(
    ("variables", "expected"),
    [
        ({}, []),
        (environment(0, pid=7), []),
        (environment(0, "", pid=7), []),
        (environment(1, "https", pid=8), []),
        (environment(1, pid=7), [Passed(3, "unknown")]),
        (environment(2, "https:http", pid=7), [Passed(3, "https"), Passed(4, "http")]),
        (environment(2, "https:", pid=7), [Passed(3, "https"), Passed(4, "")]),
    ],
)
def test_variables_are_parsed(variables: dict[str, str], expected: list[Passed]) -> None:
    """Descriptors count from 3, with a name each, and only for the process that is meant."""
    assert parse_passed(variables, 7) == expected


@pytest.mark.parametrize(
    "variables",
    [
        environment(2, "https", pid=7),
        environment(1, "https:http", pid=7),
        {"LISTEN_PID": "7", "LISTEN_FDS": "two"},
        {"LISTEN_PID": "7", "LISTEN_FDS": "-1"},
        {"LISTEN_PID": "7", "LISTEN_FDS": "²"},
        {"LISTEN_PID": "7", "LISTEN_FDS": "99999999"},
    ],
)
def test_contradictions_are_refused(variables: dict[str, str]) -> None:
    """Variables that systemd would not set are an error, not a guess."""
    with pytest.raises(ListenError, match="systemd sets"):
        parse_passed(variables, 7)


@contextmanager
def passed(monkeypatch: pytest.MonkeyPatch, sock: socket.socket) -> Iterator[None]:
    """Let the socket's descriptor be the first that is passed."""
    monkeypatch.setattr(inherited, "_FIRST", os.dup(sock.fileno()))
    sock.close()
    yield


def test_listening_sockets_are_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    """A passed socket is ready for an acceptor, and no child takes it for its own."""
    original = socket.create_server(("127.0.0.1", 0))
    address = original.getsockname()
    variables = {**environment(1, "https"), "LANG": "C"}
    with passed(monkeypatch, original):
        [(name, sock)] = inherited_sockets(variables)
    with sock:
        found = (
            name,
            sock.getsockname(),
            sock.gettimeout(),
            sock.get_inheritable(),
            sock.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE),
        )

    assert found == ("https", address, 0, False, 1)
    assert variables == {"LANG": "C"}


def test_unix_sockets_are_taken(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A Unix socket has no TCP options and is taken all the same."""
    original = socket.socket(socket.AF_UNIX)
    original.bind(str(tmp_path / "socket"))
    original.listen()
    with passed(monkeypatch, original):
        [(name, sock)] = inherited_sockets(environment(1))
    sock.close()

    assert name == "unknown"


def test_connected_socket_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """A unit with Accept=yes passes connections; the sentence says what to set."""
    ours, theirs = socket.socketpair()
    with theirs, passed(monkeypatch, ours), pytest.raises(ListenError, match="set Accept=no"):
        inherited_sockets(environment(1))


def test_datagram_socket_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """A unit with ListenDatagram= is told to use ListenStream=."""
    sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    with passed(monkeypatch, sock), pytest.raises(ListenError, match="use ListenStream="):
        inherited_sockets(environment(1))


def test_descriptor_that_is_no_socket_is_refused(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """A file in the place of a socket is named by its descriptor."""
    descriptor = os.open(tmp_path / "file", os.O_CREAT | os.O_RDWR)
    monkeypatch.setattr(inherited, "_FIRST", descriptor)
    with pytest.raises(ListenError, match=rf"\(descriptor {descriptor}\): it is no socket"):
        inherited_sockets(environment(1))
    os.close(descriptor)


def test_first_socket_is_closed_when_the_second_is_wrong(monkeypatch: pytest.MonkeyPatch) -> None:
    """Sockets that were taken before the wrong one are not left open."""
    good = socket.create_server(("127.0.0.1", 0))
    with passed(monkeypatch, good):
        first = inherited._FIRST
        with pytest.raises(ListenError):
            inherited_sockets(environment(500))
    with pytest.raises(OSError, match="Bad file descriptor"):
        os.fstat(first)
