"""The addresses of this host."""

from collections.abc import Iterable
from ipaddress import IPv4Address, IPv6Address, ip_address

import ifaddr
import pytest

from exoproxy.net.interfaces import own_addresses

LO = ifaddr.Adapter(
    "lo", "lo", [ifaddr.IP("127.0.0.1", 8, "lo"), ifaddr.IP(("::1", 0, 0), 128, "lo")]
)
ETH = ifaddr.Adapter(
    "eth0",
    "eth0",
    [ifaddr.IP("192.168.0.5", 24, "eth0"), ifaddr.IP(("fe80::1%eth0", 0, 2), 64, "eth0")],
)


@pytest.mark.parametrize(
    ("listening", "address", "own"),
    [
        (["127.0.0.1"], "127.0.0.1", True),
        (["127.0.0.1"], "127.0.0.2", False),
        (["0.0.0.0"], "127.0.0.2", True),  # noqa: S104 - the wildcard is the case
        (["0.0.0.0"], "0.0.0.0", True),  # noqa: S104 - the wildcard is the case
        (["::"], "127.0.0.2", True),
        (["::"], "::1", True),
        (["127.0.0.1"], "192.168.0.5", True),
        (["127.0.0.1"], "192.168.0.6", False),
        (["203.0.113.9"], "203.0.113.9", True),
        (["127.0.0.1"], "fe80::1", True),
    ],
)
def test_own_addresses(listening: Iterable[str], address: str, own: bool) -> None:
    """Own are the interfaces' addresses, the listed ones, and loopback behind a wildcard."""
    mine = own_addresses([ip_address(text) for text in listening], adapters=[LO, ETH])

    assert (ip_address(address) in mine) is own


def test_this_host_owns_its_loopback() -> None:
    """The interfaces of the host that runs this are found."""
    mine = own_addresses([])

    assert IPv4Address("127.0.0.1") in mine
    assert IPv6Address("2001:db8::1") not in mine
