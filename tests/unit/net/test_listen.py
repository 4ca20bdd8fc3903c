"""Accepting: who the peer is, the context of the moment, caps, hostile and broken clients."""

import asyncio
import errno
import socket
import ssl
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from ipaddress import IPv4Address, IPv4Network, IPv6Address, ip_network
from pathlib import Path
from typing import Any, cast

import pytest

from authority import Authority
from exoproxy.net import listen
from exoproxy.net.caps import Caps, Slot
from exoproxy.net.listen import Acceptor, Peer
from exoproxy.net.sockets import open_socket
from exoproxy.net.tls import open_context, remember_server_name

pytestmark = pytest.mark.usefixtures("no_task_left")

LOOPBACK = IPv4Address("127.0.0.1")
V1 = b"PROXY TCP4 192.0.2.1 198.51.100.1 56324 443\r\n"
V2_LOCAL = b"\r\n\r\n\x00\r\nQUIT\n\x20\x00\x00\x00"


class Echo(asyncio.Protocol):
    """What an accepted connection is served with: it sends back what it gets."""

    def __init__(self, peer: Peer, slot: Slot) -> None:
        self.peer = peer
        self._slot = slot

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # A cast: uvloop's transports are no instances of asyncio's.
        self.transport = cast(asyncio.Transport, transport)

    def data_received(self, data: bytes) -> None:
        self.transport.write(data)

    def connection_lost(self, exc: Exception | None) -> None:
        self._slot.release()


class House:
    """An acceptor on loopback, its caps, and whom it has served."""

    def __init__(self, **options: Any) -> None:
        total, per_client = options.pop("total", 100), options.pop("per_client", 50)
        self.caps: Caps = options.pop("caps", None) or Caps(total=total, per_client=per_client)
        self.context: ssl.SSLContext | None = options.pop("context", None)
        self.peers: list[Peer] = []
        sock = options.pop("sock", None) or open_socket(LOOPBACK, 0)
        self.address: Any = sock.getsockname()
        self.acceptor = Acceptor(
            sock,
            context=lambda: self.context,
            factory=options.pop("factory", self.serve),
            caps=self.caps,
            **options,
        )

    def serve(self, peer: Peer, slot: Slot) -> Echo:
        self.peers.append(peer)
        return Echo(peer, slot)

    async def empty(self) -> None:
        """Wait until no connection is open."""
        while self.caps.open:
            freed = asyncio.Event()
            self.caps.when_room(freed.set)
            await freed.wait()

    async def connect(self, **options: Any) -> "Visitor":
        reader, writer = await asyncio.open_connection(*self.address[:2], **options)
        return Visitor(reader, writer)


class Visitor:
    """A client's end of a connection."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer

    async def echo(self, data: bytes = b"ping") -> bytes:
        """Return what comes back; b"" when the connection is closed instead."""
        self.writer.write(data)
        return await self.read(len(data))

    async def read(self, count: int = 100) -> bytes:
        try:
            return await self.reader.read(count)
        except ConnectionError:
            return b""

    def close(self) -> None:
        self.writer.transport.abort()


@asynccontextmanager
async def house(**options: Any) -> AsyncIterator[House]:
    here = House(**options)
    here.acceptor.start()
    # Nothing here takes a second: what never comes shall fail the test, not hang it.
    async with asyncio.timeout(10):
        try:
            yield here
        finally:
            await here.acceptor.close()
            await here.empty()


async def until(happened: Callable[[], object]) -> None:
    """Let the loop turn until something has happened that no event tells."""
    while not happened():  # noqa: ASYNC110 - a counter has no event, and a turn costs nothing
        await asyncio.sleep(0)


def counts(here: House) -> tuple[int, int, int]:
    acceptor = here.acceptor
    return acceptor.accepted, acceptor.refused, acceptor.handshake_failures


@pytest.fixture
def serving_context(authority: Authority) -> ssl.SSLContext:
    context = authority.serve("a.example")
    remember_server_name(context)
    return context


async def test_plain_peer() -> None:
    """A plain connection is served, and its peer known by address and port."""
    async with house() as here:
        visitor = await here.connect()
        echoed = await visitor.echo()
        port = visitor.writer.get_extra_info("sockname")[1]
        visitor.close()

    assert echoed == b"ping"
    assert here.peers == [Peer(address=LOOPBACK, port=port, tls=False)]
    assert (counts(here), here.caps.open) == ((1, 0, 0), 0)


async def test_ipv6_peer() -> None:
    """A connection over IPv6 has an IPv6 peer."""
    async with house(sock=open_socket(IPv6Address("::1"), 0)) as here:
        visitor = await here.connect()
        await visitor.echo()
        visitor.close()

    assert here.peers[0].address == IPv6Address("::1")


async def test_ipv4_peer_of_a_socket_for_both_families() -> None:
    """A socket of systemd's that takes both families names IPv4 peers by their IPv4 address."""
    sock = socket.create_server(("::", 0), family=socket.AF_INET6, dualstack_ipv6=True)
    async with house(sock=sock) as here:
        here.address = ("127.0.0.1", sock.getsockname()[1])
        visitor = await here.connect()
        await visitor.echo()
        visitor.close()

    assert here.peers[0].address == LOOPBACK


