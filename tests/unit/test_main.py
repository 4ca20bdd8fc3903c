"""What the main host decides: files, the Cloud CORS Proxy, CORS, and what stays here."""

import os
import re
import threading
from datetime import UTC, datetime
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import pytest

from exoproxy.client.tree import KEEP_UP_TO, Tree
from exoproxy.errors import (
    BadHost,
    BadRequest,
    LoopDetected,
    MethodNotAllowed,
    Misdirected,
    NotFound,
    OriginNotAllowed,
    ProxyError,
    TargetNotAllowed,
)
from exoproxy.learned.learning import Learned, Reader
from exoproxy.learned.table import LIFE, Naming
from exoproxy.main import CloudProxy, MainSite
from exoproxy.net.dial import Upstream
from exoproxy.pages.routes import OIDC_REDIRECTOR, PAGES, to_oidc_redirector
from exoproxy.proxy.decision import Decision, File, Forward, Reply
from exoproxy.rules.catalogue import Endpoint
from exoproxy.rules.cors import Mode, Origins
from exoproxy.rules.egress import AllowList, Policy
from exoproxy.rules.forwarded import pseudonym_of
from exoproxy.wire.fields import Field
from heads import answer, peer, request
from memory import left_by

NAME = "my.example.org"
OWN = f"https://{NAME}"
FRIEND = "https://friend.example.net"
TARGET = ("exo-proxy-orig-host: keystone.example.org", "exo-proxy-orig-port: 5000")

PROXY = CloudProxy(
    path="/proxy",
    allow=AllowList.parse(["keystone.example.org:5000", "*.cloud.example.org", "[fd00::5]"]),
    any_public=False,
    policy=Policy(networks=(), public=True),
    verify=True,
    merge_slashes=True,
    compress=True,
)


@pytest.fixture(name="root")
def document_root(tmp_path: Path) -> Path:
    (tmp_path / "index.html").write_text("<p>client")
    (tmp_path / "config.js").write_text("var config;")
    for path in tmp_path.iterdir():
        os.utime(path, (1_700_000_000, 1_700_000_000))
    return tmp_path


def site_of(root: Path, proxy: CloudProxy | None = PROXY, *origins: str) -> MainSite:
    return MainSite(hostname=NAME, tree=Tree(root), origins=Origins.parse(origins), proxy=proxy)


@pytest.fixture(name="site")
def main_site(root: Path) -> MainSite:
    return site_of(root, PROXY, FRIEND)


def decide(site: MainSite, line: str, *fields: str) -> Decision:
    """Return the decision on a request for the site's own name."""
    return site.decide(request(line, f"Host: {NAME}", *fields), peer(server_name=NAME))


def forward(site: MainSite, line: str, *fields: str) -> Forward:
    decision = decide(site, line, *fields)
    assert isinstance(decision, Forward)
    return decision


def values(fields: list[Field], name: bytes) -> list[bytes]:
    return [value for key, value in fields if key.lower() == name.lower()]


def answered(site: MainSite, line: str, *fields: str) -> tuple[int, list[Field]]:
    """Return the status and the fields of an answer of our own."""
    decision = decide(site, line, *fields)
    assert isinstance(decision, Reply)
    return decision.status, decision.fields


# The way to the cloud.


@pytest.mark.parametrize(
    ("target", "expected"),
    [
        ("/proxy/v1/c/my%20file%2Fname?x=%2f", b"/v1/c/my%20file%2Fname?x=%2f"),
        ("/proxy/", b"/"),
        ("/proxy/v3?", b"/v3?"),
        ("/proxy/?x", b"/?x"),
        ("/proxy/v3//users///x", b"/v3/users/x"),
        ("/proxy//v3", b"/v3"),
        ("/proxy/a?x=//b", b"/a?x=//b"),
        ("/proxy/a%2F%2Fb", b"/a%2F%2Fb"),
        ("/PROXY/v3", b"/v3"),
        ("/pRoXy/Proxy/v3", b"/Proxy/v3"),
        ("/proxy/a/../b/./c;p=1", b"/a/../b/./c;p=1"),
        ("/proxy/a/%2e%2e/b", b"/a/%2e%2e/b"),
        ("/proxy/a/..../b/.hidden", b"/a/..../b/.hidden"),
        ("/proxy/%252e%252e/a", b"/%252e%252e/a"),
        ("/proxy/%e2%82%ac+&'()*!$,@:~", b"/%e2%82%ac+&'()*!$,@:~"),
        ("/proxy/a?/../../b", b"/a?/../../b"),
    ],
)
def test_passes_the_bytes_of_a_target(site: MainSite, target: str, expected: bytes) -> None:
    """The prefix goes, runs of slashes in the path merge, and every other byte stays."""
    assert forward(site, f"GET {target}", *TARGET).target == expected


