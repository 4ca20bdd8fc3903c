"""Dialling: policy before anything is sent, names in TLS, an error for each failure."""

import asyncio
import errno
import socket
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from ipaddress import IPv4Address, IPv6Address, ip_address
from pathlib import Path
from typing import cast

import pytest
from aiohappyeyeballs import AddrInfoType

from authority import DAY, NOW, Authority
from exoproxy.errors import (
    Overloaded,
    ProxyError,
    TargetNotAllowed,
    UpstreamCertificate,
    UpstreamName,
    UpstreamRefused,
    UpstreamTimeout,
    UpstreamTls,
    UpstreamUnreachable,
)
from exoproxy.net.dial import Connector, Dialer, Upstream, happy_eyeballs
from exoproxy.net.resolve import Resolver
from exoproxy.net.sockets import TcpOptions
from exoproxy.net.tls import open_context, remember_server_name, server_name, verifying_context

pytestmark = pytest.mark.usefixtures("no_task_left")

NAME = "api.cloud.example"


class Book:
    """A resolver that knows what it is told, and who was forgotten."""

    def __init__(self, **names: Sequence[str]) -> None:
        self.names = names
        self.asked: list[str] = []
        self.forgotten: list[str] = []

    async def resolve(self, host: str) -> tuple[IPv4Address | IPv6Address, ...]:
        self.asked.append(host)
        if host not in self.names:
            raise UpstreamName
        return tuple(ip_address(address) for address in self.names[host])

    def forget(self, host: str) -> None:
        self.forgotten.append(host)


def book(*addresses: str) -> Book:
    return Book(**{NAME: addresses})


def loopback_only(address: IPv4Address | IPv6Address, port: int) -> None:
    if not address.is_loopback:
        raise TargetNotAllowed


def dialer(
    resolver: Resolver | None = None,
    *,
    connector: Connector | None = None,
    connect_timeout: float = 5,
    trust: Authority | None = None,
) -> Dialer:
    return Dialer(
        judge=loopback_only,
        resolver=resolver or Book(),
        verify_context=verifying_context(trust.file if trust else None),
        open_context=open_context(),
        connect_timeout=connect_timeout,
        connector=connector,
    )


def failing(error: BaseException) -> Connector:
    async def connect(infos: Sequence[AddrInfoType]) -> socket.socket:
        raise error

    return connect


class Client(asyncio.Protocol):
    """An upstream's connection: it waits for a greeting."""

    def __init__(self) -> None:
        self.greeting: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()
        self.lost = asyncio.Event()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # A cast: uvloop's transports are no instances of asyncio's.
        self.transport = cast(asyncio.Transport, transport)

    def data_received(self, data: bytes) -> None:
        self.greeting.set_result(data)

    def connection_lost(self, exc: Exception | None) -> None:
        self.lost.set()

    async def close(self) -> None:
        self.transport.abort()
        await self.lost.wait()


class Server:
    """A server on loopback that greets, and remembers the names it was asked for (SNI)."""

    def __init__(self) -> None:
        self.port = 0
        self.names: list[str | None] = []
        self.ended = asyncio.Event()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.names.append(server_name(writer.get_extra_info("ssl_object")))
        writer.write(b"hello")
        with suppress(ConnectionError):
            await reader.read()
        writer.close()
        self.ended.set()


@asynccontextmanager
async def serving(
    context: ssl.SSLContext | None = None, address: str = "127.0.0.1", port: int = 0
) -> AsyncIterator[Server]:
    server = Server()
    if context is not None:
        remember_server_name(context)
    listening = await asyncio.start_server(server.serve, address, port, ssl=context)
    server.port = listening.sockets[0].getsockname()[1]
    try:
        # Nothing here takes a second: what never comes shall fail the test, not hang it.
        async with asyncio.timeout(10):
            yield server
            if server.names:
                await server.ended.wait()
    finally:
        listening.close()


async def greeting(dialer: Dialer, upstream: Upstream) -> bytes:
    client = await dialer.dial(upstream, Client)
    data = await client.greeting
    await client.close()
    return data


async def test_plain_upstream() -> None:
    """An address is dialled as it is, without asking a resolver."""
    names = Book()
    async with serving() as server:
        upstream = Upstream("http", "127.0.0.1", server.port, False)

        assert await greeting(dialer(names), upstream) == b"hello"
    assert names.asked == []


