"""Where a challenge's record goes, asked of real name servers on loopback."""

from collections.abc import Iterator

import dns.flags
import dns.rrset
import pytest
from dns.message import Message
from dns.name import Name, from_text
from dns.rcode import NOERROR, REFUSED, SERVFAIL
from dns.rdatatype import RdataType

from exoproxy.certs.dns.question import Server
from exoproxy.certs.dns.zones import Dns, Place
from exoproxy.certs.problem import IssuanceProblem
from name_server import RESOLVER, World

CHALLENGE = "_acme-challenge.proxy.example.org"
EXAMPLE_ORG = """
@     NS ns1
@     NS ns2
ns1   A 192.0.2.1
ns2   A 192.0.2.2
proxy A 198.51.100.1
"""
EXAMPLE_NET = "@ NS ns1.example.org.\n"
AUTH = "@ NS ns1.auth.example.net.\nns1 A 192.0.2.9\n"


@pytest.fixture
def world() -> Iterator[World]:
    with World() as world:
        yield world


def place_of(world: World, name: str = CHALLENGE) -> Place:
    """Find the place, and hold that the resolver was asked for nothing at a challenge's name."""
    place = world.dns().place_of(name)
    asked = {name for name, _ in world.resolver.asked}

    assert not {name, place.name} & asked
    return place


def test_name_in_the_zone_of_its_domain(world: World) -> None:
    """The zone is found by SOA from a name below it; the challenge's own name stays."""
    world.add("192.0.2.1", {"example.org": EXAMPLE_ORG})

    assert place_of(world) == Place(zone="example.org", name=CHALLENGE)


def test_host_that_has_no_record_yet(world: World) -> None:
    """A host name that does not exist is in the zone that says so."""
    world.add("192.0.2.1", {"example.org": EXAMPLE_ORG})
    place = place_of(world, "_acme-challenge.new.deep.example.org")

    assert place == Place(zone="example.org", name="_acme-challenge.new.deep.example.org")


def test_capitals_and_final_dot(world: World) -> None:
    """A place is in lower case without a dot at the end, however the name was written."""
    world.add("192.0.2.1", {"example.org": EXAMPLE_ORG})
    place = world.dns().place_of("_ACME-challenge.Proxy.Example.ORG.")

    assert place == Place(zone="example.org", name=CHALLENGE)


def test_nearest_of_two_zones(world: World) -> None:
    """A delegated host name is a zone of its own, and the one above would publish in vain."""
    world.add("192.0.2.1", {"example.org": EXAMPLE_ORG + "proxy NS ns.proxy\nns.proxy A 192.0.2.3"})
    world.add("192.0.2.3", {"proxy.example.org": "@ NS ns\nns A 192.0.2.3"})

    assert place_of(world) == Place(zone="proxy.example.org", name=CHALLENGE)


def test_challenge_that_is_a_zone_of_its_own(world: World) -> None:
    """A delegation of the challenge's own name is found by the referral of the zone above."""
    delegated = EXAMPLE_ORG + f"{CHALLENGE}. NS ns1.auth.example.net.\n"
    world.add("192.0.2.1", {"example.org": delegated})
    world.add("192.0.2.9", {CHALLENGE: "@ NS ns1.auth.example.net.", "auth.example.net": AUTH})

    assert place_of(world) == Place(zone=CHALLENGE, name=CHALLENGE)


def test_server_that_holds_the_zone_below_too(world: World) -> None:
    """A server of both zones refers to nobody; its SOA tells which zone is meant."""
    delegated = EXAMPLE_ORG + f"{CHALLENGE}. NS ns1\n"
    world.add("192.0.2.1", {"example.org": delegated, CHALLENGE: "@ NS ns1.example.org."})

    assert place_of(world) == Place(zone=CHALLENGE, name=CHALLENGE)


def test_cname_to_another_zone(world: World) -> None:
    """A CNAME delegates the challenge: the record goes where it leads, into that zone."""
    alias = f"{CHALLENGE}. CNAME Token-1.auth.example.net.\n"
    world.add("192.0.2.1", {"example.org": EXAMPLE_ORG + alias})
    world.add("192.0.2.9", {"auth.example.net": AUTH})

    assert place_of(world) == Place(zone="auth.example.net", name="token-1.auth.example.net")