def test_merging_slashes_is_a_choice(root: Path) -> None:
    """Without it, a path's slashes are its bytes too."""
    site = site_of(root, PROXY._replace(merge_slashes=False))

    assert forward(site, "GET /proxy/v3//users", *TARGET).target == b"/v3//users"


@pytest.mark.parametrize(
    "target",
    [
        "/proxy/..",
        "/proxy/../etc",
        "/proxy/a/../../b",
        "/proxy/./../b",
        "/proxy//../b",
        "/proxy/%2e%2e/b",
        "/proxy/%2E./b",
        "/proxy/a%2f..%2F..%2fb",
        "/proxy/%2e%2e",
        "/proxy/a/../../proxy/b",
    ],
)
def test_no_path_leads_out(site: MainSite, target: str) -> None:
    """Decoded and with its dots resolved, a path stays below the prefix."""
    with pytest.raises(BadRequest, match="leads out"):
        decide(site, f"GET {target}", *TARGET)


@pytest.mark.parametrize("target", ["/proxy", "/proxyx", "/proxyx/a", "/proxy?x", "/%70roxy/a"])
def test_other_paths_are_files(site: MainSite, target: str) -> None:
    """The prefix ends in a slash; the client's own routes may begin alike."""
    assert answered(site, f"GET {target}", *TARGET)[0] == 200


def test_without_a_proxy_all_is_files(root: Path) -> None:
    """main.proxy: null."""
    assert answered(site_of(root, None), "GET /proxy/v3", *TARGET)[0] == 200


@pytest.mark.parametrize("target", ["/%zz", "/%", "/a%4", "/proxy/%zz", "/proxy/a%2", "/%%20"])
def test_broken_percent_encoding_is_refused(site: MainSite, target: str) -> None:
    """What decodes differently from one server to the next is not passed on."""
    with pytest.raises(BadRequest, match="percent-encoding"):
        decide(site, f"GET {target}", *TARGET)


def test_a_query_may_hold_any_percent(site: MainSite) -> None:
    """A query is the application's own language."""
    assert forward(site, "GET /proxy/a?100%", *TARGET).target == b"/a?100%"


@pytest.mark.parametrize(
    ("host", "port", "upstream", "authority"),
    [
        ("keystone.example.org", "5000", "keystone.example.org", b"keystone.example.org:5000"),
        ("KeyStone.Example.ORG", "5000", "keystone.example.org", b"keystone.example.org:5000"),
        ("nova.cloud.example.org", "443", "nova.cloud.example.org", b"nova.cloud.example.org"),
        ("nova.cloud.example.org", "80", "nova.cloud.example.org", b"nova.cloud.example.org:80"),
    ],
)
def test_goes_where_the_fields_say(
    site: MainSite, host: str, port: str, upstream: str, authority: bytes
) -> None:
    """Always by https, with the certificate verified, and with the Host of the target."""
    decision = forward(
        site, "GET /proxy/", f"exo-proxy-orig-host: {host}", f"Exo-Proxy-Orig-Port: {port}"
    )

    assert decision.upstream == Upstream("https", upstream, int(port), verify=True)
    assert decision.fields[0] == (b"Host", authority)
    assert len(values(decision.fields, b"host")) == 1
    assert decision.compress


def test_settings_reach_the_upstream(root: Path) -> None:
    """verify: false and compress: false are passed on, and an address has its brackets in Host."""
    opened = Policy(networks=PROXY.policy.networks, public=True)
    proxy = PROXY._replace(verify=False, compress=False, any_public=True, policy=opened)
    decision = forward(
        site_of(root, proxy),
        "GET /proxy/",
        "exo-proxy-orig-host: [2606:4700:0::1111]",
        "exo-proxy-orig-port: 8774",
    )

    assert decision.upstream == Upstream("https", "2606:4700::1111", 8774, verify=False)
    assert decision.fields[0] == (b"Host", b"[2606:4700::1111]:8774")
    assert not decision.compress


HOST, PORT = TARGET


