"""What the UAP decides: whose instance, what reaches it, what its answer may say, and to whom."""

from ipaddress import ip_network

import pytest

from exoproxy.errors import (
    LoopDetected,
    MethodNotAllowed,
    Misdirected,
    NoInstanceName,
    NotFound,
    ProxyError,
    TargetNotAllowed,
)
from exoproxy.net.dial import Upstream
from exoproxy.proxy.decision import Decision, Forward, Reply
from exoproxy.rules.cors import Mode, Origins
from exoproxy.rules.egress import Policy
from exoproxy.rules.forwarded import pseudonym_of
from exoproxy.uap import UapSite
from exoproxy.wire.fields import Field
from heads import answer, peer, request

NAME = "proxy.example.com"
HOST = f"http-192-168-0-5-8888.{NAME}"
CLIENT = "https://my.example.org"
PREFLIGHT = (f"Origin: {CLIENT}", "Access-Control-Request-Method: GET")


def site_of(*subnets: str, origins: Origins | None = None) -> UapSite:
    networks = tuple(ip_network(subnet) for subnet in subnets or ("192.168.0.0/24",))
    return UapSite(
        hostname=NAME,
        policy=Policy(
            networks=networks,
            public=False,
            ports=(range(1, 22), range(23, 65536)),
            own=frozenset([networks[0][9]]),
        ),
        origins=origins or Origins.parse([CLIENT]),
    )


@pytest.fixture(name="site")
def uap_site() -> UapSite:
    return site_of()


def decide(site: UapSite, line: str, *fields: str, host: str = HOST) -> Decision:
    return site.decide(request(line, f"Host: {host}", *fields), peer(server_name=NAME))


def forward(site: UapSite, line: str, *fields: str, host: str = HOST) -> Forward:
    decision = decide(site, line, *fields, host=host)
    assert isinstance(decision, Forward)
    return decision


def reply(site: UapSite, line: str, *fields: str, host: str = HOST) -> Reply:
    decision = decide(site, line, *fields, host=host)
    assert isinstance(decision, Reply)
    return decision


def values(fields: list[Field], name: bytes) -> list[bytes]:
    return [value for key, value in fields if key.lower() == name.lower()]


# Where a name leads.


@pytest.mark.parametrize(
    ("label", "upstream"),
    [
        ("http-192-168-0-5-8080", Upstream("http", "192.168.0.5", 8080, verify=False)),
        ("https-192-168-0-5-1", Upstream("https", "192.168.0.5", 1, verify=False)),
        ("192-168-0-254-65535", Upstream("https", "192.168.0.254", 65535, verify=False)),
        ("HTTP-192-168-0-5-80", Upstream("http", "192.168.0.5", 80, verify=False)),
        ("http-fd00--5-80", Upstream("http", "fd00::5", 80, verify=False)),
    ],
)
@pytest.mark.parametrize("suffix", [NAME, f"{NAME}:443", f"{NAME}.", "PROXY.Example.Com"])
def test_a_name_leads_to_its_instance(label: str, upstream: Upstream, suffix: str) -> None:
    """Scheme, address and port are in the label; https without a prefix, never verified."""
    site = site_of("192.168.0.0/24", "fd00::/64")

    assert forward(site, "GET /", host=f"{label}.{suffix}").upstream == upstream


@pytest.mark.parametrize(
    "label",
    [
        "http",
        "http-",
        "www",
        "ftp-192-168-0-5-80",
        "http-192-168-0-5",
        "http-192-168-0-5-",
        "http-192-168-0-256-80",
        "http-192-168-0-05-80",
        "http-192-168-0-5-0",
        "http-192-168-0-5-65536",
        "http-192-168-0-5-080",
        "http-192-168-0-5-1e3",
        "http-1-192-168-0-5-80",
        "http-192-168-0-5-80x",
        "a.192-168-0-5-80",
        "http-192.168.0.5-80",
        "http-http-192-168-0-5-80",
        "http-0--1-80",
    ],
)
def test_other_labels_name_no_instance(site: UapSite, label: str) -> None:
    """404 with the reason, and a hint that shows what a name looks like."""
    for _ in range(2):  # the second time it is remembered
        with pytest.raises(NoInstanceName) as caught:
            decide(site, "GET /", host=f"{label}.{NAME}")

        assert caught.value.sentence != NoInstanceName.default
        assert f"http-198-51-100-99-8080.{NAME}" in caught.value.hint


