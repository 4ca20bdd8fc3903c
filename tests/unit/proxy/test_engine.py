"""An engine that gets other rules while it works, and one that is told to end."""

import asyncio
from copy import copy

from engine_room import NAME, Straight, engine_room, settled
from exoproxy.settings.limits import Limits
from peers import answer, request, status_of


async def test_other_rules_hold_from_the_next_request_on() -> None:
    """What is under way ends as it began; the same client's next request meets the new rules."""
    async with engine_room() as room:
        client, there = await room.asked()
        elsewhere = Straight(1, "http")
        elsewhere.name = "elsewhere"
        room.engine.adopt(elsewhere, copy(room.engine.dialer), Limits(body=5))
        there.send(answer(b"as before"))
        first = await client.message()
        client.send(request(NAME, (b"Content-Length", b"6"), line=b"PUT / HTTP/1.1"))
        second = await client.message()

        assert (first.content, status_of(second)) == (b"as before", 413)
        assert [record.site for record in room.records] == ["straight", "elsewhere"]


async def test_connections_of_another_policy_are_not_used_again() -> None:
    """Neither one that was kept when the policy changed, nor one that was in use then."""
    async with engine_room() as room:
        one, there = await room.asked()
        other, beyond = await room.asked()
        there.send(answer(b"kept"))
        await one.message()
        kept = len(room.engine.pool)
        room.engine.adopt(room.engine.site, copy(room.engine.dialer), room.engine.limits)
        assert await there.ended() == "FIN"
        beyond.send(answer(b"in use"))
        got = await other.message()

        assert await beyond.ended() == "FIN"
        assert (kept, got.content, len(room.engine.pool)) == (1, b"in use", 0)


async def test_121_last_call() -> None:
    """Who was between two requests may send one more within a second, then is closed."""
    async with engine_room() as room:
        one, there = await room.asked()
        other, beyond = await room.asked()
        for client, upstream in ((one, there), (other, beyond)):
            upstream.send(answer())
            await client.message()
        draining = asyncio.create_task(room.engine.drain(20))
        await settled()
        began = room.engine.now
        one.send(request(NAME))
        # The connection used last is the one that is used again.
        await beyond.head()
        beyond.send(answer(b"one more"))
        got = await one.head()
        assert await one.ended() == "FIN"
        room.engine.sweep(began + 0.9)
        waiting = len(room.engine.inbounds)
        room.engine.sweep(began + 1)
        await draining

        assert b"\r\nConnection: close\r\n" in got
        assert waiting == 1
        assert await other.ended() == "FIN"