async def test_ipv6_upstream() -> None:
    """An IPv6 address is dialled too."""
    async with serving(address="::1") as server:
        upstream = Upstream("http", "::1", server.port, False)

        assert await greeting(dialer(), upstream) == b"hello"


async def test_next_address_is_tried() -> None:
    """Of several addresses the one that answers is used; nothing is forgotten."""
    names = book("127.0.0.9", "::1", "127.0.0.1")
    async with serving() as server:
        upstream = Upstream("http", NAME, server.port, False)

        assert await greeting(dialer(names), upstream) == b"hello"
    assert names.forgotten == []


async def test_options_are_set_on_connections() -> None:
    """A connection to an upstream finds dead peers and does not delay small writes."""
    options = TcpOptions(idle=61, interval=16, count=5, user_timeout=121)
    async with serving() as server:
        upstream = Upstream("http", "127.0.0.1", server.port, False)
        client = await dialer(connector=happy_eyeballs(options)).dial(upstream, Client)
        sock = client.transport.get_extra_info("socket")
        tcp = socket.IPPROTO_TCP
        found = [
            sock.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE),
            sock.getsockopt(tcp, socket.TCP_NODELAY),
            sock.getsockopt(tcp, socket.TCP_KEEPIDLE),
            sock.getsockopt(tcp, socket.TCP_KEEPINTVL),
            sock.getsockopt(tcp, socket.TCP_KEEPCNT),
            sock.getsockopt(tcp, socket.TCP_USER_TIMEOUT),
        ]
        await client.close()

    assert found == [1, 1, 61, 16, 5, 121_000]


@pytest.mark.parametrize(
    "addresses",
    [
        ["192.0.2.1"],
        ["127.0.0.1", "169.254.169.254"],
        ["169.254.169.254", "127.0.0.1"],
        ["127.0.0.1", "2001:db8::1"],
        ["127.0.0.1"] * 49 + ["10.0.0.1"],
    ],
    ids=lambda addresses: f"{len(addresses)}-{addresses[-1]}",
)
async def test_one_denied_answer_refuses_the_name(addresses: list[str]) -> None:
    """Nothing is dialled for a name of which one address is denied."""
    connector = failing(AssertionError("dialled"))
    with pytest.raises(TargetNotAllowed):
        await dialer(book(*addresses), connector=connector).dial(
            Upstream("https", NAME, 443, True), Client
        )


@pytest.mark.parametrize("host", ["192.0.2.1", "::ffff:10.0.0.1", "fe80::1%eth0"])
async def test_denied_address_is_not_dialled(host: str) -> None:
    """An address in the place of a name is judged too."""
    connector = failing(AssertionError("dialled"))
    with pytest.raises(TargetNotAllowed):
        await dialer(connector=connector).dial(Upstream("http", host, 80, False), Client)


async def test_judged_addresses_are_dialled_and_no_others() -> None:
    """The connector gets the judged addresses, so that a name's second answer is never used."""
    names = book("127.0.0.1", "::1")
    asked: list[Sequence[AddrInfoType]] = []

    async def connect(infos: Sequence[AddrInfoType]) -> socket.socket:
        asked.append(infos)
        names.names[NAME] = ["192.0.2.1"]
        raise OSError(errno.EHOSTUNREACH, "text")

    with pytest.raises(UpstreamUnreachable):
        await dialer(names, connector=connect).dial(Upstream("http", NAME, 8774, False), Client)

    assert [info[4] for info in asked[0]] == [("127.0.0.1", 8774), ("::1", 8774, 0, 0)]
    assert (len(asked), names.asked) == (1, [NAME])


@pytest.mark.parametrize(("address", "ports"), [("127.0.0.2", 0), ("127.0.0.1", 1)])
async def test_connection_to_another_address_is_refused(address: str, ports: int) -> None:
    """A socket that is connected to what was not judged is closed before a byte is sent."""
    made: list[socket.socket] = []
    with socket.create_server((address, 0)) as listening:
        port = listening.getsockname()[1]

        async def connect(infos: Sequence[AddrInfoType]) -> socket.socket:
            made.append(socket.create_connection((address, port)))
            return made[0]

        with pytest.raises(TargetNotAllowed):
            await dialer(connector=connect).dial(
                Upstream("http", "127.0.0.1", port - ports, False), Client
            )

    assert made[0].fileno() == -1