@pytest.mark.parametrize(
    ("label", "reason"),
    [
        ("http-192-168-1-5-80", "no listed network inside that range holds it"),
        ("http-198-41-0-4-80", "lies outside the networks"),
        ("http-127-0-0-1-80", "loopback"),
        ("http-169-254-169-254-80", "instance metadata"),
        ("http-192-168-0-0-80", "first or last of a listed network"),
        ("http-192-168-0-255-80", "first or last of a listed network"),
        ("http-192-168-0-9-80", "is the proxy's own"),
        ("http-192-168-0-5-22", "The port is not among those"),
        ("http---1-80", "loopback"),
        ("http-2002-c0a8-5---80", "lies in"),
    ],
)
def test_policy_comes_before_anything_else(site: UapSite, label: str, reason: str) -> None:
    """403 with the reason, and nothing is dialled for it."""
    with pytest.raises(TargetNotAllowed) as caught:
        decide(site, "GET /", *PREFLIGHT, host=f"{label}.{NAME}")

    assert reason in caught.value.sentence


@pytest.mark.parametrize(
    "host",
    [
        "example.com",
        "xproxy.example.com",
        "proxy.example.com.evil.example",
        "http-192-168-0-5-80.xproxy.example.com",
        "http-192-168-0-5-80.proxy.example.com.evil.example",
        "192.168.0.5",
        "[::1]",
    ],
)
def test_other_names_are_misdirected(site: UapSite, host: str) -> None:
    """421 for look-alikes of the suffix; nothing is read from them."""
    with pytest.raises(Misdirected):
        decide(site, "GET /", host=host)


@pytest.mark.parametrize(
    ("server_name", "served"),
    [
        (None, True),
        (HOST, True),
        (NAME, True),
        (f"http-192-168-0-6-80.{NAME}", True),
        (f"a.b.{NAME}", True),
        ("my.example.org", False),
        ("evil.example", False),
        (f"{NAME}.evil.example", False),
    ],
)
def test_the_name_of_the_handshake_counts(
    site: UapSite, server_name: str | None, served: bool
) -> None:
    """One certificate covers all instances, so any of their names may have opened a connection."""
    asked = request("GET /", f"Host: {HOST}")
    if served:
        assert isinstance(site.decide(asked, peer(server_name=server_name)), Forward)
    else:
        with pytest.raises(Misdirected):
            site.decide(asked, peer(server_name=server_name))


def test_a_refusal_is_a_new_error_each_time(site: UapSite) -> None:
    """What is remembered of a refusal holds no traceback, which would keep its request alive."""
    caught: list[ProxyError] = []
    for _ in range(2):
        try:
            decide(site, "GET /", host=f"x.{NAME}")
        except ProxyError as error:
            caught.append(error)
    one, other = caught
    kept = site._route(f"x.{NAME}")

    assert one is not other
    assert isinstance(kept, ProxyError)
    assert (kept.__traceback__, kept.__context__) == (None, None)
    assert one.sentence == other.sentence
    assert one.__context__ is other.__context__ is None


# What reaches the instance.


@pytest.mark.parametrize(
    "target",
    [
        "/",
        "/?",
        "/a?",
        "//b//c",
        "/a/../b",
        "/./",
        "/a;x=1",
        "/%zz",
        "/%",
        "/a%2Fb%20c%25d%e2%82%ac?x=%2f+&y",
        "/../../etc",
        "//evil.example/x",
        "/a\\b|c^{}<>\"'`",
        "/proxy/v3",
    ],
)
def test_a_target_is_passed_byte_for_byte(site: UapSite, target: str) -> None:
    """What a path means is the application's to say, broken percent-encodings too."""
    assert forward(site, f"GET {target}").target == target.encode()


def test_the_absolute_form_becomes_the_origin_form(site: UapSite) -> None:
    """An upstream is no proxy."""
    asked = request(f"GET https://{HOST}/a?b", f"Host: {HOST}")
    decision = site.decide(asked, peer())
    assert isinstance(decision, Forward)

    assert decision.target == b"/a?b"


