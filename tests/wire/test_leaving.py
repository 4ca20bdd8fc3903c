"""Clients that leave, or break the rules, at every moment of a dial: nothing is left of them."""

import asyncio
from collections.abc import Callable

import pytest

from harness.between import Between
from harness.peer import Peer

HEAD = b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"
# More than the turns of the event loop that a dial takes.
TURNS = 24


def reset(client: Peer) -> None:
    client.reset()


def break_the_rules(client: Peer) -> None:
    client.send(b"no chunk\r\n")


def half_close(client: Peer) -> None:
    client.finish()


@pytest.mark.parametrize("leave", [reset, break_the_rules, half_close])
async def test_leaving_while_dialling(between: Between, leave: Callable[[Peer], None]) -> None:
    """Whenever a client gives up, its connection upstream is closed, and counted once."""
    proxy, upstream = between
    for turns in range(TURNS):
        client = await proxy.connect()
        client.send(HEAD)
        for _ in range(turns):
            await asyncio.sleep(0)
        leave(client)
        await client.until_ended()
        client.close()

    assert upstream.requests == []