async def test_connection_that_is_gone_is_closed() -> None:
    """A socket whose peer can't be told any more is closed."""
    made: list[socket.socket] = []

    async def connect(infos: Sequence[AddrInfoType]) -> socket.socket:
        made.append(socket.socket())
        return made[0]

    with pytest.raises(UpstreamUnreachable):
        await dialer(connector=connect).dial(Upstream("http", "127.0.0.1", 80, False), Client)

    assert made[0].fileno() == -1


@pytest.mark.parametrize(
    ("host", "in_certificate", "sni"),
    [(NAME, NAME, NAME), ("127.0.0.1", "127.0.0.1", None), (NAME, "*.cloud.example", NAME)],
)
async def test_valid_certificate(
    authority: Authority, host: str, in_certificate: str, sni: str | None
) -> None:
    """A certificate is verified by the name dialled; an address by IP SAN and without SNI."""
    async with serving(authority.serve(in_certificate)) as server:
        upstream = Upstream("https", host, server.port, True)
        data = await greeting(dialer(book("127.0.0.1"), trust=authority), upstream)

    assert (data, server.names) == (b"hello", [sni])


BAD_CERTIFICATES = {
    "expired": ("it has expired", NAME),
    "wrong host": ("it is for another name", NAME),
    "wrong address": ("it is for another address", "127.0.0.1"),
    "address as a name": ("it is for another address", "127.0.0.1"),
    "self-signed": ("it is self-signed", NAME),
    "unknown issuer": ("its issuer is not known here", NAME),
}


def bad_certificate(kind: str, good: Authority, other: Authority) -> ssl.SSLContext:
    make: dict[str, Callable[[], ssl.SSLContext]] = {
        "expired": lambda: good.serve(NAME, ends=NOW - DAY),
        "wrong host": lambda: good.serve("other.example", "127.0.0.1"),
        "wrong address": lambda: good.serve(NAME, "127.0.0.2"),
        "address as a name": lambda: good.serve("localhost"),
        "self-signed": lambda: good.serve(NAME, self_signed=True),
        "unknown issuer": lambda: other.serve(NAME),
    }
    return make[kind]()


@pytest.mark.parametrize("kind", BAD_CERTIFICATES)
async def test_bad_certificate_is_refused(
    authority: Authority, other_authority: Authority, kind: str
) -> None:
    """A verified upstream with a bad certificate is refused, and the sentence says why."""
    sentence, host = BAD_CERTIFICATES[kind]
    names = book("127.0.0.1")
    async with serving(bad_certificate(kind, authority, other_authority)) as server:
        with pytest.raises(UpstreamCertificate, match=sentence):
            await dialer(names, trust=authority).dial(
                Upstream("https", host, server.port, True), Client
            )

    assert names.forgotten == [host]


@pytest.mark.parametrize("kind", BAD_CERTIFICATES)
async def test_any_certificate_is_accepted_unverified(
    authority: Authority, other_authority: Authority, kind: str
) -> None:
    """An upstream that is not verified may have any certificate; SNI follows the same rule."""
    _, host = BAD_CERTIFICATES[kind]
    async with serving(bad_certificate(kind, authority, other_authority)) as server:
        upstream = Upstream("https", host, server.port, False)
        data = await greeting(dialer(book("127.0.0.1"), trust=authority), upstream)

    assert (data, server.names) == (b"hello", [NAME if host == NAME else None])


@asynccontextmanager
async def answering(answer: bytes | None) -> AsyncIterator[tuple[int, asyncio.Event]]:
    """Serve plain TCP: answer the first bytes and close, or stay silent for None.

    The event is set when the client's end of the connection is closed.
    """
    ended = asyncio.Event()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(ConnectionError):
            await reader.read(4096)
            if answer is None:
                await reader.read()
            else:
                writer.write(answer)
        writer.close()
        ended.set()

    listening = await asyncio.start_server(serve, "127.0.0.1", 0)
    try:
        yield listening.sockets[0].getsockname()[1], ended
    finally:
        listening.close()


