"""From settings to sites: what was configured becomes values that decide.

`service` serves what is made here, `explain` asks it questions.
"""

from collections.abc import Container
from ipaddress import IPv4Address, IPv6Address
from pathlib import Path

from exoproxy.client.tree import Tree
from exoproxy.learned.learning import Learned
from exoproxy.main import CloudProxy, MainSite
from exoproxy.pages.routes import routes
from exoproxy.rules.cors import Mode, Origins
from exoproxy.rules.egress import AllowList, Policy
from exoproxy.settings.load import state_dir
from exoproxy.settings.model import Settings
from exoproxy.settings.sites import Main, Proxy, Region, Uap
from exoproxy.uap import CookieEdits, UapSite

OwnAddresses = Container[IPv4Address | IPv6Address]


def main_site(main: Main, own: OwnAddresses, learned: Learned | None = None) -> MainSite:
    """Return the main host's site; `own` are the addresses of this machine.

    `learned` is what outlives the site: without it, it learns nothing.
    """
    proxy = None if main.proxy is None else cloud_proxy(main, main.proxy, own, learned)
    return MainSite(
        hostname=main.hostname,
        tree=Tree(main.client.root, main.client.overrides),
        origins=Origins.parse(
            main.allowed_origins, development=Mode.MAIN if main.development_origins else None
        ),
        proxy=proxy,
        pages=routes(main),
    )


def cloud_proxy(
    main: Main, proxy: Proxy, own: OwnAddresses, learned: Learned | None = None
) -> CloudProxy:
    """Return what the Cloud CORS Proxy may do.

    Only the ports that this service listens on are refused at its own addresses: an API may well
    run on the same machine.
    """
    listening = [*main.listen, *main.redirect_listen]
    if main.admin_listen is not None:
        listening.append(main.admin_listen)
    return CloudProxy(
        path=proxy.path,
        allow=AllowList.parse(str(pattern) for pattern in proxy.allow),
        any_public=proxy.allow_any_public,
        policy=Policy(
            networks=proxy.networks,
            public=True,
            own=own,
            own_ports=frozenset(address.port for address in listening),
        ),
        verify=proxy.verify,
        merge_slashes=proxy.merge_slashes,
        compress=proxy.compress,
        learned=learned if proxy.learn_endpoints else None,
    )


def learned_file(settings: Settings, main: Main) -> Path:
    """Return the file of the endpoints that the main host has learned."""
    return state_dir(settings) / "learned" / f"{main.hostname}.json"


def uap_site(
    uap: Uap, region: Region, own: OwnAddresses, cookies: CookieEdits | None = None
) -> UapSite:
    """Return the site of a region's UAP; `cookies` goes on counting from a site before it."""
    return UapSite(
        hostname=region.hostname,
        policy=instance_policy(region, own),
        origins=Origins.parse(
            uap.allowed_origins, development=Mode.UAP if uap.development_origins else None
        ),
        cookies=cookies,
    )


def instance_policy(region: Region, own: OwnAddresses) -> Policy:
    """Return which instances may be dialled; this machine itself never is, on any port."""
    return Policy(
        networks=region.subnets,
        public=False,
        ports=tuple(range(ports.first, ports.last + 1) for ports in region.ports),
        own=_Either(own, frozenset(region.own_addresses)),
    )


class _Either:
    """The addresses of two containers."""

    def __init__(self, one: OwnAddresses, other: OwnAddresses) -> None:
        self._one = one
        self._other = other

    def __contains__(self, address: object) -> bool:
        return address in self._one or address in self._other


def region_of(settings: Settings, name: str) -> Region:
    """Return the settings of a region that is known to be there."""
    if settings.uap is None:
        raise KeyError(name)
    return settings.uap.regions[name]
