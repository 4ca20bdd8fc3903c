"""The stand-in of Cloudflare's API is faithful: certbot and its plugin, unmodified, work with it.

What exoproxy does with the stand-in is then worth as much as what it does with the real one.
"""

from pathlib import Path

import pytest
from cryptography import x509

from acme_world import NEEDS, World
from deployment import UAP_NAME

pytestmark = pytest.mark.needs("certbot", *NEEDS)

NAMES = [f"*.{UAP_NAME}", UAP_NAME]


def test_certbot_issues_and_renews(world: World, tmp_path: Path) -> None:
    """A host with its wildcard gets a certificate and another, and no TXT record is left."""
    store = tmp_path / "letsencrypt"
    before = len(world.cloudflare.calls)
    world.certbot_issues(store, *NAMES)

    assert _names(store) == NAMES
    assert _created(world, before) == 2
    assert world.name_server.left() == {}

    first = (store / "live" / UAP_NAME / "cert.pem").read_bytes()
    world.certbot(store, "renew", "--force-renewal")

    assert _names(store) == NAMES
    assert (store / "live" / UAP_NAME / "cert.pem").read_bytes() != first
    assert _created(world, before) == 4
    assert world.name_server.left() == {}
    assert world.cloudflare.records == []


def _names(store: Path) -> list[str]:
    """Return the names of the certificate of the lineage."""
    content = (store / "live" / UAP_NAME / "cert.pem").read_bytes()
    extension = x509.load_pem_x509_certificate(content).extensions.get_extension_for_class(
        x509.SubjectAlternativeName
    )
    return sorted(extension.value.get_values_for_type(x509.DNSName))


def _created(world: World, since: int) -> int:
    """Return how many records were created: each name proves itself by its own."""
    return sum(call.method == "POST" for call in world.cloudflare.calls[since:])
