"""Counting refusals per client: a bucket that empties and fills, in a table that is bounded."""

from ipaddress import ip_address
from math import ceil

import pytest

from exoproxy.rules.refusals import Refusals, client_of
from memory import left_by

ONE = client_of(ip_address("192.0.2.1"))
OTHER = client_of(ip_address("192.0.2.2"))


def refused(refusals: Refusals, times: int, now: float) -> list[int]:
    return [refusals.count(ONE, now) for _ in range(times)]


@pytest.mark.parametrize("per_minute", [1, 7, 300, 1_000_000])
def test_as_many_at_once_as_in_a_minute(per_minute: int) -> None:
    """A browser that loads a page of dead links is no scanner; who goes on is told to wait."""
    refusals = Refusals(per_minute)
    now = 1e6 / 3

    assert set(refused(refusals, min(per_minute, 1000), now)) == {0}
    if per_minute <= 1000:
        assert refusals.count(ONE, now) == ceil(60 / per_minute)


def test_bucket_fills_again_with_time() -> None:
    """After a minute without a refusal all are free again, and never more than that."""
    refusals = Refusals(60)
    refused(refusals, 100, 0.0)

    assert refused(refusals, 4, 3.0) == [0, 0, 0, 1]
    assert refused(refusals, 61, 500.0) == [0] * 60 + [1]


def test_what_is_too_often_empties_no_bucket() -> None:
    """Who goes on all the same waits no longer for that."""
    refusals = Refusals(60)
    refused(refusals, 10_000, 0.0)

    assert refusals.count(ONE, 1.0) == 0


def test_clients_are_told_apart() -> None:
    """A scanner's neighbours have buckets of their own."""
    refusals = Refusals(1)
    refused(refusals, 5, 0.0)

    assert (refusals.count(OTHER, 0.0), refusals.count(ONE, 0.0)) == (0, 60)


def test_zero_is_no_limit() -> None:
    """And nothing is remembered."""
    refusals = Refusals(0)

    assert set(refused(refusals, 1000, 0.0)) == {0}
    assert not refusals._full_at


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("192.0.2.1", "192.0.2.1", True),
        ("192.0.2.1", "192.0.2.2", False),
        ("2001:db8::1", "2001:db8::ffff:1", True),
        ("2001:db8::1", "2001:db8:0:1::1", False),
        ("0.0.0.1", "0:0:0:1::", False),
    ],
)
def test_client_is_an_ipv4_address_or_an_ipv6_64(one: str, other: str, same: bool) -> None:
    """Whoever has one address of a /64 can take any other in it."""
    assert (client_of(ip_address(one)) == client_of(ip_address(other))) is same


def test_0_0_0_1_is_not_the_first_64() -> None:
    """An IPv4 address and the number of a /64 are different keys, even where they look equal."""
    table = {client_of(ip_address("0.0.0.1")): 4, client_of(ip_address("0:0:0:1::")): 6}

    assert sorted(table.values()) == [4, 6]


def test_of_too_many_clients_the_stalest_is_forgotten() -> None:
    """The table is bounded, and who is refused now stays in it."""
    refusals = Refusals(1, clients=2)
    refusals.count(1, 0.0)
    refusals.count(2, 0.0)
    refusals.count(1, 70.0)
    refusals.count(3, 70.0)

    assert list(refusals._full_at) == [1, 3]


def test_the_table_is_small() -> None:
    """With the most clients that it remembers it takes a few megabytes."""
    refusals = Refusals(300)
    left = left_by(lambda number: refusals.count(number + 2, 1000.5 + number / 9), 50_000)

    assert len(refusals._full_at) == 16_384
    assert left < 4_000_000


def test_limit_may_change() -> None:
    """Who was refused before is counted on."""
    refusals = Refusals(60)
    refused(refusals, 60, 0.0)
    refusals.adopt(30)

    assert refused(refusals, 2, 2.0) == [0, 2]