@pytest.mark.parametrize(
    "fields",
    [
        [],
        [HOST],
        [PORT],
        [HOST, HOST, PORT],
        [HOST, PORT, PORT],
        [HOST, PORT, "EXO-PROXY-ORIG-HOST: evil.example"],
        ["exo-proxy-orig-host:", PORT],
        [HOST, "exo-proxy-orig-port:"],
        *([HOST, f"exo-proxy-orig-port: {port}"] for port in ("0", "05000", "65536", "443/x")),
        *([HOST, f"exo-proxy-orig-port: {port}"] for port in ("443@evil", "+443", "-1", "0x1f")),
        *([HOST, f"exo-proxy-orig-port: {port}"] for port in ("5_0", "\u00b2", "5000 5000", "1e3")),
        *([f"exo-proxy-orig-host: {host}", PORT] for host in ("a/b", "a b", "u@a", "a:5000")),
        *([f"exo-proxy-orig-host: {host}", PORT] for host in ("a#b", "a\\b", "a%2eb", "a..b", "-")),
        *([f"exo-proxy-orig-host: {host}", PORT] for host in ("[::1", "\u00e9.org", "a" * 257)),
        *(
            [f"exo-proxy-orig-host: {host}", PORT]
            for host in ("https://a", "keystone.example.org.")
        ),
        [f"{HOST}, evil.example", PORT],
    ],
    ids=repr,
)
def test_malformed_control_fields_are_refused(site: MainSite, fields: list[str]) -> None:
    """400 for what is missing, doubled or no host and port; never a guess."""
    with pytest.raises(BadRequest) as caught:
        decide(site, "GET /proxy/v3", *fields)

    assert caught.value.status == 400
    assert "evil" not in caught.value.sentence + caught.value.hint


def test_nothing_large_is_remembered(site: MainSite) -> None:
    """Judged targets are kept; a port of 30 KB, which is none, would be kept with them."""

    def ask(number: int) -> None:
        fields = [TARGET[0], f"exo-proxy-orig-port: {number:030000}"]
        with pytest.raises(BadRequest):
            decide(site, "GET /proxy/v3", *fields)

    assert left_by(ask) < 2**20


@pytest.mark.parametrize(
    ("host", "port"),
    [
        ("keystone.example.org", "5001"),
        ("evil.example", "5000"),
        ("xkeystone.example.org", "5000"),
        ("keystone.example.org.evil.example", "5000"),
        ("cloud.example.org", "443"),
        ("xcloud.example.org", "443"),
        ("localhost", "443"),
        ("127.0.0.1", "443"),
        ("127.1", "443"),
        ("2130706433", "443"),
        ("0x7f000001", "443"),
        ("0177.0.0.1", "443"),
        ("0", "443"),
        ("169.254.169.254", "80"),
        ("[::1]", "443"),
        ("[::ffff:169.254.169.254]", "80"),
        ("[fd00::6]", "443"),
        ("[fd00::5%25eth0]", "443"),
    ],
)
def test_targets_not_allowed_are_refused(site: MainSite, host: str, port: str) -> None:
    """403 for what is not listed, and for what only looks like it."""
    fields = (f"exo-proxy-orig-host: {host}", f"exo-proxy-orig-port: {port}")
    for _ in range(2):  # the second time it is remembered
        with pytest.raises(TargetNotAllowed) as caught:
            decide(site, "GET /proxy/v3", *fields)

        assert caught.value.__context__ is None


def test_a_listed_address_is_judged_as_well(site: MainSite) -> None:
    """A pattern allows to ask for an address; whether it may be dialled is the policy's."""
    fields = ("exo-proxy-orig-host: [fd00::5]", "exo-proxy-orig-port: 443")
    with pytest.raises(TargetNotAllowed, match="fc00::/7"):
        decide(site, "GET /proxy/v3", *fields)


@pytest.mark.parametrize("host", ["127.0.0.1", "10.0.0.1", "[::1]", "[64:ff9b::7f00:1]", "127.1"])
def test_any_public_is_public_alone(root: Path, host: str) -> None:
    """allow_any_public opens names and public addresses, and nothing of the network here."""
    site = site_of(root, PROXY._replace(any_public=True))
    public = ("exo-proxy-orig-host: anything.example", "exo-proxy-orig-port: 443")

    assert forward(site, "GET /proxy/", *public).upstream.host == "anything.example"
    with pytest.raises(TargetNotAllowed):
        decide(site, "GET /proxy/", f"exo-proxy-orig-host: {host}", "exo-proxy-orig-port: 443")


