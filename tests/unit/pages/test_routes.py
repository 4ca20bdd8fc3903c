"""Which requests reach the pages of our own, and how little of them."""

from typing import Any

import pytest

from exoproxy.errors import LoginRefused, MethodNotAllowed
from exoproxy.pages.routes import (
    LONGEST_CONTENT,
    OIDC_REDIRECTOR,
    PAGES,
    SELF_TEST,
    routes,
    to_oidc_redirector,
    to_self_test,
)
from exoproxy.proxy.decision import Forward
from exoproxy.settings.sites import Main
from heads import answer, request

FORM = "Content-Type: application/x-www-form-urlencoded"
PROXY: Any = {"allow": ["keystone.example.org:5000"]}


def posted(*fields: str, line: str = "POST /oidc-redirector") -> Forward:
    return to_oidc_redirector(request(line, "Host: my.example.org", *fields))


def test_pages_are_switched_on_each_by_itself() -> None:
    """The redirector is there by default, the self-test only when asked for."""

    def on(**switches: bool) -> set[bytes]:
        return set(routes(Main(hostname="my.example.org", proxy=PROXY, **switches)))

    assert on() == {OIDC_REDIRECTOR}
    assert on(oidc_redirector=False) == set()
    assert on(self_test=True) == {OIDC_REDIRECTOR, SELF_TEST}


@pytest.mark.parametrize(
    "media_type",
    [
        "application/x-www-form-urlencoded",
        "application/x-www-form-urlencoded; charset=UTF-8",
        "application/x-www-form-urlencoded;charset=utf-8;x=y",
        "Application/X-WWW-Form-URLencoded \t; charset=no-such",
    ],
)
@pytest.mark.parametrize("origin", ["null", "https://keystone.example.net", None])
def test_forms_from_anywhere_pass(media_type: str, origin: str | None) -> None:
    """A form passes, whatever its parameters are and whichever site posts it."""
    fields = [] if origin is None else [f"Origin: {origin}"]
    forward = posted(f"Content-Type: {media_type}", *fields)

    assert forward.upstream == PAGES
    assert forward.content_limit == LONGEST_CONTENT


@pytest.mark.parametrize(
    "fields",
    [
        [],
        ["Content-Type: "],
        ["Content-Type: application/json"],
        ["Content-Type: multipart/form-data; boundary=x"],
        ["Content-Type: text/plain; application/x-www-form-urlencoded"],
        ["Content-Type: application/x-www-form-urlencoded-not"],
        [FORM, "Content-Type: text/plain"],
        [FORM, FORM],
    ],
)
def test_other_contents_are_refused(fields: list[str]) -> None:
    """What is not just a form is refused with 401."""
    with pytest.raises(LoginRefused, match="with a form") as caught:
        posted(*fields)

    assert caught.value.status == 401


@pytest.mark.parametrize("method", ["GET", "HEAD", "PUT", "DELETE", "OPTIONS", "BREW"])
def test_other_methods_are_refused(method: str) -> None:
    """What is no POST is refused with 401, whatever it is."""
    with pytest.raises(LoginRefused, match="by POST"):
        posted(FORM, line=f"{method} /oidc-redirector")


def test_pages_hear_only_what_they_need() -> None:
    """No query, cookie, credential, coding or other site's address reaches the application."""
    forward = posted(
        FORM,
        "Accept: text/html",
        "Sec-Fetch-Mode: navigate",
        "Expect: 100-continue",
        "Cookie: session=canary",
        "Authorization: Bearer canary",
        "Referer: https://keystone.example.net/canary",
        "Origin: https://keystone.example.net",
        "X-Request-Id: canary",
        "Content-Encoding: gzip",
        "X-Forwarded-For: 192.0.2.1",
        "Connection: close",
        line="POST /oidc-redirector?token=canary",
    )

    assert forward.target == b"/oidc-redirector"
    assert forward.fields == [
        (b"Host", b"my.example.org"),
        (b"Content-Type", b"application/x-www-form-urlencoded"),
        (b"Accept", b"text/html"),
        (b"Sec-Fetch-Mode", b"navigate"),
        (b"Expect", b"100-continue"),
    ]


def test_answers_do_not_say_what_makes_them() -> None:
    """The application's Server stays here."""
    edited = posted(FORM).edit_response(answer("HTTP/1.1 302 Found", "Server: x", "Location: /y"))

    assert edited == [(b"Location", b"/y")]


def test_self_test_is_only_read() -> None:
    """The page is asked for with GET and HEAD; anything else gets 405."""
    for method in ("GET", "HEAD"):
        head = request(f"{method} /.exoproxy/self-test?x=y", "Host: my.example.org")

        assert to_self_test(head).target == SELF_TEST
    with pytest.raises(MethodNotAllowed):
        to_self_test(request("POST /.exoproxy/self-test", "Host: my.example.org"))
