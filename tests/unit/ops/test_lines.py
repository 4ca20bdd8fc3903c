"""The forms of a line: every fact in its place, no secret, and one line whatever is sent."""

import json
import re
import time
from collections.abc import Iterator
from typing import Any

import pytest

from exoproxy.net.dial import Upstream
from exoproxy.ops.lines import Form, combined_line, console_line, json_line
from exoproxy.proxy.record import Record
from exoproxy.wire.head import RequestHead
from heads import peer, request

CANARY = "k4n4rie-5d1f"
CLIENT = "192.0.2.7"
AT = 1_700_000_000.9
FORMS = pytest.mark.parametrize("form", [json_line, console_line, combined_line])

ASKED = (
    "GET /lab/tree?token=t&x=",
    "Host: A.Example.ORG:8443",
    "User-Agent: Mozilla/5.0",
    "Referer: https://b.example.org/?code=c",
)
UPSTREAM = Upstream("http", "192.168.0.5", 8888, verify=False)


@pytest.fixture(autouse=True)
def far_away() -> Iterator[None]:
    """Let the host be where the clock is not UTC, so that local time shows."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TZ", "XST-05:30")
        time.tzset()
        yield
    time.tzset()


def record(asked: RequestHead | None = None, **values: Any) -> Record:
    """Return what there is to say of a request that took 1.5 ms."""
    values = {"started": 10.0, "ended": 10.0015, "status": 200, "peer": peer(CLIENT), **values}
    return Record(id="r-17", site="uap", request=asked, **values)


def test_a_line_has_every_fact() -> None:
    """Numbers are numbers, and the time is UTC."""
    text = json_line(
        record(
            request(*ASKED),
            route="instance",
            status=502,
            upstream=UPSTREAM,
            reused=True,
            dialled=0.25,
            received=12,
            sent=345,
            code="upstream-refused",
            side="upstream",
            detail='The "server" refused.',
        ),
        CLIENT,
        AT,
    )

    assert text.isascii()
    assert json.loads(text) == {
        "time": "2023-11-14T22:13:20Z",
        "event": "request",
        "id": "r-17",
        "site": "uap",
        "route": "instance",
        "client": "192.0.2.7",
        "method": "GET",
        "host": "a.example.org",
        "target": "/lab/tree?token=\u2026&\u2026",
        "status": 502,
        "code": "upstream-refused",
        "side": "upstream",
        "detail": 'The "server" refused.',
        "upstream": "http://192.168.0.5:8888",
        "reused": True,
        "dialled": 0.25,
        "received": 12,
        "sent": 345,
        "seconds": 0.0015,
        "agent": "Mozilla/5.0",
    }


def test_both_addresses_are_told_behind_a_balancer() -> None:
    """The balancer's only where there is one."""
    behind = record(request(*ASKED), peer=peer("10.0.0.1", trusted=True))

    assert json.loads(json_line(behind, CLIENT, AT))["peer"] == "10.0.0.1"
    assert "peer" not in json.loads(json_line(behind, "10.0.0.1", AT))
    assert "peer" not in json.loads(json_line(record(request(*ASKED)), CLIENT, AT))


def test_the_two_lines_of_a_tunnel_are_told_apart() -> None:
    """By a field; nginx's form has one line, at the end, so that requests can be counted."""
    opened = record(request(*ASKED), status=101)
    closed = record(request(*ASKED), status=101, tunnel=True)
    events = [json.loads(json_line(each, CLIENT, AT))["event"] for each in (opened, closed)]

    assert events == ["tunnel-open", "tunnel-close"]
    assert " tunnel-open r-17" in console_line(opened, CLIENT, AT)
    assert " tunnel-close r-17" in console_line(closed, CLIENT, AT)
    assert combined_line(opened, CLIENT, AT) == ""
    assert " 101 " in combined_line(closed, CLIENT, AT)


def test_a_line_for_people_has_columns() -> None:
    """What they look for first comes first, with units."""
    served = record(request(*ASKED), upstream=UPSTREAM, received=12, sent=345)
    refused = record(request(*ASKED), status=403, code="target-not-allowed")

    assert [console_line(each, CLIENT, AT) for each in (served, refused)] == [
        "2023-11-15 03:43:20 uap  200 GET          1.5 ms       12 B in       345 B out "
        "192.0.2.7       a.example.org/lab/tree?token=…&… > http://192.168.0.5:8888 r-17\n",
        "2023-11-15 03:43:20 uap  403 GET          1.5 ms        0 B in         0 B out "
        "192.0.2.7       a.example.org/lab/tree?token=…&… target-not-allowed r-17\n",
    ]