def test_what_belongs_to_the_page_stays_here(site: MainSite) -> None:
    """The cloud gets the request's own fields, and nothing of the client's host."""
    decision = forward(
        site,
        "POST /proxy/v3/auth/tokens",
        *TARGET,
        "X-Auth-Token: secret",
        "Authorization: Bearer kept",
        "Cookie: session=1",
        f"Origin: {OWN}",
        f"Referer: {OWN}/x",
        "Content-Type: application/json",
        "Content-Length: 2",
        "Connection: keep-alive, X-Gone",
        "X-Gone: 1",
        "X-Forwarded-For: 10.0.0.1",
        "X-Forwarded-Anything: 1",
        "Forwarded: for=1",
        "X-Real-IP: 10.0.0.1",
        "Proxy: http://evil.example",
        "User-Agent: test",
    )

    assert decision.fields == [
        (b"Host", b"keystone.example.org:5000"),
        (b"X-Auth-Token", b"secret"),
        (b"Authorization", b"Bearer kept"),
        (b"Content-Type", b"application/json"),
        (b"User-Agent", b"test"),
        (b"Via", b"1.1 " + pseudonym_of(NAME)),
    ]


def test_a_request_that_comes_back_is_stopped(site: MainSite) -> None:
    """508 for our own name in Via, whoever else is there."""
    via = f"Via: 1.1 other, 1.1 {pseudonym_of(NAME).decode()}"
    with pytest.raises(LoopDetected):
        decide(site, "GET /proxy/v3", *TARGET, via)

    assert forward(site, "GET /proxy/v3", *TARGET, "Via: 1.1 other")


# What Keystones name.

KEYSTONE, NOVA = Endpoint("keystone.example.org", 5000), Endpoint("nova.example.net", 8774)
LOGIN = "POST /proxy/v3/auth/tokens"
HOST_NAME, PORT_NAME = (field.partition(":")[0] for field in TARGET)
TO_NOVA = ("exo-proxy-orig-host: Nova.Example.NET", "exo-proxy-orig-port: 8774")


class Clock:
    """A time of day that a test sets."""

    def __init__(self) -> None:
        self.now = datetime(2026, 11, 22, tzinfo=UTC)

    def __call__(self) -> datetime:
        return self.now


def knowing(
    clock: Clock, *names: tuple[Endpoint, Endpoint], path: Path = Path("/nonexistent/x")
) -> Learned:
    """Return what was learned when the first of each two named the second."""
    namings = [Naming(endpoint=name, by=by, last_named=clock()) for by, name in names]
    return Learned(path, namings, clock=clock)


async def named_by(learned: Learned, by: Endpoint, endpoint: Endpoint) -> None:
    """Let it be named now; to keep that is of no interest here."""
    learned.learn(by, [endpoint])
    await learned.close()


def learning(root: Path, learned: Learned, **changes: Any) -> MainSite:
    return site_of(root, PROXY._replace(learned=learned, **changes))


def allowed(site: MainSite, host: str, port: int) -> bool:
    try:
        forward(site, "GET /proxy/", f"{HOST_NAME}: {host}", f"{PORT_NAME}: {port}")
    except TargetNotAllowed:
        return False
    return True


async def test_a_named_endpoint_is_allowed_as_long_as_it_counts(root: Path) -> None:
    """Though the site has refused it before, and only by its host and port."""
    clock = Clock()
    learned = knowing(clock, path=root / "learned" / "x.json")
    site = learning(root, learned)
    before = allowed(site, *NOVA)
    await named_by(learned, KEYSTONE, NOVA)

    assert not before
    assert forward(site, "GET /proxy/v2.1", *TO_NOVA).upstream.host == "nova.example.net"
    assert not allowed(site, NOVA.host, 443)
    assert not allowed(site, "x.nova.example.net", NOVA.port)

    clock.now += LIFE / 2
    await named_by(learned, KEYSTONE, NOVA)
    clock.now += LIFE / 2

    assert allowed(site, *NOVA)

    clock.now += LIFE / 2

    assert not allowed(site, *NOVA)


def test_who_is_not_listed_names_nothing(root: Path) -> None:
    """No chains, and what a host has named goes with its place on the list."""
    other = Endpoint("other.example.net", 5000)
    site = learning(root, knowing(Clock(), (KEYSTONE, other), (other, NOVA)))
    delisted = learning(
        root, knowing(Clock(), (KEYSTONE, NOVA)), allow=AllowList.parse(["a.example.org"])
    )

    assert allowed(site, *other)
    assert not allowed(site, *NOVA)
    assert [each.endpoint for each in site.learned() or ()] == [other]
    assert not allowed(delisted, *NOVA)
    assert delisted.learned() == []


@pytest.mark.parametrize(
    ("host", "sentence"),
    [
        ("127.0.0.1", "127.0.0.0/8"),
        ("10.0.0.1", "10.0.0.0/8"),
        ("::1", "::1"),
        ("169.254.169.254", "169.254.0.0/16"),
        ("::ffff:7f00:1", "::ffff:0:0/96"),
    ],
)
def test_a_named_address_is_judged_as_a_listed_one(root: Path, host: str, sentence: str) -> None:
    """A catalogue opens nothing that policy closes."""
    endpoint = Endpoint(str(ip_address(host)), 443)
    site = learning(root, knowing(Clock(), (KEYSTONE, endpoint)))
    shown = str(endpoint).rpartition(":")[0]
    with pytest.raises(TargetNotAllowed, match=re.escape(sentence)):
        decide(site, "GET /proxy/", f"{HOST_NAME}: {shown}", f"{PORT_NAME}: 443")


