"""Request fields on their way to an upstream."""

from ipaddress import ip_address, ip_network

import pytest

from exoproxy.rules.forwarded import (
    client_address,
    passed_here,
    to_cloud,
    to_instance,
    via_field,
)
from exoproxy.wire.fields import Field, Fields

HOST = b"http-192-0-2-1-8080.Proxy.example.com"
PEER = b"203.0.113.9"
TRUSTED = [ip_network("10.0.0.0/8"), ip_network("2001:db8:1::/48")]
VIA = via_field(b"exoproxy-A1", 1)
ADDED = [
    (b"X-Forwarded-For", PEER),
    (b"X-Forwarded-Host", HOST),
    (b"X-Forwarded-Port", b"443"),
    (b"X-Forwarded-Proto", b"https"),
    (b"Via", b"1.1 exoproxy-A1"),
]
# What a client could claim, in every spelling that has a meaning somewhere.
CLAIMS = [
    (b"X-Forwarded-For", b"1.1.1.1"),
    (b"x-forwarded-for", b"2.2.2.2"),
    (b"X-Forwarded-Host", b"evil.example"),
    (b"X-Forwarded-Port", b"1"),
    (b"X-Forwarded-Proto", b"http"),
    (b"X-FORWARDED-Ssl", b"off"),
    (b"X-Forwarded-Anything-New", b"1"),
    (b"Forwarded", b"for=1.1.1.1"),
    (b"X-Real-IP", b"1.1.1.1"),
    (b"Proxy", b"http://evil.example"),
]


def instance(fields: list[Field], *, trusted: bool = False, host: bytes = HOST) -> list[Field]:
    return to_instance(Fields(fields), peer=PEER, trusted=trusted, host=host, via=VIA)


def test_instance_gets_the_fields_as_they_came() -> None:
    """Host, Origin, Referer, cookies and what is unknown pass byte for byte, in their order."""
    fields = [
        (b"hOST", HOST),
        (b"Origin", b"https://A.example"),
        (b"Referer", b"https://A.example/%7E"),
        (b"Cookie", b"a=1"),
        (b"X-Caf\xe9-forwarded", b"\xe9"),
        (b"Cookie", b"b=2"),
        (b"Early-Data", b"1"),
    ]

    assert instance(fields) == fields + ADDED


def test_nothing_is_added_that_the_client_left_out() -> None:
    """Without User-Agent and Accept-Encoding the instance sees none."""
    assert instance([]) == ADDED


def test_claims_of_a_client_are_replaced() -> None:
    """Of an untrusted peer, no field says who it is or by which way it came."""
    assert instance(CLAIMS) == ADDED


def test_claims_of_a_trusted_peer_are_continued() -> None:
    """Its list of addresses goes on, its host and port stay, and the protocol is one https."""
    fields = instance(
        [
            (b"X-Forwarded-For", b"1.1.1.1"),
            (b"x-forwarded-for", b""),
            (b"X-Forwarded-For", b"10.0.0.2"),
            (b"X-Forwarded-Host", b"front.example"),
            (b"X-Forwarded-Port", b"8443"),
            (b"X-Forwarded-Proto", b"http, http"),
            (b"X-Forwarded-User", b"ann"),
            (b"Forwarded", b"for=1.1.1.1"),
            (b"X-Real-IP", b"1.1.1.1"),
            (b"Proxy", b"http://evil.example"),
        ],
        trusted=True,
    )

    assert fields == [
        (b"X-Forwarded-User", b"ann"),
        (b"Forwarded", b"for=1.1.1.1"),
        (b"X-Real-IP", b"1.1.1.1"),
        (b"X-Forwarded-For", b"1.1.1.1, 10.0.0.2, " + PEER),
        (b"X-Forwarded-Host", b"front.example"),
        (b"X-Forwarded-Port", b"8443"),
        (b"X-Forwarded-Proto", b"https"),
        VIA,
    ]


