"""The plain HTTP port: who is sent where, and that nobody is sent elsewhere."""

import pytest

from exoproxy.errors import BadRequest, MethodNotAllowed, Misdirected, NotFound
from exoproxy.proxy.decision import Reply
from exoproxy.redirect import RedirectSite
from heads import peer, request

CHALLENGE = "/.well-known/acme-challenge/"
SERVED = {"my.example.org", "http-192-168-0-5-80.proxy.example.com"}


def location(line: str, host: str, port: int = 443) -> bytes:
    """Return where a request is sent."""
    site = RedirectSite(serves=SERVED.__contains__, port=port)
    reply = site.decide(request(line, f"Host: {host}"), peer())
    assert isinstance(reply, Reply)
    assert (reply.status, reply.content, reply.route) == (308, b"", "redirect")
    [(name, value)] = reply.fields
    assert name == b"Location"
    return value


@pytest.mark.parametrize(
    ("line", "host", "expected"),
    [
        ("GET /", "my.example.org", b"https://my.example.org/"),
        ("GET /a%2Fb?x=%2f&", "my.example.org", b"https://my.example.org/a%2Fb?x=%2f&"),
        ("POST /a", "MY.Example.Org.:80", b"https://my.example.org/a"),
        ("GET //evil.example/x", "my.example.org", b"https://my.example.org//evil.example/x"),
        ("GET /\\evil.example", "my.example.org", b"https://my.example.org/\\evil.example"),
        ("GET /@evil.example", "my.example.org", b"https://my.example.org/@evil.example"),
        ("GET /..", "my.example.org", b"https://my.example.org/.."),
        ("OPTIONS *", "my.example.org", b"https://my.example.org/"),
        ("GET http://my.example.org/x", "my.example.org", b"https://my.example.org/x"),
        ("GET http://my.example.org?x", "my.example.org", b"https://my.example.org/?x"),
        (
            "GET /lab",
            "http-192-168-0-5-80.proxy.example.com",
            b"https://http-192-168-0-5-80.proxy.example.com/lab",
        ),
    ],
)
def test_sends_to_https(line: str, host: str, expected: bytes) -> None:
    """The same address by https, with the method kept (308); a path is never read as a host."""
    assert location(line, host) == expected


def test_names_a_port_of_its_own() -> None:
    """Where https is not on 443, as in a demo."""
    assert location("GET /x", "my.example.org", 8443) == b"https://my.example.org:8443/x"


@pytest.mark.parametrize(
    "host",
    ["evil.example", "my.example.org.evil.example", "xmy.example.org", "127.0.0.1", "[::1]"],
)
def test_is_no_open_redirect(host: str) -> None:
    """421 for names that are not served: they never make their way into Location."""
    with pytest.raises(Misdirected):
        location("GET /", host)


def test_has_no_cors() -> None:
    """A redirect tells a script nothing."""
    site = RedirectSite(serves=SERVED.__contains__, port=443)

    assert site.own_fields(None) == []


@pytest.mark.parametrize("target", ["/a\rX: y", "/a\nX: y", "/a\r\nX: y", "/a b", "/a\0", "/\x85"])
def test_112_answer_can_not_be_split(target: str) -> None:
    """What would begin a field of its own in Location never gets through the reader."""
    with pytest.raises(BadRequest):
        location(f"GET {target}", "my.example.org")


def test_112_encoded_line_ends_stay_encoded() -> None:
    """Nothing is decoded on its way into Location."""
    assert location("GET /a%0d%0aX:y", "my.example.org") == b"https://my.example.org/a%0d%0aX:y"


def challenged(line: str, host: str = "my.example.org") -> tuple[Reply, list[str]]:
    """Return the answer of a host where the token `known` is pending, and the tokens asked for."""
    asked: list[str] = []

    def challenge(token: str) -> bytes | None:
        asked.append(token)
        return b"known.proof" if token == "known" else None

    site = RedirectSite(serves=SERVED.__contains__, port=443, challenge=challenge)
    reply = site.decide(request(line, f"Host: {host}"), peer())
    assert isinstance(reply, Reply)
    return reply, asked


@pytest.mark.parametrize("method", ["GET", "HEAD"])
@pytest.mark.parametrize("query", ["", "?x=/../"])
def test_answers_a_pending_challenge(method: str, query: str) -> None:
    """The authority gets the key authorization, and nobody keeps it."""
    reply, _ = challenged(f"{method} {CHALLENGE}known{query}")

    assert reply == Reply(
        route="challenge",
        status=200,
        fields=[
            (b"Content-Type", b"application/octet-stream"),
            (b"Cache-Control", b"no-store"),
            (b"X-Content-Type-Options", b"nosniff"),
        ],
        content=b"known.proof",
    )


@pytest.mark.parametrize("token", ["", "unknown", "known/", "known%00", "%6bnown", "../known"])
def test_other_tokens_are_not_found(token: str) -> None:
    """404 with a reason; a token is what stands there, and nothing of it is decoded."""
    with pytest.raises(NotFound, match="No challenge"):
        challenged(f"GET {CHALLENGE}{token}")


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "OPTIONS"])
def test_a_challenge_is_read_only(method: str) -> None:
    """405, and the token is not even looked up."""
    with pytest.raises(MethodNotAllowed) as refusal:
        challenged(f"{method} {CHALLENGE}known")

    assert refusal.value.allow == "GET, HEAD"


@pytest.mark.parametrize("host", ["evil.example", "127.0.0.1", "[::1]"])
def test_challenges_are_answered_for_the_served_name_only(host: str) -> None:
    """421 comes before 200: a name of others can't be proved here."""
    with pytest.raises(Misdirected):
        challenged(f"GET {CHALLENGE}known", host)


@pytest.mark.parametrize(
    "path",
    [
        "/.well-known/acme-challenge",
        "/.well-known/ACME-challenge/known",
        "/.well-known/%61cme-challenge/known",
        "//.well-known/acme-challenge/known",
        "/x/../.well-known/acme-challenge/known",
        "/x?/.well-known/acme-challenge/known",
    ],
)
def test_everything_else_is_redirected(path: str) -> None:
    """What is not exactly the path of challenges goes to https, and no token is looked up."""
    reply, asked = challenged(f"GET {path}")

    assert (reply.status, asked) == (308, [])


def test_without_challenges_their_path_is_redirected_too() -> None:
    """As on a UAP, whose certificates http-01 can't get."""
    assert location(f"GET {CHALLENGE}known", "my.example.org") == (
        b"https://my.example.org/.well-known/acme-challenge/known"
    )
