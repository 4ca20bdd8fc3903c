"""The plain HTTP port: who is sent where, and that nobody is sent elsewhere."""

import pytest

from exoproxy.errors import BadRequest, Misdirected
from exoproxy.proxy.decision import Reply
from exoproxy.redirect import RedirectSite
from heads import peer, request

SERVED = {"my.example.org", "http-192-168-0-5-80.proxy.example.com"}


def location(line: str, host: str, port: int = 443) -> bytes:
    """Return where a request is sent."""
    site = RedirectSite(serves=SERVED.__contains__, port=port)
    reply = site.decide(request(line, f"Host: {host}"), peer())
    assert isinstance(reply, Reply)
    assert (reply.status, reply.content) == (308, b"")
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