def test_two_cnames(world: World) -> None:
    """CNAMEs are followed to their end, from zone to zone."""
    first = f"{CHALLENGE}. CNAME hop.example.net.\n"
    second = "hop CNAME end.auth.example.net.\n"
    zones = {"example.org": EXAMPLE_ORG + first, "example.net": EXAMPLE_NET + second}
    world.add("192.0.2.1", zones)
    world.add("192.0.2.9", {"auth.example.net": AUTH})

    assert place_of(world) == Place(zone="auth.example.net", name="end.auth.example.net")


def test_cname_by_a_wildcard_is_no_delegation(world: World) -> None:
    """What a wildcard makes of any name is not meant for the challenge: its record goes before."""
    world.add("192.0.2.1", {"example.org": EXAMPLE_ORG + "*.proxy CNAME www.example.net.\n"})

    assert place_of(world) == Place(zone="example.org", name=CHALLENGE)


def test_cname_beside_a_wildcard(world: World) -> None:
    """A CNAME of the challenge's own is one, though a wildcard points elsewhere."""
    aliases = f"*.proxy CNAME www.example.net.\n{CHALLENGE}. CNAME x.auth.example.net.\n"
    world.add("192.0.2.1", {"example.org": EXAMPLE_ORG + aliases})
    world.add("192.0.2.9", {"auth.example.net": AUTH})

    assert place_of(world) == Place(zone="auth.example.net", name="x.auth.example.net")


def test_longest_name_with_a_cname(world: World) -> None:
    """A name that leaves no room for a sibling's label is followed like others."""
    parent = ".".join(["a" * 59] * 3 + ["b" * 45])
    name = f"_acme-challenge.{parent}.example.org"
    alias = f"{name}. CNAME x.auth.example.net.\n"
    world.add("192.0.2.1", {"example.org": EXAMPLE_ORG + alias})
    world.add("192.0.2.9", {"auth.example.net": AUTH})

    assert len(name) == 253
    assert place_of(world, name) == Place(zone="auth.example.net", name="x.auth.example.net")


def test_host_that_is_a_cname(world: World) -> None:
    """The zone is that of the host's own name, not that of where its CNAME leads."""
    alias = EXAMPLE_ORG.replace("proxy A 198.51.100.1", "proxy CNAME host.example.net.")
    world.add("192.0.2.1", {"example.org": alias})
    world.add("192.0.2.9", {"example.net": "@ NS ns1\nhost A 198.51.100.2"})

    assert place_of(world) == Place(zone="example.org", name=CHALLENGE)


def test_circle_of_cnames(world: World) -> None:
    """CNAMEs in a circle are an operator's mistake, said with the name where it closes."""
    circle = f"{CHALLENGE}. CNAME a\na CNAME b\nb CNAME a\n"
    world.add("192.0.2.1", {"example.org": EXAMPLE_ORG + circle})

    with pytest.raises(IssuanceProblem, match=r"lead in a circle, by a\.example\.org: let them"):
        world.dns().place_of(CHALLENGE)


def test_endless_cnames(world: World) -> None:
    """A chain of a thousand CNAMEs is followed for eight of them."""
    chain = "".join(f"a{n} CNAME a{n + 1}\n" for n in range(1000))
    world.add("192.0.2.1", {"example.org": EXAMPLE_ORG + f"{CHALLENGE}. CNAME a0\n" + chain})

    with pytest.raises(IssuanceProblem, match="More than 8 CNAME records follow each other"):
        world.dns().place_of(CHALLENGE)

    assert len(world.servers["192.0.2.1"].asked) < 40


@pytest.mark.parametrize("target", [".", "nowhere.", "a.nowhere."])
def test_cname_to_nowhere(world: World, target: str) -> None:
    """A CNAME to a name that no zone holds is said to be one."""
    world.add("192.0.2.1", {"example.org": EXAMPLE_ORG + f"{CHALLENGE}. CNAME {target}\n"})

    with pytest.raises(IssuanceProblem, match=r"No DNS zone was found for .*delegated"):
        world.dns().place_of(CHALLENGE)


