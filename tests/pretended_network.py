"""A world for the doctor that is made up, and that remembers what was asked of it."""

import errno
import socket
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from ipaddress import ip_address
from pathlib import Path

from exoproxy.certs.probe import Listener
from exoproxy.certs.problem import IssuanceProblem
from exoproxy.certs.wanted import Wanted
from exoproxy.live.network import Answer, Authority, IPAddress, Question, ServiceUser, Status
from exoproxy.net.interfaces import OwnAddresses
from exoproxy.net.port_holder import Holder
from exoproxy.net.sockets import ListenError
from exoproxy.settings.acme import Dns
from exoproxy.settings.addresses import ListenAddress
from exoproxy.settings.model import Settings

AUTHORITY = Authority(
    host="authority.example",
    profiles=("classic", "shortlived"),
    caa_identities=("authority.example",),
    needs_binding=False,
    clock_skew=-299.0,
)


@dataclass
class Pretended:
    """All that `Network` has; what a field doesn't name is not there.

    `names` are in the DNS, those that begin with `*.` for every name below; `answers` are what is
    asked for in turn; `own` this host's addresses; `sources` those of routes.
    """

    names: Mapping[str, Sequence[str]] = field(default_factory=dict)
    own: Iterable[str] = ()
    sources: Mapping[str, str] = field(default_factory=dict)
    taken: Mapping[int, int] = field(default_factory=dict)
    held: Sequence[Holder] = ()
    answers: list[Answer | Exception] = field(default_factory=list)
    refusals: Mapping[int, OSError] = field(default_factory=dict)
    fingerprint: str | OSError = ""
    offer: Authority | str = AUTHORITY
    places: Mapping[str, tuple[str, str]] = field(default_factory=dict)
    closed_zones: frozenset[str] = frozenset()
    unwritable: str = ""
    forbids: frozenset[str] = frozenset()
    kept_right: bool | None = None
    units: Mapping[str, Mapping[str, str]] | None = None
    shipped: bool | None = None
    service: ServiceUser | None = None
    files: Mapping[str, Status | OSError] = field(default_factory=dict)
    asked: list[object] = field(default_factory=list)

    def published(self, name: str, dns: Dns) -> list[IPAddress]:
        wildcard = f"*.{name.partition('.')[2]}"
        found = self.names.get(name, self.names.get(wildcard, ()))
        if found == "down":
            raise IssuanceProblem("No DNS resolver answers: mend it.")
        return [ip_address(each) for each in found]

    def resolve(self, host: str) -> list[IPAddress]:
        if host not in self.names:
            raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")
        return [ip_address(each) for each in self.names[host]]

    def own_addresses(self, listening: Iterable[IPAddress] = ()) -> OwnAddresses:
        return OwnAddresses(frozenset(map(ip_address, self.own)) | frozenset(listening), False)

    def route(self, address: IPAddress) -> IPAddress:
        if str(address) not in self.sources:
            raise OSError(errno.ENETUNREACH, "Network is unreachable")
        return ip_address(self.sources[str(address)])

    def listen(self, listener: ListenAddress) -> None:
        if number := self.taken.get(listener.port):
            raise ListenError(f"{listener}: can't.") from OSError(number, "No")

    def holders(self, port: int) -> Sequence[Holder]:
        return self.held

    def is_listened_on(self, port: int) -> bool:
        return bool(self.held)

    def get(self, question: Question) -> Answer:
        self.asked.append(question)
        answer = self.answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer

    def connect(self, address: IPAddress, port: int) -> None:
        self.asked.append((str(address), port))
        if error := self.refusals.get(port):
            raise error

    def served(self, listener: Listener, name: str) -> str:
        self.asked.append((str(listener), listener.header, name))
        if isinstance(self.fingerprint, OSError):
            raise self.fingerprint
        return self.fingerprint

    def authority(self, directory: str, ca_file: Path | None) -> Authority:
        self.asked.append((directory, ca_file))
        if isinstance(self.offer, str):
            raise IssuanceProblem(self.offer)
        return self.offer

    def place_of(self, name: str, dns: Dns) -> tuple[str, str]:
        if name not in self.places:
            raise IssuanceProblem("No DNS zone was found: check the name.")
        return self.places[name]

    def try_zone(self, zone: str, dns: Dns) -> None:
        if zone in self.closed_zones:
            raise IssuanceProblem("The token does not open it: make another.")

    def write_probe(self, settings: Settings, order: Wanted, say: Callable[[str], None]) -> None:
        self.asked.append(("write", order.names))
        say("Writing")
        if self.unwritable:
            raise IssuanceProblem(self.unwritable)

    def forbidden(
        self, name: str, identities: tuple[str, ...], challenge: str, dns: Dns
    ) -> str | None:
        self.asked.append((name, identities, challenge))
        return f"A CAA record of {name} is in the way: change it." if name in self.forbids else None

    def synchronized(self) -> bool | None:
        return self.kept_right

    def unit(self, name: str) -> Mapping[str, str] | None:
        return None if self.units is None else self.units.get(name, {"LoadState": "not-found"})

    def is_as_shipped(self, fragment: Path) -> bool | None:
        return self.shipped

    def user(self) -> int:
        return 0

    def service_user(self) -> ServiceUser | None:
        return self.service

    def status(self, path: Path) -> Status:
        status = self.files.get(str(path))
        if status is None:
            raise FileNotFoundError(errno.ENOENT, "No such file or directory")
        if isinstance(status, OSError):
            raise status
        return status


def holder(name: str, process: int = 812, *, service: str = "", ours: bool = False) -> Holder:
    """Return a process that listens."""
    return Holder(name=name, process=process, service=service, ours=ours)