@pytest.mark.parametrize(
    "line",
    [
        LOGIN,
        f"{LOGIN}?nocatalog",
        "POST /proxy/v3//auth/tokens",
        "POST /proxy//v3/auth//tokens",
        "POST /PROXY/v3/auth/tokens",
        "POST /proxy/identity/v3/auth/tokens",
    ],
)
@pytest.mark.parametrize("merge", [True, False])
def test_answers_to_logins_are_read(root: Path, line: str, merge: bool) -> None:
    """Of a host that is listed, with status 201; the endpoints are this Keystone's."""
    learned = knowing(Clock())
    site = learning(root, learned, merge_slashes=merge, any_public=True)
    observer = forward(site, line, *TARGET).observer
    assert isinstance(observer, Reader)

    assert (observer.status, observer.by) == (201, KEYSTONE)


@pytest.mark.parametrize(
    "line",
    [
        "GET /proxy/v3/auth/tokens",
        "PUT /proxy/v3/auth/tokens",
        "HEAD /proxy/v3/auth/tokens",
        "POST /proxy/v3/auth/tokens/",
        "POST /proxy/v3/auth/tokens/x",
        "POST /proxy/v3/auth",
        "POST /proxy/v2.0/tokens",
        "POST /proxy/auth/tokens",
        "POST /proxy/xv3/auth/tokens",
        "POST /proxy/v3/auth%2Ftokens",
        "POST /proxy/v3/auth/tokens;x",
        "POST /proxy/x?/v3/auth/tokens",
        "POST /proxy/x?y=/v3/auth/tokens",
    ],
)
def test_other_answers_are_not_read(root: Path, line: str) -> None:
    """Other methods, paths, and what stands in a query."""
    site = learning(root, knowing(Clock()))

    assert forward(site, line, *TARGET).observer is None


def test_only_listed_hosts_are_read(root: Path) -> None:
    """Neither one that was named, nor one that is there for being public."""
    named = learning(root, knowing(Clock(), (KEYSTONE, NOVA)))
    public = learning(root, knowing(Clock()), any_public=True)

    assert forward(named, LOGIN, *TO_NOVA).observer is None
    assert forward(public, LOGIN, *TO_NOVA).observer is None


def test_a_site_that_learns_nothing_reads_nothing(site: MainSite) -> None:
    """learn_endpoints: false."""
    assert forward(site, LOGIN, *TARGET).observer is None
    assert site.learned() is None


def test_a_refusal_says_what_helps(root: Path, site: MainSite) -> None:
    """To log in again does where endpoints are learned; else the operator has to list them."""
    hints = []
    for each in (site, learning(root, knowing(Clock()))):
        with pytest.raises(TargetNotAllowed) as caught:
            decide(each, "GET /proxy/", *TO_NOVA)
        hints.append(caught.value.hint)

    assert ["log in again" in hint for hint in hints] == [False, True]
    assert all("main.proxy.allow" in hint for hint in hints)


# Who asks.


@pytest.mark.parametrize(
    ("line", "fields"),
    [
        ("GET /", ["Host: other.example.org"]),
        ("GET /", ["Host: my.example.org.evil.example"]),
        ("GET /", ["Host: 127.0.0.1"]),
        ("GET https://other.example.org/", ["Host: other.example.org"]),
        ("GET /proxy/v3", ["Host: keystone.example.org:5000", *TARGET]),
    ],
)
def test_other_names_are_misdirected(site: MainSite, line: str, fields: list[str]) -> None:
    """421: there is no default site."""
    with pytest.raises(Misdirected):
        site.decide(request(line, *fields), peer())


def test_the_name_of_the_handshake_counts(site: MainSite) -> None:
    """A connection that was made for another name asks for nothing here; one without SNI may."""
    asked = request("GET /", f"Host: {NAME}")
    with pytest.raises(Misdirected):
        site.decide(asked, peer(server_name="other.example.org"))

    assert isinstance(site.decide(asked, peer(server_name=None)), Reply)


@pytest.mark.parametrize("host", ["MY.Example.ORG", "my.example.org.", "my.example.org:443"])
def test_a_name_has_several_spellings(site: MainSite, host: str) -> None:
    """Case, a final dot and the port make no other host."""
    assert isinstance(site.decide(request("GET /", f"Host: {host}"), peer()), Reply)


