"""A name's addresses in the DNS, asked of real name servers on loopback."""

from collections.abc import Iterator
from ipaddress import ip_address

import pytest
from dns.rcode import SERVFAIL

from exoproxy.certs.dns.addresses import addresses_of
from exoproxy.certs.problem import IssuanceProblem
from name_server import NameServer

ZONE = """
both   A 8.8.8.8
both   AAAA 2600::8
four   A 8.8.8.8
alias  CNAME both
circle CNAME circle2
circle2 CNAME circle
*.wild A 8.8.4.4
"""


@pytest.fixture(name="server")
def resolver() -> Iterator[NameServer]:
    server = NameServer({"example.org": ZONE}, recurses=True)
    yield server
    server.close()


def found(server: NameServer, name: str) -> list[str]:
    return [str(each) for each in addresses_of(name, [("127.0.0.1", server.port)])]


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("both.example.org", ["8.8.8.8", "2600::8"]),
        ("four.example.org", ["8.8.8.8"]),
        ("alias.example.org", ["8.8.8.8", "2600::8"]),
        ("any.wild.example.org", ["8.8.4.4"]),
        ("circle.example.org", []),
        ("none.example.org", []),
    ],
)
def test_both_families_after_aliases(server: NameServer, name: str, expected: list[str]) -> None:
    """What a resolver finds; a name without addresses has none."""
    assert found(server, name) == expected


def test_says_that_the_resolver_fails(server: NameServer) -> None:
    """A broken zone is not a missing record."""
    server.rcode = SERVFAIL

    with pytest.raises(IssuanceProblem, match=r"say SERVFAIL of both\.example\.org: check that"):
        found(server, "both.example.org")


def test_many_addresses_are_bounded(server: NameServer) -> None:
    """Of each family."""
    server.close()
    many = "".join(f"many A 8.8.8.{number}\n" for number in range(1, 60))
    crowded = NameServer({"example.org": many}, recurses=True)
    try:
        addresses = addresses_of("many.example.org", [("127.0.0.1", crowded.port)])
    finally:
        crowded.close()

    assert len(addresses) == 16
    assert ip_address("8.8.8.1").version == addresses[0].version
