"""Targets: hosts, names that may be asked for, and addresses that may be dialled."""

from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exoproxy.errors import BadRequest, ProxyError, TargetNotAllowed
from exoproxy.rules.egress import AllowList, Policy, host_address

ALLOW = AllowList.parse(
    [
        "Keystone.example.org:5000",
        "*.Cloud.example.org",
        "any.example.org",
        "203.0.113.7",
        "[2001:DB8:0::7]:5000",
    ]
)
INTERNET = Policy(networks=(), public=True)


def policy(networks: list[str]) -> Policy:
    return Policy(networks=tuple(ip_network(text) for text in networks), public=False)


@pytest.mark.rule_cases("egress", "host")
def test_host_is_a_name_or_its_address(host: str, address: str) -> None:
    """A literal gives its address, and a host name gives none."""
    found = host_address(host)

    assert found == (None if address == "none" else ip_address(address))


@pytest.mark.rule_cases("egress", "no_host")
def test_anything_else_is_refused_before_a_look_up(host: str, code: str) -> None:
    """What only looks like an address, and what is no host at all, never reaches the DNS."""
    with pytest.raises(ProxyError) as caught:
        host_address(host)

    assert caught.value.code == code


@given(st.text(max_size=80))
def test_host_never_fails_otherwise(host: str) -> None:
    """Any text is a name, an address or one of the two errors."""
    try:
        address = host_address(host)
    except (BadRequest, TargetNotAllowed):
        return

    assert host.isascii()
    assert address is None or ip_address(host.strip("[]")) == address


@pytest.mark.rule_cases("egress", "never_public")
def test_special_addresses_are_no_part_of_the_internet(address: str, reason: str) -> None:
    """A proxy for every public address refuses all special-purpose ranges, and says which."""
    with pytest.raises(TargetNotAllowed) as caught:
        INTERNET.judge(ip_address(address), 443)

    assert caught.value.sentence == reason


@pytest.mark.rule_cases("egress", "public")
def test_public_addresses_are_allowed(address: str) -> None:
    """An address that anyone reaches may be dialled where the policy is public."""
    INTERNET.judge(ip_address(address), 443)


@pytest.mark.rule_cases("egress", "public")
def test_public_addresses_are_refused_where_none_is_listed(address: str) -> None:
    """Without the public switch, no address is reached by default."""
    with pytest.raises(TargetNotAllowed, match="outside the networks"):
        policy([]).judge(ip_address(address), 443)


@pytest.mark.rule_cases("egress", "listed")
def test_listed_networks_are_open(networks: list[str], address: str) -> None:
    """A listed network opens its hosts' addresses."""
    policy(networks).judge(ip_address(address), 443)


@pytest.mark.rule_cases("egress", "not_listed")
def test_the_rest_stays_shut(networks: list[str], address: str, reason: str) -> None:
    """What no listed network opens is refused, and the error says why."""
    with pytest.raises(TargetNotAllowed) as caught:
        policy(networks).judge(ip_address(address), 443)

    assert caught.value.sentence == reason


@pytest.mark.parametrize(("port", "allowed"), [(79, False), (80, True), (81, False), (8443, True)])
def test_ports_are_judged(port: int, allowed: bool) -> None:
    """Only listed ports are dialled, the ends of their ranges among them."""
    ports = Policy(networks=(), public=True, ports=(range(80, 81), range(8000, 9001)))
    address = IPv4Address("8.8.8.8")

    if allowed:
        ports.judge(address, port)
        return
    with pytest.raises(TargetNotAllowed, match="The port"):
        ports.judge(address, port)


@pytest.mark.parametrize("port", [0, 65536, -1])
def test_ports_that_are_none(port: int) -> None:
    """By default every port is allowed that there is."""
    with pytest.raises(TargetNotAllowed, match="The port"):
        INTERNET.judge(IPv4Address("8.8.8.8"), port)


@pytest.mark.parametrize("address", ["8.8.8.8", "64:ff9b::808:808", "2600::1"])
@pytest.mark.parametrize("networks", [[], ["8.8.8.8/32", "2600::1/128"]])
def test_own_addresses_are_never_dialled(address: str, networks: list[str]) -> None:
    """Neither the public switch nor a listed network opens the proxy's own addresses."""
    own = Policy(
        networks=tuple(ip_network(text) for text in networks),
        public=True,
        own=frozenset({IPv4Address("8.8.8.8"), IPv6Address("2600::1")}),
    )

    with pytest.raises(TargetNotAllowed, match="is the proxy's own"):
        own.judge(ip_address(address), 22)


def test_own_addresses_may_be_shut_on_own_ports_only() -> None:
    """A cloud's API on the same machine is reached, the proxy's listeners there are not."""
    own = Policy(
        networks=(ip_network("127.0.0.0/8"),),
        public=False,
        own=frozenset({IPv4Address("127.0.0.1")}),
        own_ports=frozenset({443}),
    )
    own.judge(IPv4Address("127.0.0.1"), 5000)

    with pytest.raises(TargetNotAllowed, match="is the proxy's own"):
        own.judge(IPv4Address("127.0.0.1"), 443)


@pytest.mark.rule_cases("egress", "allowed_name")
def test_names_are_permitted_as_listed(host: str, port: int, permitted: bool) -> None:
    """A name passes as a listed host, a listed service or below a listed suffix, else not."""
    assert ALLOW.permits(host, port) is permitted


@pytest.mark.rule_cases("egress", "no_pattern")
def test_other_patterns_are_errors(pattern: str, reason: str) -> None:
    """A pattern that can't be meant is an error with a sentence for the operator."""
    with pytest.raises(ValueError) as caught:  # noqa: PT011  the sentence is compared below
        AllowList.parse(["example.org", pattern])

    assert str(caught.value) == reason


def test_empty_list_permits_nothing() -> None:
    """Nothing is allowed by default."""
    assert not AllowList.parse([]).permits("example.org", 443)


@pytest.mark.parametrize(
    ("host", "port", "expected"),
    [
        ("keystone.example.org", 5000, "keystone.example.org:5000"),
        ("keystone.example.org", 5001, None),
        ("any.example.org", 1, "any.example.org"),
        ("a.b.cloud.example.org", 1, "*.cloud.example.org"),
        ("cloud.example.org", 1, None),
        ("2001:db8::7", 5000, "[2001:db8::7]:5000"),
    ],
)
def test_allow_list_tells_the_pattern(host: str, port: int, expected: str | None) -> None:
    """For people, the pattern that permits a name, in the form that `parse` reads."""
    pattern = ALLOW.match(host, port)

    assert pattern == expected
    assert pattern is None or AllowList.parse([pattern]).permits(host, port)


def test_policy_tells_the_network() -> None:
    """For people, the listed network that holds an address and of which it is no edge."""
    listed = policy(["192.168.0.0/28", "192.168.0.0/16", "fd00::/64"])

    assert listed.allowing(ip_address("192.168.0.5"), 80) == ip_network("192.168.0.0/28")
    assert listed.allowing(ip_address("192.168.0.15"), 80) == ip_network("192.168.0.0/16")
    assert listed.allowing(ip_address("fd00::5"), 80) == ip_network("fd00::/64")
    assert INTERNET.allowing(ip_address("198.41.0.4"), 80) is None
