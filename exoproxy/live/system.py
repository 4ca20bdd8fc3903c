"""The world of this host: its resolver, its sockets, its systemd; see `network` for what each is.

Certificates' modules are imported where they are needed: they are heavy, and only hosts with
certificates by ACME need them.
"""

import asyncio
import os
import pwd
import shutil
import socket
import subprocess
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from ipaddress import ip_address
from pathlib import Path
from typing import Final

import exoproxy
from exoproxy.certs.probe import Listener, fingerprint_at
from exoproxy.certs.wanted import Wanted, store_of
from exoproxy.live import conversation
from exoproxy.live.network import Answer, Authority, IPAddress, Question, ServiceUser, Status
from exoproxy.net.interfaces import OwnAddresses, own_addresses
from exoproxy.net.port_holder import Holder, holders, is_listened_on
from exoproxy.net.sockets import open_socket
from exoproxy.settings.acme import Dns
from exoproxy.settings.addresses import ListenAddress
from exoproxy.settings.model import Settings

_SERVICE_USER: Final = "exoproxy"
# sd_booted(3)
_BOOTED: Final = Path("/run/systemd/system")
_PROPERTIES: Final = (
    *("LoadState", "ActiveState", "UnitFileState", "NeedDaemonReload", "FragmentPath"),
    *("LimitNOFILE", "Result", "Listen", "SubState"),
)
_SECONDS: Final = 5.0
# Where an installation has the units of its version, and where a checkout of the source has them.
_SHIPPED: Final = (
    Path(sys.prefix, "share/exoproxy/systemd"),
    Path(exoproxy.__file__).parents[1] / "systemd",
)
# Any port will do: nothing is sent.
_DISCARD: Final = 9


