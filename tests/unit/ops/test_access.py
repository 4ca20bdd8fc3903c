"""The access log: one line a request, for people or machines, and no secret in it."""

import asyncio
import io
import json
import re
from ipaddress import ip_network
from typing import Any, Literal

import pytest

from exoproxy.net.dial import Upstream
from exoproxy.net.listen import Peer
from exoproxy.ops.access import AccessLog
from exoproxy.proxy.record import Record
from exoproxy.settings.model import Log
from exoproxy.wire.head import RequestHead
from heads import peer, request
from memory import left_by

CANARY = "k4n4rie-5d1f"
STAMP = r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ"


def record(asked: RequestHead | None = None, by: Peer | None = None, **values: Any) -> Record:
    """Return what there is to say of a request that took 1.5 ms."""
    values = {"started": 10.0, "ended": 10.0015, "status": 200, **values}
    return Record(id="r-17", site="uap", peer=by or peer(), request=asked, **values)


async def written(
    *records: Record,
    form: Literal["auto", "console", "json"] = "json",
    access: bool = True,
    stream: io.StringIO | None = None,
) -> str:
    """Return what the log has written once the loop has turned."""
    stream = stream or io.StringIO()
    log = AccessLog(
        Log(format=form, access=access), trusted=[ip_network("10.0.0.0/8")], stream=stream
    )
    for each in records:
        log.request(each)

    assert stream.getvalue() == ""  # nothing before the loop's turn is over
    await asyncio.sleep(0)
    return stream.getvalue()


async def line(each: Record) -> dict[str, Any]:
    """Return the one JSON line of a record."""
    text = await written(each)
    assert text.isascii()
    assert text.count("\n") == 1
    assert text.endswith("\n")
    parsed = json.loads(text)
    assert isinstance(parsed, dict)
    return parsed


ASKED = ("GET /lab/tree?token=t&x=", "Host: A.Example.ORG:8443", "User-Agent: Mozilla/5.0")
UPSTREAM = Upstream("http", "192.168.0.5", 8888, verify=False)


async def test_a_line_has_every_fact() -> None:
    """Numbers are numbers, and the time is UTC."""
    found = await line(
        record(
            request(*ASKED),
            status=502,
            upstream=UPSTREAM,
            reused=True,
            received=12,
            sent=345,
            code="upstream-refused",
            detail="The server refused.",
        )
    )

    assert re.fullmatch(STAMP, found.pop("time"))
    assert found == {
        "id": "r-17",
        "site": "uap",
        "client": "192.0.2.7",
        "method": "GET",
        "host": "a.example.org",
        "target": "/lab/tree?token=\u2026&\u2026",
        "status": 502,
        "code": "upstream-refused",
        "detail": "The server refused.",
        "upstream": "http://192.168.0.5:8888",
        "reused": True,
        "tunnel": False,
        "received": 12,
        "sent": 345,
        "seconds": 0.0015,
        "agent": "Mozilla/5.0",
    }


async def test_a_line_for_people_is_pleasant() -> None:
    """What they look for first comes first, with units, on one line."""
    served = record(request(*ASKED), upstream=UPSTREAM, received=12, sent=345)
    refused = record(request(*ASKED), status=403, code="target-not-allowed")
    closed = record(request(*ASKED), status=101, upstream=UPSTREAM, tunnel=True)
    lines = (await written(served, refused, closed, form="console")).splitlines()
    begin = f"{STAMP} uap 192.0.2.7 GET a.example.org /lab/tree\\?token=…&… "

    assert re.fullmatch(begin + r"200 12/345 B 1\.5 ms http://192\.168\.0\.5:8888 r-17", lines[0])
    assert re.fullmatch(begin + r"403 target-not-allowed 0/0 B 1\.5 ms - r-17", lines[1])
    assert re.fullmatch(begin + r"101 0/0 B 1\.5 ms \S+ tunnel closed r-17", lines[2])


async def test_what_was_no_request_has_a_line_too() -> None:
    """A connection that sent no valid head is told by its address and the error."""
    bad = record(None, status=400, code="bad-request", detail="The request line is not valid.")
    found = await line(bad)

    assert (found["method"], found["host"], found["target"], found["agent"]) == ("-", "-", "-", "")
    assert (found["client"], found["status"], found["upstream"]) == ("192.0.2.7", 400, "-")
    assert " - - - 400 bad-request " in await written(bad, form="console")


SECRETS = (
    f"GET /lab?token={CANARY}&{CANARY}&a%3D{CANARY}==",
    "Host: a.example.org",
    f"X-Auth-Token: {CANARY}",
    f"X-Subject-Token: {CANARY}",
    f"Cookie: session={CANARY}",
    f"Authorization: Bearer {CANARY}",
    f"Proxy-Authorization: Basic {CANARY}",
    f"Referer: https://a.example.org/?code={CANARY}",
    f"Origin: https://{CANARY}.example",
    f"Sec-WebSocket-Protocol: {CANARY}",
    f"Accept: text/{CANARY}",
    f"Via: 1.1 {CANARY}",
)