def test_the_absolute_form_is_read(site: MainSite) -> None:
    """Its authority is the host, and the upstream gets the origin form."""
    asked = request(f"GET https://{NAME}/proxy/v3?x", f"Host: {NAME}", *TARGET)
    decision = site.decide(asked, peer())
    assert isinstance(decision, Forward)

    assert decision.target == b"/v3?x"
    with pytest.raises(BadHost):
        request(f"GET https://{NAME}/", "Host: other.example.org")


@pytest.mark.parametrize("host", [NAME, f"{NAME}:443", "MY.example.org"])
@pytest.mark.parametrize("method", ["GET", "POST", "OPTIONS"])
def test_pages_of_this_host_may_call(root: Path, host: str, method: str) -> None:
    """Its own origin needs no list, and gets no CORS fields: it is no cross-origin call."""
    asked = request(f"{method} /proxy/v3", f"Host: {host}", f"Origin: {OWN}", *TARGET)
    decision = site_of(root).decide(asked, peer())
    assert isinstance(decision, Forward)
    fields = decision.edit_response(answer("HTTP/1.1 200 OK", "Access-Control-Allow-Origin: *"))

    assert fields == [(b"Vary", b"Origin")]


def test_an_origin_has_a_port(root: Path) -> None:
    """On another port, the page's host names it."""
    site = site_of(root)
    at_port = ("Host: my.example.org:8443", *TARGET)
    asked = request("GET /proxy/v3", "Origin: https://my.example.org:8443", *at_port)

    assert isinstance(site.decide(asked, peer()), Forward)
    with pytest.raises(OriginNotAllowed):
        site.decide(request("GET /proxy/v3", f"Origin: {OWN}", *at_port), peer())


@pytest.mark.parametrize(
    "origin",
    [
        "null",
        "https://evil.example",
        "http://my.example.org",
        "https://my.example.org.evil.example",
        "https://xmy.example.org",
        "https://my.example.org:8443",
        "https://my.example.org/",
        f"{FRIEND}.evil.example",
        f"{FRIEND}:8443",
        f"{FRIEND}, {FRIEND}",
        f"{FRIEND} https://evil.example",
        "http://exosphere.localhost",
        "",
    ],
)
@pytest.mark.parametrize("method", ["GET", "POST", "OPTIONS"])
def test_pages_of_others_may_not_call(site: MainSite, method: str, origin: str) -> None:
    """403, preflights too, and no field that would let the page read why."""
    fields = (f"Origin: {origin}", "Access-Control-Request-Method: POST", *TARGET)
    with pytest.raises(OriginNotAllowed):
        decide(site, f"{method} /proxy/v3", *fields)

    own = site.own_fields(request(f"{method} /proxy/v3", f"Host: {NAME}", *fields))

    assert own == [(b"Vary", b"Origin")]


def test_two_origins_are_none(site: MainSite) -> None:
    """Two allowed ones in two fields are no origin that a browser sends."""
    with pytest.raises(OriginNotAllowed):
        decide(site, "GET /proxy/v3", f"Origin: {FRIEND}", f"Origin: {OWN}", *TARGET)


def test_developers_origins_are_a_switch(root: Path) -> None:
    """With development_origins, pages of the client under work may call."""
    origins = Origins.parse([], development=Mode.MAIN)
    site = MainSite(hostname=NAME, tree=Tree(root), origins=origins, proxy=PROXY)

    assert forward(site, "GET /proxy/v3", "Origin: http://exosphere.localhost:8000", *TARGET)


# Pages of our own.

FORM = "Content-Type: application/x-www-form-urlencoded"


@pytest.fixture(name="with_page")
def site_with_page(root: Path) -> MainSite:
    origins = Origins.parse([FRIEND])
    pages = {OIDC_REDIRECTOR: to_oidc_redirector}
    return MainSite(hostname=NAME, tree=Tree(root), origins=origins, proxy=PROXY, pages=pages)


@pytest.mark.parametrize("origin", [FRIEND, "https://keystone.example.net", "null"])
def test_a_page_takes_its_path(with_page: MainSite, origin: str) -> None:
    """A form of any site goes to the page; a friend's script could read the answer."""
    decision = forward(with_page, "POST /oidc-redirector?x=y", FORM, f"Origin: {origin}")
    edited = decision.edit_response(answer("HTTP/1.1 302 Found", "Location: /x"))
    allowed = [FRIEND.encode()] if origin == FRIEND else []

    assert decision.upstream == PAGES
    assert values(edited, b"Location") == [b"/x"]
    assert values(edited, b"Access-Control-Allow-Origin") == allowed
    assert values(edited, b"Vary") == [b"Origin"]