async def test_unix_peer(tmp_path: Path) -> None:
    """A peer on a Unix socket has no address and is trusted."""
    sock = socket.socket(socket.AF_UNIX)
    sock.bind(str(tmp_path / "socket"))
    sock.listen()
    async with house(sock=sock) as here:
        visitor = Visitor(*await asyncio.open_unix_connection(here.address))
        await visitor.echo()
        visitor.close()

    assert here.peers == [Peer(address=None, port=0, tls=False, trusted=True)]


@pytest.mark.parametrize(("network", "trusted"), [("127.0.0.0/8", True), ("10.0.0.0/8", False)])
async def test_trusted_peer(network: str, trusted: bool) -> None:
    """A peer in a trusted network is marked so."""
    async with house(trusted=[ip_network(network), ip_network("2001:db8::/32")]) as here:
        visitor = await here.connect()
        await visitor.echo()
        visitor.close()

    assert here.peers[0].trusted is trusted


async def test_tls_peer(serving_context: ssl.SSLContext) -> None:
    """A TLS connection is handed over after its handshake, with the name that was asked for."""
    async with house(context=serving_context) as here:
        visitor = await here.connect(ssl=open_context(), server_hostname="A.Example")
        echoed = await visitor.echo()
        visitor.close()

    assert echoed == b"ping"
    assert (here.peers[0].tls, here.peers[0].server_name) == (True, "a.example")


async def test_context_of_the_moment(authority: Authority) -> None:
    """A new context serves the next connection and touches none that is open."""
    trust = ssl.create_default_context(cafile=authority.file)
    async with house(context=authority.serve("old.example")) as here:
        old = await here.connect(ssl=trust, server_hostname="old.example")
        here.context = authority.serve("new.example")
        new = await here.connect(ssl=trust, server_hostname="new.example")
        echoed = [await old.echo(), await new.echo()]
        old.close()
        new.close()

    assert echoed == [b"ping", b"ping"]


async def test_many_at_once() -> None:
    """More connections than one wake-up takes are all accepted."""
    async with house(total=200, per_client=200) as here:
        visitors = await asyncio.gather(*(here.connect() for _ in range(130)))
        echoed = await asyncio.gather(*(visitor.echo() for visitor in visitors))
        for visitor in visitors:
            visitor.close()

    assert set(echoed) == {b"ping"}
    assert here.acceptor.accepted == 130


async def test_silent_handshake(serving_context: ssl.SSLContext) -> None:
    """A client that says nothing is closed at the deadline, and counted."""
    async with house(context=serving_context, handshake_timeout=0.03) as here:
        visitor = await here.connect()
        answer = await visitor.read()
        await here.empty()
        visitor.close()

    assert answer == b""
    assert (counts(here), here.peers) == ((1, 0, 1), [])


@pytest.mark.parametrize("sent", [b"GET / HTTP/1.1\r\n\r\n", b"\x16\x03\x01\xff\xff" + bytes(100)])
async def test_broken_handshake(serving_context: ssl.SSLContext, sent: bytes) -> None:
    """What is no TLS is closed and counted, without a word in the log."""
    async with house(context=serving_context) as here:
        visitor = await here.connect()
        visitor.writer.write(sent)
        if sent.startswith(b"\x16"):
            visitor.writer.write_eof()
        await here.empty()
        visitor.close()

    assert (counts(here), here.peers) == ((1, 0, 1), [])


@pytest.mark.parametrize("abort", [False, True], ids=["FIN", "RST"])
async def test_client_leaves_during_the_handshake(
    serving_context: ssl.SSLContext, abort: bool
) -> None:
    """A client that hangs up during its handshake leaves nothing behind."""
    async with house(context=serving_context) as here:
        visitor = await here.connect()
        visitor.writer.write(b"\x16\x03\x01")
        if abort:
            linger = b"\x01\0\0\0\0\0\0\0"
            visitor.writer.get_extra_info("socket").setsockopt(
                socket.SOL_SOCKET, socket.SO_LINGER, linger
            )
        visitor.close()
        await until(lambda: here.acceptor.handshake_failures)

    assert (counts(here), here.peers) == ((1, 0, 1), [])


