"""What is known of a request once it is over: whose doing it is, which way it took, its dial."""

from engine_room import NAME, engine_room
from exoproxy.errors import NoInstanceName, UpstreamRefused
from exoproxy.proxy.record import Record
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
