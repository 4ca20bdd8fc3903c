"""Records by signed updates: to a real knot, and to servers that answer what a test says."""

import base64
import contextlib
import itertools
import secrets
import socket
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace

import dns.exception
import dns.message
import dns.query
import dns.rcode
import dns.rdatatype
import dns.rrset
import dns.tsig
import pytest
from dns.rdtypes.ANY.TXT import TXT
from pydantic import SecretStr

from exoproxy.certs.dns.provider import Record
from exoproxy.certs.dns.rfc2136 import Rfc2136
from exoproxy.certs.dns.token import TsigKey
from exoproxy.certs.problem import IssuanceProblem
from ports import free_port

ZONE = "example.test"
NAME = f"_acme-challenge.proxy.{ZONE}"
FIRST = Record(zone=ZONE, name=NAME, value="first-value_0123456789")
SECOND = replace(FIRST, value='second "value\\ 0123456789')
START_SECONDS = 10

CONFIGURATION = """\
server:
  rundir: "{folder}"
  listen: "127.0.0.1@{port}"
  udp-workers: 1
  tcp-workers: 1
  background-workers: 1
log:
- target: stderr
  any: warning
database:
  storage: "{folder}/db"
key:
{keys}
acl:
- id: holder
  key: [{holders}]
  action: update
- id: other
  key: {other}
  action: update
  update-type: [A]
zone:
- domain: {zone}
  file: "{folder}/zone"
  acl: [holder, other]
  zonefile-sync: -1
  journal-content: none
"""
ZONE_FILE = f"""\
$ORIGIN {ZONE}.
@ 60 SOA ns admin 1 60 60 60 60
@ 60 NS ns
ns 60 A 127.0.0.1
"""


def key(name: str, algorithm: str = "hmac-sha256") -> TsigKey:
    secret = base64.b64encode(secrets.token_bytes(32)).decode()
    return TsigKey(name=name, algorithm=algorithm, secret=SecretStr(secret))


HOLDERS = {
    algorithm: key(f"holder-{algorithm}", algorithm)
    for algorithm in ("hmac-md5", "hmac-sha1", "hmac-sha224", "hmac-sha256", "hmac-sha512")
}
HOLDER = HOLDERS["hmac-sha256"]
OTHER = key("other")