# With one place, so many more clients are let in to be told that there is none.
TOLD = 8


async def test_total_cap() -> None:
    """Beyond the places some are told so; the next client waits, and enters when one leaves."""
    async with house(total=1) as here:
        visitors = [await here.connect() for _ in range(1 + TOLD)]
        for visitor in visitors:
            await visitor.echo()
        last = await here.connect()
        waiting = asyncio.create_task(last.echo())
        # The first client is served on: the full house does not keep the loop busy.
        await visitors[0].echo()
        accepted = here.acceptor.accepted
        visitors[0].close()
        echoed = await waiting
        for visitor in [*visitors, last]:
            visitor.close()

    assert (accepted, echoed, here.acceptor.accepted) == (1 + TOLD, b"ping", 2 + TOLD)
    assert [peer.excess is not None for peer in here.peers[:-1]] == [False] + [True] * TOLD


@pytest.mark.parametrize("options", [{}, {"total": 2}])
async def test_client_cap(options: dict[str, Any]) -> None:
    """Beyond its cap a client is marked, beyond twice the cap closed; others are unaffected."""
    async with house(per_client=1, **options) as here:
        visitors = [await here.connect() for _ in range(3)]
        echoed = [await visitor.echo() for visitor in visitors]
        other = await here.connect(local_addr=("127.0.0.2", 0))
        await other.echo()
        for visitor in [*visitors, other]:
            visitor.close()

    assert echoed == [b"ping", b"ping", b""]
    assert excess(here) == [False, True, "total" in options]
    assert counts(here) == (4, 1, 0)


def excess(here: House) -> list[bool]:
    """Tell of each peer whether it is one too many."""
    return [peer.excess is not None for peer in here.peers]


async def test_crowd_of_one_client_costs_no_handshake(serving_context: ssl.SSLContext) -> None:
    """Beyond twice its cap, a client's connection is closed before any work is begun for it."""
    async with house(per_client=1, context=serving_context) as here:
        silent = [await here.connect() for _ in range(2)]
        await until(lambda: here.acceptor.arriving == 2)
        third = await here.connect()
        answer = await third.read()
        arriving = here.acceptor.arriving
        for visitor in [*silent, third]:
            visitor.close()
        await until(lambda: here.acceptor.arriving == 0)

    assert (answer, arriving) == (b"", 2)
    assert counts(here) == (3, 1, 2)


async def test_trusted_peer_has_no_cap() -> None:
    """A balancer carries many clients: it is not capped as one of them."""
    async with house(per_client=1, trusted=[ip_network("127.0.0.0/8")]) as here:
        visitors = [await here.connect() for _ in range(3)]
        echoed = [await visitor.echo() for visitor in visitors]
        for visitor in visitors:
            visitor.close()

    assert echoed == [b"ping"] * 3
    assert excess(here) == [False] * 3


class Exhausted(socket.socket):
    """A listening socket that fails to accept as often as it is told."""

    errors: list[int]

    def accept(self) -> tuple[socket.socket, Any]:
        if self.errors:
            raise OSError(self.errors.pop(), "text")
        return super().accept()


def exhausted(*errors: int) -> Exhausted:
    sock = Exhausted(fileno=open_socket(LOOPBACK, 0).detach())
    sock.errors = list(errors)
    return sock


