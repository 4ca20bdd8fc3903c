"""Places for connections, in all and per client."""

from ipaddress import IPv4Address, IPv6Address, ip_address

import pytest

from exoproxy.net.caps import Caps


def test_total_is_counted() -> None:
    """A cap is full when its places are taken, and no more when one is given back."""
    caps = Caps(total=2, per_client=10)
    first, _ = caps.enter(), caps.enter()
    full = caps.full
    first.release()

    assert (full, caps.full, caps.open) == (True, False, 1)


def test_release_counts_once() -> None:
    """A place that is given back twice is one place."""
    caps = Caps(total=2, per_client=10)
    first, _ = caps.enter(), caps.enter()
    first.claim(IPv4Address("192.0.2.1"))
    first.release()
    first.release()

    assert caps.open == 1


@pytest.mark.parametrize(
    ("one", "other", "held"),
    [
        ("192.0.2.1", "192.0.2.1", 2),
        ("192.0.2.1", "192.0.2.2", 1),
        ("2001:db8::1", "2001:db8::ffff:1", 2),
        ("2001:db8::1", "2001:db8:0:1::1", 1),
        ("0.0.0.1", "0:0:0:1::", 1),
    ],
)
def test_client_is_an_ipv4_address_or_an_ipv6_64(one: str, other: str, held: int) -> None:
    """Two connections are of one client if their IPv4 address or their IPv6 /64 is the same."""
    caps = Caps(total=9, per_client=9)
    caps.enter().claim(ip_address(one))

    assert caps.enter().claim(ip_address(other)) == held


def test_client_that_left_is_forgotten() -> None:
    """A client's count begins anew when its last connection has ended."""
    caps = Caps(total=9, per_client=9)
    address = IPv6Address("2001:db8::1")
    slots = [caps.enter() for _ in range(3)]
    for slot in slots:
        slot.claim(address)
    for slot in slots:
        slot.release()

    assert caps.enter().claim(address) == 1
    assert len(caps._clients) == 1


def test_waiting_are_called_once() -> None:
    """Who waits for room is called at the next release, and not again."""
    caps = Caps(total=2, per_client=9)
    slots = [caps.enter(), caps.enter()]
    calls: list[str] = []
    caps.when_room(lambda: calls.append("room"))
    for slot in slots:
        slot.release()

    assert calls == ["room"]
