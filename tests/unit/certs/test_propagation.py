"""When is a challenge's record everywhere? Real name servers on loopback, and a clock by hand."""

from collections.abc import Callable, Iterator, Mapping, Sequence

import dns.flags
import dns.message
import dns.rcode
import pytest
from dns.message import Message
from dns.name import from_text
from dns.rcode import REFUSED, SERVFAIL

from exoproxy.certs.dns.question import NoAnswer
from exoproxy.certs.dns.zones import Place
from exoproxy.certs.problem import IssuanceProblem
from exoproxy.certs.propagation import Standing, told, wait_until_visible
from name_server import NameServer, World

NAME = "_acme-challenge.proxy.example.org"
PLACE = Place(zone="example.org", name=NAME)
ZONE = """
@   NS ns1
@   NS ns2
@   NS ns3
ns1 A 192.0.2.1
ns2 A 192.0.2.2
ns3 A 192.0.2.3
"""


class Attempt:
    """Three name servers of one zone, and a wait for two values with a clock that only sleep moves.

    `said` and `slept` (seconds) tell how it went; `at_sleep` is called at each pause.
    """

    def __init__(self, world: World) -> None:
        self.world = world
        self.servers = [world.add(f"192.0.2.{n}", {"example.org": ZONE}) for n in (1, 2, 3)]
        self.said: list[str] = []
        self.slept: list[float] = []
        self.at_sleep: Callable[[], None] = lambda: None

    def publish(self, *servers: NameServer, values: Sequence[str] = ("v1", "v2")) -> None:
        for server in servers:
            for value in values:
                server.add_txt(NAME, value)

    def wait(
        self, values: Mapping[Place, Sequence[str]] | None = None, *, timeout: float = 180
    ) -> None:
        wait_until_visible(
            self.world.dns(),
            values or {PLACE: ("v1", "v2")},
            timeout=timeout,
            say=self.said.append,
            clock=lambda: sum(self.slept),
            sleep=self._sleep,
        )

    def _sleep(self, seconds: float) -> None:
        assert seconds >= 0
        self.slept.append(seconds)
        self.at_sleep()


@pytest.fixture
def attempt() -> Iterator[Attempt]:
    with World() as world:
        yield Attempt(world)


def test_all_servers_have_all_values(attempt: Attempt) -> None:
    """What is everywhere costs no pause and one sentence; no resolver is asked for the name."""
    attempt.publish(*attempt.servers)
    attempt.wait()

    assert attempt.slept == []
    assert attempt.said == [f"Every name server of example.org has {NAME}"]
    assert NAME not in {name for name, _ in attempt.world.resolver.asked}


def test_values_beside_others(attempt: Attempt) -> None:
    """Values of somebody else's challenge at the same name don't matter."""
    attempt.publish(*attempt.servers, values=("v0", "v1", "v2"))
    attempt.wait()

    assert attempt.slept == []


def test_value_in_several_strings(attempt: Attempt) -> None:
    """A value may come in several strings (RFC 1035 section 3.3.14)."""
    attempt.publish(*attempt.servers, values=('v" "1', "v2"))
    attempt.wait()

    assert attempt.slept == []


def test_one_server_lags(attempt: Attempt) -> None:
    """A server that lags is waited for, in pauses that grow, and named once."""
    attempt.publish(*attempt.servers[:2])
    for value in ("v1", "v2"):
        attempt.servers[2].add_txt(NAME, value, after=4)
    attempt.wait()

    assert attempt.slept == [0.5, 0.75, 1.125, 1.6875]
    assert attempt.said == [
        f"Waiting until all name servers of example.org have {NAME}: "
        "ns3.example.org (192.0.2.3) returns NXDOMAIN",
        f"Every name server of example.org has {NAME}",
    ]


@pytest.mark.parametrize(
    ("there", "words"),
    [
        ((), "returns NXDOMAIN"),
        (("v1",), "returns 1 of 2 values"),
        (("v8", "v9"), "returns other values only (2)"),
    ],
)
def test_one_server_never_follows(attempt: Attempt, there: tuple[str, ...], words: str) -> None:
    """At the timeout the attempt ends, naming the server and what it returned."""
    attempt.publish(*attempt.servers[:2])
    attempt.publish(attempt.servers[2], values=there)

    with pytest.raises(IssuanceProblem) as caught:
        attempt.wait()

    assert f"ns3.example.org (192.0.2.3) {words}; check" in str(caught.value)
    assert "acme.dns.propagation_timeout" in str(caught.value)
    assert sum(attempt.slept) == 180
    assert max(attempt.slept) == 10
    assert len(attempt.said) == 1