@pytest.mark.parametrize(
    ("answer", "sentence"),
    [
        (b"HTTP/1.1 400 Bad Request\r\n\r\n", "does not speak TLS"),
        (b"SSH-2.0-OpenSSH_9.2\r\n", "does not speak TLS"),
        (b"", "closed the connection during the TLS handshake"),
    ],
    ids=["http", "ssh", "closes"],
)
async def test_upstream_without_tls(answer: bytes, sentence: str) -> None:
    """A port that does not speak TLS is told apart, with the name to use for plain HTTP."""
    async with answering(answer) as (port, ended):
        with pytest.raises(UpstreamTls, match=sentence) as caught:
            await dialer().dial(Upstream("https", "127.0.0.1", port, False), Client)
        await ended.wait()

    assert "begins with http-" in caught.value.hint


async def test_closed_port() -> None:
    """A port where nobody listens is refused, and its name's addresses are forgotten."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    names = book("127.0.0.1")
    with pytest.raises(UpstreamRefused):
        await dialer(names).dial(Upstream("http", NAME, port, False), Client)

    assert names.forgotten == [NAME]


async def test_unknown_name_stays_known_as_unknown() -> None:
    """A name without address is left to the resolver's own memory."""
    names = Book()
    with pytest.raises(UpstreamName):
        await dialer(names).dial(Upstream("http", NAME, 80, False), Client)

    assert names.forgotten == []


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (OSError(errno.EHOSTUNREACH, ""), UpstreamUnreachable),
        (OSError(errno.ENETUNREACH, ""), UpstreamUnreachable),
        (OSError("Multiple exceptions: of different kinds"), UpstreamUnreachable),
        (ConnectionResetError(errno.ECONNRESET, ""), UpstreamUnreachable),
        (ConnectionRefusedError(errno.ECONNREFUSED, ""), UpstreamRefused),
        (TimeoutError(errno.ETIMEDOUT, ""), UpstreamTimeout),
    ],
)
async def test_each_failure_has_its_error(error: OSError, expected: type[ProxyError]) -> None:
    """What the network says becomes the error that says it to a person."""
    with pytest.raises(expected):
        await dialer(connector=failing(error)).dial(
            Upstream("http", "127.0.0.1", 80, False), Client
        )


@pytest.mark.parametrize("number", [errno.EMFILE, errno.EADDRNOTAVAIL])
async def test_exhaustion_is_ours(number: int, caplog: pytest.LogCaptureFixture) -> None:
    """No descriptor or port left is our own failure, and the log says it once."""
    busy = dialer(connector=failing(OSError(number, "")))
    for _ in range(3):
        with pytest.raises(Overloaded):
            await busy.dial(Upstream("http", "127.0.0.1", 80, False), Client)
    lines = len(caplog.messages)
    caplog.clear()

    assert lines == 1