def test_a_page_that_is_off_is_a_path_like_any_other(site: MainSite) -> None:
    """It is the client's own route for a GET, and no place for a form."""
    assert answered(site, "GET /oidc-redirector")[0] == 200
    with pytest.raises(MethodNotAllowed):
        decide(site, "POST /oidc-redirector", FORM)


def test_a_page_is_on_its_own_host_only(with_page: MainSite) -> None:
    """A login that was sent to another name is not taken."""
    with pytest.raises(Misdirected):
        with_page.decide(request("POST /oidc-redirector", "Host: other.example.org", FORM), peer())


@pytest.mark.parametrize("host", ["pages", "unix", "socket", "%2Frun%2Fsocket", "/run/socket"])
def test_no_request_names_a_page_as_its_api(with_page: MainSite, host: str) -> None:
    """The control fields lead to hosts of the cloud only, whatever they say."""
    control = (f"exo-proxy-orig-host: {host}", "exo-proxy-orig-port: 1")
    with pytest.raises((BadRequest, TargetNotAllowed)):
        decide(with_page, "GET /proxy/v3", *control)


# CORS fields.


def test_a_friends_preflight_is_answered_here(site: MainSite) -> None:
    """204 before anything is asked for; the control fields come with the request itself."""
    status, fields = answered(
        site,
        "OPTIONS /proxy/v3",
        f"Origin: {FRIEND}",
        "Access-Control-Request-Method: DELETE",
        "Access-Control-Request-Headers: x-auth-token, exo-proxy-orig-host, b@d",
    )

    assert status == 204
    assert dict(fields) == {
        b"Access-Control-Allow-Origin": FRIEND.encode(),
        b"Access-Control-Allow-Credentials": b"true",
        b"Access-Control-Allow-Methods": b"GET, POST, PUT, PATCH, DELETE, OPTIONS, HEAD",
        b"Access-Control-Allow-Headers": b"x-auth-token, exo-proxy-orig-host",
        b"Access-Control-Max-Age": b"86400",
        b"Vary": b"Origin, Access-Control-Request-Method, Access-Control-Request-Headers",
    }


def test_other_options_go_to_the_cloud(site: MainSite) -> None:
    """Without the method asked for, it is a question to the API."""
    assert forward(site, "OPTIONS /proxy/v3", f"Origin: {FRIEND}", *TARGET).target == b"/v3"
    assert forward(site, "OPTIONS /proxy/v3", *TARGET).target == b"/v3"


@pytest.mark.parametrize("status", ["200 OK", "201 Created", "404 Not Found", "502 Bad Gateway"])
def test_a_friend_may_read_every_answer(site: MainSite, status: str) -> None:
    """One Access-Control-Allow-Origin, ours, whatever the cloud says of its own."""
    decision = forward(site, "GET /proxy/v3", f"Origin: {FRIEND}", *TARGET)
    fields = decision.edit_response(
        answer(
            f"HTTP/1.1 {status}",
            "Server: nginx",
            "Date: Sun, 22 Nov 2026 12:00:00 GMT",
            "Access-Control-Allow-Origin: *",
            "access-control-allow-origin: https://evil.example",
            "Access-Control-Allow-Methods: GET",
            "Vary: Accept",
            "Connection: close",
            "Alt-Svc: h2",
            "X-Subject-Token: t",
        )
    )

    assert values(fields, b"access-control-allow-origin") == [FRIEND.encode()]
    assert values(fields, b"access-control-allow-credentials") == [b"true"]
    assert values(fields, b"access-control-allow-methods") == []
    assert b"X-Subject-Token" in values(fields, b"access-control-expose-headers")[0]
    assert values(fields, b"vary") == [b"Accept", b"Origin"]
    assert values(fields, b"server") == [b"nginx"]
    assert values(fields, b"date") == [b"Sun, 22 Nov 2026 12:00:00 GMT"]
    assert values(fields, b"x-subject-token") == [b"t"]
    assert values(fields, b"connection") + values(fields, b"alt-svc") == []


def test_a_friend_may_read_our_own_errors(site: MainSite) -> None:
    """A script learns why; without a request there is nobody to tell."""
    asked = request("GET /proxy/v3", f"Host: {NAME}", f"Origin: {FRIEND}")
    fields = site.own_fields(asked)

    assert values(fields, b"access-control-allow-origin") == [FRIEND.encode()]
    assert b"X-Exoproxy-Error" in values(fields, b"access-control-expose-headers")[0]
    assert site.own_fields(None) == [(b"Vary", b"Origin")]


