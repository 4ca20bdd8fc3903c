"""All that the doctor sees of the world, as values and one protocol.

`system` is the world of this host; tests make one up. Every method blocks for a few seconds at
most, but `write_probe`, which waits until name servers have followed.
"""

import ssl
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address
from pathlib import Path
from typing import Protocol

from exoproxy.certs.probe import Listener
from exoproxy.certs.wanted import Wanted
from exoproxy.net.interfaces import OwnAddresses
from exoproxy.net.port_holder import Holder
from exoproxy.settings.acme import Dns
from exoproxy.settings.addresses import ListenAddress
from exoproxy.settings.model import Settings

IPAddress = IPv4Address | IPv6Address


@dataclass(frozen=True, slots=True, kw_only=True)
class Authority:
    """What an ACME server says of itself.

    `host` is its name, `profiles` are those on offer, `caa_identities` the names that CAA records
    know it by. `clock_skew` is how many seconds this machine's clock is ahead of its own.
    """

    host: str
    profiles: tuple[str, ...]
    caa_identities: tuple[str, ...]
    needs_binding: bool
    clock_skew: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """A GET to an address. `authority` is its Host, `name` the one that TLS is for.

    Without a `context` it is asked in the clear.
    """

    address: IPAddress
    port: int
    name: str
    authority: str
    context: ssl.SSLContext | None
    path: str = "/"


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """The answer to a GET: at most 64 KiB of its content, and TLS's version, "" without TLS.

    `clock_skew` is how many seconds this machine's clock is ahead of the answer's Date, None
    without one.
    """

    status: int
    content: bytes
    tls: str
    clock_skew: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Status:
    """Owner and mode of what a path leads to (stat(2)), which is `real` after links.

    `user` is the owner's name, or its number where it has none.
    """

    real: Path
    user: str
    uid: int
    gid: int
    mode: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ServiceUser:
    """The user that the service runs as, and the groups that it is in."""

    uid: int
    gids: frozenset[int]


class Network(Protocol):
    """What can be tried."""

    # The DNS and this host's place in it.

    def published(self, name: str, dns: Dns) -> list[IPAddress]:
        """Return a name's A and AAAA records, not /etc/hosts; raises `IssuanceProblem`."""

    def resolve(self, host: str) -> list[IPAddress]:
        """Return the addresses of a name as the service finds them; raises OSError."""

    def own_addresses(self, listening: Iterable[IPAddress] = ()) -> OwnAddresses:
        """Return the addresses that lead to this host, given those that are listened on."""

    def route(self, address: IPAddress) -> IPAddress:
        """Return the source address of packets to an address, sending none; raises OSError."""

    # Ports.

    def listen(self, listener: ListenAddress) -> None:
        """Listen for a moment; raises ListenError, caused by the OSError."""

    def holders(self, port: int) -> Sequence[Holder]:
        """Return the processes that listen on a port, as far as this user may see them."""

    def is_listened_on(self, port: int) -> bool:
        """Tell whether some process listens on a port."""

    # Conversations.

    def get(self, question: Question) -> Answer:
        """Ask an address that was judged; nothing else is dialled.

        Raises OSError, `UpstreamTls` for a handshake that fails, `UpstreamAnswer` for what is no
        HTTP, each with its sentence.
        """

    def connect(self, address: IPAddress, port: int) -> None:
        """Connect and close; raises OSError."""

    # Certificates.

    def served(self, listener: Listener, name: str) -> str:
        """Return the SHA-256 of the certificate that our own listener gives; raises OSError."""

    def authority(self, directory: str, ca_file: Path | None) -> Authority:
        """Read an ACME directory; raises `IssuanceProblem`."""

    def place_of(self, name: str, dns: Dns) -> tuple[str, str]:
        """Return the zone and the name where a challenge's TXT record goes, after CNAMEs.

        Raises `IssuanceProblem`.
        """

    def try_zone(self, zone: str, dns: Dns) -> None:
        """Prove that the provider lets us write a zone, without writing.

        Raises `IssuanceProblem`.
        """

    def write_probe(self, settings: Settings, order: Wanted, say: Callable[[str], None]) -> None:
        """Write TXT records as for a challenge, see them on all name servers, take them away.

        Raises `IssuanceProblem`.
        """

    def forbidden(
        self, name: str, identities: tuple[str, ...], challenge: str, dns: Dns
    ) -> str | None:
        """Return the sentence on the CAA records that forbid a name, which may begin with `*.`."""

    # This machine.

    def synchronized(self) -> bool | None:
        """Tell whether something keeps the clock right; None if that can't be known."""

    def unit(self, name: str) -> Mapping[str, str] | None:
        """Return a systemd unit's properties; None where systemd doesn't run this host."""

    def is_as_shipped(self, fragment: Path) -> bool | None:
        """Tell whether a unit's file is this version's; None if that can't be known."""

    def user(self) -> int:
        """Return the number of the user that asks."""

    def service_user(self) -> ServiceUser | None:
        """Return the user `exoproxy`, None while there is none."""

    def status(self, path: Path) -> Status:
        """Return owner and mode; raises OSError."""
