"""Which endpoints an answer to a login names, and that no content of another server's does harm."""

import json
import time
from collections.abc import Sequence
from typing import Any

import pytest

from exoproxy.rules.catalogue import LONGEST, MOST, MOST_URLS, Endpoint, endpoint_of, endpoints_of


def token(*urls: object) -> bytes:
    """Return an answer that names each URL as a service's only endpoint."""
    services = [{"type": "x", "name": "x", "endpoints": [{"url": url}]} for url in urls]
    return json.dumps({"token": {"methods": ["password"], "catalog": services}}).encode()


def named(content: bytes) -> list[str]:
    return [str(endpoint) for endpoint in endpoints_of(content)]


# As a Keystone of an OpenStack-Ansible deployment answers, shortened.
REAL: dict[str, Any] = {
    "token": {
        "methods": ["password"],
        "user": {"domain": {"id": "default", "name": "Default"}, "id": "0" * 32, "name": "demo"},
        "expires_at": "2026-11-22T23:09:32.000000Z",
        "project": {"id": "1" * 32, "name": "demo"},
        "catalog": [
            {
                "endpoints": [
                    {
                        "id": "a",
                        "interface": "internal",
                        "region_id": "RegionOne",
                        "url": "http://10.0.3.1:5000",
                        "region": "RegionOne",
                    },
                    {
                        "id": "b",
                        "interface": "public",
                        "region_id": "RegionOne",
                        "url": "https://Keystone.Example.org:5000/v3/",
                        "region": "RegionOne",
                    },
                ],
                "id": "c",
                "type": "identity",
                "name": "keystone",
            },
            {
                "endpoints": [
                    {
                        "interface": "public",
                        "region": "RegionOne",
                        "url": "https://cinder.example.org:8776/v3/$(tenant_id)s",
                    },
                    {
                        "interface": "public",
                        "region": "RegionTwo",
                        "url": "https://two.example.org/volume/v3/%(project_id)s?a=@b#c",
                    },
                ],
                "type": "volumev3",
            },
            {"endpoints": [], "type": "empty", "name": "empty"},
        ],
    }
}


def test_names_what_a_keystone_names() -> None:
    """Each https endpoint's host and port, in the order of the document."""
    content = json.dumps(REAL).encode()

    assert endpoints_of(content) == (
        Endpoint("keystone.example.org", 5000),
        Endpoint("cinder.example.org", 8776),
        Endpoint("two.example.org", 443),
    )


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("https://nova.example.org:8774/v2.1", "nova.example.org:8774"),
        ("https://nova.example.org", "nova.example.org:443"),
        ("https://nova.example.org/", "nova.example.org:443"),
        ("https://nova.example.org?x", "nova.example.org:443"),
        ("https://nova.example.org#x", "nova.example.org:443"),
        ("https://nova.example.org:65535", "nova.example.org:65535"),
        ("HTTPS://NOVA.Example.ORG:443/a:5@b", "nova.example.org:443"),
        ("https://nova.example.org/\nx", "nova.example.org:443"),
        ("https://10.0.0.1:8774/v2.1", "10.0.0.1:8774"),
        ("https://[FD00:0::5]:8774/", "[fd00::5]:8774"),
        ("https://localhost:1/", "localhost:1"),
    ],
)
def test_takes_host_and_port(url: str, expected: str) -> None:
    """In the form that the site compares: lower case, addresses canonical, 443 where none is."""
    endpoint = endpoint_of(url)

    assert str(endpoint) == expected
    assert endpoint_of(f"https://{expected}") == endpoint
    assert named(token(url)) == [expected]