@pytest.fixture(scope="module")
def port(tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    """The port of a knot that holds the zone."""
    folder, port = tmp_path_factory.mktemp("knot"), free_port()
    keys = [
        f"- id: {key.name}\n  algorithm: {key.algorithm}\n  secret: {key.secret.get_secret_value()}"
        for key in (*HOLDERS.values(), OTHER)
    ]
    configuration = CONFIGURATION.format(
        folder=folder,
        port=port,
        zone=ZONE,
        keys="\n".join(keys),
        other=OTHER.name,
        holders=", ".join(key.name for key in HOLDERS.values()),
    )
    (folder / "knot.conf").write_text(configuration, encoding="utf-8")
    (folder / "zone").write_text(ZONE_FILE, encoding="utf-8")
    process = subprocess.Popen(  # noqa: S603 - a program that the tests ask for
        ["knotd", "-c", str(folder / "knot.conf")],  # noqa: S607 - wherever it is installed
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
    )
    try:
        wait_for_zone(port)
        yield port
    finally:
        process.terminate()
        process.wait(START_SECONDS)


def wait_for_zone(port: int) -> None:
    deadline = time.monotonic() + START_SECONDS
    query = dns.message.make_query(ZONE, dns.rdatatype.SOA)
    while time.monotonic() < deadline:
        with contextlib.suppress(OSError):
            if dns.query.tcp(query, "127.0.0.1", port=port, timeout=1).answer:
                return
        time.sleep(0.02)
    pytest.fail("knot did not start")


@pytest.fixture
def provider(port: int) -> Rfc2136:
    return Rfc2136("127.0.0.1", port, HOLDER)


def values(port: int, name: str = NAME) -> list[str]:
    """Return the TXT values that the server has at a name."""
    query = dns.message.make_query(name, dns.rdatatype.TXT)
    answer = dns.query.tcp(query, "127.0.0.1", port=port, timeout=5)
    return sorted(
        b"".join(each.strings).decode()
        for rrset in answer.answer
        for each in rrset
        if isinstance(each, TXT)
    )


def problem_of(provider: Rfc2136, record: Record = FIRST) -> str:
    """Return why a record can't be published."""
    with pytest.raises(IssuanceProblem) as problem:
        provider.publish(record)
    return str(problem.value)


@pytest.mark.needs("knotd")
class TestKnot:
    """A real name server."""

    def test_values_share_a_name(self, port: int, provider: Rfc2136) -> None:
        """Two values stand beside each other, and removing one leaves the other."""
        first, second = provider.publish(FIRST), provider.publish(SECOND)

        assert values(port) == sorted([FIRST.value, SECOND.value])

        provider.remove(first)

        assert values(port) == [SECOND.value]

        provider.remove(second)

        assert values(port) == []

    def test_again(self, port: int, provider: Rfc2136) -> None:
        """A value that is there is as good as written, one that is not as good as removed."""
        provider.publish(FIRST)
        provider.publish(FIRST)

        assert values(port) == [FIRST.value]

        provider.remove(FIRST)
        provider.remove(FIRST)

        assert values(port) == []

    def test_other_types_stay(self, port: int, provider: Rfc2136) -> None:
        """Removing a value leaves what else is at its name."""
        record = replace(FIRST, name=f"ns.{ZONE}")
        provider.publish(record)
        provider.remove(record)
        query = dns.message.make_query(record.name, dns.rdatatype.A)

        assert dns.query.tcp(query, "127.0.0.1", port=port, timeout=5).answer

    def test_check(self, provider: Rfc2136) -> None:
        """The check of a zone that is served here passes."""
        provider.check(ZONE)

    @pytest.mark.parametrize("algorithm", HOLDERS)
    def test_algorithms(self, port: int, algorithm: str) -> None:
        """Each algorithm signs."""
        provider = Rfc2136("127.0.0.1", port, HOLDERS[algorithm])
        provider.publish(FIRST)
        provider.remove(FIRST)

        assert values(port) == []

    def test_name_of_the_server(self, port: int, monkeypatch: pytest.MonkeyPatch) -> None:
        """The server's name is resolved by the system, and its addresses are tried in turn."""

        def getaddrinfo(host: str, port: int, *_: object) -> list[object]:
            assert host == "ns.example.test"
            return [
                (socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, port))
                for address in ("127.0.0.9", "127.0.0.1")
            ]

        monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)
        provider = Rfc2136("ns.example.test", port, HOLDER)
        provider.publish(FIRST)
        provider.remove(FIRST)

    def test_unknown_key(self, port: int) -> None:
        """BADKEY: the server doesn't know the key's name; the check tells already."""
        provider = Rfc2136("127.0.0.1", port, key("stranger"))
        with pytest.raises(IssuanceProblem) as problem:
            provider.check(ZONE)

        assert str(problem.value) == (
            f"The name server 127.0.0.1:{port} does not know the key stranger for this while "
            f"looking at the zone {ZONE}: compare its name with the server's settings, and let the "
            "zone's settings there allow the key to update TXT records (BIND: update-policy or "
            "allow-update, Knot: an acl with action update)."
        )

    def test_wrong_secret(self, port: int) -> None:
        """BADSIG: the secrets differ."""
        assert problem_of(Rfc2136("127.0.0.1", port, key(HOLDER.name))) == (
            f"The name server 127.0.0.1:{port} and we do not sign alike while adding the TXT "
            f"record {NAME} in the zone {ZONE}: the secret or the algorithm of the key differs "
            "from the server's; copy the key from there again."
        )

    @pytest.mark.parametrize("days", [-2, 2])
    def test_clock(self, provider: Rfc2136, monkeypatch: pytest.MonkeyPatch, days: int) -> None:
        """BADTIME: a clock is wrong."""
        now = time.time() + days * 24 * 3600
        monkeypatch.setattr("dns.renderer.time.time", lambda: now)

        assert " has a clock that differs from ours by minutes while" in problem_of(provider)
        assert "`timedatectl`" in problem_of(provider)

    def test_no_right(self, port: int) -> None:
        """A key that passes the check may still not write TXT records; knot says BADKEY then."""
        provider = Rfc2136("127.0.0.1", port, OTHER)
        provider.check(ZONE)

        assert f"127.0.0.1:{port} does not know the key other for this while" in problem_of(
            provider
        )
        assert values(port) == []

    def test_other_zone(self, provider: Rfc2136) -> None:
        """A zone that the server does not serve has its sentence, at the check as at an update."""
        record = replace(FIRST, zone="other.test", name="_acme-challenge.other.test")
        with pytest.raises(IssuanceProblem) as problem:
            provider.check("other.test")

        assert "set acme.dns.server to " in problem_of(provider, record)
        assert "acme.dns.server" in str(problem.value)

    def test_below_the_apex(self, provider: Rfc2136) -> None:
        """A name within a zone is no zone."""
        with pytest.raises(IssuanceProblem, match="does not serve the zone ns"):
            provider.check(f"ns.{ZONE}")

    def test_name_outside_the_zone(self, port: int, provider: Rfc2136) -> None:
        """NOTZONE: the name is of another zone."""
        assert problem_of(provider, replace(FIRST, name="_acme-challenge.other.test")) == (
            f"The name server 127.0.0.1:{port} answered NOTZONE while adding the TXT record "
            f"_acme-challenge.other.test in the zone {ZONE}: the name is not in that zone on this "
            "server; look where the zone is delegated to."
        )