def test_fields_are_passed_as_they_came(site: UapSite) -> None:
    """Host, Origin, Referer and cookies byte for byte; what they say of their way is not."""
    decision = forward(
        site,
        "GET /api HTTP/1.0",
        "x-FOO: 1",
        "Origin: https://HTTP-192-168-0-5-8888.proxy.example.com:8443",
        "Referer: https://evil.example/?a=b",
        "Cookie: _xsrf=1",
        "Cookie: second=2",
        "Authorization: token t",
        "X-Forwarded-For: 1.1.1.1",
        "X-Forwarded-Proto: http",
        "X-Forwarded-Host: evil.example",
        "Forwarded: for=1.1.1.1",
        "Proxy: http://evil.example",
        "Connection: X-Forwarded-Proto, Cookie2, upgrade",
        "Cookie2: gone",
        "Upgrade: h2c",
        "Via: 1.1 other",
        host="HTTP-192-168-0-5-8888.proxy.example.com:8443",
    )

    assert decision.fields == [
        (b"Host", b"HTTP-192-168-0-5-8888.proxy.example.com:8443"),
        (b"x-FOO", b"1"),
        (b"Origin", b"https://HTTP-192-168-0-5-8888.proxy.example.com:8443"),
        (b"Referer", b"https://evil.example/?a=b"),
        (b"Cookie", b"_xsrf=1"),
        (b"Cookie", b"second=2"),
        (b"Authorization", b"token t"),
        (b"Via", b"1.1 other"),
        (b"X-Forwarded-For", b"192.0.2.7"),
        (b"X-Forwarded-Host", b"HTTP-192-168-0-5-8888.proxy.example.com:8443"),
        (b"X-Forwarded-Port", b"8443"),
        (b"X-Forwarded-Proto", b"https"),
        (b"Via", b"1.0 " + pseudonym_of(NAME)),
    ]
    assert not decision.compress


def test_a_trusted_peer_is_believed(site: UapSite) -> None:
    """A balancer's list goes on; a peer on a Unix socket has no address."""
    asked = request("GET /", f"Host: {HOST}", "X-Forwarded-For: 203.0.113.1")
    balanced = site.decide(asked, peer("10.0.0.1", trusted=True))
    local = site.decide(asked, peer(None))
    assert isinstance(balanced, Forward)
    assert isinstance(local, Forward)

    assert values(balanced.fields, b"x-forwarded-for") == [b"203.0.113.1, 10.0.0.1"]
    assert values(local.fields, b"x-forwarded-for") == [b"unknown"]


def test_a_request_that_comes_back_is_stopped(site: UapSite) -> None:
    """508 where our own name is in Via; another region's proxy may well be before this one."""
    own = f"Via: 1.1 first, 1.1 {pseudonym_of(NAME).decode()} (comment)"
    with pytest.raises(LoopDetected):
        decide(site, "GET /", own)

    assert forward(site, "GET /", f"Via: 1.1 {pseudonym_of('proxy.example.net').decode()}")


# What its answer may say.


def test_cookies_stay_with_their_instance(site: UapSite) -> None:
    """Domain is removed from every cookie, counted, and nothing else is changed."""
    decision = forward(site, "GET /")
    fields = decision.edit_response(
        answer(
            "HTTP/1.1 200 OK",
            "Set-Cookie: a=1; Domain=.proxy.example.com; Path=/; Secure",
            "set-cookie: b=2; Path=/; domain=com",
            "Set-Cookie: c=3; HttpOnly",
            "Alt-Svc: h3",
            "Server: TornadoServer/6",
            "Location: http://10.0.0.1/",
        )
    )

    assert fields == [
        (b"Set-Cookie", b"a=1; Path=/; Secure"),
        (b"set-cookie", b"b=2; Path=/"),
        (b"Set-Cookie", b"c=3; HttpOnly"),
        (b"Server", b"TornadoServer/6"),
        (b"Location", b"http://10.0.0.1/"),
        (b"Vary", b"Origin"),
    ]
    assert site.cookies.count == 2
    decision.edit_response(answer("HTTP/1.1 200 OK", "Set-Cookie: d=4; Domain=x"))
    assert site.cookies.count == 3