@pytest.mark.parametrize(
    "url",
    [
        "",
        "nova.example.org:8774",
        "//nova.example.org",
        "http://nova.example.org:8774",
        "ftp://nova.example.org",
        "httpss://nova.example.org",
        "https:nova.example.org",
        "https:/nova.example.org",
        "https:///v3",
        "https://",
        "https://:443",
        " https://nova.example.org",
        "https://nova.example.org ",
        "https://nova.example.org\n",
        "https://user@nova.example.org",
        "https://user:secret@nova.example.org:8774/",
        "https://nova.example.org:99999",
        "https://nova.example.org:65536",
        "https://nova.example.org:0",
        "https://nova.example.org:",
        "https://nova.example.org:0443",
        "https://nova.example.org:+443",
        "https://nova.example.org:\u0664\u0664\u0663",
        "https://nova.example.org:443:443",
        "https://nova.example.org\\@evil.example",
        "https://nova.example.org.",
        "https://nova..example.org",
        "https://-nova.example.org",
        "https://nova_1.example.org",
        "https://nova%2eexample.org",
        "https://n\u00f8va.example.org",
        "https://nov\u0000a.example.org",
        "https://nova.example.org\u0000",
        "https://\ud800.example.org",
        "https://\uff11\uff12\uff17.0.0.1",
        "https://$(host)s:8774/",
        "https://*.example.org",
        "https://127.1",
        "https://2130706433",
        "https://0x7f000001",
        "https://0177.0.0.1",
        "https://1.2.3.256",
        "https://[::1",
        "https://[::1]x",
        "https://[fe80::1%25eth0]",
        "https://[1:2]",
        "https://::1",
        "https://" + "a" * 64 + ".org",
        "https://" + "a." * 127 + "org",
    ],
    ids=ascii,
)
def test_passes_over_what_is_no_https_endpoint(url: str) -> None:
    """Other schemes, userinfo, templates and all that is no canonical host or port."""
    assert endpoint_of(url) is None
    assert named(token(url, "https://a.example.org")) == ["a.example.org:443"]


@pytest.mark.parametrize(
    "odd", [None, True, 0, -1.5e300, "x", "", [], ["https://b.example"], {}, {"url": {}}], ids=repr
)
def test_other_types_name_nothing(odd: object) -> None:
    """Wherever something else stands than a token has there, it and nothing else is left out."""
    beside = {"endpoints": [{"url": "https://a.example.org"}]}
    whole = [odd, {"token": odd}, {"token": {"catalog": odd}}, {"token": {"catalog": [odd]}}]
    beyond = [
        {"token": {"catalog": [odd, {"endpoints": odd}, {"endpoints": [odd]}, beside]}},
        {"token": {"catalog": [{"endpoints": [{"url": odd}]}, beside], "user": odd}, "x": odd},
    ]

    assert [named(json.dumps(each).encode()) for each in whole] == [[]] * 4
    assert [named(json.dumps(each).encode()) for each in beyond] == [["a.example.org:443"]] * 2


GOOD = token("https://a.example.org")


UNREADABLE = {
    "nothing": b"",
    "null": b"null",
    "cut off": GOOD[:-1],
    "something behind it": GOOD + b"x",
    "byte order mark": b"\xef\xbb\xbf" + GOOD,
    "UTF-16": GOOD.decode().encode("utf-16"),
    "UTF-32": GOOD.decode().encode("utf-32-le"),
    "Latin-1": GOOD.replace(b'"x"', b'"\xff"'),
    "surrogate": GOOD.replace(b'"x"', b'"\xed\xa0\x80"'),
    "NaN": GOOD.replace(b'"x"', b"NaN"),
    "infinity": GOOD.replace(b'"x"', b"-Infinity"),
    "number without end": GOOD.replace(b'"x"', b"9" * 100_000),
    "NUL": GOOD.replace(b'"x"', b'"\x00"'),
    "deep lists": b"[" * LONGEST,
    "deep objects": b'{"token":' * 100_000,
    "deep catalogue": b'{"token": {"catalog": ' + b"[" * 200_000 + b"]" * 200_000 + b"}}",
    "HTML": b"<html>",
    "gzip": b"\x1f\x8b\x08\x00" + bytes(100),
    "one byte too many": GOOD.ljust(LONGEST + 1),
}


