"""An engine that gets other rules while it works, is attacked or full, and is told to end."""

import asyncio
from copy import copy
from ipaddress import IPv4Network
from pathlib import Path

import pytest

from authority import Authority
from engine_room import NAME, Room, Straight, engine_room, settled
from exoproxy.errors import TargetNotAllowed
from exoproxy.proxy.engine import REST
from exoproxy.proxy.inbound import HASTE, RETIRED
from exoproxy.settings.limits import Limits
from messages import Message
from peers import answer, code_of, request, status_of


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority(tmp_path)


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


UNKNOWN = request(NAME, line=b"CONNECT / HTTP/1.1")
NO_HTTP = b"GET / HTTP/1.1\r\n\r\n"


async def refused(room: Room, sent: bytes) -> Message:
    """Return what a new connection gets for what is sent, once that connection is closed."""
    client = await room.connect()
    client.send(sent)
    got = await client.message()

    assert await client.ended() == "FIN"
    return got


@pytest.mark.parametrize("sent", [UNKNOWN, NO_HTTP], ids=["request", "no request"])
async def test_too_many_refusals(sent: bytes) -> None:
    """A client that is refused too often gets a line instead of the reason, and can count on it."""
    async with engine_room(refusals_per_client=2) as room:
        reasons = [status_of(await refused(room, sent)) for _ in range(2)]
        short = await refused(room, sent)

        assert 429 not in reasons
        assert (status_of(short), code_of(short)) == (429, "too-many-refusals")
        assert dict(short.fields)[b"Retry-After"] == b"30"
        assert room.codes()[-1] == (429, "too-many-refusals")
        room.engine.sweep(room.engine.now + 30)
        assert status_of(await refused(room, sent)) == reasons[0]


async def test_too_many_refusals_close_the_connection() -> None:
    """Even where the refusals before it left it open."""

    def deny(address: object, port: int) -> None:
        raise TargetNotAllowed

    async with engine_room(judge=deny, refusals_per_client=2) as room:
        client = await room.connect()
        got = []
        for _ in range(3):
            client.send(request(NAME))
            got.append(status_of(await client.message()))

        assert got == [403, 403, 429]
        assert await client.ended() == "FIN"


async def test_what_is_allowed_goes_on_all_the_same() -> None:
    """Behind an address may be a scanner and a thousand others."""
    async with engine_room(refusals_per_client=1) as room:
        for _ in range(3):
            await refused(room, UNKNOWN)
        client, there = await room.asked()
        there.send(answer(b"here"))

        assert (await client.message()).content == b"here"


async def test_slow_and_large_requests_are_no_refusals() -> None:
    """Nor what an upstream refuses: such users do nothing wrong."""
    async with engine_room(refusals_per_client=1, body=5) as room:
        large = request(NAME, line=b"PUT / HTTP/1.1", content=b"123456")
        statuses = [status_of(await refused(room, large)) for _ in range(3)]
        client, there = await room.asked()
        for _ in range(3):
            there.send(answer(status=b"404 Not Found"))
            statuses.append(status_of(await client.message()))
            client.send(request(NAME))
            await there.head()
        there.send(answer())
        await client.message()

        assert statuses == [413] * 3 + [404] * 3


async def test_clients_of_a_balancer_are_told_apart() -> None:
    """By what the balancer says of them; what is no request has nobody it could be counted to."""
    one, other = ((b"X-Forwarded-For", b"192.0.2.%d" % number) for number in (1, 2))
    async with engine_room(refusals_per_client=1, trusted=[IPv4Network("127.0.0.0/8")]) as room:
        statuses = [
            status_of(await refused(room, request(NAME, client, line=b"CONNECT / HTTP/1.1")))
            for client in (one, one, other)
        ]
        broken = [status_of(await refused(room, NO_HTTP)) for _ in range(3)]

        assert statuses == [405, 429, 405]
        assert broken == [400] * 3


async def test_127_idle_connection_makes_room() -> None:
    """The one that idles is closed for a new client; one that was just opened is not."""
    async with engine_room(connections=2) as room:
        first, there = await room.asked()
        there.send(answer(b"", (b"Connection", b"close")))
        await first.message()
        await room.at(REST)
        second = await room.connect()
        assert await first.ended() == "FIN"
        third, _ = await room.asked()
        third.close()
        second.send(request(NAME))
        there = await room.upstream.accepted()
        await there.head()
        there.send(answer(b"here"))

        assert (await second.message()).content == b"here"


async def test_127_connection_in_use_makes_no_room() -> None:
    """However long its answer takes, or its request; who comes next is told."""
    async with engine_room(connections=3) as room:
        first, there = await room.asked()
        second = await room.connect()
        second.send(b"GET")
        await room.at(REST)
        third, _ = await room.asked()
        fourth = await room.connect()
        fourth.send(request(NAME))
        told = await fourth.message()
        there.send(answer(b"here"))

        assert (status_of(told), code_of(told)) == (503, "overloaded")
        assert dict(told.fields)[b"Retry-After"] == b"5"
        assert await fourth.ended() == "FIN"
        third.close()
        assert (await first.message()).content == b"here"


async def test_127_idle_client_that_has_vanished_makes_room(authority: Authority) -> None:
    """Its goodbye is awaited for a second, and not for TLS's five."""
    async with engine_room(connections=2, client_tls=authority.serve(NAME)) as room:
        gone = await room.connect()
        gone.stop_taking()
        await room.at(REST)
        await room.connect()
        assert room.caps.open == 2
        await room.at(REST + RETIRED)

        assert room.caps.open == 1


async def test_127_who_is_one_too_many_has_little_time() -> None:
    """A place among those who are only told is not held by a slow head."""
    async with engine_room(connections_per_client=1) as room:
        await room.connect()
        second = await room.connect()
        second.send(b"GET")
        await room.at(HASTE)
        late = await second.message()

        assert (status_of(late), code_of(late)) == (408, "request-timeout")
