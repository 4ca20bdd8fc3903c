"""Does what runs here serve the certificate that is stored?

Only our own process is asked, at the address that it listens on: what answers at a public address
may be another host, and is none of ours to dial.
"""

from collections.abc import Iterator, Mapping
from hashlib import sha256
from ipaddress import ip_address
from typing import Final

from cryptography.hazmat.primitives.serialization import Encoding

from exoproxy.certs.inventory import inventory
from exoproxy.certs.probe import LOCAL_HEADER, Listener
from exoproxy.live.finding import Finding, failed, note, ok
from exoproxy.live.network import Network
from exoproxy.live.units import names
from exoproxy.settings.addresses import ListenAddress
from exoproxy.settings.model import Settings
from exoproxy.settings.sites import Main, Region

# What listens at all addresses is asked at the one that is always there.
_ANYWHERE: Final = {4: "127.0.0.1", 6: "::1"}


def findings(settings: Settings, network: Network) -> Iterator[Finding]:
    """Yield a finding for each mode that runs here; nothing for one that doesn't."""
    stored = {
        each.name: sha256(each.certificate.public_bytes(Encoding.DER)).hexdigest()
        for each in inventory(settings)
        if each.key and each.certificate
    }
    sites: list[Main | Region] = [settings.main] if settings.main else []
    sites += settings.uap.regions.values() if settings.uap else ()
    for site, unit in zip(sites, names(settings, "service"), strict=True):
        listener = site.listen[0]
        if any(holder.ours for holder in network.holders(listener.port)):
            yield from _of_site(site.hostname, listener, unit, stored, settings, network)


def _of_site(
    name: str,
    listen: ListenAddress,
    unit: str,
    stored: Mapping[str, str],
    settings: Settings,
    network: Network,
) -> Iterator[Finding]:
    address = listen.address
    asked = _ANYWHERE[address.version] if address.is_unspecified else str(address)
    header = b""
    if settings.proxy_protocol:
        if not any(ip_address(asked) in each for each in settings.trusted_proxies):
            yield note(
                name,
                f"can't be asked for its certificate from here, as {asked} is not in "
                "trusted_proxies and proxy_protocol is on",
            )
            return
        header = LOCAL_HEADER
    try:
        served = network.served(Listener(address=asked, port=listen.port, header=header), name)
    except OSError as error:
        yield failed(
            name,
            f"completes no TLS handshake at {listen} ({error.strerror or error}), though exoproxy "
            f"listens there: `journalctl -e -u {unit}` tells why",
        )
        return
    if served == stored.get(name):
        yield ok(name, "is served with the stored certificate")
    elif served in stored.values():
        # Another mode of the same file runs here, and this one on another host.
        return
    elif name not in stored:
        yield note(
            name,
            "is served with a temporary certificate, or one that this user can't see: `sudo "
            "exoproxy cert status` tells how far the real one is",
        )
    else:
        yield failed(
            name,
            f"is served with another certificate than the one that is stored: `systemctl reload "
            f"{unit}`, and see whether it is this host's process that has {listen}",
        )
