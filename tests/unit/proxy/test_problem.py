"""Error answers: their form, their fields, and that they hold nothing of the request."""

import json
import re
from collections.abc import Iterator
from http import HTTPStatus

import pytest

from exoproxy.errors import (
    BadRequest,
    MethodNotAllowed,
    NoInstanceName,
    Overloaded,
    ProxyError,
    TargetNotAllowed,
    TooManyRefusals,
    UpstreamRefused,
    UpstreamTimeout,
)
from exoproxy.proxy.decision import Reply
from exoproxy.proxy.page import SECURITY_FIELDS
from exoproxy.proxy.problem import problem, reason_of
from exoproxy.wire.fields import Fields

BROWSER = "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"
CANARY = "canary-5b1f"


def answer(error: ProxyError, accept: str | None = None, method: bytes = b"GET") -> Reply:
    fields = [] if accept is None else [(b"Accept", accept.encode())]
    return problem(error, method=method, accept=Fields(fields), request_id="r-17")


def every_error(base: type[ProxyError] = ProxyError) -> Iterator[type[ProxyError]]:
    """Return all classes that can be raised."""
    for one in base.__subclasses__():
        if hasattr(one, "code"):
            yield one
        yield from every_error(one)


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ([(b"Accept", BROWSER.encode())], b"text/html; charset=utf-8"),
        ([(b"accept", b"Text/HTML")], b"text/html; charset=utf-8"),
        ([(b"Accept", b"application/json")], b"application/json"),
        ([(b"Accept", b"application/json, text/plain, */*")], b"application/json"),
        ([(b"Accept", b"application/problem+json")], b"application/json"),
        ([(b"Accept", b"*/*"), (b"Sec-Fetch-Mode", b"cors")], b"application/json"),
        ([(b"Accept", b"*/*")], b"text/plain; charset=utf-8"),
        ([(b"Accept", b"image/png")], b"text/plain; charset=utf-8"),
        ([(b"Accept", b"")], b"text/plain; charset=utf-8"),
        ([], b"text/plain; charset=utf-8"),
    ],
    ids=repr,
)
def test_answers_in_the_form_asked_for(fields: list[tuple[bytes, bytes]], expected: bytes) -> None:
    """A page for a browser that navigates, JSON for scripts, text for everything else."""
    reply = problem(BadRequest(), method=b"GET", accept=Fields(fields), request_id="r-17")

    assert dict(reply.fields)[b"Content-Type"] == expected


@pytest.mark.parametrize(
    "error", sorted(set(every_error()) - {TooManyRefusals}, key=str), ids=lambda one: one.__name__
)
@pytest.mark.parametrize("accept", [BROWSER, "application/json", "*/*"])
def test_every_error_says_what_it_is(error: type[ProxyError], accept: str) -> None:
    """Status, code, sentence, hint and request id, whatever the form."""
    reply = answer(error(hint="Ask the operator."), accept)
    content = reply.content.decode()

    assert reply.status == error.status
    assert dict(reply.fields)[b"X-Exoproxy-Error"] == error.code.encode()
    assert all(field in reply.fields for field in SECURITY_FIELDS)
    for part in (str(error.status), error.code, "Ask the operator.", "r-17"):
        assert part in content
    assert error.default.split("'")[0] in content


def test_json_is_what_openstacks_clients_read() -> None:
    """They show `error.message`, and take `error.code` for the status."""
    reply = answer(UpstreamTimeout("It is late.", hint="Wait."), "application/json")

    assert json.loads(reply.content) == {
        "error": {
            "code": 504,
            "title": "Gateway Timeout",
            "message": "It is late.",
            "hint": "Wait.",
            "error": "upstream-timeout",
            "request_id": "r-17",
        }
    }
    assert "hint" not in json.loads(answer(BadRequest(), "application/json").content)["error"]


def test_text_is_one_thing_a_line() -> None:
    """As curl shows it."""
    reply = answer(TargetNotAllowed("Not there.", hint="Go elsewhere."))

    assert reply.content == (b"403 target-not-allowed: Not there.\nGo elsewhere.\nrequest r-17\n")
    assert answer(BadRequest("No.")).content == b"400 bad-request: No.\nrequest r-17\n"


