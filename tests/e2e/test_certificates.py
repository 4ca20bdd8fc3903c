"""Both modes get their certificates by ACME: from an empty store, and in turn with certbot.

A real authority, real name servers, real processes; only Cloudflare's API is a stand-in.
"""

import asyncio
import ssl
import time
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509

from acme_world import NEEDS, World, acme_world
from deployment import MAIN_NAME, UAP_NAME, Deployment, Site, Start
from load import load
from peers import request, status_of, until

pytestmark = pytest.mark.needs(*NEEDS)

# From the start of the process to a chain that clients verify.
CERTIFIED_WITHIN = 15
# A process looks at its store every few seconds.
SOON = 15
# A renewal takes longer while every core is busy with handshakes.
RENEWED_WITHIN = 60
# Seconds that a certificate lives which is to be renewed during a test, and after how many the
# authority wants that (RFC 9773); by itself it would come after half of the life.
SHORT_LIFE = 600
WANTED_AFTER = 20

# What is asked for, with the status of its answer, and the names that the certificate must cover.
STATUSES = {"main": {MAIN_NAME: 200}, "uap": {UAP_NAME: 200, f"www.{UAP_NAME}": 404}}
NAMES = {"main": [MAIN_NAME], "uap": [f"*.{UAP_NAME}", UAP_NAME]}

Certified = Callable[..., Deployment]
Run = Callable[..., Any]


@pytest.fixture
def certified(world: World, tmp_path: Path, start_exoproxy: Start) -> Certified:
    """Both modes with certificates from the world; keywords are those of its `settings`."""

    return partial(deployment_in, world, tmp_path, start_exoproxy)


@pytest.mark.parametrize("provider", ["cloudflare", "rfc2136"])
@pytest.mark.parametrize("mode", ["main", "uap"])
async def test_empty_store(world: World, certified: Certified, mode: str, provider: str) -> None:
    """A mode answers at once, soon under a chain that verifies, and no TXT record is left."""
    site = start(certified(provider=provider), mode)
    started = time.monotonic()
    temporary = await certificate_of(site)
    statuses = {name: await status(site, name) for name in STATUSES[mode]}

    assert temporary.issuer == temporary.subject
    assert statuses == STATUSES[mode]

    await trusted(site, within=started + CERTIFIED_WITHIN - time.monotonic())

    assert names_of(await certificate_of(site)) == NAMES[mode]
    assert {name: await status(site, name) for name in STATUSES[mode]} == STATUSES[mode]
    await until(lambda: world.name_server.left() == {}, within=SOON)


async def test_http_01(world: World, certified: Certified) -> None:
    """The main host proves its name on port 80 as well, without a token of anybody's DNS."""
    calls = len(world.cloudflare.calls)
    deployment = certified(challenge="http-01")
    site = deployment.main(redirect_listen=[f"127.0.0.1:{world.pebble.http_port}"])
    await trusted(site, within=CERTIFIED_WITHIN)

    assert names_of(await certificate_of(site)) == [MAIN_NAME]
    assert len(world.cloudflare.calls) == calls


@pytest.mark.needs("certbot")
async def test_certbots_tree(
    world: World, certified: Certified, run_exoproxy: Run, tmp_path: Path
) -> None:
    """What certbot got is served from the first moment; whoever renews it, the new one is served.

    exoproxy goes on with certbot's account, and certbot with what exoproxy got.
    """
    store = tmp_path / "letsencrypt"
    await asyncio.to_thread(world.certbot_issues, store, *NAMES["uap"])
    account = accounts(store)
    site = start(certified(store=str(store)), "uap")
    theirs = await certificate_of(site)
    (await site.connect(UAP_NAME)).close()
    renewed = await asyncio.to_thread(
        run_exoproxy, "cert", "renew", UAP_NAME, "--config", str(site.configuration)
    )

    assert renewed.returncode == 0, renewed.stderr
    await changed(site, theirs)
    await trusted(site, within=SOON)
    assert accounts(store) == account
    assert world.name_server.left() == {}

    ours = await certificate_of(site)
    listed = await asyncio.to_thread(world.certbot, store, "certificates")
    await asyncio.to_thread(world.certbot, store, "renew", "--force-renewal")
    await changed(site, ours)

    assert f"Serial Number: {ours.serial_number:x}\n" in listed


async def test_renewal_under_load(tmp_path: Path, start_exoproxy: Start) -> None:
    """A certificate renews by itself: no handshake fails meanwhile, and a websocket stays open."""
    with acme_world(tmp_path / "world", life=SHORT_LIFE) as world:
        begins = datetime.now(UTC) + timedelta(seconds=WANTED_AFTER)
        world.front.window = (begins.isoformat(), (begins + timedelta(seconds=1)).isoformat())
        deployment = deployment_in(world, tmp_path, start_exoproxy)
        site = deployment.uap()
        await trusted(site, within=CERTIFIED_WITHIN)
        first = await certificate_of(site)
        hammered = load(site.port, site.hostname, site.trust, kept=False, clients=4)
        async with deployment.through(site) as way, hammered as made:
            client, there = await way.tunnel()
            await changed(site, first, within=WANTED_AFTER + RENEWED_WITHIN)
            (await site.connect(UAP_NAME)).close()
            client.send(b"ping")
            there.send(b"pong")

            assert await there.read(4) == b"ping"
            assert await client.read(4) == b"pong"

    assert made.failures == []
    assert made.answered > 100


def deployment_in(world: World, folder: Path, start: Start, **changes: Any) -> Deployment:
    """Return both modes with certificates from a world, with these keywords of its `settings`."""
    return Deployment(
        world.authority,
        folder,
        start,
        acme=world.settings(**changes),
        trusted=world.root_file,
    )


def start(deployment: Deployment, mode: str) -> Site:
    """Start a mode."""
    return deployment.main() if mode == "main" else deployment.uap()


async def certificate_of(site: Site) -> x509.Certificate:
    """Return the certificate that new connections get, whoever signed it."""
    client = await credulous(site).connect(site.hostname)
    found = client.writer.get_extra_info("ssl_object").getpeercert(binary_form=True)
    client.close()
    return x509.load_der_x509_certificate(found)


async def status(site: Site, name: str) -> int:
    """Return the status of the answer to `GET /`, whoever signed the certificate."""
    client = await credulous(site).connect(name)
    client.send(request(name))
    try:
        return status_of(await client.message())
    finally:
        client.close()


def credulous(site: Site) -> Site:
    """Return the site as seen by clients that verify nothing."""
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return replace(site, trust=context)


async def trusted(site: Site, *, within: float) -> None:
    """Wait until clients verify what all names of the site present."""
    async with asyncio.timeout(within):
        for name in STATUSES["main" if site.hostname == MAIN_NAME else "uap"]:
            while True:
                try:
                    (await site.connect(name)).close()
                    break
                except ssl.SSLCertVerificationError:
                    await asyncio.sleep(0.05)


async def changed(site: Site, before: x509.Certificate, *, within: float = SOON) -> None:
    """Wait until new connections get another certificate."""
    async with asyncio.timeout(within):
        while await certificate_of(site) == before:  # noqa: ASYNC110 - the process's doing
            await asyncio.sleep(0.05)


def names_of(certificate: x509.Certificate) -> list[str]:
    """Return the DNS names of a certificate, sorted."""
    extension = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName)
    return sorted(extension.value.get_values_for_type(x509.DNSName))


def accounts(store: Path) -> list[Path]:
    """Return the accounts that a store holds."""
    return sorted(path.parent for path in store.glob("accounts/**/private_key.json"))
