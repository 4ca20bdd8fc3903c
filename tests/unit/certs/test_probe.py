"""Asking listeners on loopback what they serve."""

import asyncio
import socket
import ssl
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from functools import partial
from ipaddress import IPv4Network
from pathlib import Path

import pytest

from authority import Authority
from exoproxy.certs.context import read_certificate, server_context
from exoproxy.certs.probe import LOCAL_HEADER, Listener, fingerprint_at, own_listeners, probe
from exoproxy.certs.serving import Served
from exoproxy.net.caps import Caps, Slot
from exoproxy.net.listen import Acceptor, Peer
from exoproxy.wire.proxy_protocol import read
from ports import free_port

NAME = "my.example.org"
LOOPBACK = IPv4Network("127.0.0.0/8")


def served(pem: Path) -> Served:
    return Served(context=server_context(pem, pem), certificate=read_certificate(pem))


@pytest.fixture
def one(tmp_path: Path) -> Served:
    return served(Authority(tmp_path).issue(NAME))


@asynccontextmanager
async def listening(
    context: Callable[[], ssl.SSLContext], *, proxy_protocol: bool = False
) -> AsyncIterator[socket.socket]:
    """An acceptor on loopback, as the service has them."""
    sock = socket.create_server(("127.0.0.1", 0))

    def factory(_: Peer, slot: Slot) -> asyncio.Protocol:
        slot.release()
        return asyncio.Protocol()

    acceptor = Acceptor(
        sock,
        context=context,
        factory=factory,
        caps=Caps(total=9, per_client=9),
        trusted=[LOOPBACK],
        proxy_protocol=proxy_protocol,
    )
    acceptor.start()
    try:
        yield sock
    finally:
        await acceptor.close()


@pytest.mark.parametrize("proxy_protocol", [False, True])
async def test_what_is_served_is_found(
    one: Served, proxy_protocol: bool, caplog: pytest.LogCaptureFixture
) -> None:
    """A listener that serves what was loaded is proved to, behind a PROXY header too."""
    async with listening(lambda: one.context, proxy_protocol=proxy_protocol) as sock:
        listeners = own_listeners([sock], proxy_protocol=proxy_protocol, trusted=[LOOPBACK])

        assert await probe(listeners, NAME, one)
        assert await fingerprint_at(listeners[0], NAME) == one.fingerprint
    assert caplog.messages == []


async def test_another_certificate_is_told(
    tmp_path: Path, one: Served, caplog: pytest.LogCaptureFixture
) -> None:
    """The error names the listener, both certificates, and what to do."""
    other = served(Authority(tmp_path).issue(NAME))
    async with listening(lambda: other.context) as sock:
        [listener] = own_listeners([sock], proxy_protocol=False, trusted=[])

        assert not await probe([listener], NAME, one)
    [message] = caplog.messages
    assert message.startswith(f"New connections to 127.0.0.1:{listener.port} get another")
    assert one.fingerprint in message
    assert other.fingerprint in message
    assert message.endswith("restart this service, and see what else listens there")


async def test_nobody_there_is_no_probe_of_anything(
    one: Served, caplog: pytest.LogCaptureFixture
) -> None:
    """A listener that can't be asked is a warning, and the others are asked all the same."""
    async with listening(lambda: one.context) as sock:
        [there] = own_listeners([sock], proxy_protocol=False, trusted=[])
        nobody = Listener(address="127.0.0.1", port=free_port())

        assert await probe([nobody, there], NAME, one)
    [message] = caplog.messages
    assert message.startswith(f"What is served on {nobody} could not be checked: ")


def test_listeners_are_asked_where_they_answer() -> None:
    """All addresses are asked at loopback; Unix sockets are not asked."""
    listeners = []
    for family, address in (
        (socket.AF_INET, "0.0.0.0"),  # noqa: S104 - what is to be proved
        (socket.AF_INET6, "::"),
        (socket.AF_INET, "127.0.0.2"),
    ):
        with socket.socket(family) as sock:
            sock.bind((address, 0))
            [found] = own_listeners([sock], proxy_protocol=False, trusted=[])
            assert found.port == sock.getsockname()[1]
            listeners.append(found.address)
    with socket.socket(socket.AF_UNIX) as sock:
        assert own_listeners([sock], proxy_protocol=False, trusted=[]) == []

    assert listeners == ["127.0.0.1", "::1", "127.0.0.2"]
    assert str(Listener(address="::1", port=443)) == "[::1]:443"


def test_a_header_is_sent_if_it_is_believed(caplog: pytest.LogCaptureFixture) -> None:
    """A listener that believes no header of ours is not asked, and the log says how it would be."""
    caplog.set_level("INFO")
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        find = partial(own_listeners, [sock], proxy_protocol=True)

        assert [each.header for each in find(trusted=[LOOPBACK])] == [LOCAL_HEADER]
        assert caplog.messages == []
        assert find(trusted=[IPv4Network("192.0.2.0/24")]) == []
        assert caplog.messages[0].endswith("list 127.0.0.1 under trusted_proxies if it shall be")


def test_the_header_is_one() -> None:
    """It says that the connection is the sender's own, and is complete."""
    header = read(LOCAL_HEADER)

    assert header is not None
    assert (header.length, header.address) == (len(LOCAL_HEADER), None)