@pytest.mark.parametrize(
    ("error", "method", "again"),
    [
        (UpstreamRefused(), b"GET", True),
        (Overloaded(), b"GET", True),
        (UpstreamRefused(), b"POST", False),
        (UpstreamRefused(), b"HEAD", False),
        (UpstreamRefused(), b"", False),
        (NoInstanceName(), b"GET", False),
        (BadRequest(), b"GET", False),
    ],
    ids=repr,
)
def test_a_page_tries_again_by_itself(error: ProxyError, method: bytes, again: bool) -> None:
    """Only where that may help and sends nothing twice; the page says so and offers a link."""
    page = answer(error, BROWSER, method).content.decode()

    assert ('<meta http-equiv="refresh" content="5">' in page) is again
    assert ("tries again by itself every 5 seconds" in page) is again
    assert ('<a href="">Try again now</a>' in page) is again


def test_a_page_says_what_to_do() -> None:
    """Someone whose notebook is just starting is told that, and what else it may be."""
    page = answer(UpstreamRefused(), BROWSER).content.decode()

    assert "<title>502 Bad Gateway</title>" in page
    assert "<h1>The server refused the connection: nothing listens on that port yet.</h1>" in page
    assert "may take some minutes to start" in page
    assert "at every address" in page


def test_a_page_shows_text_as_text() -> None:
    """A sentence is no HTML, wherever it comes from."""
    page = answer(BadRequest("<b>&", hint='"<script>'), BROWSER).content.decode()

    assert "<h1>&lt;b&gt;&amp;</h1>" in page
    assert "<p>&quot;&lt;script&gt;</p>" in page
    assert re.findall(r"https?://|<script|<img|<link", page) == []


@pytest.mark.parametrize("accept", [CANARY, f"text/html;{CANARY}", f"application/json;{CANARY}"])
def test_nothing_of_the_request_is_in_it(accept: str) -> None:
    """No field's value comes back, not even of the one that is read."""
    fields = [
        (name, CANARY.encode())
        for name in (b"Cookie", b"Authorization", b"X-Auth-Token", b"Host", b"Sec-Fetch-Mode")
    ]
    fields.append((b"Accept", accept.encode()))
    reply = problem(
        UpstreamRefused(), method=CANARY.encode(), accept=Fields(fields), request_id="r-17"
    )

    assert CANARY.encode() not in reply.content
    assert CANARY.encode() not in b"".join(name + value for name, value in reply.fields)


def test_405_names_the_methods() -> None:
    """RFC 9110 section 15.5.6."""
    fields = dict(answer(MethodNotAllowed(allow="GET, HEAD")).fields)

    assert fields[b"Allow"] == b"GET, HEAD"
    assert b"Allow" not in dict(answer(BadRequest()).fields)


@pytest.mark.parametrize(
    ("error", "expected"),
    [(Overloaded(), b"5"), (UpstreamRefused(), None), (BadRequest(), None)],
    ids=repr,
)
def test_503_says_when_to_come_back(error: ProxyError, expected: bytes | None) -> None:
    """RFC 9110 section 10.2.3."""
    assert dict(answer(error).fields).get(b"Retry-After") == expected


@pytest.mark.parametrize("accept", [BROWSER, "application/json", "*/*"])
def test_the_answer_to_too_many_refusals_is_short(accept: str) -> None:
    """Whatever is asked for, it is the same line, and says when to come back."""
    reply = answer(TooManyRefusals(wait=7), accept)

    assert reply.status == 429
    assert reply.content.startswith(b"429 too-many-refusals: ")
    assert len(reply.content) < 100
    assert dict(reply.fields) == {
        b"Content-Type": b"text/plain; charset=utf-8",
        b"X-Exoproxy-Error": b"too-many-refusals",
        b"Retry-After": b"7",
        b"Cache-Control": b"no-store",
    }


@pytest.mark.parametrize("accept", [BROWSER, "application/json", "*/*"])
def test_503_says_so_in_every_form(accept: str) -> None:
    """Programs wait as browsers do."""
    assert dict(answer(Overloaded(), accept).fields)[b"Retry-After"] == b"5"


def test_replies_share_no_list_of_fields() -> None:
    """The engine adds a site's fields to the reply."""
    first = answer(BadRequest())
    first.fields.append((b"X", b"y"))

    assert (b"X", b"y") not in answer(BadRequest()).fields + SECURITY_FIELDS


def test_reasons_are_the_registered_ones() -> None:
    """Others are empty, which the grammar allows (RFC 9112 section 4)."""
    assert reason_of(421) == b"Misdirected Request"
    assert reason_of(299) == b""
    assert all(reason_of(status.value) == status.phrase.encode() for status in HTTPStatus)