def test_sentences_do_not_flood(attempt: Attempt) -> None:
    """A picture that changes all the time is told every 15 seconds, at most."""
    attempt.publish(*attempt.servers[:2])
    values = iter(f"other-{n}" for n in range(1000))
    attempt.at_sleep = lambda: attempt.servers[2].add_txt(NAME, next(values))

    with pytest.raises(IssuanceProblem):
        attempt.wait()

    assert 3 <= len(attempt.said) <= 1 + 180 / 15


def test_silent_server_does_not_veto(attempt: Attempt) -> None:
    """A server that is down is asked again for some seconds, then passed over by its name."""
    attempt.publish(*attempt.servers[:2])
    attempt.servers[2].silent = True
    attempt.wait()

    assert 5 <= sum(attempt.slept) < 10
    assert attempt.said[-1] == (
        f"The name servers of example.org have {NAME}; passed over: "
        "ns3.example.org (192.0.2.3) does not answer within 2 s"
    )


@pytest.mark.parametrize("rcode", [SERVFAIL, REFUSED])
def test_failing_server_does_not_veto(attempt: Attempt, rcode: dns.rcode.Rcode) -> None:
    """A server that refuses or fails is passed over, as by the authority's resolver."""
    attempt.publish(*attempt.servers)
    attempt.servers[0].rcode = rcode
    attempt.wait()

    assert 5 <= sum(attempt.slept) < 10
    assert f"(192.0.2.1) returns {dns.rcode.to_text(rcode)}" in attempt.said[-1]


def test_server_that_wakes_up_lagging(attempt: Attempt) -> None:
    """A packet lost hides no lag: who answers within the seconds of patience counts."""
    attempt.publish(*attempt.servers[:2])
    lagging = attempt.servers[2]
    lagging.silent = True

    def wake() -> None:
        lagging.silent = False
        if sum(attempt.slept) > 20:
            attempt.publish(lagging)

    attempt.at_sleep = wake
    attempt.wait()

    assert sum(attempt.slept) > 20


def test_silence_after_an_answer(attempt: Attempt) -> None:
    """A server that was seen to lag lags on when it falls silent."""
    attempt.publish(*attempt.servers[:2])

    def fall_silent() -> None:
        attempt.servers[2].silent = True

    attempt.at_sleep = fall_silent

    with pytest.raises(IssuanceProblem, match=r"\(192\.0\.2\.3\) returns NXDOMAIN"):
        attempt.wait()


def test_port_53_blocked(attempt: Attempt) -> None:
    """With nobody reached, the attempt goes on after a minute, and says why it waited."""
    for server in attempt.servers:
        server.silent = True
    attempt.wait()

    assert sum(attempt.slept) == pytest.approx(60, abs=10)
    assert attempt.said[0].startswith(
        "No name server of example.org tells anything of use, port 53 may be blocked from here: "
        "ns1.example.org (192.0.2.1) does not answer within 2 s, "
    )
    assert attempt.said[1:] == [f"Going on without having seen {NAME}"]


@pytest.mark.parametrize("silent", [1, 3])
def test_short_timeout(attempt: Attempt, silent: int) -> None:
    """The configured timeout bounds every wait, for silent servers and in their place."""
    attempt.publish(*attempt.servers)
    for server in attempt.servers[:silent]:
        server.silent = True
    attempt.wait(timeout=3)

    assert sum(attempt.slept) == 3


def test_all_servers_fail(attempt: Attempt) -> None:
    """Servers that all fail tell nothing; the attempt goes on, for the authority to judge."""
    for server in attempt.servers:
        server.rcode = SERVFAIL
    attempt.wait()

    assert "(192.0.2.1) returns SERVFAIL" in attempt.said[0]
    assert attempt.said[-1] == f"Going on without having seen {NAME}"


def test_blind_wait_ends_when_servers_come_back(attempt: Attempt) -> None:
    """Servers that are reached in the middle of the wait are believed from then on."""
    attempt.publish(*attempt.servers)
    for server in attempt.servers:
        server.silent = True

    def come_back() -> None:
        for server in attempt.servers:
            server.silent = sum(attempt.slept) < 20

    attempt.at_sleep = come_back
    attempt.wait()

    assert attempt.said[-1] == f"Every name server of example.org has {NAME}"
    assert 20 <= sum(attempt.slept) < 31