def test_servers_of_the_zone_out_of_reach(world: World) -> None:
    """With port 53 blocked the resolver's zone is as much as can be known, and taken."""
    server = world.add("192.0.2.1", {"example.org": EXAMPLE_ORG})
    server.silent = True

    assert place_of(world) == Place(zone="example.org", name=CHALLENGE)


def with_authority(answer: Message) -> list[bytes]:
    answer.flags |= dns.flags.AA
    return [answer.to_wire()]


def test_first_servers_of_no_use(world: World) -> None:
    """Servers that refuse, fail or answer without authority leave the word to the others."""
    alias = f"{CHALLENGE}. CNAME x.auth.example.net.\n"
    names = "".join(f"@ NS a{n}\na{n} A 192.0.2.2{n}\n" for n in range(5))
    zones = {"example.org": names + alias}
    for n in range(5):
        world.add(f"192.0.2.2{n}", zones)
    world.add("192.0.2.9", {"auth.example.net": AUTH})
    world.servers["192.0.2.20"].rcode = REFUSED
    world.servers["192.0.2.21"].rcode = SERVFAIL
    world.servers["192.0.2.21"].distort = with_authority
    world.servers["192.0.2.22"].recurses = True
    world.servers["192.0.2.23"].silent = True

    assert place_of(world) == Place(zone="auth.example.net", name="x.auth.example.net")


def test_silent_server_is_asked_once(world: World) -> None:
    """While another one answers, later questions do not wait for it again."""
    world.add("192.0.2.1", {"example.org": EXAMPLE_ORG})
    world.add("192.0.2.2", {}).silent = True
    asked: list[str] = []

    def ask(server: Server, name: Name, kind: RdataType, *, recurse: bool) -> Message:
        asked.append(server.address)
        return world.ask(server, name, kind, recurse=recurse)

    questions = Dns([(RESOLVER, 53)], ask=ask)
    for _ in range(3):
        assert questions.place_of(CHALLENGE) == Place(zone="example.org", name=CHALLENGE)

    assert asked.count("192.0.2.2") == 1


def test_resolver_that_fails_below_the_zone(world: World) -> None:
    """A zone above is gone down from, by the referrals of its own servers."""
    world.add("192.0.2.1", {"example.org": EXAMPLE_ORG + "proxy NS ns.proxy\nns.proxy A 192.0.2.3"})
    world.add("192.0.2.3", {"proxy.example.org": "@ NS ns\nns A 192.0.2.3"})
    # As a resolver does that can't reach the zone, or finds its signatures wrong.
    world.resolver.fails_at = {"proxy.example.org"}

    assert place_of(world) == Place(zone="proxy.example.org", name=CHALLENGE)


def test_resolver_that_fails_below_the_zone_of_the_same_server(world: World) -> None:
    """A server that holds the zone above, too, tells by its SOA which one is meant."""
    world.add("192.0.2.1", {"example.org": EXAMPLE_ORG, "proxy.example.org": "@ NS ns1"})
    world.resolver.fails_at = {"proxy.example.org"}

    assert place_of(world) == Place(zone="proxy.example.org", name=CHALLENGE)


def test_host_that_is_a_cname_to_the_zone_above(world: World) -> None:
    """The SOA that follows a CNAME is no word on the zone of the CNAME itself."""
    world.add("192.0.2.1", {"example.org": EXAMPLE_ORG})
    world.add("192.0.2.3", {"sub.example.org": "@ NS ns\nx CNAME proxy.example.org.\n"})
    zone = world.dns().zone_of(from_text("x.sub.example.org"))

    assert zone == from_text("sub.example.org")


def test_resolver_that_fails_everywhere(world: World) -> None:
    """SERVFAIL for each name on the way up is told as that."""
    world.resolver.rcode = SERVFAIL

    with pytest.raises(IssuanceProblem, match=r"\(192\.0\.2\.53 said SERVFAIL\): check the host"):
        world.dns().place_of(CHALLENGE)


