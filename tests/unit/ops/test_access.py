"""The access log: who the client is, when lines are written, and in which form."""

import asyncio
import json
import os
import time
from ipaddress import ip_network
from typing import Any

import pytest

from exoproxy.net.listen import Peer
from exoproxy.ops.access import AccessLog
from exoproxy.ops.sink import Sink
from exoproxy.proxy.record import Record
from exoproxy.settings.model import Log
from exoproxy.wire.head import RequestHead
from heads import peer, request
from memory import left_by
from paper import Paper

BALANCERS = [ip_network("10.0.0.0/8")]


def record(asked: RequestHead | None = None, by: Peer | None = None, **values: Any) -> Record:
    """Return what there is to say of a request that took 1.5 ms."""
    values = {"started": 10.0, "ended": 10.0015, "status": 200, **values}
    return Record(id="r-17", site="uap", peer=by or peer(), request=asked, **values)


@pytest.mark.parametrize(
    ("by", "fields", "expected"),
    [
        (peer("192.0.2.7"), ["X-Forwarded-For: 203.0.113.9"], ("192.0.2.7", None)),
        (
            peer("10.0.0.1", trusted=True),
            ["X-Forwarded-For: 203.0.113.9"],
            ("203.0.113.9", "10.0.0.1"),
        ),
        (
            peer("10.0.0.1", trusted=True),
            ["X-Forwarded-For: evil, 10.0.0.2"],
            ("10.0.0.2", "10.0.0.1"),
        ),
        (peer("10.0.0.1", trusted=True), [], ("10.0.0.1", None)),
        (peer(None, trusted=True), ["X-Forwarded-For: 203.0.113.9"], ("203.0.113.9", "unknown")),
        (peer(None, trusted=True), [], ("unknown", None)),
        (peer(None), ["X-Forwarded-For: 203.0.113.9"], ("unknown", None)),
        (peer(None, trusted=True), ["X-Forwarded-For: evil"], ("unknown", None)),
        (peer("2001:db8::1"), [], ("2001:db8::1", None)),
    ],
)
async def test_the_client_is_who_can_be_believed(
    paper: Paper, by: Peer, fields: list[str], expected: tuple[str, str | None]
) -> None:
    """Only a trusted peer says who is behind it, and then both are in the line."""
    log = AccessLog(Log(format="json"), trusted=BALANCERS, sink=paper.sink)
    log.request(record(request("GET /", "Host: a", *fields), by))
    log.close()
    found = json.loads(paper.text())

    assert (found["client"], found.get("peer")) == expected


async def test_lines_of_one_turn_are_written_at_once(
    paper: Paper, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In their order, and not before the turn of the event loop is over."""
    writes: list[bytes] = []
    monkeypatch.setattr(paper.sink, "write", writes.append)
    log = AccessLog(Log(format="json"), sink=paper.sink)
    for number in range(3):
        log.request(record(received=number))
    before = list(writes)
    await asyncio.sleep(0)
    log.request(record(received=3))
    await asyncio.sleep(0)

    assert before == []
    assert [[json.loads(line)["received"] for line in each.splitlines()] for each in writes] == [
        [0, 1, 2],
        [3],
    ]


async def test_the_end_loses_nothing(paper: Paper) -> None:
    """`close` writes what the loop would have written next."""
    log = AccessLog(Log(format="json"), sink=paper.sink)
    log.request(record())
    log.close()
    once = paper.text()
    await asyncio.sleep(0)

    assert once.count("\n") == 1
    assert paper.text() == once


async def test_a_reload_changes_the_form_and_keeps_the_lines(paper: Paper) -> None:
    """What was said before stands first, as it was said."""
    log = AccessLog(Log(), trusted=BALANCERS, sink=paper.sink)
    asked = request("GET /", "Host: a", "X-Forwarded-For: 203.0.113.9")
    log.request(record(asked, peer("10.0.0.1", trusted=True)))
    log.adopt(Log(access_format="combined"))
    log.request(record(asked, peer("10.0.0.1")))
    log.close()
    first, second = paper.text().splitlines()

    assert json.loads(first)["client"] == "203.0.113.9"
    assert second.startswith("10.0.0.1 - - [")


async def test_time_follows_the_host_s_clock(paper: Paper, monkeypatch: pytest.MonkeyPatch) -> None:
    """A clock that is set while the process runs shows in the next line."""
    log = AccessLog(Log(format="json"), sink=paper.sink)
    now = asyncio.get_running_loop().time()
    for year in (1_000_000_000, 1_500_000_000):
        monkeypatch.setattr(time, "time", lambda year=year: year + 0.5)
        log.request(record(started=now, ended=now))
        await asyncio.sleep(0)

    assert [json.loads(line)["time"] for line in paper.text().splitlines()] == [
        "2001-09-09T01:46:40Z",
        "2017-07-14T02:40:00Z",
    ]


async def test_it_can_be_off(paper: Paper) -> None:
    """log.access: false."""
    log = AccessLog(Log(access=False), sink=paper.sink)
    log.request(record())
    log.close()

    assert paper.text() == ""


@pytest.mark.parametrize(
    ("settings", "begin"),
    [
        ({}, "{"),
        ({"format": "console"}, "20"),
        ({"access_format": "combined"}, "192.0.2.7 - - ["),
        ({"access_format": "combined", "format": "console"}, "192.0.2.7 - - ["),
    ],
)
async def test_the_settings_choose_the_form(
    paper: Paper, settings: dict[str, Any], begin: str
) -> None:
    """JSON in a file, unless something else is asked for."""
    log = AccessLog(Log(**settings), sink=paper.sink)
    log.request(record(ended=asyncio.get_running_loop().time()))
    log.close()

    assert paper.text().startswith(begin)


async def test_a_terminal_gets_lines_for_people() -> None:
    """`auto` looks who reads."""
    here, there = os.openpty()
    log = AccessLog(Log(), sink=Sink(there, name="", tell=print))
    log.request(record())
    log.close()
    said = os.read(here, 4096)
    os.close(here)
    os.close(there)

    assert b" uap  200 " in said


async def test_lost_lines_are_counted() -> None:
    """The metrics ask for their number."""
    reading, writing = os.pipe()
    sink = Sink(writing, name="", tell=lambda _: None, kept=0)
    log = AccessLog(Log(format="json"), sink=sink)
    for _ in range(2000):
        log.request(record())
        log._flush()
    sink.close()
    os.close(reading)
    os.close(writing)

    assert log.lost > 1000


async def test_nothing_large_is_remembered() -> None:
    """User agents are kept in the form of the log, of which a name of 30 KB shows the beginning."""
    log = AccessLog(Log(format="json"), sink=Sink(None, name="", tell=print))

    def ask(number: int) -> None:
        log.request(record(request("GET / HTTP/1.1", "Host: a", f"User-Agent: {number:030000}")))
        log.close()

    assert left_by(ask) < 2**20