@pytest.mark.parametrize("number", [errno.EMFILE, errno.ENFILE])
async def test_no_descriptor_left(
    number: int, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Without descriptors accepting pauses, says so once, and goes on by itself."""
    monkeypatch.setattr(listen, "_PAUSE", 0.01)
    async with house(sock=exhausted(number, number, number)) as here:
        visitor = await here.connect()
        echoed = await visitor.echo()
        visitor.close()
    (message,) = caplog.messages
    caplog.clear()

    assert echoed == b"ping"
    assert message.startswith("Accepting no connections for a second: ")


async def test_stop_during_a_pause(caplog: pytest.LogCaptureFixture) -> None:
    """Stopping an acceptor that pauses leaves no timer that would wake it."""
    async with house(sock=exhausted(errno.EMFILE)) as here:
        visitor = await here.connect()
        await until(lambda: caplog.messages)
        here.acceptor.stop()
        pause = here.acceptor._pause_end
        visitor.close()
    caplog.clear()

    assert pause is not None
    assert pause.cancelled()


async def test_connection_that_was_gone_before_accept() -> None:
    """A client that left while it waited does not make the others wait."""
    async with house(sock=exhausted(errno.ECONNABORTED, errno.EPROTO)) as here:
        visitor = await here.connect()
        echoed = await visitor.echo()
        visitor.close()

    assert echoed == b"ping"


async def test_factory_that_fails(caplog: pytest.LogCaptureFixture) -> None:
    """A defect in the factory closes the connection, frees its place and is in the log."""

    def broken(peer: Peer, slot: Slot) -> asyncio.Protocol:
        raise LookupError("a defect")

    async with house(factory=broken) as here:
        visitor = await here.connect()
        answer = await visitor.read()
        visitor.close()
    logged = [record.exc_info[0] for record in caplog.records if record.exc_info]
    caplog.clear()

    assert answer == b""
    assert logged == [LookupError]


def proxied(**options: Any) -> Any:
    return house(proxy_protocol=True, trusted=[IPv4Network("127.0.0.0/8")], **options)


async def test_proxy_header() -> None:
    """Behind a balancer the peer is the one in the header, and not trusted for that."""
    async with proxied() as here:
        visitor = await here.connect()
        visitor.writer.write(V1)
        echoed = await visitor.echo()
        visitor.close()

    assert echoed == b"ping"
    assert here.peers == [Peer(address=IPv4Address("192.0.2.1"), port=56324, tls=False)]


async def test_proxy_header_before_tls(serving_context: ssl.SSLContext) -> None:
    """The header stands before the handshake, in whatever pieces it comes."""
    async with proxied(context=serving_context) as here:
        visitor = await here.connect()
        for number in range(len(V1)):
            visitor.writer.write(V1[number : number + 1])
            await asyncio.sleep(0)
        await visitor.writer.start_tls(open_context(), server_hostname="a.example")
        echoed = await visitor.echo()
        visitor.close()

    assert echoed == b"ping"
    assert here.peers[0].address == IPv4Address("192.0.2.1")
    assert here.peers[0].server_name == "a.example"


async def test_balancers_own_connection() -> None:
    """A balancer's health check (LOCAL) is the balancer's, and trusted."""
    async with proxied() as here:
        visitor = await here.connect()
        echoed = await visitor.echo(V2_LOCAL + b"ping")
        visitor.close()

    assert echoed == b"ping"
    assert (here.peers[0].address, here.peers[0].trusted) == (LOOPBACK, True)


async def test_clients_behind_a_balancer_are_capped() -> None:
    """The cap counts the addresses in the headers, not the balancer's."""
    other = V1.replace(b"192.0.2.1", b"192.0.2.2")
    async with proxied(per_client=1) as here:
        visitors = []
        for header in (V1, V1, V1, other):
            visitors.append(await here.connect())
            visitors[-1].writer.write(header)
            await visitors[-1].echo()
        for visitor in visitors:
            visitor.close()

    assert excess(here) == [False, True, False]
    assert here.acceptor.refused == 1


async def test_ipv4_clients_of_a_balancer_that_speaks_ipv6() -> None:
    """Their addresses come in IPv6 form, all in one /64, and are still many clients'."""
    header = b"PROXY TCP6 ::ffff:192.0.2.%d ::ffff:198.51.100.1 56324 443\r\n"
    async with proxied(per_client=1) as here:
        visitors = []
        for number in range(3):
            visitors.append(await here.connect())
            visitors[-1].writer.write(header % number)
            await visitors[-1].echo()
        for visitor in visitors:
            visitor.close()

    assert excess(here) == [False] * 3
    assert here.peers[0].address == IPv4Address("192.0.2.0")


@pytest.mark.parametrize(
    "sent",
    [b"GET / HTTP/1.1\r\n\r\n", b"\x16\x03\x01\x02\x00", b"PROXY TCP4 1 2 3 4\r\n", V1[:20]],
    ids=["http", "tls", "bad", "cut"],
)
async def test_wrong_proxy_header(sent: bytes) -> None:
    """Without a good header a connection is closed, and gets no answer."""
    async with proxied() as here:
        visitor = await here.connect()
        visitor.writer.write(sent)
        visitor.writer.write_eof()
        answer = await visitor.read()
        visitor.close()

    assert answer == b""
    assert (counts(here), here.peers) == ((1, 1, 0), [])


async def test_late_proxy_header() -> None:
    """A header that does not come in time closes the connection."""
    async with proxied(proxy_timeout=0.03) as here:
        visitor = await here.connect()
        answer = await visitor.read()
        visitor.close()

    assert (answer, counts(here)) == (b"", (1, 1, 0))


async def test_untrusted_proxy_header() -> None:
    """A sender that is not trusted is closed, however good its header."""
    async with house(proxy_protocol=True, trusted=[ip_network("10.0.0.0/8")]) as here:
        visitor = await here.connect()
        answer = await visitor.echo(V1)
        visitor.close()

    assert (answer, counts(here), here.peers) == (b"", (1, 1, 0), [])


async def test_header_is_data_where_none_is_expected() -> None:
    """Without proxy_protocol a header is what the client says, and is not believed."""
    async with house(trusted=[ip_network("127.0.0.0/8")]) as here:
        visitor = await here.connect()
        echoed = await visitor.echo(V1)
        visitor.close()

    assert (echoed, here.peers[0].address) == (V1, LOOPBACK)


async def test_stop_frees_the_port_and_lets_connections_be() -> None:
    """After `stop` nobody is accepted, the port is free, and open connections go on."""
    async with house() as here:
        visitor = await here.connect()
        await visitor.echo()
        here.acceptor.stop()
        here.acceptor.stop()
        with pytest.raises(ConnectionRefusedError):
            await here.connect()
        echoed = await visitor.echo()
        visitor.close()

    assert echoed == b"ping"


async def test_stop_leaves_systemds_socket_open() -> None:
    """A client that comes after `stop` to a socket that systemd holds is served by the next."""
    kept = open_socket(LOOPBACK, 0)
    async with house(sock=kept.dup()) as old:
        old.acceptor.stop()
        visitor = await old.connect()
        async with house(sock=kept) as new:
            echoed = await visitor.echo()
            visitor.close()

    assert (echoed, old.acceptor.accepted, new.acceptor.accepted) == (b"ping", 0, 1)


async def test_handshakes_under_way_are_waited_for() -> None:
    """Who was accepted before `stop` is served once its handshake is through."""
    async with house(proxy_protocol=True, trusted=[ip_network("127.0.0.0/8")]) as here:
        visitor = await here.connect()
        await until(lambda: here.acceptor.accepted)
        here.acceptor.stop()
        settled = asyncio.create_task(here.acceptor.settle(5))
        await asyncio.sleep(0)
        waited = not settled.done()
        visitor.writer.write(V1)
        await settled
        peers = len(here.peers)
        visitor.close()

    assert (waited, peers) == (True, 1)


async def test_silent_handshakes_are_not_waited_for() -> None:
    """Who says nothing holds the end up for as long as was said, and no longer."""
    async with house(proxy_protocol=True, trusted=[ip_network("127.0.0.0/8")]) as here:
        visitor = await here.connect()
        await until(lambda: here.acceptor.accepted)
        here.acceptor.stop()
        await here.acceptor.settle(0.01)
        await here.acceptor.close()
        answer = await visitor.read()
        visitor.close()

    assert (answer, here.peers) == (b"", [])


@pytest.mark.parametrize("kind", ["tls", "proxy"])
async def test_close_ends_pending_handshakes(serving_context: ssl.SSLContext, kind: str) -> None:
    """Closing does not wait for clients that have not finished their handshake."""
    async with house(
        context=serving_context if kind == "tls" else None,
        proxy_protocol=kind == "proxy",
        trusted=[ip_network("127.0.0.0/8")],
    ) as here:
        visitor = await here.connect()
        await until(lambda: here.acceptor.accepted)
        await asyncio.sleep(0)
        await here.acceptor.close()
        answer = await visitor.read()
        visitor.close()

    assert (answer, here.peers, here.caps.open) == (b"", [], 0)


async def test_close_right_after_accept() -> None:
    """A connection that was accepted a moment before is closed, not forgotten."""
    async with house() as here:
        with socket.create_connection(here.address) as client:
            client.settimeout(5)
            here.acceptor._accept()
            await here.acceptor.close()
            answer = client.recv(1)

    assert (answer, here.peers, here.caps.open) == (b"", [], 0)


async def test_shared_caps() -> None:
    """Two acceptors on one `Caps` share its places."""
    async with house(total=1) as one, house(caps=one.caps) as other:
        visitors = [await one.connect() for _ in range(1 + TOLD)]
        for visitor in visitors:
            await visitor.echo()
        last = await other.connect()
        waiting = asyncio.create_task(last.echo())
        await visitors[0].echo()
        accepted = other.acceptor.accepted
        for visitor in visitors:
            visitor.close()
        echoed = await waiting
        last.close()

    assert (accepted, echoed) == (0, b"ping")
