"""The table of special-purpose ranges, and the addresses inside addresses."""

from ipaddress import IPv4Address, IPv6Address, ip_address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exoproxy.rules.address_space import RANGES, Range, Reach, carried, range_of


@pytest.mark.parametrize(
    ("text", "inner"),
    [
        ("192.0.2.1", []),
        ("2001:db8::c000:201", []),
        ("::", []),
        ("::1", []),
        ("::2", ["0.0.0.2"]),
        ("::192.0.2.1", ["192.0.2.1"]),
        ("::ffff:192.0.2.1", ["192.0.2.1"]),
        ("64:ff9b::c000:201", ["192.0.2.1"]),
        ("64:ff9b:1::c000:201", []),
        ("2002:c000:201::1", ["192.0.2.1"]),
        ("2001:0:c000:201::3fff:fdfd", ["192.0.2.1", "192.0.2.2"]),
    ],
)
def test_addresses_inside_are_found(text: str, inner: list[str]) -> None:
    """Each known way to carry an IPv4 address in an IPv6 one is unwrapped."""
    assert carried(ip_address(text)) == [IPv4Address(address) for address in inner]


@given(st.ip_addresses())
def test_every_address_has_its_narrowest_range(address: IPv4Address | IPv6Address) -> None:
    """There is a range for each address, and none narrower holds it."""
    found = range_of(address)
    holding = [range_ for range_ in RANGES if address in range_.network]

    assert found.network.prefixlen == max(range_.network.prefixlen for range_ in holding)


def test_a_network_stands_in_the_table_once() -> None:
    """No range has two purposes."""
    networks = [range_.network for range_ in RANGES]

    assert len(networks) == len(set(networks))


def test_range_reads_well() -> None:
    """A range as text is its network and its purpose."""
    assert str(range_of(ip_address("10.1.2.3"))) == "10.0.0.0/8 (private use, RFC 1918)"


@pytest.mark.parametrize("family", ["0.0.0.0/0", "2000::/3", "64:ff9b::/96"])
def test_public_space_is_what_is_left(family: str) -> None:
    """Only three ranges are reached from anywhere; all others are carved out of the space."""
    public = {str(range_.network) for range_ in RANGES if range_.reach is Reach.ANYWHERE}

    assert family in public
    assert len(public) == 3
    assert all(isinstance(range_, Range) for range_ in RANGES)
