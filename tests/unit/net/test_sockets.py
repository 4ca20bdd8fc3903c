"""Listening sockets: what they are set to, and the sentence of each failure."""

import errno
import socket
from collections.abc import Iterator
from ipaddress import IPv4Address, IPv6Address

import pytest

from exoproxy.net.sockets import ListenError, TcpOptions, open_socket

LOOPBACK = IPv4Address("127.0.0.1")


def options_of(sock: socket.socket) -> dict[str, int]:
    tcp = socket.IPPROTO_TCP
    return {
        "keep-alive": sock.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE),
        "no delay": sock.getsockopt(tcp, socket.TCP_NODELAY),
        "idle": sock.getsockopt(tcp, socket.TCP_KEEPIDLE),
        "interval": sock.getsockopt(tcp, socket.TCP_KEEPINTVL),
        "count": sock.getsockopt(tcp, socket.TCP_KEEPCNT),
        "user timeout": sock.getsockopt(tcp, socket.TCP_USER_TIMEOUT),
    }


@pytest.mark.parametrize("address", [LOOPBACK, IPv6Address("::1")], ids=str)
def test_accepted_sockets_inherit_the_options(address: IPv4Address | IPv6Address) -> None:
    """A connection has the options of the socket that accepted it, without a call of its own."""
    options = TcpOptions(idle=61, interval=16, count=5, user_timeout=121)
    with open_socket(address, 0, options=options) as listening:
        listening.setblocking(True)
        with socket.create_connection(listening.getsockname()[:2]), listening.accept()[0] as sock:
            found = options_of(sock)

    assert found == {
        "keep-alive": 1,
        "no delay": 1,
        "idle": 61,
        "interval": 16,
        "count": 5,
        "user timeout": 121_000,
    }


def test_both_wildcards_share_a_port() -> None:
    """The IPv6 wildcard leaves IPv4 to the IPv4 wildcard, and a restart need not wait."""
    with open_socket(IPv4Address("0.0.0.0"), 0) as ipv4:  # noqa: S104 - the wildcard is the case
        port = ipv4.getsockname()[1]
        with open_socket(IPv6Address("::"), port) as ipv6:
            only = ipv6.getsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY)
            reuse = ipv6.getsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR)

    assert (only, reuse) == (1, 1)


def test_socket_does_not_block_and_is_not_passed_on() -> None:
    """A listening socket never blocks the loop, and no child process gets it."""
    with open_socket(LOOPBACK, 0) as sock:
        found = (sock.gettimeout(), sock.get_inheritable())

    assert found == (0, False)


@pytest.mark.parametrize(
    ("holder", "sentence"),
    [
        ("nginx (process 812)", "nginx (process 812) listens there already; stop it or choose"),
        (None, "another process listens there; `ss -ltnp` tells which."),
    ],
)
def test_port_in_use(holder: str | None, sentence: str) -> None:
    """A taken port is named with the process that has it, or with the way to find it."""
    with open_socket(LOOPBACK, 0) as first:
        port = first.getsockname()[1]
        with pytest.raises(ListenError) as caught:
            open_socket(LOOPBACK, port, holder=lambda _: holder)

    assert f"127.0.0.1:{port}: {sentence}" in str(caught.value)


class Unbindable(socket.socket):
    """A socket that may not be bound, for a reason of the test's choice."""

    number = 0

    def bind(self, address: object) -> None:
        raise OSError(self.number, "the kernel's word")


@pytest.fixture
def unbindable(monkeypatch: pytest.MonkeyPatch) -> Iterator[type[Unbindable]]:
    with monkeypatch.context() as patch:
        patch.setattr(socket, "socket", Unbindable)
        yield Unbindable


@pytest.mark.parametrize(
    ("number", "address", "port", "sentence"),
    [
        (errno.EACCES, "0.0.0.0", 443, "0.0.0.0:443: ports below 1024 need a privilege"),  # noqa: S104 - the wildcard is the case
        (errno.EACCES, "0.0.0.0", 8443, "0.0.0.0:8443: can't listen there: the kernel's word."),  # noqa: S104 - the wildcard is the case
        (errno.EADDRNOTAVAIL, "192.0.2.1", 443, "192.0.2.1:443: no interface of this host has"),
        (errno.EAFNOSUPPORT, "::", 443, "[::]:443: this host has no IPv6"),
        (errno.ENOMEM, "::1", 80, "[::1]:80: can't listen there: the kernel's word."),
    ],
)
def test_each_failure_has_its_sentence(
    unbindable: type[Unbindable],
    monkeypatch: pytest.MonkeyPatch,
    number: int,
    address: str,
    port: int,
    sentence: str,
) -> None:
    """A failure says where, what and what to do, and leaves no socket open."""
    monkeypatch.setattr(unbindable, "number", number)
    with pytest.raises(ListenError) as caught:
        open_socket(IPv6Address(address) if ":" in address else IPv4Address(address), port)

    assert str(caught.value).startswith(sentence)


def test_address_of_another_host_is_refused_by_the_kernel() -> None:
    """The kernel's own error for a foreign address gets the sentence about interfaces."""
    with pytest.raises(ListenError, match="no interface of this host has that address"):
        open_socket(IPv4Address("192.0.2.1"), 0)


def test_host_without_ipv6(monkeypatch: pytest.MonkeyPatch) -> None:
    """A host that can't even make an IPv6 socket gets the sentence too."""

    def make(*_: object) -> socket.socket:
        raise OSError(errno.EAFNOSUPPORT, "Address family not supported by protocol")

    with monkeypatch.context() as patch:
        patch.setattr(socket, "socket", make)
        with pytest.raises(ListenError, match="this host has no IPv6; remove that address"):
            open_socket(IPv6Address("::"), 443)
