"""What is known of a request once it is over: whose doing it is, which way it took, its dial."""

import pytest

from engine_room import NAME, engine_room
from exoproxy.errors import NoInstanceName, UpstreamRefused
from exoproxy.proxy.record import Record
from heads import answer as answer_head
from heads import peer
from peers import answer, request


def test_failure() -> None:
    """The error's code, sentence and side are noted; a request that was not decided is refused."""
    record = Record(id="r-1", site="uap", peer=peer(), request=None, started=0.0)
    error = NoInstanceName()
    record.failed(error)

    assert (record.code, record.detail) == ("no-instance-name", error.sentence)
    assert (record.side, record.route) == ("client", "refused")
    record.failed(UpstreamRefused())
    assert record.side == "upstream"


@pytest.mark.parametrize(
    ("line", "fields", "expected"),
    [
        ("HTTP/1.1 401 Unauthorized", ["X-Exoproxy-Error: login-refused"], "login-refused client"),
        ("HTTP/1.1 500 Failed", ["X-Exoproxy-Error: internal-error"], "internal-error own"),
        ("HTTP/1.1 302 Found", [], " "),
    ],
)
def test_refusal_of_a_page(line: str, fields: list[str], expected: str) -> None:
    """What a page of ours answers says whose doing it is, as an answer of the engine does."""
    record = Record(id="r-1", site="main", peer=peer(), request=None, started=0.0)
    record.answered_by_own(answer_head(line, *fields))

    assert f"{record.code} {record.side}" == expected


async def test_only_our_own_are_believed() -> None:
    """An upstream that sends our field says nothing about us."""
    async with engine_room() as room:
        client, there = await room.asked()
        there.send(answer(b"", (b"X-Exoproxy-Error", b"login-refused"), status=b"401 No"))
        await client.message()

    assert room.codes() == [(401, "")]


async def test_dial_is_timed_once() -> None:
    """The first request over a connection carries the time it took to connect, the next none."""
    async with engine_room() as room:
        client, there = await room.asked()
        there.send(answer(b"one"))
        await client.message()
        client.send(request(NAME))
        await there.head()
        there.send(answer(b"two"))
        await client.message()

    first, second = room.records
    assert (first.route, first.reused, first.dialled > 0) == ("upstream", False, True)
    assert (second.route, second.reused, second.dialled) == ("upstream", True, 0.0)
