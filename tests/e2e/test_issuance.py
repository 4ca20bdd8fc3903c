"""`exoproxy cert` in a world of real servers: one attempt after the other, and what it leaves.

The host is the UAP's, so that each certificate takes two values at one name. What may go wrong at
the authority is in `test_issue`, what a serving process makes of it all in `test_certificates`.
"""

import subprocess
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml
from cryptography import x509

from acme_world import CHALLENGES_ZONE, NEEDS, RECORDS, World, acme_world
from cloudflare_api import Permissions
from deployment import MAIN_NAME, UAP_NAME, Start
from name_servers import NameServer, name_server, silent_server

pytestmark = pytest.mark.needs(*NEEDS)

CHALLENGE = f"_acme-challenge.{UAP_NAME}"
NAMES = [f"*.{UAP_NAME}", UAP_NAME]
SECONDS = 10

Run = Callable[..., subprocess.CompletedProcess[str]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Host:
    """A host of the UAP in a world: its configuration, its store, and the operator's commands."""

    world: World
    configuration: Path
    store: Path
    run: Run

    def cert(self, *words: str) -> list[str]:
        """Return the lines that `exoproxy cert` says; it must not fail."""
        done = self.run("cert", *words, "--config", str(self.configuration))

        assert done.returncode == 0, done.stderr
        return done.stderr.splitlines()

    def cert_fails(self, *words: str) -> list[str]:
        """Return the lines that `exoproxy cert` says; it must fail."""
        done = self.run("cert", *words, "--config", str(self.configuration))

        assert done.returncode == 1, done.stderr
        return done.stderr.splitlines()

    def chain(self) -> list[x509.Certificate]:
        """Return what is to be served: the leaf, and what vouches for it."""
        content = (self.store / "live" / UAP_NAME / "fullchain.pem").read_bytes()
        return x509.load_pem_x509_certificates(content)

    def accounts(self) -> list[Path]:
        """Return the accounts in the store."""
        return sorted(path.parent for path in self.store.glob("accounts/**/private_key.json"))


def host_in(world: World, folder: Path, run: Run, **changes: Any) -> Host:
    """Return a host with an empty store; `changes` are those of the world's `settings`."""
    store = folder / "store"
    region = {"hostname": UAP_NAME, "subnets": ["127.0.0.2/31"]}
    uap = {"allowed_origins": [f"https://{MAIN_NAME}"], "regions": {"Here": region}}
    configuration = folder / "exoproxy.yaml"
    content = {"acme": world.settings(**{"store": str(store), **changes}), "uap": uap}
    configuration.write_text(yaml.safe_dump(content), "utf-8")
    return Host(world=world, configuration=configuration, store=store, run=run)


@pytest.fixture
def host(world: World, tmp_path: Path, run_exoproxy: Run) -> Host:
    """A host in the world without faults."""
    return host_in(world, tmp_path, run_exoproxy)


@pytest.fixture(scope="module")
def lagging(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[World, NameServer]]:
    """A world whose zones name a second server, which hears of no change."""
    with (
        name_server(tmp_path_factory.mktemp("lagging"), RECORDS) as second,
        acme_world(tmp_path_factory.mktemp("world"), other_name_servers=[second.address]) as world,
    ):
        yield world, second


@pytest.mark.parametrize("provider", ["cloudflare", "rfc2136"])
def test_new_certificate(world: World, tmp_path: Path, run_exoproxy: Run, provider: str) -> None:
    """An empty store gets a certificate for host and wildcard, once; no TXT record is left."""
    host = host_in(world, tmp_path, run_exoproxy, provider=provider)
    host.cert("issue")
    leaf, *issuers = host.chain()
    orders = len(world.front.new_orders)
    again = host.cert("issue")

    assert names_of(leaf) == NAMES
    assert ends_in(world, leaf, *issuers)
    assert world.name_server.left() == {}
    assert len(world.front.new_orders) == orders
    assert again[-1].startswith(f"{UAP_NAME}: There is a certificate already")


def test_challenge_in_another_zone(host: Host) -> None:
    """Where a CNAME sends the challenge to another zone, both values are written there."""
    world = host.world
    calls = len(world.cloudflare.calls)
    world.name_server.add(CHALLENGE, "CNAME", f"proxy.{CHALLENGES_ZONE}.")
    try:
        host.cert("issue")
    finally:
        world.name_server.delete(CHALLENGE, "CNAME")
    zone = world.cloudflare.zones[CHALLENGES_ZONE]
    written = [each.path for each in world.cloudflare.calls[calls:] if each.method == "POST"]

    assert written == [f"/client/v4/zones/{zone}/dns_records"] * 2
    assert world.name_server.left() == {}


def test_record_whose_answer_was_lost(host: Host) -> None:
    """Cloudflare says that the record exists already (81058), which is as good as written."""
    host.world.cloudflare.lose_answers("POST")
    host.cert("issue")

    assert host.world.name_server.left() == {}


def test_rehearsal(world: World, tmp_path: Path, run_exoproxy: Run) -> None:
    """The staging authority issues for trial; nothing but an account there is kept."""
    elsewhere = {"directory": "https://127.0.0.1:1/dir"}
    staging = {"staging_directory": world.front.directory, "ca_file": str(world.front.ca_file)}
    host = host_in(world, tmp_path, run_exoproxy, **elsewhere, **staging)
    said = host.cert("issue", "--staging")

    assert said[-1].endswith("which was only a trial: all is well")
    assert len(host.accounts()) == 1
    assert list(host.store.glob("archive/*/*")) == []
    assert world.name_server.left() == {}


def test_rejected_nonces(tmp_path: Path, run_exoproxy: Run) -> None:
    """A third of all requests being refused for their nonce only makes it slower."""
    with acme_world(tmp_path / "world", nonces_rejected=30) as world:
        host_in(world, tmp_path, run_exoproxy).cert("issue")


def test_silent_name_server(tmp_path: Path, run_exoproxy: Run) -> None:
    """A server of the zone that never answers is no obstacle while another one does."""
    with (
        silent_server() as silent,
        acme_world(tmp_path / "world", other_name_servers=[silent]) as world,
    ):
        host_in(world, tmp_path, run_exoproxy).cert("issue")


def test_no_name_server_within_reach(tmp_path: Path, run_exoproxy: Run) -> None:
    """Where port 53 is blocked, it is waited for a while, and then the authority is asked."""
    with (
        silent_server() as silent,
        acme_world(tmp_path / "world", other_name_servers=[silent], hidden=True) as world,
    ):
        dns = {**world.settings()["dns"], "propagation_timeout": 3}
        said = host_in(world, tmp_path, run_exoproxy, dns=dns).cert("issue")

        assert any("port 53 may be blocked" in line for line in said)
        assert world.name_server.left() == {}


def test_lagging_name_server(
    lagging: tuple[World, NameServer], tmp_path: Path, run_exoproxy: Run
) -> None:
    """The authority is told to look when the last server of the zone has both values."""
    world, second = lagging
    host = host_in(world, tmp_path, run_exoproxy)
    with ThreadPoolExecutor() as pool:
        issuing = pool.submit(host.cert, "issue")
        written = values(world, 2)
        # The whole issuance takes less where nobody lags.
        time.sleep(2)
        unanswered = world.front.payloads("challenge")
        catch_up(second, written)
        issuing.result()
    second.delete(CHALLENGE, "TXT")

    assert unanswered == []
    assert world.name_server.left() == {}


def test_name_server_that_lags_for_too_long(
    lagging: tuple[World, NameServer], tmp_path: Path, run_exoproxy: Run
) -> None:
    """The sentence names the server, nothing is left in DNS, and the back-off is kept."""
    world, second = lagging
    settings = world.settings()
    dns = {**settings["dns"], "propagation_timeout": 1}
    host = host_in(world, tmp_path, run_exoproxy, dns=dns)
    said = host.cert_fails("issue")
    orders = len(world.front.new_orders)
    host.cert("renew", "--if-due")

    assert second.address in said[-1]
    assert world.name_server.left() == {}
    assert len(world.front.new_orders) == orders


def test_sigterm(
    lagging: tuple[World, NameServer], tmp_path: Path, run_exoproxy: Run, start_exoproxy: Start
) -> None:
    """Told to end, it takes its records with it."""
    world, _ = lagging
    host = host_in(world, tmp_path, run_exoproxy)
    process = start_issuing(host, start_exoproxy)
    values(world, 2)
    process.terminate()
    process.wait(SECONDS)

    assert world.name_server.left() == {}


def test_sigkill(
    lagging: tuple[World, NameServer], tmp_path: Path, run_exoproxy: Run, start_exoproxy: Start
) -> None:
    """What a killed process left in DNS is taken away by the next one, which succeeds."""
    world, second = lagging
    host = host_in(world, tmp_path, run_exoproxy)
    process = start_issuing(host, start_exoproxy)
    left = values(world, 2)
    process.kill()
    process.wait(SECONDS)
    with ThreadPoolExecutor() as pool:
        issuing = pool.submit(host.cert, "issue")
        written = values(world, 2, other_than=left)
        catch_up(second, written)
        issuing.result()
    second.delete(CHALLENGE, "TXT")

    assert world.name_server.left() == {}
    assert names_of(host.chain()[0]) == NAMES


def test_two_processes_at_once(host: Host) -> None:
    """The second waits for the first, finds what it got, and orders nothing."""
    orders = len(host.world.front.new_orders)
    with ThreadPoolExecutor() as pool:
        for done in [pool.submit(host.cert, "issue") for _ in range(2)]:
            done.result()

    assert len(host.world.front.new_orders) == orders + 1
    assert len(host.accounts()) == 1


@pytest.mark.parametrize(
    ("permissions", "words"),
    [
        (None, "token"),
        (Permissions(zones=frozenset({CHALLENGES_ZONE})), "example.org"),
        (Permissions(zone_read=False), "zone_id"),
        (Permissions(dns_edit=False), "Edit"),
    ],
    ids=["unknown token", "token without the zone", "no Zone:Read", "no DNS:Edit"],
)
def test_token_that_does_not_do(host: Host, permissions: Permissions | None, words: str) -> None:
    """No order is made; one sentence says what to do and never the token; the back-off is kept."""
    world = host.world
    token, allowed = world.cloudflare.tokens.popitem()
    world.cloudflare.tokens.update({} if permissions is None else {token: permissions})
    orders = len(world.front.new_orders)
    try:
        said = host.cert_fails("issue")
        calls = len(world.cloudflare.calls)
        host.cert("renew", "--if-due")
    finally:
        world.cloudflare.tokens = {token: allowed}

    assert words in said[-1]
    assert token not in "".join(said)
    assert len(world.front.new_orders) == orders
    assert len(world.cloudflare.calls) == calls
    assert world.name_server.left() == {}


@pytest.mark.needs("certbot")
def test_certbot_goes_on_with_our_tree(host: Host) -> None:
    """certbot lists what exoproxy got, and renews it with the same account."""
    host.cert("issue")
    ours = host.chain()[0]
    listed = host.world.certbot(host.store, "certificates")
    # exoproxy looks at the name servers instead of waiting, and has no number to leave to certbot.
    at_once = ("--dns-cloudflare-propagation-seconds", "0")
    host.world.certbot(host.store, "renew", "--force-renewal", *at_once)

    assert f"Certificate Name: {UAP_NAME}\n" in listed
    assert f"Serial Number: {ours.serial_number:x}\n" in listed
    assert host.chain()[0] != ours
    assert names_of(host.chain()[0]) == NAMES
    assert len(host.accounts()) == 1


def start_issuing(host: Host, start: Start) -> "subprocess.Popen[bytes]":
    """Start `cert issue`; returns when it is about to write records."""
    configuration = str(host.configuration)
    process, _ = start("cert", "issue", "--config", configuration, says="Writing")
    return process


def values(world: World, count: int, *, other_than: list[str] | None = None) -> list[str]:
    """Return the values at the challenge's name once there are that many, and others."""
    deadline = time.monotonic() + SECONDS
    while len(found := world.name_server.txt(CHALLENGE)) != count or found == other_than:
        assert time.monotonic() < deadline, found
        time.sleep(0.02)
    return found


def catch_up(server: NameServer, written: list[str]) -> None:
    """Let a server that lags have the values at last."""
    for value in written:
        server.add(CHALLENGE, "TXT", f'"{value}"')


def names_of(certificate: x509.Certificate) -> list[str]:
    """Return the DNS names of a certificate, sorted."""
    extension = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName)
    return sorted(extension.value.get_values_for_type(x509.DNSName))


def ends_in(world: World, *chain: x509.Certificate) -> bool:
    """Tell whether each certificate is signed by the next one, the last by the authority's root."""
    root = x509.load_pem_x509_certificate(world.root_file.read_bytes())
    for certificate, issuer in zip(chain, [*chain[1:], root], strict=True):
        certificate.verify_directly_issued_by(issuer)
    return True