@pytest.mark.parametrize("form", ["json", "console"])
@pytest.mark.parametrize("trusted", [False, True])
async def test_no_secret_is_in_a_line(form: Literal["json", "console"], trusted: bool) -> None:
    """A query has keys alone, and of the fields only the user agent is shown."""
    text = await written(
        record(request(*SECRETS), peer(trusted=trusted), upstream=UPSTREAM), form=form
    )

    assert CANARY not in text
    assert "/lab?token=" in text


HOSTILE = '\x1b[2J\x7f\x80\xff \u00e9 " \\ \', "status":200 }'


@pytest.mark.parametrize("form", ["json", "console"])
@pytest.mark.parametrize("path", ['/a"b\\c', "/%0d%0a127.0.0.1", "/'$(id)`", "/{}%s{0}"])
async def test_a_line_stays_one_line(form: Literal["json", "console"], path: str) -> None:
    """Nothing that a client sends ends a line, starts a field or moves a terminal's cursor."""
    agent = HOSTILE.translate({0x1B: None, 0x7F: None})
    asked = request(f"GET {path}?{path}=1", "Host: a_b.example.org", f"User-Agent: {agent}")
    text = await written(record(asked), form=form)

    assert text.count("\n") == 1
    assert all(" " <= character <= "~" for character in text.replace("…", "").rstrip("\n"))
    if form == "json":
        found = json.loads(text)
        assert found["status"] == 200
        assert found["target"].startswith("/")
        assert '"' not in found["agent"]


async def test_a_long_line_is_cut() -> None:
    """What a client sends is bounded in the log too."""
    asked = request("GET /" + "a" * 20_000, "Host: a", "User-Agent: " + "b" * 9_000)

    assert len(await written(record(asked))) < 2_000


@pytest.mark.parametrize(
    ("by", "fields", "expected"),
    [
        (peer("192.0.2.7"), ["X-Forwarded-For: 203.0.113.9"], "192.0.2.7"),
        (peer("10.0.0.1", trusted=True), ["X-Forwarded-For: 203.0.113.9"], "203.0.113.9"),
        (peer("10.0.0.1", trusted=True), ["X-Forwarded-For: evil, 10.0.0.2"], "10.0.0.2"),
        (peer("10.0.0.1", trusted=True), [], "10.0.0.1"),
        (peer(None, trusted=True), ["X-Forwarded-For: 203.0.113.9"], "203.0.113.9"),
        (peer(None, trusted=True), [], "unknown"),
        (peer(None), ["X-Forwarded-For: 203.0.113.9"], "unknown"),
        (peer(None, trusted=True), ["X-Forwarded-For: evil"], "unknown"),
        (peer("2001:db8::1"), [], "2001:db8::1"),
    ],
)
async def test_the_client_is_who_can_be_believed(
    by: Peer, fields: list[str], expected: str
) -> None:
    """Only a trusted peer says who is behind it."""
    found = await line(record(request("GET /", "Host: a", *fields), by))

    assert found["client"] == expected


async def test_lines_of_one_turn_are_written_at_once() -> None:
    """In their order; and the next turn's in the next write."""

    class Counting(io.StringIO):
        writes = 0

        def write(self, text: str) -> int:
            self.writes += 1
            return super().write(text)

    stream = Counting()
    log = AccessLog(Log(format="json"), stream=stream)
    for number in range(3):
        log.request(record(received=number))
    await asyncio.sleep(0)
    log.request(record(received=3))
    await asyncio.sleep(0)

    assert [json.loads(each)["received"] for each in stream.getvalue().splitlines()] == [0, 1, 2, 3]
    assert stream.writes == 2


async def test_the_end_loses_nothing() -> None:
    """`close` writes what the loop would have written next."""
    stream = io.StringIO()
    log = AccessLog(Log(format="json"), stream=stream)
    log.request(record())
    log.close()
    once = stream.getvalue()
    await asyncio.sleep(0)

    assert once.count("\n") == 1
    assert stream.getvalue() == once


async def test_it_can_be_off() -> None:
    """log.access: false."""
    assert await written(record(), access=False) == ""


@pytest.mark.parametrize("terminal", [True, False])
async def test_auto_looks_who_reads(terminal: bool) -> None:
    """A terminal gets lines for people, a file or a pipe gets JSON."""

    class Stream(io.StringIO):
        def isatty(self) -> bool:
            return terminal

    text = await written(record(), form="auto", stream=Stream())

    assert text.startswith("{") is not terminal


async def test_nothing_large_is_remembered() -> None:
    """User agents are kept in the form of the log, of which a name of 30 KB shows the beginning."""

    class Dropping(io.StringIO):
        def write(self, text: str) -> int:
            return len(text)

    log = AccessLog(Log(format="json"), stream=Dropping())

    def ask(number: int) -> None:
        log.request(record(request("GET / HTTP/1.1", "Host: a", f"User-Agent: {number:030000}")))
        log.close()

    assert left_by(ask) < 2**20
