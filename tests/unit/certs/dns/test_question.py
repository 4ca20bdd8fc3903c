"""One question over real sockets: what is taken for its answer, and what is not."""

import socket
from collections.abc import Callable, Iterator

import dns.flags
import dns.message
import dns.query
import dns.rcode
import pytest
from dns.message import Message
from dns.name import from_text
from dns.rcode import NXDOMAIN, REFUSED
from dns.rdatatype import TXT

from exoproxy.certs.dns import question
from exoproxy.certs.dns.question import NoAnswer, Server, ask, ask_all
from name_server import NameServer
from ports import free_port

NAME = from_text("a.example.org")


@pytest.fixture
def server() -> Iterator[NameServer]:
    server = NameServer({"example.org": 'a TXT "x"'})
    yield server
    server.close()


@pytest.fixture
def short(monkeypatch: pytest.MonkeyPatch) -> None:
    """Wait for silence a fifth of a second, not two."""
    monkeypatch.setattr(question, "_SERVER_SECONDS", 0.2)


def at(server: NameServer) -> Server:
    return Server(address="127.0.0.1", port=server.port)


def texts(answer: Message) -> list[str]:
    return [record.to_text() for rrset in answer.answer for record in rrset]


def test_answer(server: NameServer) -> None:
    """An answer is the server's own, and comes by UDP."""
    answer = ask(at(server), NAME, TXT, recurse=False)

    assert texts(answer) == ['"x"']
    assert server.transports == ["udp"]


@pytest.mark.parametrize("recurse", [False, True])
def test_form_of_the_question(server: NameServer, recurse: bool) -> None:
    """A zone's server is not asked to ask others; answers may have 1232 bytes by UDP."""
    seen: list[Message] = []
    server.sees = seen.append
    ask(at(server), NAME, TXT, recurse=recurse)

    assert bool(seen[0].flags & dns.flags.RD) is recurse
    assert (seen[0].edns, seen[0].payload) == (0, 1232)


def test_answer_that_was_cut_short(server: NameServer) -> None:
    """What does not fit into UDP is fetched by TCP."""
    server.truncates = True

    assert texts(ask(at(server), NAME, TXT, recurse=False)) == ['"x"']
    assert server.transports == ["udp", "tcp"]


@pytest.mark.parametrize("rcode", [NXDOMAIN, REFUSED])
def test_answer_of_failure(server: NameServer, rcode: dns.rcode.Rcode) -> None:
    """An rcode is an answer: who asks judges it."""
    server.rcode = rcode

    assert ask(at(server), NAME, TXT, recurse=False).rcode() == rcode


def with_another_id(answer: Message) -> bytes:
    answer.id ^= 1
    wire = answer.to_wire()
    answer.id ^= 1
    return wire


def to_another_question(answer: Message) -> bytes:
    other = dns.message.make_query("b.example.org", TXT, id=answer.id)
    return dns.message.make_response(other).to_wire()


def as_a_question(answer: Message) -> bytes:
    return dns.message.make_query(NAME, TXT, id=answer.id).to_wire()


def noise(answer: Message) -> bytes:
    return answer.to_wire()[:-3]


FORGERIES = [with_another_id, to_another_question, as_a_question, noise]


@pytest.mark.parametrize("forge", FORGERIES)
def test_forgery_before_the_answer(server: NameServer, forge: Callable[[Message], bytes]) -> None:
    """A packet that does not belong to the question is passed over; the answer follows."""
    server.distort = lambda answer: [forge(answer), answer.to_wire()]

    assert texts(ask(at(server), NAME, TXT, recurse=False)) == ['"x"']


@pytest.mark.parametrize("forge", FORGERIES)
@pytest.mark.usefixtures("short")
def test_forgery_alone(server: NameServer, forge: Callable[[Message], bytes]) -> None:
    """Forgeries alone are no answer, however many."""
    server.distort = lambda answer: [forge(answer)] * 20

    with pytest.raises(NoAnswer, match=r"does not answer within 0\.2 s"):
        ask(at(server), NAME, TXT, recurse=False)


@pytest.mark.parametrize("forge", FORGERIES)
def test_forgery_by_tcp(server: NameServer, forge: Callable[[Message], bytes]) -> None:
    """By TCP the first message is the answer, or there is none."""
    server.truncates = True
    whole = server.distort
    server.distort = lambda answer: (
        whole(answer) if answer.flags & dns.flags.TC else [forge(answer)]
    )

    with pytest.raises(NoAnswer, match="by TCP with something that is no DNS answer"):
        ask(at(server), NAME, TXT, recurse=False)


def test_end_before_the_answer_by_tcp(server: NameServer) -> None:
    """A connection that ends without an answer is none."""
    server.truncates = True
    whole = server.distort
    server.distort = lambda answer: whole(answer) if answer.flags & dns.flags.TC else []

    with pytest.raises(NoAnswer, match="by TCP with something that is no DNS answer"):
        ask(at(server), NAME, TXT, recurse=False)


@pytest.mark.usefixtures("short")
def test_silence(server: NameServer) -> None:
    """A server that is silent has the question's time, and no more."""
    server.silent = True

    with pytest.raises(NoAnswer, match=r"does not answer within 0\.2 s"):
        ask(at(server), NAME, TXT, recurse=False)


def test_no_way_there(monkeypatch: pytest.MonkeyPatch) -> None:
    """What the system says of an address that it can't reach is passed on."""

    def unreachable(*_: object) -> None:
        raise OSError(101, "Network is unreachable")

    monkeypatch.setattr(dns.query, "socket_factory", unreachable)

    with pytest.raises(NoAnswer, match=r"can't be reached \(Network is unreachable\)"):
        ask(Server(address="2001:db8::1"), NAME, TXT, recurse=False)


@pytest.mark.usefixtures("short")
def test_many_at_once(server: NameServer) -> None:
    """Each server's answer or silence comes with it, in their order."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as silent:
        silent.bind(("127.0.0.1", free_port()))
        nobody = Server(address="127.0.0.1", port=silent.getsockname()[1])
        answers = ask_all(ask, [nobody, at(server)], NAME, TXT)

    assert [server for server, _ in answers] == [nobody, at(server)]
    assert [isinstance(answer, NoAnswer) for _, answer in answers] == [True, False]


def test_nobody_to_ask() -> None:
    """No server, no answers."""
    assert ask_all(ask, [], NAME, TXT) == []


@pytest.mark.parametrize(
    ("server", "expected"),
    [
        (Server(address="192.0.2.1", name="ns1.example.org"), "ns1.example.org (192.0.2.1)"),
        (Server(address="192.0.2.53"), "192.0.2.53"),
        (Server(address="127.0.0.1", port=5353), "127.0.0.1:5353"),
        (Server(address="::1", port=5353), "[::1]:5353"),
    ],
)
def test_server_in_a_sentence(server: Server, expected: str) -> None:
    """A name server is named with its address, a resolver by its address alone."""
    assert str(server) == expected