Answer = Callable[[dns.message.Message], bytes]


def answer_of(query: dns.message.Message, rcode: dns.rcode.Rcode, *, signed: bool = True) -> bytes:
    answer = dns.message.make_response(query)
    answer.set_rcode(rcode)
    if not signed:
        answer.tsig = None
        answer.keyring = None
    return answer.to_wire()


@contextmanager
def server(answer: Answer) -> Iterator[Rfc2136]:
    """Give the provider of a name server that answers one query as told."""
    keyring = dns.tsig.Key(
        HOLDER.name, base64.b64decode(HOLDER.secret.get_secret_value()), HOLDER.algorithm
    )

    def serve() -> None:
        connection, _ = listener.accept()
        with connection, connection.makefile("rb") as stream:
            length = int.from_bytes(stream.read(2))
            query = dns.message.from_wire(stream.read(length), keyring=keyring)
            content = answer(query)
            connection.sendall(len(content).to_bytes(2) + content)

    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=serve)
        thread.start()
        yield Rfc2136("127.0.0.1", listener.getsockname()[1], HOLDER, timeout=5)
        thread.join()


class TestAnswers:
    """What a name server may say, and what is no name server."""

    @pytest.mark.parametrize(
        ("rcode", "what_to_do"),
        [
            (dns.rcode.NOTAUTH, "it is not the zone's primary server; set acme.dns.server to that"),
            (dns.rcode.REFUSED, "set acme.dns.server to the zone's primary server, and let the "),
            (dns.rcode.NOTIMP, "it takes no updates; set acme.dns.server to one that does"),
            (dns.rcode.SERVFAIL, "its log says why, often that it can't write its journal"),
            (dns.rcode.FORMERR, "its log says why"),
        ],
    )
    def test_refusals(self, rcode: dns.rcode.Rcode, what_to_do: str) -> None:
        """Each answer that says no has its sentence."""
        with server(lambda query: answer_of(query, rcode)) as provider:
            problem = problem_of(provider)

        assert f" answered {dns.rcode.to_text(rcode)} while adding" in problem
        assert f": {what_to_do}" in problem

    def test_unsigned_refusal(self) -> None:
        """A no needs no signature."""
        with server(lambda query: answer_of(query, dns.rcode.REFUSED, signed=False)) as provider:
            assert " answered REFUSED while" in problem_of(provider)

    def test_unsigned_yes(self) -> None:
        """A yes without a signature is nobody's."""
        with server(lambda query: answer_of(query, dns.rcode.NOERROR, signed=False)) as provider:
            assert " answered without a signature while" in problem_of(provider)

    def test_not_authoritative(self) -> None:
        """A resolver that knows the zone from elsewhere doesn't pass the check."""

        def answer(query: dns.message.Message) -> bytes:
            known = dns.message.make_response(query)
            soa = dns.rrset.from_text(f"{ZONE}.", 60, "IN", "SOA", "ns. admin. 1 60 60 60 60")
            known.answer.append(soa)
            return known.to_wire()

        with (
            server(answer) as provider,
            pytest.raises(IssuanceProblem, match="does not serve the zone"),
        ):
            provider.check(ZONE)

    def test_answer_to_another_query(self) -> None:
        """An answer to a query that was not asked is none."""

        def answer(query: dns.message.Message) -> bytes:
            identity = (query.id + 1) % 2**16
            return identity.to_bytes(2) + answer_of(query, dns.rcode.REFUSED, signed=False)[2:]

        with server(answer) as provider:
            assert " gives no answer of a name server (BadResponse)" in problem_of(provider)

    def test_signature_is_never_passed_over(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """An answer that is signed is not read as an unsigned one, whatever is wrong with it."""

        def validate(*_: object) -> None:
            raise dns.exception.FormError

        with server(lambda query: answer_of(query, dns.rcode.NOERROR)) as provider:
            real = dns.tsig.validate
            calls = itertools.count()
            # The server, in this process, reads the query first.
            monkeypatch.setattr(
                dns.tsig, "validate", lambda *a: (validate if next(calls) else real)(*a)
            )

            assert " gives no answer of a name server (FormError)" in problem_of(provider)

    @pytest.mark.parametrize("content", [b"", b"HTTP/1.1 400 Bad Request\r\n\r\n", bytes(500)])
    def test_no_name_server(self, content: bytes) -> None:
        """Bytes that are no answer are told as such, and not shown."""
        with server(lambda _: content) as provider:
            problem = problem_of(provider)

        assert " gives no answer of a name server (" in problem
        assert "Bad Request" not in problem

    def test_silence(self) -> None:
        """A server that says nothing is given up."""
        with socket.create_server(("127.0.0.1", 0)) as listener:
            port = listener.getsockname()[1]
            problem = problem_of(Rfc2136("127.0.0.1", port, HOLDER, timeout=0.1))

        assert problem.startswith(f"The name server 127.0.0.1:{port} did not answer within 0 s")

    def test_nobody_there(self) -> None:
        """A port where nobody listens is told in the system's words."""
        port = free_port("::1")

        assert problem_of(Rfc2136("::1", port, HOLDER)).startswith(
            f"The name server [::1]:{port} can't be reached (Connection refused) while adding"
        )

    def test_unresolvable(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """The server's own name may be what is wrong."""

        def getaddrinfo(*_: object, **__: object) -> None:
            raise socket.gaierror(-2, "Name or service not known")

        monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)

        assert problem_of(Rfc2136("ns.example.test", 53, HOLDER)) == (
            "The name server's own name ns.example.test can't be resolved (Name or service not "
            f"known) while adding the TXT record {NAME} in the zone {ZONE}: write its address as "
            "acme.dns.server, or look at this host's resolver."
        )

    def test_secret_is_not_shown(self) -> None:
        """Neither the provider nor its key show the secret."""
        provider = Rfc2136("127.0.0.1", 53, HOLDER)
        secret = HOLDER.secret.get_secret_value()

        assert secret not in repr(provider)
        assert secret not in repr(HOLDER)
