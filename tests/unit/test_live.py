"""What the world answers, by a network that is made up, and by sockets on loopback."""

import socket
import ssl
from collections.abc import Iterator
from dataclasses import dataclass, field
from ipaddress import ip_address
from threading import Thread
from typing import Any

import pytest

from exoproxy.live import Finding, IPAddress, System, findings
from exoproxy.net.sockets import ListenError
from exoproxy.settings.addresses import ListenAddress
from exoproxy.settings.model import Settings


@dataclass
class Pretended:
    """A network in which `names` have addresses, `taken` ports a reason, `peers` an error."""

    names: dict[str, list[str]] = field(default_factory=dict)
    taken: dict[str, str] = field(default_factory=dict)
    errors: dict[str, OSError] = field(default_factory=dict)
    dialled: list[tuple[str, int, str]] = field(default_factory=list)
    contexts: list[ssl.SSLContext] = field(default_factory=list)

    def resolve(self, host: str) -> list[IPAddress]:
        if host not in self.names:
            raise socket.gaierror(-2, "Name or service not known")
        return [ip_address(each) for each in self.names[host]]

    def listen(self, listener: ListenAddress) -> None:
        if reason := self.taken.get(str(listener)):
            raise ListenError(f"{listener}: {reason}")

    def shake_hands(self, address: IPAddress, port: int, name: str, context: ssl.SSLContext) -> str:
        self.dialled.append((str(address), port, name))
        self.contexts.append(context)
        if error := self.errors.get(name):
            raise error
        return "TLSv1.3"


NAME = "keystone.example.org"


def proxy(**keys: Any) -> Settings:
    return Settings.model_validate(
        {
            "main": {
                "hostname": "my.example.org",
                "listen": ["127.0.0.1:443"],
                "redirect_listen": [],
                "admin_listen": None,
                "certificate": "local",
                "proxy": {"allow": [f"{NAME}:5000"], **keys},
            }
        }
    )


def upstream(network: Pretended, **keys: Any) -> Finding:
    """Return what is found about the only upstream."""
    [*_, finding] = findings(proxy(**keys), network)
    return finding


def test_tries_names_listeners_and_upstreams() -> None:
    """Everything is tried once, and told in the order of the configuration."""
    settings = Settings.model_validate(
        {
            "main": {
                "hostname": "my.example.org",
                "proxy": {"allow": [f"{NAME}:5000", "*.example.org", "glance.example.org"]},
            },
            "uap": {
                "allowed_origins": [],
                "regions": {"X": {"hostname": "proxy.example.org", "subnets": ["192.168.0.0/24"]}},
            },
        }
    )
    network = Pretended(names={NAME: ["8.8.8.8"], "glance.example.org": ["8.8.4.4", "2600::1"]})
    found = list(findings(settings, network))

    assert [each.subject for each in found] == [
        "my.example.org",
        "proxy.example.org",
        "exoproxy-check.proxy.example.org",
        "0.0.0.0:443",
        "[::]:443",
        "0.0.0.0:80",
        "[::]:80",
        "127.0.0.1:9180",
        "127.0.0.1:9181",
        f"{NAME}:5000",
        "glance.example.org",
        "acme.dns.token_file",
    ]
    assert [each.subject for each in found if not each.ok] == [
        "my.example.org",
        "proxy.example.org",
        "exoproxy-check.proxy.example.org",
    ]
    assert network.dialled == [("8.8.8.8", 5000, NAME)]


def test_goes_on_after_a_name_without_an_address() -> None:
    """A name that the DNS does not know is a finding, not the end."""
    first, *rest = findings(proxy(), Pretended())

    assert first == Finding(
        ok=False,
        subject="my.example.org",
        sentence="has no address in the DNS (Name or service not known); add an A or AAAA record",
    )
    assert len(rest) == 2


@pytest.mark.parametrize(
    ("reason", "ok"),
    [("nginx (process 812) listens there already", False), ("exoproxy (process 1) listens", True)],
)
def test_tells_who_has_a_port(reason: str, ok: bool) -> None:
    """A foreign process is in the way; the running service is not."""
    network = Pretended(taken={"127.0.0.1:443": reason})
    [_, finding, _] = findings(proxy(), network)

    assert finding == Finding(ok=ok, subject="127.0.0.1:443", sentence=reason)


