"""`exoproxy cert` in a world of real servers: one attempt after the other, and what it leaves.

The host is the UAP's, so that each certificate takes two values at one name. What may go wrong at
the authority is in `test_issue`, what a serving process makes of it all in `test_certificates`.
"""

import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509

from acme_world import CHALLENGES_ZONE, NEEDS, RECORDS, World, acme_world
from deployment import UAP_NAME
from issuing_host import IssuingHost
from name_servers import NameServer, name_server, silent_server

pytestmark = pytest.mark.needs(*NEEDS)

CHALLENGE = f"_acme-challenge.{UAP_NAME}"
NAMES = [f"*.{UAP_NAME}", UAP_NAME]
SECONDS = 10


def host_in(world: World, folder: Path, **changes: Any) -> IssuingHost:
    """Return a host with an empty store; `changes` are those of its configuration."""
    host = IssuingHost(world=world, folder=folder)
    host.configure(**changes)
    return host


@pytest.fixture
def host(world: World, tmp_path: Path) -> IssuingHost:
    """A host in the world without faults."""
    return host_in(world, tmp_path)


@pytest.fixture(scope="module")
def lagging(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[World, NameServer]]:
    """A world whose zones name a second server, which hears of no change."""
    with (
        name_server(tmp_path_factory.mktemp("lagging"), RECORDS) as second,
        acme_world(tmp_path_factory.mktemp("world"), other_name_servers=[second.address]) as world,
    ):
        yield world, second


@pytest.mark.parametrize("provider", ["cloudflare", "rfc2136"])
def test_new_certificate(world: World, tmp_path: Path, provider: str) -> None:
    """An empty store gets a certificate for host and wildcard, once; no TXT record is left."""
    host = host_in(world, tmp_path, provider=provider)
    host.cert("issue")
    leaf = host.chain()[0]
    orders = len(world.front.new_orders)
    again = host.cert("issue")

    assert names_of(leaf) == NAMES
    assert host.verifies()
    assert world.name_server.left() == {}
    assert len(world.front.new_orders) == orders
    assert again[-1].startswith(f"{UAP_NAME}: There is a certificate already")


def test_challenge_in_another_zone(host: IssuingHost) -> None:
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


def test_record_whose_answer_was_lost(host: IssuingHost) -> None:
    """Cloudflare says that the record exists already (81058), which is as good as written."""
    host.world.cloudflare.lose_answers("POST")
    host.cert("issue")

    assert host.world.name_server.left() == {}


def test_rehearsal(world: World, tmp_path: Path) -> None:
    """The staging authority issues for trial; nothing but an account there is kept."""
    elsewhere = {"directory": "https://127.0.0.1:1/dir"}
    staging = {"staging_directory": world.front.directory, "ca_file": str(world.front.ca_file)}
    host = host_in(world, tmp_path, **elsewhere, **staging)
    said = host.cert("issue", "--staging")

    assert said[-1].endswith("which was only a trial: all is well")
    assert len(host.accounts()) == 1
    assert list(host.store.folder.glob("archive/*/*")) == []
    assert world.name_server.left() == {}


def test_rejected_nonces(tmp_path: Path) -> None:
    """A third of all requests being refused for their nonce only makes it slower."""
    with acme_world(tmp_path / "world", nonces_rejected=30) as world:
        host_in(world, tmp_path).cert("issue")


def test_silent_name_server(tmp_path: Path) -> None:
    """A server of the zone that never answers is no obstacle while another one does."""
    with (
        silent_server() as silent,
        acme_world(tmp_path / "world", other_name_servers=[silent]) as world,
    ):
        host_in(world, tmp_path).cert("issue")


def test_no_name_server_within_reach(tmp_path: Path) -> None:
    """Where port 53 is blocked, it is waited for a while, and then the authority is asked."""
    with (
        silent_server() as silent,
        acme_world(tmp_path / "world", other_name_servers=[silent], hidden=True) as world,
    ):
        host = host_in(world, tmp_path, dns={"propagation_timeout": 3})
        said = host.cert("issue")

        assert any("port 53 may be blocked" in line for line in said)
        assert world.name_server.left() == {}


def test_lagging_name_server(lagging: tuple[World, NameServer], tmp_path: Path) -> None:
    """The authority is told to look when the last server of the zone has both values."""
    world, second = lagging
    host = host_in(world, tmp_path)
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
    lagging: tuple[World, NameServer], tmp_path: Path
) -> None:
    """The sentence names the server, nothing is left in DNS, and the back-off is kept."""
    world, second = lagging
    host = host_in(world, tmp_path, dns={"propagation_timeout": 1})
    said = host.cert_fails("issue")
    orders = len(world.front.new_orders)
    host.cert("renew", "--if-due")

    assert second.address in said[-1]
    assert world.name_server.left() == {}
    assert len(world.front.new_orders) == orders


def test_sigkill(lagging: tuple[World, NameServer], tmp_path: Path) -> None:
    """What a killed process left in DNS is taken away by the next one, which succeeds."""
    world, second = lagging
    host = host_in(world, tmp_path)
    process = host.start("issue")
    left = values(world, 2)
    host.kill(process)
    with ThreadPoolExecutor() as pool:
        issuing = pool.submit(host.cert, "issue")
        written = values(world, 2, other_than=left)
        catch_up(second, written)
        issuing.result()
    second.delete(CHALLENGE, "TXT")

    assert world.name_server.left() == {}
    assert names_of(host.chain()[0]) == NAMES


@pytest.mark.needs("certbot")
def test_certbot_goes_on_with_our_tree(host: IssuingHost) -> None:
    """certbot lists what exoproxy got, and renews it with the same account."""
    host.cert("issue")
    ours = host.chain()[0]
    listed = host.world.certbot(host.store.folder, "certificates")
    # exoproxy looks at the name servers instead of waiting, and has no number to leave to certbot.
    at_once = ("--dns-cloudflare-propagation-seconds", "0")
    host.world.certbot(host.store.folder, "renew", "--force-renewal", *at_once)

    assert f"Certificate Name: {UAP_NAME}\n" in listed
    assert f"Serial Number: {ours.serial_number:x}\n" in listed
    assert host.chain()[0] != ours
    assert names_of(host.chain()[0]) == NAMES
    assert len(host.accounts()) == 1


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