def test_without_friends_nothing_varies(root: Path) -> None:
    """Where no other origin may call, files are the same for all."""
    site = site_of(root)
    _, fields = answered(site, "GET /", f"Origin: {FRIEND}")

    assert site.own_fields(request("GET /", f"Host: {NAME}", f"Origin: {FRIEND}")) == []
    assert values(fields, b"access-control-allow-origin") == []
    assert values(fields, b"vary") in ([], [b"Accept-Encoding"])


# Files.


def test_a_friend_may_read_files(site: MainSite, root: Path) -> None:
    """Small ones, and those that are read as they are sent."""
    (root / "video.bin").write_bytes(bytes(KEEP_UP_TO + 1))
    for target, kind in (("/config.js", Reply), ("/video.bin", File)):
        mine = decide(site, f"GET {target}", f"Origin: {FRIEND}")
        other = decide(site, f"GET {target}", "Origin: https://evil.example")

        assert type(mine) is type(other) is kind
        assert not isinstance(mine, Forward)
        assert not isinstance(other, Forward)
        assert values(mine.fields, b"access-control-allow-origin") == [FRIEND.encode()]
        assert values(other.fields, b"access-control-allow-origin") == []
        assert values(mine.fields, b"vary")[-1] == values(other.fields, b"vary")[-1] == b"Origin"


def test_kept_files_keep_their_fields(site: MainSite) -> None:
    """A friend's fields are not in the next answer."""
    before = answered(site, "GET /config.js")
    answered(site, "GET /config.js", f"Origin: {FRIEND}")

    assert answered(site, "GET /config.js") == before


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "OPTIONS"])
def test_files_are_read_alone(site: MainSite, method: str) -> None:
    """405 names what is allowed; an OPTIONS that is no friend's preflight is one of them."""
    preflight = ("Origin: https://evil.example", "Access-Control-Request-Method: GET")
    with pytest.raises(MethodNotAllowed) as caught:
        decide(site, f"{method} /config.js", *preflight)

    assert caught.value.allow == "GET, HEAD"


def test_a_friends_preflight_for_a_file(site: MainSite) -> None:
    """CORS holds for every path of the host."""
    fields = (f"Origin: {FRIEND}", "Access-Control-Request-Method: GET")

    assert answered(site, "OPTIONS /config.js", *fields)[0] == 204


def test_options_about_the_server_is_answered_here(site: MainSite) -> None:
    """`OPTIONS *` is neither a file nor anybody else's."""
    status, fields = answered(site, "OPTIONS *", *TARGET)

    assert status == 204
    assert values(fields, b"allow") == [b"GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS"]


@pytest.mark.parametrize(
    ("target", "status"),
    [
        ("/", 200),
        ("/projects/x.y/servers", 200),
        ("//evil.example/x", 404),
        ("/none.js", 404),
        ("/..%2f..%2fetc/passwd", 404),
        ("/%2e%2e/%2e%2e/etc/passwd", 404),
        ("/a%00.js", 404),
        ("/..\\..\\etc", 404),
        ("/.git/config", 404),
    ],
)
def test_files_stay_in_their_root(site: MainSite, target: str, status: int) -> None:
    """The client's routes get its page; what leads out gets nothing, and nobody a redirect."""
    try:
        found = answered(site, f"GET {target}")[0]
    except NotFound:
        found = 404

    assert found == status


def test_end_of_what_works_beside(root: Path) -> None:
    """A site that was closed encodes no file, and answers all the same."""
    script = root / "elm-web.js"
    script.write_bytes(b"var a;" * 100)
    os.utime(script, (1_700_000_000, 1_700_000_000))
    site = site_of(root)
    site.close()
    for _ in range(2):
        answer = decide(site, "GET /elm-web.js", "Accept-Encoding: br")
        assert isinstance(answer, Reply)
        assert answer.content == script.read_bytes()

    assert "exoproxy-encoding" not in {thread.name for thread in threading.enumerate()}


def test_a_refusal_is_a_new_error_each_time(site: MainSite) -> None:
    """What is remembered of a refusal holds no traceback, which would keep its request alive."""
    caught: list[ProxyError] = []
    for _ in range(2):
        try:
            decide(site, "GET /proxy/", "exo-proxy-orig-host: 127.1", "exo-proxy-orig-port: 1")
        except ProxyError as error:
            caught.append(error)
    one, other = caught
    kept = site._route(b"127.1", b"1")

    assert one is not other
    assert isinstance(kept, ProxyError)
    assert (kept.__traceback__, kept.__context__) == (None, None)
    assert (one.sentence, one.hint) == (other.sentence, other.hint)
