"""Addresses, networks, listeners and ports of a configuration file."""

from ipaddress import ip_address, ip_network

import pytest

from exoproxy.settings.addresses import ListenAddress, PortRange, parse_address, parse_network


@pytest.mark.parametrize(
    ("value", "expected"),
    [("203.0.113.7", "203.0.113.7"), ("2001:DB8:0::7", "2001:db8::7")],
)
def test_takes_addresses(value: str, expected: str) -> None:
    """Both families are taken and come out canonical; a parsed value stays."""
    assert str(parse_address(value)) == expected
    assert parse_address(ip_address(expected)) == ip_address(expected)


@pytest.mark.parametrize(
    ("value", "match"),
    [
        ("203.0.113.7/32", "is a network; write 203.0.113.7"),
        ("::ffff:10.0.0.1", "write 10.0.0.1"),
        ("::ffff:a9fe:a9fe", "write 169.254.169.254"),
        ("fe80::1%eth0", "has a zone"),
        ("127.1", "should be an IP address"),
        ("0x7f000001", "should be an IP address"),
        ("2130706433", "should be an IP address"),
        ("0177.0.0.1", "should be an IP address"),
        ("\uff11\uff12\uff17.0.0.1", "should be an IP address"),
        ("localhost", "should be an IP address"),
        (16909060, "should be an IP address"),
        ("", "should be an IP address"),
    ],
)
def test_refuses_other_forms_of_addresses(value: object, match: str) -> None:
    """Forms that programs read differently are refused, with what to write."""
    with pytest.raises(ValueError, match=match):
        parse_address(value)


@pytest.mark.parametrize("value", ["192.168.0.0/24", "2001:db8::/64", "0.0.0.0/0", "10.1.2.3/32"])
def test_takes_networks(value: str) -> None:
    """Any prefix of both families is a network; a parsed value stays."""
    assert parse_network(value) == ip_network(value)
    assert parse_network(ip_network(value)) == ip_network(value)


@pytest.mark.parametrize(
    ("value", "match"),
    [
        ("192.168.0.5/24", "write 192.168.0.0/24"),
        ("2001:db8::7/64", "write 2001:db8::/64"),
        ("192.168.0.0", "no prefix length; write 192.168.0.0/32 for this one address"),
        ("192.168.0.0/33", "from 0 to 32"),
        ("2001:db8::/129", "from 0 to 128"),
        ("192.168.0.0/", "from 0 to 32"),
        ("192.168.0.0/024", "from 0 to 32"),
        ("192.168.0.0/255.255.255.0", "from 0 to 32"),
        ("192.168.0.0/0.0.0.255", "from 0 to 32"),
        ("192.168.0.0/+8", "from 0 to 32"),
        ("192.168.0.0/\uff12\uff14", "from 0 to 32"),
        ("10.0.0/24", "should be a network"),
        ("::ffff:10.0.0.0/104", "should be a network"),
        ("*", "should be a network"),
        (24, "should be a network"),
    ],
)
def test_refuses_what_may_mean_another_network(value: object, match: str) -> None:
    """Host bits, missing prefixes and masks are refused, with the network that is meant."""
    with pytest.raises(ValueError, match=match):
        parse_network(value)


@pytest.mark.parametrize(
    ("value", "address", "port"),
    [
        ("192.0.2.1:443", "192.0.2.1", 443),
        ("[::]:443", "::", 443),
        ("[2001:DB8::1]:80", "2001:db8::1", 80),
    ],
)
def test_takes_listeners(value: str, address: str, port: int) -> None:
    """A listener is an address and a port."""
    parsed = ListenAddress.parse(value)

    assert (str(parsed.address), parsed.port) == (address, port)
    assert ListenAddress.parse(parsed) is parsed
    assert ListenAddress.parse(str(parsed)) == parsed


@pytest.mark.parametrize(
    ("value", "match"),
    [
        (443, "for all addresses write 0.0.0.0:443"),
        ("443", "an address and a port"),
        (":443", "for all write 0.0.0.0:443"),
        ("*:443", "for all write 0.0.0.0:443"),
        ("localhost:443", "write 127.0.0.1:443"),
        (":::443", "IPv6 stands in brackets"),
        ("::1:443", "IPv6 stands in brackets"),
        ("[127.0.0.1]:443", "brackets are for IPv6"),
        ("0.0.0.0:0", "wrong port"),
        ("0.0.0.0:65536", "wrong port"),
        ("0.0.0.0:0443", "wrong port"),
        ("0.0.0.0:", "wrong port"),
        ("[::]", "an address and a port"),
        ("[::ffff:127.0.0.1]:443", "write 127.0.0.1"),
        ("[fe80::1%eth0]:443", "has a zone"),
        ("example.org:443", "should be an IP address"),
        ("0:443", "should be an IP address"),
        ("https://0.0.0.0:443", "an address and a port"),
        (True, "an address and a port"),
        (None, "an address and a port"),
    ],
)
def test_refuses_other_listeners(value: object, match: str) -> None:
    """Names, lone ports and unclear forms are refused, with what to write."""
    with pytest.raises(ValueError, match=match):
        ListenAddress.parse(value)


@pytest.mark.parametrize(
    ("one", "other", "expected"),
    [
        ("127.0.0.1:443", "127.0.0.1:443", True),
        ("0.0.0.0:443", "127.0.0.1:443", True),
        ("127.0.0.1:443", "0.0.0.0:443", True),
        ("[::]:443", "[::1]:443", True),
        ("[::]:443", "0.0.0.0:443", False),
        ("127.0.0.1:443", "127.0.0.2:443", False),
        ("127.0.0.1:443", "127.0.0.1:80", False),
    ],
)
def test_tells_listeners_that_exclude_each_other(one: str, other: str, expected: bool) -> None:
    """ "Any" takes every address of its own family, and of that only."""
    assert ListenAddress.parse(one).overlaps(ListenAddress.parse(other)) is expected


@pytest.mark.parametrize(
    ("value", "first", "last"),
    [("1-65535", 1, 65535), ("8888", 8888, 8888), (22, 22, 22), ("80-80", 80, 80)],
)
def test_takes_port_ranges(value: object, first: int, last: int) -> None:
    """A range or a single port, as text or as a number."""
    parsed = PortRange.parse(value)

    assert (parsed.first, parsed.last) == (first, last)
    assert PortRange.parse(str(parsed)) == parsed
    assert PortRange.parse(parsed) is parsed


@pytest.mark.parametrize(
    ("value", "match"),
    [
        ("90-80", "write 80-90"),
        ("0-80", "wrong port"),
        ("1-65536", "wrong port"),
        ("1-2-3", "wrong port"),
        ("1 - 2", "wrong port"),
        (-1, "wrong port"),
        ("-80", "wrong port"),
        (True, "a port or a range"),
        (None, "a port or a range"),
    ],
)
def test_refuses_other_port_ranges(value: object, match: str) -> None:
    """Backward, open and overlong ranges are refused."""
    with pytest.raises(ValueError, match=match):
        PortRange.parse(value)