def test_the_combined_form_is_nginx_s() -> None:
    """Field by field, with local time; a user and a Referer are never said."""
    asked = request(
        'GET /a"b\\c?token=t HTTP/1.0', "Host: a", 'User-Agent: x"\\\xe9\t', "Referer: https://b/"
    )

    assert combined_line(record(asked, sent=345), CLIENT, AT) == (
        r'192.0.2.7 - - [15/Nov/2023:03:43:20 +0530] "GET /a\x22b\x5Cc?token=... HTTP/1.0" '
        r'200 345 "-" "x\x22\x5C\xE9"' + "\n"
    )


def test_the_combined_form_has_a_place_for_everything() -> None:
    """Bytes that are no request, clients that left, and clients of a Unix socket."""
    bad = record(None, status=400)
    gone = record(request("GET /", "Host: a"), status=0, code="client-gone")

    assert combined_line(bad, CLIENT, AT).endswith('+0530] "-" 400 0 "-" "-"\n')
    assert combined_line(gone, CLIENT, AT).endswith('"GET / HTTP/1.1" 499 0 "-" "-"\n')
    assert combined_line(bad, "unknown", AT).startswith("unix: - - [")


def test_what_was_no_request_has_a_line_too() -> None:
    """A connection that sent no valid head is told by its address and the error."""
    bad = record(None, status=400, code="bad-request", detail="The request line is not valid.")
    found = json.loads(json_line(bad, CLIENT, AT))

    assert (found["method"], found["host"], found["target"], found["agent"]) == ("-", "-", "-", "")
    assert (found["route"], found["status"], found["upstream"]) == ("refused", 400, "-")
    assert " 400 -  " in console_line(bad, CLIENT, AT)


SECRETS = (
    f"GET /lab;jsessionid={CANARY}?token={CANARY}&{CANARY}&a%3D{CANARY}==&{CANARY}=1",
    "Host: a.example.org",
    f"X-Auth-Token: {CANARY}",
    f"X-Subject-Token: {CANARY}",
    f"Cookie: session={CANARY}",
    f"Authorization: Bearer {CANARY}",
    f"Proxy-Authorization: Basic {CANARY}",
    f"Referer: https://{CANARY}@a.example.org/?code={CANARY}",
    f"Origin: https://{CANARY}.example",
    f"Sec-WebSocket-Protocol: {CANARY}",
    f"Accept: text/{CANARY}",
    f"Via: 1.1 {CANARY}",
)


@FORMS
def test_no_secret_is_in_a_line(form: Form) -> None:
    """A query has keys alone, and of the fields only the user agent is shown."""
    text = form(record(request(*SECRETS), upstream=UPSTREAM), CLIENT, AT)

    assert CANARY not in text
    assert "token=" in text


HOSTILE = '\x80\xff \u00e9 " \\ \', "status":200 } [x] %s'


@FORMS
@pytest.mark.parametrize("path", ['/a"b\\c', "/%0d%0a127.0.0.1", "/'$(id)`", "/{}%s{0}", "/;a;=b"])
def test_a_line_stays_one_line(form: Form, path: str) -> None:
    """Nothing that a client sends ends a line, starts a field or moves a terminal's cursor."""
    asked = request(f"GET {path}?{path}=1", "Host: a_b.example.org", f"User-Agent: {HOSTILE}")
    text = form(record(asked), CLIENT, AT)

    assert text.count("\n") == 1
    assert all(" " <= character <= "~" for character in text.replace("…", "").rstrip("\n"))
    if form is json_line:
        found = json.loads(text)
        assert found["status"] == 200
        assert '"' not in found["agent"] + found["target"]
    if form is combined_line:
        assert re.fullmatch(r'\S+ - - \[[^]]+\] "[^"]+" 200 0 "-" "[^"]+"\n', text)


@FORMS
def test_a_long_line_is_cut(form: Form) -> None:
    """What a client sends is bounded in the log too."""
    asked = request("GET /" + "a" * 20_000, "Host: a", "User-Agent: " + "b" * 9_000)

    assert len(form(record(asked), CLIENT, AT)) < 2_000