@pytest.mark.parametrize("values", [[b""], [b"a", b"b"], []])
def test_trusted_peer_that_says_it_unclearly_is_not_heard(values: list[bytes]) -> None:
    """An empty or repeated X-Forwarded-Host of a trusted peer gives way to the request's own."""
    fields = [(b"X-Forwarded-Host", value) for value in values]
    fields += [(b"X-Forwarded-Port", value) for value in values]

    assert instance(fields, trusted=True) == ADDED


@pytest.mark.parametrize(
    ("host", "port"), [(b"a.example:8443", b"8443"), (b"a.example:", b"443"), (b"a", b"443")]
)
def test_port_is_that_of_the_host(host: bytes, port: bytes) -> None:
    """X-Forwarded-Port is the authority's port, or that of https."""
    assert (b"X-Forwarded-Port", port) in instance([], host=host)


@pytest.mark.parametrize("trusted", [True, False])
def test_connection_can_not_remove_what_is_added(trusted: bool) -> None:
    """Fields are stripped first and added then, so listing ours in Connection does nothing."""
    listing = b"X-Forwarded-For, X-Forwarded-Proto, Via, Host, X-A"
    fields = [(b"Connection", listing), (b"Host", HOST), (b"X-A", b"1")]

    assert instance(fields, trusted=trusted) == [(b"Host", HOST), *ADDED]


def test_via_goes_on() -> None:
    """Lines of Via from earlier hops stay, ours comes last."""
    assert instance([(b"Via", b"1.0 a")]) == [(b"Via", b"1.0 a"), *ADDED]


def test_cloud_gets_neither_control_fields_nor_the_pages() -> None:
    """The control fields, the page's origin and cookies, and claims stay here; Host is first."""
    fields = [
        (b"Accept", b"*/*"),
        (b"Host", b"my-example.exosphere.app"),
        (b"Exo-Proxy-Orig-Host", b"keystone.example.org"),
        (b"exo-proxy-orig-port", b"5000"),
        (b"Cookie", b"a=1"),
        (b"Origin", b"https://my-example.exosphere.app"),
        (b"Referer", b"https://my-example.exosphere.app/login"),
        (b"X-Auth-Token", b"secret"),
        (b"Connection", b"keep-alive"),
        (b"OpenStack-API-Version", b"compute 2.27"),
        *CLAIMS,
    ]

    assert to_cloud(Fields(fields), host=b"keystone.example.org:5000", via=VIA) == [
        (b"Host", b"keystone.example.org:5000"),
        (b"Accept", b"*/*"),
        (b"X-Auth-Token", b"secret"),
        (b"OpenStack-API-Version", b"compute 2.27"),
        VIA,
    ]


@pytest.mark.rule_cases("forwarded", "client")
def test_client_is_found_in_the_chain(peer: str, chain: list[str], address: str) -> None:
    """The client is the first hop from the right that is not trusted; a bad element ends it."""
    fields = Fields([(b"X-Forwarded-For", line.encode("latin-1")) for line in chain])
    found = client_address(fields, None if peer == "none" else ip_address(peer), TRUSTED)

    assert found == (None if address == "none" else ip_address(address))


@pytest.mark.rule_cases("forwarded", "via")
def test_request_that_came_back_is_seen(lines: list[str], passed: bool) -> None:
    """Our pseudonym in Via, as a whole and in its place, means a loop."""
    fields = Fields([(b"Via", line.encode()) for line in lines])

    assert passed_here(fields, b"exoproxy-A1") is passed


@pytest.mark.parametrize("minor", [0, 1])
def test_via_is_seen_again(minor: int) -> None:
    """What we add to Via is what we look for."""
    field = via_field(b"exoproxy-A1", minor)

    assert field == (b"Via", b"1.%d exoproxy-A1" % minor)
    assert passed_here(Fields([field]), b"exoproxy-A1")
