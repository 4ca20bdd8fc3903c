"""What the world answers, by a network that is made up, and by sockets on loopback."""

import json
import socket
import ssl
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from http.server import BaseHTTPRequestHandler, HTTPServer
from ipaddress import ip_address
from pathlib import Path
from threading import Thread
from typing import Any

import pytest

from authority import Authority as Signer
from cloudflare_api import TOKEN, CloudflareApi
from exoproxy.certs.problem import IssuanceProblem
from exoproxy.live import Authority, Finding, IPAddress, System, findings
from exoproxy.net.sockets import ListenError
from exoproxy.settings.acme import Dns
from exoproxy.settings.addresses import ListenAddress
from exoproxy.settings.model import Settings
from exoproxy.settings.names import DnsServer
from name_server import START, NameServer
from ports import free_port

AUTHORITY = Authority(
    host="authority.example",
    profiles=("classic", "shortlived"),
    caa_identities=("authority.example",),
    needs_binding=False,
    clock_skew=-299.0,
)


@dataclass
class Pretended:
    """A network in which `names` have addresses, `taken` ports a reason, `peers` an error."""

    names: dict[str, list[str]] = field(default_factory=dict)
    taken: dict[str, str] = field(default_factory=dict)
    errors: dict[str, OSError] = field(default_factory=dict)
    dialled: list[tuple[str, int, str]] = field(default_factory=list)
    contexts: list[ssl.SSLContext] = field(default_factory=list)
    offer: Authority | str = AUTHORITY
    places: dict[str, tuple[str, str]] = field(default_factory=dict)
    closed_zones: set[str] = field(default_factory=set)
    forbids: set[str] = field(default_factory=set)
    asked: list[object] = field(default_factory=list)

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

    def authority(self, directory: str, ca_file: Path | None) -> Authority:
        self.asked.append((directory, ca_file))
        if isinstance(self.offer, str):
            raise IssuanceProblem(self.offer)
        return self.offer

    def place_of(self, name: str, dns: Dns) -> tuple[str, str]:
        if name not in self.places:
            raise IssuanceProblem("No DNS zone was found: check the name.")
        return self.places[name]

    def try_zone(self, zone: str, dns: Dns) -> None:
        if zone in self.closed_zones:
            raise IssuanceProblem("The token does not open it: make another.")

    def forbidden(
        self, name: str, identities: tuple[str, ...], challenge: str, dns: Dns
    ) -> str | None:
        self.asked.append((name, identities, challenge))
        return f"A CAA record of {name} is in the way: change it." if name in self.forbids else None


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
        "acme.directory",
        "_acme-challenge.my.example.org",
        "my.example.org",
        "_acme-challenge.proxy.example.org",
        "proxy.example.org",
    ]
    assert [each.subject for each in found if not each.ok] == [
        "my.example.org",
        "proxy.example.org",
        "exoproxy-check.proxy.example.org",
        "_acme-challenge.my.example.org",
        "_acme-challenge.proxy.example.org",
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


REGION = "proxy.example.org"
CHALLENGE = f"_acme-challenge.{REGION}"


def issuance(network: Pretended, **acme: Any) -> list[Finding]:
    """Return what is found about certificates, for a region with one by ACME."""
    region = {"hostname": REGION, "subnets": ["192.168.0.0/24"]}
    settings = Settings.model_validate(
        {"acme": acme, "uap": {"allowed_origins": [], "regions": {"X": region}}}
    )
    found = list(findings(settings, network))
    subjects = [each.subject for each in found]
    return found[subjects.index("acme.directory") :]


def ready(**changes: Any) -> Pretended:
    return Pretended(places={CHALLENGE: ("example.org", CHALLENGE)}, **changes)


def test_tries_what_an_order_needs() -> None:
    """The authority, the zone, CAA for each name; nothing is ordered."""
    network = ready()

    assert issuance(network, ca_file="/etc/ca.pem") == [
        Finding(ok=True, subject="acme.directory", sentence="authority.example answers"),
        Finding(ok=True, subject=CHALLENGE, sentence="can be written in the zone example.org"),
        Finding(
            ok=True,
            subject=REGION,
            sentence="has no CAA record that forbids authority.example",
        ),
    ]
    assert network.asked == [
        ("https://acme-v02.api.letsencrypt.org/directory", Path("/etc/ca.pem")),
        (REGION, ("authority.example",), "dns-01"),
        (f"*.{REGION}", ("authority.example",), "dns-01"),
    ]


def test_nothing_of_acme_is_tried_where_nobody_asks() -> None:
    """A certificate of another kind needs neither authority nor DNS provider."""
    network = Pretended()
    list(findings(proxy(), network))

    assert network.asked == []


def test_goes_on_without_the_authority() -> None:
    """The zone is tried all the same; whom CAA would have to allow is not known."""
    first, second = issuance(ready(offer="The authority is down: try later."))

    assert first == Finding(
        ok=False,
        subject="acme.directory",
        sentence="can't be used: The authority is down: try later.",
    )
    assert (second.ok, second.subject) == (True, CHALLENGE)


def test_tells_where_a_cname_leads() -> None:
    """A delegated challenge is tried in the zone that it is delegated to."""
    network = Pretended(places={CHALLENGE: ("dns.example", "proxy.dns.example")})
    [_, finding, _] = issuance(network)

    assert finding.sentence == (
        "can be written as proxy.dns.example, where its CNAME leads, in the zone dns.example"
    )


@pytest.mark.parametrize(
    ("network", "expected"),
    [
        (Pretended(), "can't be written: No DNS zone was found: check the name."),
        (ready(closed_zones={"example.org"}), "can't be written: The token does not open it: "),
    ],
    ids=["zone", "token"],
)
def test_tells_what_is_in_the_way_of_a_challenge(network: Pretended, expected: str) -> None:
    """A zone that can't be found, and one that can't be written."""
    [_, finding, _] = issuance(network)

    assert (finding.ok, finding.subject) == (False, CHALLENGE)
    assert finding.sentence.startswith(expected)


@pytest.mark.parametrize("name", [REGION, f"*.{REGION}"])
def test_tells_what_caa_forbids(name: str) -> None:
    """For the name and for the wildcard."""
    [*_, finding] = issuance(ready(forbids={name}))

    assert finding == Finding(
        ok=False,
        subject=REGION,
        sentence=f"gets none: A CAA record of {name} is in the way: change it.",
    )


@pytest.mark.parametrize(
    ("offer", "acme", "subject", "expected"),
    [
        ({}, {"profile": "tlsserver"}, "acme.profile", "which has classic, shortlived"),
        ({"profiles": ()}, {"profile": "shortlived"}, "acme.profile", "which has none"),
        ({"needs_binding": True}, {}, "acme.eab_key_id", "is missing, and authority.example"),
        ({"clock_skew": 172800.0}, {}, "clock", "is 2880 minutes ahead of that of authority"),
        ({"clock_skew": -301.0}, {}, "clock", "is 5 minutes behind that of authority.example"),
    ],
)
def test_tells_what_the_authority_would_refuse(
    offer: dict[str, Any], acme: dict[str, Any], subject: str, expected: str
) -> None:
    """Before it counts as a failed order."""
    [_, finding, *_] = issuance(ready(offer=replace(AUTHORITY, **offer)), **acme)

    assert (finding.ok, finding.subject) == (False, subject)
    assert expected in finding.sentence


@pytest.mark.parametrize(
    ("offer", "acme"),
    [
        ({}, {"profile": "shortlived"}),
        ({"needs_binding": True}, {"eab_key_id": "kid", "eab_key_file": "/etc/eab.key"}),
    ],
)
def test_takes_what_the_authority_offers(offer: dict[str, Any], acme: dict[str, Any]) -> None:
    """A profile on offer, and an account that is bound."""
    assert all(each.ok for each in issuance(ready(offer=replace(AUTHORITY, **offer)), **acme))


def test_http_01_is_not_tried_from_here() -> None:
    """What the internet reaches can't be seen from this host, so that it is said, not guessed."""
    settings = Settings.model_validate(
        {"acme": {"challenge": "http-01"}, "main": {"hostname": REGION, "proxy": None}}
    )
    [*_, finding, caa] = findings(settings, Pretended())

    assert finding.ok
    assert finding.sentence.startswith("not tried: whether port 80 is reached")
    assert caa.ok


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


def test_the_system_reads_a_directory(tmp_path: Path) -> None:
    """What the authority says of itself, and a sentence where nothing answers."""
    directory = {
        "newNonce": "https://127.0.0.1/nonce",
        "newAccount": "https://127.0.0.1/account",
        "newOrder": "https://127.0.0.1/order",
        "meta": {
            "profiles": {"classic": "Ninety days"},
            "caaIdentities": ["authority.example"],
            "externalAccountRequired": True,
        },
    }

    class Directory(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            content = json.dumps(directory).encode()
            self.send_response(200)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *_: Any) -> None:
            """Say nothing."""

    signer = Signer(tmp_path)
    with HTTPServer(("127.0.0.1", free_port()), Directory) as server:
        context = signer.serve("127.0.0.1")
        server.socket = context.wrap_socket(server.socket, server_side=True)
        server.timeout = 5
        url = f"https://127.0.0.1:{server.server_port}/directory"
        thread = Thread(target=server.handle_request)
        thread.start()
        try:
            found = System().authority(url, signer.file)
        finally:
            thread.join()

    assert (found.profiles, found.caa_identities) == (("classic",), ("authority.example",))
    assert found.needs_binding
    assert abs(found.clock_skew) < 5
    with pytest.raises(IssuanceProblem):
        System().authority(url, signer.file)


def test_the_system_tries_a_zone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With the token that the configuration names, at the API that it names."""
    monkeypatch.delenv("CREDENTIALS_DIRECTORY", raising=False)
    token = tmp_path / "token"
    token.write_text(TOKEN)
    with CloudflareApi({"example.org": "0" * 32}) as api:
        dns = Dns(token_file=token, api_url=api.url)
        System().try_zone("example.org", dns)
        with pytest.raises(IssuanceProblem, match=r"other\.example"):
            System().try_zone("other.example", dns)


def test_the_system_asks_the_configured_resolvers() -> None:
    """For the place of a challenge, and for CAA records."""
    server = NameServer({"example.org": START}, recurses=True)
    try:
        dns = Dns(resolvers=(DnsServer("127.0.0.1", server.port),))

        assert System().place_of(CHALLENGE, dns) == ("example.org", CHALLENGE)
        assert System().forbidden(f"*.{REGION}", ("a.example",), "dns-01", dns) is None
    finally:
        server.close()
