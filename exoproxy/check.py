"""What an operator should know about a valid configuration before users find it out.

Looks at the settings and at the files they name, and at nothing else: the network is `live`'s.
Called by `exoproxy check`.
"""

import os
import stat
from collections.abc import Iterator, Mapping
from datetime import datetime
from ipaddress import IPv4Network
from pathlib import Path
from typing import Any, Final

from exoproxy.certs.context import (
    CertificateProblem,
    key_warnings,
    read_certificate,
    server_context,
    warnings_of,
)
from exoproxy.certs.preflight import of_issuance
from exoproxy.client import configuration
from exoproxy.settings.addresses import ListenAddress
from exoproxy.settings.location import Location, dotted
from exoproxy.settings.model import Settings
from exoproxy.settings.part import Part, is_by_name, placeholder
from exoproxy.settings.sites import CertificateFiles, Main, Proxy, Region

# Wider than this no cloud's subnet of instances is; the prefix is the family's.
_WIDEST: Final = {4: 8, 6: 19}


def summary(path: Path, settings: Settings) -> str:
    """Return the sentence that says what the file configures."""
    parts = []
    if settings.main:
        parts.append(f"main host {settings.main.hostname}")
    if settings.uap:
        regions = settings.uap.regions
        parts.append(f"{'region' if len(regions) == 1 else 'regions'} {', '.join(regions)}")
    return f"{path} is valid: {', '.join(parts) or 'nothing to serve'}"


def warnings(settings: Settings, now: datetime) -> list[str]:
    """Return `KEY: sentence` for all that is valid and probably not meant; `now` is aware."""
    return list(_warnings(settings, now))


def _warnings(settings: Settings, now: datetime) -> Iterator[str]:
    if not settings.main and not settings.uap:
        yield "there is neither main nor uap, so no host can use this file"
    yield from _placeholders(settings, ())
    yield from of_issuance(settings, os.environ, now)
    regions: Mapping[str, Region] = settings.uap.regions if settings.uap else {}
    if main := settings.main:
        yield from _of_certificate(main, ("main",), [main.hostname], now)
        yield from _of_admin(main.admin_listen, ("main", "admin_listen"))
        yield from _of_client(main, regions)
        if main.proxy:
            yield from _of_proxy(main.proxy)
    for name, region in regions.items():
        here: Location = ("uap", "regions", name)
        names = [region.hostname, f"*.{region.hostname}"]
        yield from _of_certificate(region, here, names, now)
        yield from _of_admin(region.admin_listen, (*here, "admin_listen"))
        yield from _of_subnets(region, here)
        if main and (domain := _shared_domain(main.hostname, region.hostname)):
            yield (
                f"{dotted(here)}.hostname: shares {domain} with the main host, so pages of "
                f"instances can set cookies for it, unless {domain} is on the Public Suffix List; "
                "a domain of their own keeps them apart"
            )


def _placeholders(part: Part, here: Location) -> Iterator[str]:
    """Find what was copied from the example file and not edited."""
    written = part.model_dump(mode="json")
    for key, field in type(part).model_fields.items():
        value, there = getattr(part, key), (*here, key)
        if isinstance(value, Part):
            yield from _placeholders(value, there)
        elif is_by_name(field):
            for name, inner in value.items():
                yield from _placeholders(inner, (*there, name))
        elif _is_placeholder(written[key], placeholder(field)):
            yield f"{dotted(there)}: is still the example's; write your own"


def _is_placeholder(value: Any, example: Any) -> bool:
    # A subnet of instances may well be the example's; names that say "example" are nobody's.
    return value == example and "example" in str(example)


def _shared_domain(one: str, other: str) -> str:
    """Return the labels that both names end in, if they are two or more."""
    shared: list[str] = []
    for a, b in zip(reversed(one.split(".")), reversed(other.split(".")), strict=False):
        if a != b:
            break
        shared.insert(0, a)
    return ".".join(shared) if len(shared) > 1 else ""


def _of_certificate(
    site: Main | Region, here: Location, names: list[str], now: datetime
) -> Iterator[str]:
    key = f"{dotted(here)}.certificate"
    if isinstance(site.certificate, CertificateFiles):
        files = site.certificate
        try:
            server_context(files.cert_file, files.key_file)
        except CertificateProblem as problem:
            yield f"{key}: {problem}"
            return
        certificate = read_certificate(files.cert_file)
        for sentence in (*warnings_of(certificate, names, now), *key_warnings(files.key_file)):
            yield f"{key}: {sentence}"


def _of_admin(listener: ListenAddress | None, here: Location) -> Iterator[str]:
    if listener and not listener.address.is_loopback:
        yield (
            f"{dotted(here)}: {listener} is no loopback address, and the administration site asks "
            "for no password; see that a firewall keeps others out"
        )


def _of_client(main: Main, regions: Mapping[str, Region]) -> Iterator[str]:
    client = main.client
    try:
        is_folder = stat.S_ISDIR(_mode(client.root))
        folders = (client.root, client.overrides)
        is_client = any(stat.S_ISREG(_mode(each / "index.html")) for each in folders)
    except PermissionError as error:
        yield f"main.client: this user may not read {error.filename}, so it was not checked"
        return
    if not is_folder:
        yield (
            f"main.client.root: there is no folder {client.root}, so there is no client to serve; "
            "on the main host, `exoproxy client install` brings one"
        )
    elif not is_client:
        yield f"main.client.root: {client.root} has no index.html, so there is no client to serve"
    elif not os.access(client.root, os.R_OK | os.X_OK):
        yield f"main.client.root: {client.root} may not be read by this user"
    else:
        yield from configuration.warnings(main, regions)


def _mode(path: Path) -> int:
    """Return the mode of what a path leads to, 0 for nothing; raises PermissionError."""
    try:
        return os.stat(path).st_mode
    except PermissionError:
        raise
    except OSError:
        return 0


def _of_proxy(proxy: Proxy) -> Iterator[str]:
    if proxy.allow_any_public:
        yield (
            "main.proxy.allow_any_public: anyone who finds this host can send requests to any "
            "public address in its name"
        )
    if not proxy.verify:
        yield (
            "main.proxy.verify: is false, so whoever sits between this host and the cloud can read "
            "users' passwords; use ca_file for a private authority"
        )
    for index, pattern in enumerate(proxy.allow):
        if pattern.subdomains and "." not in pattern.host:
            yield (
                f"main.proxy.allow[{index}]: {pattern} holds every host below the top-level domain "
                f"{pattern.host}; name your cloud's domain, e.g. *.cloud.{pattern.host}"
            )


def _of_subnets(region: Region, here: Location) -> Iterator[str]:
    for index, network in enumerate(region.subnets):
        family = 4 if isinstance(network, IPv4Network) else 6
        if network.prefixlen < _WIDEST[family]:
            yield (
                f"{dotted(here)}.subnets[{index}]: {network} is much wider than a cloud's network; "
                "everyone can reach all hosts in it through this one"
            )
