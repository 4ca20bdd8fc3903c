"""The sockets that systemd passes."""

import os
import socket
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from ipaddress import ip_address
from pathlib import Path

import pytest

from exoproxy.net import inherited
from exoproxy.net.inherited import (
    Endpoint,
    Passed,
    handed,
    inherited_sockets,
    parse_handed,
    parse_passed,
    sort_sockets,
)
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


Listening = Callable[..., socket.socket]


@pytest.fixture
def listening() -> Iterator[Listening]:
    """`listening("127.0.0.1")`: a socket bound there, to a free port or a given one."""
    with ExitStack() as opened:

        def listen(address: str, port: int = 0) -> socket.socket:
            family = socket.AF_INET6 if ":" in address else socket.AF_INET
            both = address == "::"
            return opened.enter_context(
                socket.create_server((address, port), family=family, dualstack_ipv6=both)
            )

        yield listen


def port_of(sock: socket.socket) -> int:
    port: int = sock.getsockname()[1]
    return port


def sorting(
    passed: list[tuple[str, socket.socket]], https: list[Endpoint], http: list[Endpoint]
) -> tuple[list[socket.socket], list[socket.socket]]:
    return sort_sockets(passed, https=https, http=http, part="main", unit="exoproxy-main.socket")


def test_sockets_are_told_apart_by_their_ports(listening: Listening) -> None:
    """A dual-stack socket stands for the IPv4 and the IPv6 address of its port, in any order."""
    first, second = listening("::"), listening("::")
    addresses = [ip_address("0.0.0.0"), ip_address("::")]  # noqa: S104 - a value to compare
    https = [(address, port_of(second)) for address in addresses]
    http = [(address, port_of(first)) for address in addresses]
    name = "exoproxy-main.socket"

    assert sorting([(name, first), (name, second)], https, http) == ([second], [first])


def test_a_port_of_both_is_told_by_the_address(listening: Listening) -> None:
    """Where https and http share a port on two addresses, the address decides."""
    one = listening("127.0.0.1")
    port = port_of(one)
    two = listening("127.0.0.2", port)
    https, http = [(ip_address("127.0.0.2"), port)], [(ip_address("127.0.0.1"), port)]

    assert sorting([("unknown", one), ("unknown", two)], https, http) == ([two], [one])


def test_a_name_decides(listening: Listening, tmp_path: Path) -> None:
    """A socket named http or https is that one, at whatever port, and even without one."""
    one, two = listening("127.0.0.1"), listening("127.0.0.1")
    with socket.socket(socket.AF_UNIX) as unix:
        unix.bind(str(tmp_path / "socket"))
        named = [("http", one), ("https", two), ("https", unix)]
        found = sorting(named, [(ip_address("127.0.0.1"), port_of(one))], [])

    assert found == ([two, unix], [one])


def test_a_socket_that_fits_nothing_is_refused(listening: Listening) -> None:
    """The sentence names the socket, the two keys, and the command that changes the unit."""
    sock = listening("127.0.0.1")
    where = rf"127\.0\.0\.1:{port_of(sock)}, which main\.listen and main\.redirect_listen"
    with pytest.raises(ListenError, match=rf"{where}.*`systemctl edit exoproxy-main\.socket`"):
        sorting([("unknown", sock)], [(ip_address("127.0.0.1"), 1)], [])


def test_a_port_that_could_be_either_is_refused(listening: Listening) -> None:
    """A dual-stack socket whose port https and http share on two addresses is no guess."""
    sock = listening("::")
    port = port_of(sock)
    https, http = [(ip_address("127.0.0.2"), port)], [(ip_address("127.0.0.1"), port)]
    with pytest.raises(ListenError, match=rf"\[::\]:{port}, which .* don't tell"):
        sorting([("unknown", sock)], https, http)


def test_a_unix_socket_needs_a_name(tmp_path: Path) -> None:
    """A Unix socket has no port to go by; its path moves no cursor."""
    with socket.socket(socket.AF_UNIX) as sock:
        sock.bind(str(tmp_path / "so\ncket"))
        with pytest.raises(ListenError, match=r"so\?cket, .*set FileDescriptorName=https"):
            sorting([("unknown", sock)], [], [])


@pytest.mark.parametrize("key", ["listen", "redirect_listen"])
def test_a_port_without_a_socket_is_refused(listening: Listening, key: str) -> None:
    """A configured port that no socket serves stops the start, with the line that is missing."""
    sock = listening("127.0.0.1")
    there, missing = [(ip_address("127.0.0.1"), port_of(sock))], [(ip_address("127.0.0.1"), 1)]
    https, http = (missing, there) if key == "listen" else (there, missing)
    with pytest.raises(ListenError, match=rf"^main\.{key} names port 1, .*add ListenStream=1 "):
        sorting([("unknown", sock)], https, http)


def test_predecessors_sockets_are_taken() -> None:
    """What one process writes the next one reads; systemd's variables count for nothing then."""
    with socket.create_server(("127.0.0.1", 0)) as original:
        address = original.getsockname()
        copy = original.dup()
        variables = {**handed([("https", copy)]), "LISTEN_FDS": "x", "LISTEN_PID": str(os.getpid())}
        copy.detach()
        [(name, sock)] = inherited_sockets(variables)
        with sock:
            found = name, sock.getsockname(), sock.get_inheritable()

    assert found == ("https", address, False)
    assert variables == {}


@pytest.mark.parametrize("text", ["https", "https=", "=5", "https=-1", "https=5,", "https=²"])
def test_what_no_predecessor_writes(text: str) -> None:
    """It is an error, not a guess."""
    with pytest.raises(ListenError, match="EXOPROXY_SOCKETS names no sockets"):
        parse_handed(text)
