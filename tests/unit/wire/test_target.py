"""Request targets and authorities, form by form."""

import pytest

from exoproxy.errors import BadHost, BadRequest
from exoproxy.wire.target import Authority, Target, parse_authority, parse_target


@pytest.mark.parametrize(
    ("raw", "host", "port"),
    [
        (b"a", "a", None),
        (b"A.Example", "a.example", None),
        (b"a.example.", "a.example", None),
        (b"a.example.:80", "a.example", 80),
        (b"a:1", "a", 1),
        (b"a:65535", "a", 65535),
        (b"_a.b_c", "_a.b_c", None),
        (b"192.0.2.1:8080", "192.0.2.1", 8080),
        (b"[::1]", "::1", None),
        (b"[2001:DB8::A]:443", "2001:db8::a", 443),
        (b"[::ffff:192.0.2.1]", "::ffff:192.0.2.1", None),
        (254 * b"a" + b":65535", 254 * "a", 65535),
    ],
)
def test_authority(raw: bytes, host: str, port: int | None) -> None:
    """Host and port come out in one spelling, and the bytes as they came."""
    assert parse_authority(raw) == Authority(host=host, port=port, raw=raw)


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b".",
        b"a..b",
        b"a..",
        b".a",
        b"-a",
        b"a-",
        b":80",
        b"a:",
        b"a:0",
        b"a:01",
        b"a:65536",
        b"a:99999",
        b"a:655350",
        b"a:x",
        b"a b",
        b"a\n",
        b"a@b",
        b"a%41",
        b"caf\xe9",
        b"[::1",
        b"::1",
        b"[]",
        b"[:]",
        b"[.]",
        b"[1::2::3]",
        b"[::12345]",
        b"[127.0.0.1]",
        b"[::1%25lo]",
        b"[::1]a",
        261 * b"a",
    ],
)
def test_no_authority(raw: bytes) -> None:
    """What is no authority of ours is refused, each time it is asked for."""
    for _ in range(2):
        with pytest.raises(BadHost):
            parse_authority(raw)


@pytest.mark.parametrize(
    ("raw", "path", "query"),
    [
        (b"/", b"/", None),
        (b"/a?", b"/a", b""),
        (b"/a?b?c", b"/a", b"b?c"),
        (b"//evil/x", b"//evil/x", None),
        (b"/http://b/?c", b"/http://b/", b"c"),
    ],
)
def test_origin_form(raw: bytes, path: bytes, query: bytes | None) -> None:
    """Whatever begins with a slash is a path, kept byte by byte."""
    assert values(parse_target(b"GET", raw)) == (raw, path, query, None, None)


@pytest.mark.parametrize(
    ("raw", "origin", "path", "query", "scheme", "host"),
    [
        (b"http://a/x?y", b"/x?y", b"/x", b"y", b"http", "a"),
        (b"HTTPS://A", b"/", b"/", None, b"https", "a"),
        (b"http://a?", b"/?", b"/", b"", b"http", "a"),
        (b"http://a?b/c", b"/?b/c", b"/", b"b/c", b"http", "a"),
        (b"http://a//b/c", b"//b/c", b"//b/c", None, b"http", "a"),
        (b"http://[::1]:80/x", b"/x", b"/x", None, b"http", "::1"),
    ],
)
def test_absolute_form(
    raw: bytes, origin: bytes, path: bytes, query: bytes | None, scheme: bytes, host: str
) -> None:
    """Absolute form gives an authority, and the path that goes upstream."""
    assert values(parse_target(b"GET", raw)) == (origin, path, query, scheme, host)


def test_authority_form() -> None:
    """CONNECT's target has no path, and is not read further: it is never served."""
    assert values(parse_target(b"CONNECT", b"a@b:x")) == (b"a@b:x", b"", None, None, None)


def test_asterisk_form() -> None:
    """The asterisk goes with OPTIONS."""
    assert values(parse_target(b"OPTIONS", b"*")) == (b"*", b"*", None, None, None)


@pytest.mark.parametrize(
    "raw", [b"*", b"a", b"a:80", b"*/", b"http:/a", b"://a", b"1http://a", b"?"]
)
def test_no_form(raw: bytes) -> None:
    """A target in none of the forms is refused."""
    with pytest.raises(BadRequest):
        parse_target(b"GET", raw)


@pytest.mark.parametrize("raw", [b"ftp://a/", b"ws://a", b"httpx://a", b"file:///x"])
def test_other_scheme(raw: bytes) -> None:
    """Only http and https can be asked for."""
    with pytest.raises(BadRequest, match="scheme"):
        parse_target(b"GET", raw)


@pytest.mark.parametrize("raw", [b"http://", b"http:///x", b"http://u@a/", b"http://a:0/"])
def test_absolute_form_without_authority(raw: bytes) -> None:
    """An absolute form whose authority is none names a wrong host."""
    with pytest.raises(BadHost):
        parse_target(b"GET", raw)


def values(target: Target) -> tuple[bytes, bytes, bytes | None, bytes | None, str | None]:
    host = None if target.authority is None else target.authority.host
    return target.origin, target.path, target.query, target.scheme, host