class System:
    """This host, as `Network`."""

    def published(self, name: str, dns: Dns) -> list[IPAddress]:
        """Ask the configured resolvers, or those of /etc/resolv.conf."""
        from exoproxy.certs.dns.addresses import addresses_of

        return addresses_of(name, _resolvers(dns))

    def resolve(self, host: str) -> list[IPAddress]:
        """Ask the system's resolver."""
        found = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)
        # As in `net.resolve`: the scope of a link-local address is of no use.
        texts = (str(sockaddr[0]).partition("%")[0] for *_, sockaddr in found)
        return list(dict.fromkeys(map(ip_address, texts)))

    def own_addresses(self, listening: Iterable[IPAddress] = ()) -> OwnAddresses:
        """Ask the kernel for its interfaces."""
        return own_addresses(listening)

    def route(self, address: IPAddress) -> IPAddress:
        """Connect a datagram socket: the kernel looks the route up, and sends nothing."""
        family = socket.AF_INET if address.version == 4 else socket.AF_INET6
        with socket.socket(family, socket.SOCK_DGRAM) as sock:
            sock.connect((str(address), _DISCARD))
            return ip_address(sock.getsockname()[0].partition("%")[0])

    def listen(self, listener: ListenAddress) -> None:
        """Open the socket as the service would, and close it."""
        open_socket(listener.address, listener.port).close()

    def holders(self, port: int) -> Sequence[Holder]:
        """Look into /proc."""
        return list(holders(port))

    def is_listened_on(self, port: int) -> bool:
        """Look into /proc."""
        return is_listened_on(port)

    def get(self, question: Question) -> Answer:
        """Ask, within five seconds."""
        return conversation.get(question)

    def connect(self, address: IPAddress, port: int) -> None:
        """Connect, within five seconds."""
        socket.create_connection((str(address), port), timeout=conversation.SECONDS).close()

    def served(self, listener: Listener, name: str) -> str:
        """Ask as the service asks itself after a renewal."""
        return asyncio.run(fingerprint_at(listener, name))

    def authority(self, directory: str, ca_file: Path | None) -> Authority:
        """Read the directory as an order will."""
        from exoproxy.certs.acme.authority import Authority as Server

        server = Server(directory, ca_file=ca_file)
        return Authority(
            host=server.host,
            profiles=tuple(server.profiles),
            caa_identities=server.caa_identities,
            needs_binding=server.needs_binding,
            clock_skew=server.clock_skew,
        )

    def place_of(self, name: str, dns: Dns) -> tuple[str, str]:
        """Ask the configured resolvers and the zones' own servers."""
        from exoproxy.certs.dns.zones import Dns as Servers

        place = Servers(_resolvers(dns)).place_of(name)
        return place.zone, place.name

    def try_zone(self, zone: str, dns: Dns) -> None:
        """Ask the configured provider, with the secret that an order will use."""
        from exoproxy.certs.dns.providers import provider_of

        # What is wrong with the file's mode is told without --live.
        provider_of(dns, os.environ, lambda _: None).check(zone)

    def write_probe(self, settings: Settings, order: Wanted, say: Callable[[str], None]) -> None:
        """Write by the way of an order: its lock, its journal, its clean-up."""
        from exoproxy.certs.attempt import Attempt

        Attempt(order, settings.acme, store_of(settings), say).probe()

    def forbidden(
        self, name: str, identities: tuple[str, ...], challenge: str, dns: Dns
    ) -> str | None:
        """Ask the zones' own servers."""
        from exoproxy.certs.dns.caa import forbidden
        from exoproxy.certs.dns.zones import Dns as Servers

        host = name.removeprefix("*.")
        return forbidden(Servers(_resolvers(dns)), host, host != name, identities, challenge)

    def synchronized(self) -> bool | None:
        """Ask systemd-timedated, who knows of chrony and ntpd, too."""
        said = _said("timedatectl", "show", "--property=NTPSynchronized", "--value")
        return {"yes": True, "no": False}.get(said.strip())

    def unit(self, name: str) -> Mapping[str, str] | None:
        """Ask systemctl; a property that comes several times has a line for each."""
        said = _said("systemctl", "show", f"--property={','.join(_PROPERTIES)}", "--", name)
        found: dict[str, str] = {}
        for line in said.splitlines():
            key, _, value = line.partition("=")
            found[key] = f"{found[key]}\n{value}" if key in found else value
        return found or None

    def is_as_shipped(self, fragment: Path) -> bool | None:
        """Compare with the file of that name that came with this version."""
        # An instance's fragment is that of its template, exoproxy-uap@.service.
        for folder in _SHIPPED:
            try:
                return (folder / fragment.name).read_bytes() == fragment.read_bytes()
            except OSError:
                continue
        return None

    def user(self) -> int:
        """Ask the kernel."""
        return os.geteuid()

    def service_user(self) -> ServiceUser | None:
        """Ask the user database, where systemd's dynamic users are while their services run."""
        try:
            user = pwd.getpwnam(_SERVICE_USER)
        except KeyError:
            return None
        groups = os.getgrouplist(user.pw_name, user.pw_gid)
        return ServiceUser(uid=user.pw_uid, gids=frozenset(groups))

    def status(self, path: Path) -> Status:
        """Ask the file system."""
        real = path.resolve(strict=True)
        found = real.stat()
        try:
            user = pwd.getpwuid(found.st_uid).pw_name
        except KeyError:
            user = f"the user {found.st_uid}"
        return Status(real=real, user=user, uid=found.st_uid, gid=found.st_gid, mode=found.st_mode)


def _resolvers(dns: Dns) -> list[tuple[str, int]]:
    return [(each.host, each.port) for each in dns.resolvers]


def _said(program: str, *arguments: str) -> str:
    """Return what a program of systemd's says; "" where it is not there or systemd doesn't run."""
    path = shutil.which(program)
    if path is None or not _BOOTED.is_dir():
        return ""
    try:
        done = subprocess.run(  # noqa: S603 - systemd's own, with units named in the configuration
            [path, *arguments],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            timeout=_SECONDS,
            check=True,
        )
    except (OSError, subprocess.SubprocessError):
        return ""
    return done.stdout
