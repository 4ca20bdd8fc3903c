"""Ports are found without a fuss, and the stand-ins start and stop."""

import asyncio
from socket import socket

import pytest
from aiohttp import ClientConnectorError, ClientSession, ServerDisconnectedError, web

from exoproxy.demo.servers import listen_at, listen_near, port_of, reachable, served
from exoproxy.net.sockets import ListenError
from ports import free_port


def close(*groups: list[socket]) -> None:
    for sock in [sock for group in groups for sock in group]:
        sock.close()


def test_preferred_port_is_taken_when_free() -> None:
    """The usual port is used while nobody else has it, so that bookmarks hold."""
    wanted = free_port()
    sockets = listen_near(["127.0.0.1"], wanted)
    names = [sock.getsockname() for sock in sockets]
    close(sockets)

    assert names == [("127.0.0.1", wanted)]


def test_another_port_is_found_when_the_preferred_one_is_taken() -> None:
    """A taken port is not an error: there are others."""
    first = listen_near(["127.0.0.1"], 0)
    second = listen_near(["127.0.0.1"], port_of(first))
    ports = {port_of(first), port_of(second)}
    close(first, second)

    assert len(ports) == 2


def test_port_is_the_same_at_every_address() -> None:
    """A port that one of the addresses has not free is given up for all."""
    busy = listen_at(["127.0.0.3"], 0)
    taken = port_of(busy)
    sockets = listen_near(["127.0.0.2", "127.0.0.3"], taken)
    ports = {sock.getsockname()[1] for sock in sockets}
    close(busy, sockets)

    assert len(ports) == 1
    assert taken not in ports


def test_port_that_was_asked_for_is_an_error_when_taken() -> None:
    """Who names a port wants that one; none of the sockets opened on the way stays."""
    busy = listen_at(["127.0.0.3"], 0)
    taken = port_of(busy)
    with pytest.raises(ListenError):
        listen_at(["127.0.0.2", "127.0.0.3"], taken)
    freed = listen_at(["127.0.0.2"], taken)
    close(busy, freed)


def test_address_of_nobody_is_an_error() -> None:
    """Where no port can be free, the last problem is told instead of trying for ever."""
    with pytest.raises(ListenError):
        listen_near(["192.0.2.1"], 0)


def test_addresses_this_machine_lacks_are_left_out() -> None:
    """Only addresses that can be listened on count, in their order."""
    assert reachable(["127.0.0.2", "192.0.2.1", "127.0.0.1"]) == ("127.0.0.2", "127.0.0.1")


async def test_application_is_served_for_as_long_as_the_block_lasts() -> None:
    """Within the block there are answers; after it nobody listens, and what was open is cut."""
    begun = asyncio.Event()

    async def endless(_request: web.Request) -> web.Response:
        begun.set()
        await asyncio.Event().wait()
        return web.Response()

    application = web.Application()
    application.router.add_post("/", endless)
    sockets = listen_at(["127.0.0.1"], 0)
    url = f"http://127.0.0.1:{port_of(sockets)}/"

    async with ClientSession() as session:
        async with served(application, sockets):
            request = asyncio.create_task(session.post(url))
            await asyncio.wait_for(begun.wait(), 5)
        with pytest.raises(ServerDisconnectedError):
            await asyncio.wait_for(request, 5)
        with pytest.raises(ClientConnectorError):
            await session.post(url)