@pytest.mark.parametrize("content", UNREADABLE.values(), ids=UNREADABLE)
def test_what_is_no_json_of_a_bounded_size_names_nothing(content: bytes) -> None:
    """Nor raises: other encodings, nesting and numbers without end, and one byte too many."""
    assert endpoints_of(content) == ()


def test_the_last_of_two_members_counts() -> None:
    """The client's browser reads it so, and what it doesn't see it can't ask for."""
    first, second = (b'{"url": "https://%b.example"}' % name for name in (b"a", b"b"))
    twice = b'{"token": {"catalog": [{"endpoints": [%b], "endpoints": [%b]}]}}' % (first, second)

    assert named(twice) == ["b.example:443"]


def test_a_lone_surrogate_elsewhere_does_no_harm() -> None:
    """JSON may escape what is no character."""
    assert named(GOOD.replace(b'"x"', b'"\\ud800"')) == ["a.example.org:443"]


def test_content_up_to_the_bound_is_read() -> None:
    """White space fills it up."""
    assert named(GOOD.ljust(LONGEST)) == ["a.example.org:443"]


def test_names_each_once() -> None:
    """Services share hosts; an endpoint's path does not matter."""
    urls = ("https://a.example/x", "https://b.example", "https://A.example:443/y")

    assert named(token(*urls)) == ["a.example:443", "b.example:443"]


def many(urls: Sequence[str]) -> bytes:
    endpoints = b",".join(b'{"url":"%b"}' % url.encode() for url in urls)
    return b'{"token":{"catalog":[{"endpoints":[%b]}]}}' % endpoints


def test_the_first_of_too_many_count() -> None:
    """As many as are allowed, whichever come first; others than https don't use them up."""
    urls = [f"{scheme}://a{n}.example" for n in range(2 * MOST) for scheme in ("http", "https")]

    assert named(many(urls)) == [f"a{n}.example:443" for n in range(MOST)]


def test_the_last_of_too_many_urls_are_not_looked_at() -> None:
    """Whatever stands before: to judge them takes time."""
    urls = ["http://a.example"] * (MOST_URLS - 1) + ["https://b.example", "https://c.example"]

    assert named(many(urls)) == ["b.example:443"]


@pytest.mark.parametrize("nothing", [b"0", b'{"endpoints": []}', b'{"endpoints": {}}'])
def test_the_last_of_too_many_services_are_not_looked_at(nothing: bytes) -> None:
    """Nor the last of too many endpoints, whatever stands before them."""
    good = b'{"endpoints": [%b {"url": "https://a.example"}]}'
    before = (nothing + b",") * MOST_URLS

    assert named(b'{"token": {"catalog": [%b %b]}}' % (before, good % b"")) == []
    assert named(b'{"token": {"catalog": [%b]}}' % (good % (b"{}," * MOST_URLS))) == []
    assert named(b'{"token": {"catalog": [%b]}}' % (good % (b"{}," * (MOST_URLS - 1)))) == [
        "a.example:443"
    ]


@pytest.mark.parametrize(
    "content",
    [
        many([f"https://a{n}.example" for n in range(1_000_000)]),
        GOOD.ljust(10_000_000),
        many([f"http://a{n}" for n in range(40_000)]),
        many(["https://" + "a." * 120 + "-"] * 3_500),
        many(["https://" + "a" * 1_000_000 + "@"]),
        b"[" + b"[]," * 87_000 + b"[]]",
        b'{"token": {"catalog": [' + b"0," * 131_000 + b"0]}}",
    ],
    ids=[
        "a million",
        "10 MB",
        "many of http",
        "names that are none",
        "a long one",
        "lists",
        "zeros",
    ],
)
def test_hostile_content_costs_little(content: bytes) -> None:
    """What is read here holds up all other requests meanwhile."""
    began = time.process_time()
    found = endpoints_of(content)

    assert found == ()
    assert time.process_time() - began < 0.2
