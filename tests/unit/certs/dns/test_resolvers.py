"""Which resolvers are asked, and what happens where they fail."""

import functools
import socket
from collections.abc import Iterator
from pathlib import Path

import dns.resolver
import pytest
from dns.message import Message
from dns.name import Name, from_text
from dns.rcode import REFUSED
from dns.rdatatype import RdataType

from exoproxy.certs.dns.question import NoAnswer, Server
from exoproxy.certs.dns.zones import Dns, Place
from exoproxy.certs.problem import IssuanceProblem
from name_server import RESOLVER, World

CHALLENGE = "_acme-challenge.proxy.example.org"
EXAMPLE_ORG = "@ NS ns1\nns1 A 192.0.2.1\n"


@pytest.fixture
def world() -> Iterator[World]:
    with World() as world:
        yield world


def test_lost_packet(world: World) -> None:
    """A resolver that did not answer is asked once more."""
    world.add("192.0.2.1", {"example.org": EXAMPLE_ORG})
    lost: list[Name] = []

    def ask(server: Server, name: Name, kind: RdataType, *, recurse: bool) -> Message:
        if name not in lost:
            lost.append(name)
            raise NoAnswer("does not answer within 3 s")
        return world.ask(server, name, kind, recurse=recurse)

    zone = Dns([(RESOLVER, 53)], ask=ask).zone_of(from_text("example.org"))

    assert zone == from_text("example.org")


def test_second_resolver(world: World) -> None:
    """A resolver that is down, or refuses, is followed by the next, which is asked first then."""
    world.add("192.0.2.1", {"example.org": EXAMPLE_ORG})
    refusing = world.add("192.0.2.54", {}, recurses=True)
    refusing.rcode = REFUSED
    asked = Dns([("192.0.2.55", 53), ("192.0.2.54", 53), (RESOLVER, 53)], ask=world.ask)

    assert asked.place_of(CHALLENGE) == Place(zone="example.org", name=CHALLENGE)
    assert len(refusing.asked) == 1


def test_resolvers_of_the_system(
    world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without configured resolvers, those of resolv.conf are asked."""
    world.add("192.0.2.1", {"example.org": EXAMPLE_ORG})
    resolv_conf = tmp_path / "resolv.conf"
    resolv_conf.write_text(f"nameserver {RESOLVER}\n")
    read = functools.partial(dns.resolver.Resolver, filename=str(resolv_conf))
    monkeypatch.setattr(dns.resolver, "Resolver", read)

    assert Dns([], ask=world.ask).place_of(CHALLENGE).zone == "example.org"


def test_system_without_resolvers(
    world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A host whose resolv.conf names nobody is told what to write where."""
    (tmp_path / "resolv.conf").write_text("search example.org\n")
    read = functools.partial(dns.resolver.Resolver, filename=str(tmp_path / "resolv.conf"))
    monkeypatch.setattr(dns.resolver, "Resolver", read)

    with pytest.raises(IssuanceProblem, match=r"names no DNS resolver in /etc/resolv\.conf"):
        Dns([], ask=world.ask).place_of(CHALLENGE)


def test_resolver_by_name(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """A resolver may be named by a host name, which the system looks up."""
    world.add("192.0.2.1", {"example.org": EXAMPLE_ORG})
    found = [(socket.AF_INET, socket.SOCK_DGRAM, 17, "", (RESOLVER, 0))]
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: found)

    assert Dns([("resolver.example", 53)], ask=world.ask).place_of(CHALLENGE).name == CHALLENGE


def test_resolver_by_a_name_that_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    """A resolver's host name that the system doesn't know is to be written as an address."""

    def unknown(*_: object, **__: object) -> None:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", unknown)

    with pytest.raises(IssuanceProblem, match=r"resolver\.example .*write its address instead"):
        Dns([("resolver.example", 53)]).place_of(CHALLENGE)