def test_an_applications_own_cors_works(site: UapSite) -> None:
    """For origins that are not the client's, the application decides who reads its answers."""
    own = ("Access-Control-Allow-Origin: https://friend.example", "Vary: Origin")
    fields = forward(site, "GET /", "Origin: https://friend.example").edit_response(
        answer("HTTP/1.1 200 OK", *own)
    )

    assert fields == [
        (b"Access-Control-Allow-Origin", b"https://friend.example"),
        (b"Vary", b"Origin"),
    ]


def test_the_client_may_read_every_answer(site: UapSite) -> None:
    """Its own fields take the place of the application's."""
    fields = forward(site, "GET /", f"Origin: {CLIENT}").edit_response(
        answer("HTTP/1.1 404 Not Found", "Access-Control-Allow-Origin: *")
    )

    assert values(fields, b"access-control-allow-origin") == [CLIENT.encode()]
    assert values(fields, b"access-control-allow-credentials") == [b"true"]


# OPTIONS.


def test_the_clients_preflight_is_answered_here(site: UapSite) -> None:
    """204 with the method asked for, whatever the application knows of CORS."""
    fields = reply(
        site, "OPTIONS /x", f"Origin: {CLIENT}", "Access-Control-Request-Method: PATCH"
    ).fields

    assert values(fields, b"access-control-allow-origin") == [CLIENT.encode()]
    assert values(fields, b"access-control-allow-methods") == [b"GET, POST, OPTIONS, HEAD, PATCH"]


@pytest.mark.parametrize(
    "fields",
    [
        [],
        [f"Origin: {CLIENT}"],
        ["Access-Control-Request-Method: GET"],
        ["Origin: null", "Access-Control-Request-Method: GET"],
        ["Origin: https://friend.example", "Access-Control-Request-Method: GET"],
        [f"Origin: {CLIENT}.evil.example", "Access-Control-Request-Method: GET"],
        ["Origin: http://localhost:8000", "Access-Control-Request-Method: GET"],
        [f"Origin: {CLIENT}", f"Origin: {CLIENT}", "Access-Control-Request-Method: GET"],
    ],
    ids=repr,
)
def test_any_other_options_reaches_the_application(site: UapSite, fields: list[str]) -> None:
    """It may answer preflights of its own, or serve WebDAV; and its origin is no business here."""
    assert forward(site, "OPTIONS /x", *fields).target == b"/x"


def test_developers_origins_are_a_switch() -> None:
    """With development_origins, a client under work may open instances."""
    site = site_of(origins=Origins.parse([], development=Mode.UAP))
    fields = ("Origin: http://localhost:8000", "Access-Control-Request-Method: GET")

    assert reply(site, "OPTIONS /", *fields).status == 204


def test_options_about_the_server_is_answered_here(site: UapSite) -> None:
    """`OPTIONS *` would ask the instance about its server, and is for this one."""
    for host in (NAME, HOST):
        assert reply(site, "OPTIONS *", host=host).status == 204


# The bare name.


def test_the_bare_name_says_what_it_is(site: UapSite) -> None:
    """A page for people who type it, with the pattern of the names below it."""
    page = reply(site, "GET /?x", host=NAME)

    assert page.status == 200
    assert f"http-198-51-100-99-8080.{NAME}".encode() in page.content
    assert b'<html lang="en">' in page.content
    assert values(page.fields, b"content-type") == [b"text/html; charset=utf-8"]
    assert values(page.fields, b"x-content-type-options") == [b"nosniff"]
    assert values(page.fields, b"vary") == [b"Origin"]


def test_the_bare_name_has_one_page(site: UapSite) -> None:
    """404 elsewhere, 405 for what is no reading."""
    with pytest.raises(NotFound):
        decide(site, "GET /x", host=NAME)
    with pytest.raises(MethodNotAllowed):
        decide(site, "POST /", host=NAME)

    assert reply(site, "HEAD /", host=NAME).status == 200


def test_errors_carry_cors_fields(site: UapSite) -> None:
    """The client learns why an instance does not answer; pages of others don't."""
    mine = site.own_fields(request("GET /", f"Host: {HOST}", f"Origin: {CLIENT}"))
    other = site.own_fields(request("GET /", f"Host: {HOST}", "Origin: https://evil.example"))

    assert values(mine, b"access-control-allow-origin") == [CLIENT.encode()]
    assert other == site.own_fields(None) == [(b"Vary", b"Origin")]
