"""Are the addresses that are listened on free, or ours already; or else whose?"""

import errno
from collections.abc import Iterator

from exoproxy.certs.context import process_user
from exoproxy.live.finding import Finding, failed, note, ok
from exoproxy.live.network import Network
from exoproxy.live.units import names
from exoproxy.net.port_holder import Holder
from exoproxy.net.sockets import ListenError
from exoproxy.settings.addresses import ListenAddress
from exoproxy.settings.model import Settings
from exoproxy.settings.sites import Main, Region


def findings(settings: Settings, network: Network) -> Iterator[Finding]:
    """Yield a finding for each address that is listened on, by whatever mode."""
    sites: list[Main | Region] = [settings.main] if settings.main else []
    sites += settings.uap.regions.values() if settings.uap else ()
    # Regions live on hosts of their own and often listen alike.
    for listener in dict.fromkeys(each for site in sites for each in _listeners(site)):
        yield _of_listener(listener, settings, network)


def _listeners(site: Main | Region) -> list[ListenAddress]:
    admin = [site.admin_listen] if site.admin_listen else []
    return [*site.listen, *site.redirect_listen, *admin]


def _of_listener(listener: ListenAddress, settings: Settings, network: Network) -> Finding:
    subject = str(listener)
    try:
        network.listen(listener)
    except ListenError as error:
        cause = error.__cause__.errno if isinstance(error.__cause__, OSError) else None
        if cause == errno.EADDRINUSE:
            return _of_taken(listener, settings, network)
        if cause in (errno.EACCES, errno.EPERM):
            return _of_closed(listener, network)
        return failed(subject, str(error).removeprefix(f"{listener}: "))
    return ok(subject, "is free")


def _of_closed(listener: ListenAddress, network: Network) -> Finding:
    """Tell what can be seen without the privilege to open the port."""
    subject = str(listener)
    if network.is_listened_on(listener.port):
        return note(
            subject, f"is taken, and {process_user()} can't see by whom; run this with sudo"
        )
    return note(
        subject,
        f"was not tried, because {process_user()} may not open ports below 1024; nothing listens "
        "there now",
    )


def _of_taken(listener: ListenAddress, settings: Settings, network: Network) -> Finding:
    subject, holders = str(listener), network.holders(listener.port)
    if not holders:
        return note(
            subject,
            f"is taken, and {process_user()} can't see by whom; run this with sudo, or "
            f"`sudo ss -ltnp 'sport = :{listener.port}'`",
        )
    if ours := next((each for each in holders if each.ours), None):
        return ok(subject, f"is exoproxy's already (process {ours.process})")
    # One socket unit of ours would have systemd as its only holder until the service starts.
    if any(each.process == 1 for each in holders):
        if unit := _socket_unit(listener, settings, network):
            return ok(subject, f"is held by systemd for {unit}")
        return failed(
            subject,
            "is held by systemd for a socket unit of no mode in the file: `systemctl list-sockets` "
            "tells which, `systemctl disable --now UNIT.socket` ends it",
        )
    return failed(subject, _in_the_way(holders[0]))


def _socket_unit(listener: ListenAddress, settings: Settings, network: Network) -> str:
    for unit in names(settings, "socket"):
        shown = network.unit(unit) or {}
        # A unit that failed to listen names its addresses all the same.
        if shown.get("ActiveState") != "active":
            continue
        if any(_is_of(entry, listener) for entry in shown.get("Listen", "").splitlines()):
            return unit
    return ""


def _is_of(entry: str, listener: ListenAddress) -> bool:
    """Tell whether `[::]:443 (Stream)` is this listener; systemd's [::] takes IPv4, too."""
    address = entry.partition(" ")[0]
    return address in (str(listener), f"[::]:{listener.port}")


def _in_the_way(holder: Holder) -> str:
    if holder.name == "docker-proxy":
        return (
            f"is taken by {holder}: a container publishes it; `docker ps` tells which, and "
            "`docker compose down` in its folder ends it"
        )
    if holder.service:
        return (
            f"is taken by {holder}: if this host needs it no longer, `systemctl disable --now "
            f"{holder.service}`; else choose another address"
        )
    return f"is taken by {holder}: end it, or choose another address"
