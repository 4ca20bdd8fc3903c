"""An engine at work on loopback whose clock a test turns: deadlines without waiting.

The sockets are real and the site decides nothing: it sends every request to the test's upstream.
"""

import asyncio
import ssl
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from ipaddress import IPv4Address, IPv4Network
from typing import Any

from exoproxy.errors import ProxyError
from exoproxy.net.caps import Caps
from exoproxy.net.dial import Address, Connector, Dialer, Upstream
from exoproxy.net.listen import Acceptor, Peer
from exoproxy.net.sockets import open_socket
from exoproxy.net.tls import open_context
from exoproxy.proxy.decision import Decision, Forward, Observer
from exoproxy.proxy.engine import Engine
from exoproxy.proxy.record import Record
from exoproxy.server import caps_of
from exoproxy.settings.limits import Limits
from exoproxy.wire.fields import Field
from exoproxy.wire.head import RequestHead
from peers import BUFFER, End, request, until, upstream
from peers import Upstream as Instance

LOOPBACK = IPv4Address("127.0.0.1")
NAME = "instance.example"


class Names:
    """A resolver that knows one address, or fails."""

    def __init__(self, failure: ProxyError | None) -> None:
        self._failure = failure

    async def resolve(self, host: str) -> tuple[Address, ...]:
        if self._failure is not None:
            raise self._failure
        return (LOOPBACK,)

    def forget(self, host: str) -> None:
        pass


class Straight:
    """A site that sends every request to one upstream as it is, and may read the answers."""

    name = "straight"

    def __init__(self, port: int, scheme: str, observer: Observer | None = None) -> None:
        self._upstream = Upstream(scheme, NAME, port, verify=False)
        self._observer = observer

    def decide(self, request: RequestHead, peer: Peer) -> Decision:
        return Forward(
            upstream=self._upstream,
            target=request.target.origin,
            fields=request.fields.end_to_end(),
            edit_response=lambda head: head.fields.end_to_end(),
            compress=self._observer is not None,
            observer=self._observer,
        )

    def own_fields(self, request: RequestHead | None) -> list[Field]:
        return []


class Room:
    """An engine between a test's clients and its upstream. Its clock stands until `at` turns it."""

    def __init__(
        self,
        engine: Engine,
        caps: Caps,
        acceptor: Acceptor,
        instance: Instance,
        port: int,
        trust: ssl.SSLContext | None,
    ) -> None:
        self.engine = engine
        self.acceptor = acceptor
        self.caps = caps
        self.upstream = instance
        self.records: list[Record] = []
        self._port = port
        self._trust = trust
        self._began = engine.now
        self._clients: list[End] = []

    async def at(self, seconds: float) -> None:
        """Let all bytes arrive that were sent, then look at the deadlines of that time."""
        await settled()
        self.engine.sweep(self._began + seconds)
        await settled()

    async def connect(self) -> End:
        """Return a client's connection."""
        tls: dict[str, Any] = (
            {} if self._trust is None else {"ssl": self._trust, "server_hostname": NAME}
        )
        opened = asyncio.open_connection(str(LOOPBACK), self._port, limit=BUFFER, **tls)
        client = End(*await opened)
        self._clients.append(client)
        acceptor = self.acceptor
        await until(lambda: acceptor.accepted == len(self._clients) and not acceptor.arriving)
        return client

    async def asked(self, sent: bytes = b"") -> tuple[End, End]:
        """Return both ends after a request, whose head the upstream has."""
        client = await self.connect()
        client.send(sent or request(NAME))
        there = await self.upstream.accepted()
        await there.head()
        return client, there

    def codes(self) -> list[tuple[int, str]]:
        """Return status and code of the requests that are over."""
        return [(record.status, record.code) for record in self.records]

    def leave(self) -> None:
        """End the clients' connections."""
        for client in self._clients:
            client.close()


async def settled() -> None:
    """Let the loop turn until what was written on loopback has been read and acted upon."""
    for _ in range(20):
        await asyncio.sleep(0)


@asynccontextmanager
async def engine_room(
    *,
    judge: Callable[[Address, int], None] = lambda address, port: None,
    no_name: ProxyError | None = None,
    connector: Connector | None = None,
    upstream_tls: ssl.SSLContext | None = None,
    client_tls: ssl.SSLContext | None = None,
    trusted: Sequence[IPv4Network] = (),
    observer: Observer | None = None,
    watcher: Callable[[Record], None] = lambda record: None,
    **limits: Any,
) -> AsyncIterator[Room]:
    """Open a room; keywords are limits. Fails where something is left when all have gone.

    With contexts of servers, the upstream speaks TLS, or the engine does to its clients. With an
    observer, answers are compressed as well. `watcher` sees each record when the log does.
    """
    set_limits = Limits(**limits)
    caps = caps_of(set_limits)
    records: list[Record] = []
    async with upstream(str(LOOPBACK), context=upstream_tls) as instance:
        dialer = Dialer(
            judge=judge,
            resolver=Names(no_name),
            verify_context=open_context(),
            open_context=open_context(),
            connector=connector,
        )
        scheme = "http" if upstream_tls is None else "https"
        site = Straight(instance.port, scheme, observer)

        def finished(record: Record) -> None:
            records.append(record)
            watcher(record)

        engine = Engine(site, dialer, set_limits, finished, trusted=trusted)
        caps.reclaim_from(engine.idle)
        sock = open_socket(LOOPBACK, 0)
        port = sock.getsockname()[1]
        acceptor = Acceptor(
            sock, context=lambda: client_tls, factory=engine.accept, caps=caps, trusted=trusted
        )
        acceptor.start()
        trust = None if client_tls is None else open_context()
        room = Room(engine, caps, acceptor, instance, port, trust)
        room.records = records
        try:
            yield room
        finally:
            room.leave()
            instance.close()
            await acceptor.close()
        await until(lambda: not (engine.inbounds or engine.outbounds or engine.tunnels))
        await engine.close()

    assert caps.open == 0
    assert engine.pool.in_use() == 0


def attempts(error: OSError | None = None) -> tuple[list[Sequence[Any]], Connector]:
    """Return a connector that fails, or never ends, and the list of what it was asked for."""
    asked: list[Sequence[Any]] = []

    async def connect(addresses: Sequence[Any]) -> Any:
        asked.append(addresses)
        if error is not None:
            raise error
        await asyncio.Event().wait()

    return asked, connect