@asynccontextmanager
async def application(path: Path, *, backlog: int = 100) -> AsyncIterator[list[bytes]]:
    """Listen at a Unix socket; yields what arrives there."""
    heard: list[bytes] = []

    async def hear(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        heard.append(await reader.read(100))
        writer.close()

    server = await asyncio.start_unix_server(hear, str(path), backlog=backlog)
    async with server:
        yield heard


def own(path: Path, judge: Callable[..., None] = loopback_only) -> Dialer:
    return Dialer(
        judge=judge,
        resolver=Book(),
        verify_context=verifying_context(),
        open_context=open_context(),
        own={"pages": path},
    )


OWN = Upstream("unix", "pages", 0, verify=False)


async def test_application_of_our_own_is_reached_at_its_socket(tmp_path: Path) -> None:
    """An upstream of the scheme unix leads to the socket of that name; no policy is asked."""

    def refuse(address: IPv4Address | IPv6Address, port: int) -> None:
        raise TargetNotAllowed

    async with application(tmp_path / "socket") as heard:
        client = await own(tmp_path / "socket", refuse).dial(OWN, Client)
        client.transport.write(b"hello")
        await client.lost.wait()

    assert heard == [b"hello"]
    assert str(OWN) == "unix:pages"


@pytest.mark.parametrize("host", ["other", "/run/docker.sock", "../socket"])
async def test_other_sockets_have_no_name(host: str, tmp_path: Path) -> None:
    """Only what the process itself has named is reached: a path is no name."""
    with pytest.raises(KeyError):
        await own(tmp_path / "socket").dial(Upstream("unix", host, 0, False), Client)


async def test_address_is_not_taken_for_a_socket(tmp_path: Path) -> None:
    """The name of a socket means nothing with another scheme: it is looked up as any name."""
    with pytest.raises(UpstreamName):
        await own(tmp_path / "socket").dial(Upstream("http", "pages", 80, False), Client)


async def test_application_that_is_gone_is_a_defect(tmp_path: Path) -> None:
    """No sentence blames a server or the network for what is our own."""
    with pytest.raises(FileNotFoundError):
        await own(tmp_path / "socket").dial(OWN, Client)


async def test_application_with_a_full_queue_is_overloaded(tmp_path: Path) -> None:
    """A socket whose queue is full refuses at once; the client may try again."""
    path = tmp_path / "socket"
    with socket.socket(socket.AF_UNIX) as listening, socket.socket(socket.AF_UNIX) as waiting:
        listening.bind(str(path))
        listening.listen(0)
        waiting.connect(str(path))
        with pytest.raises(Overloaded):
            await own(path).dial(OWN, Client)


async def test_no_descriptor_for_an_application_is_ours(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Exhaustion is told as for any other upstream."""

    def exhausted(*_: object) -> socket.socket:
        raise OSError(errno.EMFILE, "")

    monkeypatch.setattr("exoproxy.net.dial.socket.socket", exhausted)
    with pytest.raises(Overloaded, match="no more connections"):
        await own(tmp_path / "socket").dial(OWN, Client)
    logged = caplog.messages.copy()
    caplog.clear()

    assert len(logged) == 1


async def never(*_: object) -> socket.socket:
    await asyncio.Event().wait()
    raise AssertionError


class Silent(Book):
    """A resolver that never answers."""

    resolve: Callable[[str], Awaitable[tuple[IPv4Address | IPv6Address, ...]]] = never  # type: ignore[assignment]


@pytest.mark.parametrize("stage", ["name", "connection", "handshake"])
async def test_each_stage_is_bounded(stage: str) -> None:
    """Look-up, connection and handshake share one deadline; the sentence names the stage."""
    sentences = {
        "name": "its name was not found",
        "connection": "it did not accept the connection",
        "handshake": "it did not complete the TLS handshake",
    }
    impatient = dialer(
        Silent() if stage == "name" else book("127.0.0.1"),
        connector=never if stage == "connection" else None,
        connect_timeout=0.03,
    )
    async with answering(None) as (port, ended):
        with pytest.raises(UpstreamTimeout, match=f"{sentences[stage]} within 0.03 s"):
            await impatient.dial(Upstream("https", NAME, port, False), Client)
        if stage == "handshake":
            await ended.wait()


async def test_cancelled_dial_closes_its_connection() -> None:
    """A client that leaves during the handshake takes the upstream's connection with it."""
    async with answering(None) as (port, ended):
        upstream = Upstream("https", "127.0.0.1", port, False)
        connected = asyncio.Event()
        eyeballs = happy_eyeballs(TcpOptions())

        async def connect(infos: Sequence[AddrInfoType]) -> socket.socket:
            sock = await eyeballs(infos)
            connected.set()
            return sock

        dial = asyncio.create_task(dialer(connector=connect).dial(upstream, Client))
        await connected.wait()
        dial.cancel()
        with pytest.raises(asyncio.CancelledError):
            await dial
        await ended.wait()


async def test_connect_that_is_given_up_closes_its_socket(monkeypatch: pytest.MonkeyPatch) -> None:
    """A connection that the kernel keeps waiting is closed at the deadline."""
    made: list[socket.socket] = []
    apply = TcpOptions.apply

    def observed(options: TcpOptions, sock: socket.socket) -> None:
        made.append(sock)
        apply(options, sock)

    monkeypatch.setattr(TcpOptions, "apply", observed)
    # The queue of this socket is full, so that the kernel leaves the next connection waiting.
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        listening.listen(0)
        with socket.create_connection(listening.getsockname()):
            upstream = Upstream("http", "127.0.0.1", listening.getsockname()[1], False)
            with pytest.raises(UpstreamTimeout, match="it did not accept the connection"):
                await dialer(connect_timeout=0.03).dial(upstream, Client)

    assert [sock.fileno() for sock in made] == [-1]