@pytest.mark.parametrize(
    "addresses",
    [
        ["127.0.0.1"],
        ["8.8.8.8", "10.0.0.5"],
        ["169.254.169.254"],
        ["::ffff:10.0.0.5"],
        ["64:ff9b::7f00:1"],
    ],
    ids=repr,
)
def test_dials_no_address_that_the_proxy_refuses(addresses: list[str]) -> None:
    """One refused address of several is enough, as at /proxy."""
    network = Pretended(names={NAME: addresses})
    finding = upstream(network)

    assert not finding.ok
    assert "which /proxy refuses" in finding.sentence
    assert network.dialled == []


def test_dials_a_listed_network() -> None:
    """A private network is dialled where the configuration lists it."""
    network = Pretended(names={NAME: ["10.0.0.5"]})

    assert upstream(network, networks=["10.0.0.0/24"]).ok
    assert network.dialled == [("10.0.0.5", 5000, NAME)]


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (
            ConnectionRefusedError(111, "Connection refused"),
            "8.8.8.8 does not answer (Connection r",
        ),
        (TimeoutError("timed out"), "8.8.8.8 does not answer (timed out)"),
        (ssl.SSLError(1, "[SSL: WRONG_VERSION_NUMBER]"), "completes no TLS handshake (WRONG"),
        (ssl.SSLCertVerificationError(1, "x"), "its certificate can't be verified"),
    ],
    ids=repr,
)
def test_tells_how_an_upstream_fails(error: OSError, expected: str) -> None:
    """Each way to fail has its sentence."""
    if isinstance(error, ssl.SSLError):
        error.reason = "WRONG_VERSION_NUMBER"
    if isinstance(error, ssl.SSLCertVerificationError):
        error.verify_message = "self-signed certificate"
    finding = upstream(Pretended(names={NAME: ["8.8.8.8"]}, errors={NAME: error}))

    assert not finding.ok
    assert finding.sentence.startswith(expected)


@pytest.mark.parametrize(("verify", "mode"), [(True, ssl.CERT_REQUIRED), (False, ssl.CERT_NONE)])
def test_verifies_as_the_proxy_does(verify: bool, mode: ssl.VerifyMode) -> None:
    """What /proxy would refuse is refused, what it would take is taken."""
    network = Pretended(names={NAME: ["8.8.8.8"]})
    upstream(network, verify=verify)

    assert [each.verify_mode for each in network.contexts] == [mode]


def test_tells_a_wrong_trust_file() -> None:
    """Without its trust no upstream can be tried."""
    finding = upstream(Pretended(), ca_file="/nonexistent/ca.pem")

    assert (finding.ok, finding.subject) == (False, "main.proxy.ca_file")


def test_a_switched_off_proxy_has_no_upstreams() -> None:
    """Nothing is dialled for `proxy: null`."""
    settings = Settings.model_validate({"main": {"hostname": "my.example.org", "proxy": None}})
    network = Pretended()
    list(findings(settings, network))

    assert network.dialled == []


@pytest.fixture(name="port")
def listening_port() -> Iterator[int]:
    """Yield a port on loopback where something listens that speaks no TLS."""
    with socket.create_server(("127.0.0.1", 0)) as server:

        def answer() -> None:
            try:
                peer, _ = server.accept()
            except OSError:
                return
            with peer:
                peer.recv(1024)
                peer.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")

        thread = Thread(target=answer)
        thread.start()
        yield server.getsockname()[1]
        server.shutdown(socket.SHUT_RDWR)
        thread.join()


def test_the_system_listens(port: int) -> None:
    """A taken port is told with its holder; a free one is left free."""
    with pytest.raises(ListenError, match=f"127.0.0.1:{port}"):
        System().listen(ListenAddress.parse(f"127.0.0.1:{port}"))
    with socket.create_server(("127.0.0.1", 0)) as server:
        free = server.getsockname()[1]
    listener = ListenAddress.parse(f"127.0.0.1:{free}")
    System().listen(listener)
    System().listen(listener)


def test_the_system_resolves() -> None:
    """An address is its own answer, once."""
    assert System().resolve("127.0.0.1") == [ip_address("127.0.0.1")]


def test_the_system_shakes_hands(port: int) -> None:
    """A peer without TLS is an SSLError, in bounded time."""
    with pytest.raises(ssl.SSLError):
        System().shake_hands(
            ip_address("127.0.0.1"), port, "localhost", ssl.create_default_context()
        )