def test_resolver_that_is_silent(world: World) -> None:
    """No answer at all is told with the resolver's address and the setting that mends it."""
    world.resolver.silent = True

    with pytest.raises(IssuanceProblem, match=r"asked: 192\.0\.2\.53.*acme\.dns\.resolvers"):
        world.dns().place_of(CHALLENGE)


def test_answers_for_other_names(world: World) -> None:
    """Records of other names, and of zones that do not hold the name, decide nothing."""
    world.add("192.0.2.1", {"example.org": EXAMPLE_ORG})
    stray = dns.rrset.from_text("evil.example.com.", 60, "IN", "SOA", "ns. hm. 1 2 3 4 5")

    def with_stray(answer: Message) -> list[bytes]:
        (answer.answer or answer.authority).insert(0, stray)
        return [answer.to_wire()]

    world.resolver.distort = with_stray
    world.servers["192.0.2.1"].distort = with_stray

    assert place_of(world) == Place(zone="example.org", name=CHALLENGE)


def test_referral_upwards(world: World) -> None:
    """A lame server's referral to the root, or to where it is itself, leads nowhere."""
    server = world.add("192.0.2.1", {"example.org": EXAMPLE_ORG})

    def upwards(answer: Message) -> list[bytes]:
        answer.flags &= ~dns.flags.AA
        answer.set_rcode(NOERROR)
        answer.answer = []
        answer.authority = [dns.rrset.from_text(".", 60, "IN", "NS", "a.root.example.")]
        return [answer.to_wire()]

    server.distort = upwards

    assert place_of(world) == Place(zone="example.org", name=CHALLENGE)


@pytest.mark.parametrize("name", ["a" * 64 + ".example.org", ".".join(["abcdefg"] * 33), "a..b"])
def test_name_that_the_dns_does_not_know(world: World, name: str) -> None:
    """A name that is too long for the DNS is refused in words."""
    with pytest.raises(IssuanceProblem, match=r"can't be a name in the DNS .*253"):
        world.dns().place_of(f"_acme-challenge.{name}")


def test_servers_of_a_zone(world: World) -> None:
    """Each name server's first address comes before any second one, in both families."""
    text = "@ NS b\n@ NS a\na A 192.0.2.1\na AAAA 2001:db8::1\nb A 192.0.2.2\n"
    world.add("192.0.2.1", {"example.org": text})
    servers = world.dns().servers_of(from_text("example.org"))

    assert [str(server) for server in servers] == [
        "a.example.org (192.0.2.1)",
        "b.example.org (192.0.2.2)",
        "a.example.org (2001:db8::1)",
    ]


def test_fifty_name_servers(world: World) -> None:
    """A zone with fifty name servers of ten addresses each costs no more than the bounds."""
    names = "".join(f"@ NS n{n}\n" for n in range(50))
    addresses = "".join(f"n{n} A 198.51.100.{m}\n" for n in range(50) for m in range(10))
    world.add("192.0.2.1", {"example.org": names + addresses})
    servers = world.dns().servers_of(from_text("example.org"))

    assert len(servers) == 24
    assert len({server.name for server in servers}) == 13
    assert len(world.resolver.asked) == 1 + 13 * 2


def test_addresses_of_no_single_host(world: World) -> None:
    """Private addresses are asked like others; those of everybody or nobody are not."""
    odd = "0.0.0.0 255.255.255.255 224.0.0.251 10.0.0.1 127.0.0.9"
    records = "".join(f"ns A {address}\n" for address in odd.split())
    world.add("192.0.2.1", {"example.org": f"@ NS ns\n{records}ns AAAA ff02::1\n"})
    servers = world.dns().servers_of(from_text("example.org"))

    assert {server.address for server in servers} == {"10.0.0.1", "127.0.0.9"}


def test_zone_without_name_servers(world: World) -> None:
    """A zone whose name servers the resolver doesn't tell has none, and is asked for again."""
    world.resolver.rcode = SERVFAIL
    asked = world.dns()
    zone = from_text("example.org")
    first = asked.servers_of(zone)
    world.resolver.rcode = None
    world.add("192.0.2.1", {"example.org": EXAMPLE_ORG})

    assert first == ()
    assert {server.address for server in asked.servers_of(zone)} == {"192.0.2.1", "192.0.2.2"}