def test_answer_without_authority(attempt: Attempt) -> None:
    """A firewall that answers in the servers' place vetoes nothing."""

    def without_authority(answer: Message) -> list[bytes]:
        answer.flags &= ~dns.flags.AA
        return [answer.to_wire()]

    for server in attempt.servers:
        server.distort = without_authority
    attempt.wait()

    assert "(192.0.2.1) answers without authority" in attempt.said[0]
    assert attempt.said[-1].startswith("Going on")


def test_zone_without_servers(attempt: Attempt) -> None:
    """Where the resolvers name no server, the wait is the fixed one."""
    attempt.world.resolver.rcode = SERVFAIL
    attempt.wait()

    assert attempt.said[0].startswith("The resolvers name no name server of example.org to ask")
    assert sum(attempt.slept) == pytest.approx(60, abs=10)


def test_two_places(attempt: Attempt) -> None:
    """Each place has its own servers; who is ready is not asked again."""
    other = attempt.world.add("192.0.2.9", {"example.net": "@ NS ns\nns A 192.0.2.9\n"})
    other.add_txt("x.example.net", "v3", after=3)
    attempt.publish(*attempt.servers)
    attempt.wait({PLACE: ("v1", "v2"), Place(zone="example.net", name="x.example.net"): ("v3",)})

    assert len(attempt.slept) == 3
    assert len(attempt.servers[0].asked) == 1


def test_many_laggards(attempt: Attempt) -> None:
    """A sentence names three servers and counts the others."""
    names = "".join(f"@ NS m{n}\nm{n} A 192.0.2.1\n" for n in range(5))
    attempt.world.add("192.0.2.1", {"example.org": names})

    with pytest.raises(IssuanceProblem, match=r"m2\.example\.org [^,]*, and 2 more; check"):
        attempt.wait()


def test_cut_short_answer(attempt: Attempt) -> None:
    """Many values come by TCP."""
    attempt.publish(*attempt.servers, values=[f"v{n}" for n in range(100)])
    for server in attempt.servers:
        server.truncates = True
    attempt.wait()

    assert attempt.slept == []
    assert attempt.servers[0].transports == ["udp", "tcp"]


def an_answer(*records: str, flags: str = "QR AA", rcode: str = "NOERROR") -> Message:
    section = "\n".join(records)
    return dns.message.from_text(
        f"id 1\nopcode QUERY\nrcode {rcode}\nflags {flags}\n"
        f";QUESTION\n{NAME}. IN TXT\n;ANSWER\n{section}\n"
    )


@pytest.mark.parametrize(
    ("answer", "standing", "words"),
    [
        (an_answer(f'{NAME}. 60 IN TXT "v1"'), Standing.HAS_ALL, "has all values"),
        # The values are random: who has them got them from the zone.
        (an_answer(f'{NAME}. 60 IN TXT "v1"', flags="QR"), Standing.HAS_ALL, "has all values"),
        (an_answer(), Standing.LACKS, "returns no TXT record"),
        (an_answer(rcode="NXDOMAIN"), Standing.LACKS, "returns NXDOMAIN"),
        (
            an_answer('a.example.org. 60 IN TXT "v1"'),
            Standing.LACKS,
            "returns no TXT record",
        ),
        (an_answer(f"{NAME}. 60 IN CNAME a.example.org."), Standing.LACKS, "returns a CNAME"),
        (an_answer(f'{NAME}. 60 IN TXT "V1"'), Standing.LACKS, "returns other values only (1)"),
        (
            an_answer(f'{NAME}. 60 IN TXT "\\195\\164"'),
            Standing.LACKS,
            "returns other values only (1)",
        ),
        (an_answer(flags="QR"), Standing.TELLS_NOTHING, "answers without authority"),
        (an_answer(rcode="REFUSED"), Standing.TELLS_NOTHING, "returns REFUSED"),
        (
            an_answer(f'{NAME}. 60 IN TXT "v1"', rcode="SERVFAIL"),
            Standing.TELLS_NOTHING,
            "returns SERVFAIL",
        ),
        (NoAnswer("is down"), Standing.TELLS_NOTHING, "is down"),
    ],
)
def test_told(answer: Message | NoAnswer, standing: Standing, words: str) -> None:
    """Each kind of answer is judged by authority, rcode and values."""
    judged = told(answer, from_text(NAME), frozenset({"v1"}))

    assert (judged.standing, judged.words) == (standing, words)
