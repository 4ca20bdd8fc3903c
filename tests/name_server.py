"""Name servers of the tests' own: zones as text, on loopback, each with the faults a test wants.

    with World() as world:
        server = world.add("192.0.2.1", {"example.org": "@ SOA …"})
        dns = world.dns()

Servers have addresses of documentation (RFC 5737, RFC 3849) and listen at 127.0.0.1 on ports of
their own; `World.ask` knows which, and lets nothing else be asked. Answers are those of RFC 1034
section 4.3.2, without DNSSEC.
"""

import socket
import threading
from collections.abc import Callable, Iterable, Mapping
from contextlib import ExitStack, suppress
from dataclasses import replace
from typing import Self

import dns.flags
import dns.message
import dns.rcode
import dns.rdataclass
import dns.rdatatype
import dns.rrset
import dns.zone
from dns.message import Message
from dns.name import Name, from_text, root
from dns.rdatatype import CNAME, NS, SOA, TXT, RdataType
from dns.rdtypes.nsbase import NSBase

from exoproxy.certs.dns import question
from exoproxy.certs.dns.question import NoAnswer, Server
from exoproxy.certs.dns.zones import Dns
from ports import free_port

# Every zone begins with it.
START = "$TTL 60\n@ SOA ns1 hostmaster 1 3600 600 86400 5\n"
RESOLVER = "192.0.2.53"
_ROOT_SOA = dns.rrset.from_text(".", 60, "IN", "SOA", "a.root. hostmaster.root. 1 2 3 4 5")


class NameServer:
    """A DNS server at 127.0.0.1, in two threads.

    What can be set at any time: `rcode` is the answer to everything, and SERVFAIL to questions for
    the names `fails_at`; `silent` gives none;
    `truncates` sends by UDP that the answer needs TCP; `distort` turns each answer into the
    packets that are sent in its place; `sees` gets each query. `asked` has every question.
    """

    def __init__(self, zones: Mapping[str, str], *, recurses: bool = False) -> None:
        self.zones = {
            from_text(origin): dns.zone.from_text(
                START + text, origin=origin, relativize=False, check_origin=False
            )
            for origin, text in zones.items()
        }
        self.recurses = recurses
        self.rcode: dns.rcode.Rcode | None = None
        self.fails_at: set[str] = set()
        self.silent = False
        self.truncates = False
        self.distort: Callable[[Message], Iterable[bytes]] = lambda answer: [
            answer.to_wire(max_size=65535)
        ]
        self.sees: Callable[[Message], object] = lambda query: None
        self.asked: list[tuple[str, str]] = []
        self.transports: list[str] = []
        self._later: list[tuple[int, Name, str]] = []
        self.port = free_port()
        self._udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._tcp = socket.create_server(("127.0.0.1", self.port))
        self._udp.bind(("127.0.0.1", self.port))
        self._threads = [
            threading.Thread(target=self._serve_udp, daemon=True),
            threading.Thread(target=self._serve_tcp, daemon=True),
        ]
        for thread in self._threads:
            thread.start()

    def close(self) -> None:
        # Closing alone wakes nobody up.
        for sock in (self._udp, self._tcp):
            with suppress(OSError):
                sock.shutdown(socket.SHUT_RDWR)
        for thread in self._threads:
            thread.join(5)
        self._udp.close()
        self._tcp.close()

    def add_txt(self, name: str, value: str, *, after: int = 0) -> None:
        """Hold a TXT value, from the question for the name on that `after` others went before."""
        self._later.append((after, from_text(name), value))

    def answer(self, query: Message) -> Message:
        """Return the answer to a query."""
        self.sees(query)
        name, kind = query.question[0].name, query.question[0].rdtype
        self._appear(name)
        self.asked.append((name.to_text(omit_final_dot=True), dns.rdatatype.to_text(kind)))
        answer = dns.message.make_response(query, recursion_available=self.recurses)
        if self.rcode is not None:
            answer.set_rcode(self.rcode)
        elif self.asked[-1][0] in self.fails_at:
            answer.set_rcode(dns.rcode.SERVFAIL)
        else:
            self._fill(answer, name, kind)
        return answer

    def _appear(self, name: Name) -> None:
        still = []
        for after, owner, value in self._later:
            if owner == name and after > 0:
                still.append((after - 1, owner, value))
            elif owner == name:
                zone = self._zone_of(name)
                assert zone is not None
                rdata = dns.rdata.from_text(dns.rdataclass.IN, TXT, f'"{value}"')
                zone.find_rdataset(name, TXT, create=True).add(rdata, 60)
            else:
                still.append((after, owner, value))
        self._later = still

    def _zone_of(self, name: Name) -> dns.zone.Zone | None:
        while name not in self.zones:
            if name == root:
                return None
            name = name.parent()
        return self.zones[name]

    def _fill(self, answer: Message, name: Name, kind: RdataType) -> None:
        for _ in range(20):
            zone = self._zone_of(name)
            if zone is None or zone.origin is None:
                answer.set_rcode(dns.rcode.NXDOMAIN if self.recurses else dns.rcode.REFUSED)
                if self.recurses:
                    answer.authority.append(_ROOT_SOA)
                return
            if not self.recurses:
                if cut := _cut(zone, name):
                    answer.authority.append(cut)
                    return
                answer.flags |= dns.flags.AA
            node = zone.get_node(name) or _wildcard(zone, name)
            rdataset = node and node.get_rdataset(dns.rdataclass.IN, kind)
            alias = node and node.get_rdataset(dns.rdataclass.IN, CNAME)
            if rdataset:
                answer.answer.append(dns.rrset.from_rdata_list(name, 60, list(rdataset)))
                return
            if alias:
                answer.answer.append(dns.rrset.from_rdata_list(name, 60, list(alias)))
                target = alias[0]
                assert isinstance(target, NSBase)
                if not self.recurses:
                    return
                name = target.target
                continue
            if node is None and not any(other.is_subdomain(name) for other in zone.nodes):
                answer.set_rcode(dns.rcode.NXDOMAIN)
            soa = zone.get_rrset(zone.origin, SOA)
            assert soa is not None
            answer.authority.append(soa)
            return

    def _serve_udp(self) -> None:
        while True:
            try:
                packet, peer = self._udp.recvfrom(65535)
            except OSError:
                return
            if not packet:
                return
            self.transports.append("udp")
            if self.silent:
                continue
            answer = self.answer(dns.message.from_wire(packet))
            if self.truncates:
                answer.flags |= dns.flags.TC
                answer.answer, answer.authority = [], []
            for wire in self.distort(answer):
                self._udp.sendto(wire, peer)

    def _serve_tcp(self) -> None:
        while True:
            try:
                connection, _ = self._tcp.accept()
            except OSError:
                return
            with connection, connection.makefile("rb") as stream:
                packet = stream.read(int.from_bytes(stream.read(2)))
                self.transports.append("tcp")
                for wire in self.distort(self.answer(dns.message.from_wire(packet))):
                    connection.sendall(len(wire).to_bytes(2) + wire)


class World:
    """Name servers by their addresses, and one resolver that knows all their zones."""

    def __init__(self) -> None:
        self.servers: dict[str, NameServer] = {}
        self._closing = ExitStack()

    def __enter__(self) -> Self:
        self.add(RESOLVER, {}, recurses=True)
        return self

    def __exit__(self, *_: object) -> None:
        self._closing.close()

    @property
    def resolver(self) -> NameServer:
        return self.servers[RESOLVER]

    def add(self, address: str, zones: Mapping[str, str], *, recurses: bool = False) -> NameServer:
        """Start a name server for these zones, which the resolver knows from now on."""
        server = self.servers[address] = NameServer(zones, recurses=recurses)
        self._closing.callback(server.close)
        self.resolver.zones.update(server.zones)
        return server

    def dns(self) -> Dns:
        return Dns([(RESOLVER, 53)], ask=self.ask)

    def ask(self, server: Server, name: Name, kind: RdataType, *, recurse: bool) -> Message:
        """Ask the server that stands for an address, over real sockets."""
        here = self.servers.get(server.address)
        if here is None:
            raise NoAnswer("is no server of this test")
        if here.silent:
            # What a silent server costs in time is the question's own test.
            raise NoAnswer("does not answer within 2 s")
        there = replace(server, address="127.0.0.1", port=here.port)
        return question.ask(there, name, kind, recurse=recurse)


def _whole(answer: Message) -> list[bytes]:
    return [answer.to_wire(max_size=65535)]


def _cut(zone: dns.zone.Zone, name: Name) -> dns.rrset.RRset | None:
    """Return the NS records of a zone below that holds the name."""
    assert zone.origin is not None
    for depth in range(len(zone.origin) + 1, len(name) + 1):
        _, owner = name.split(depth)
        if found := zone.get_rrset(owner, NS):
            return found
    return None


def _wildcard(zone: dns.zone.Zone, name: Name) -> dns.node.Node | None:
    """Return the wildcard's node below the closest encloser (RFC 4592)."""
    while name != zone.origin:
        name = name.parent()
        if any(other.is_subdomain(name) for other in zone.nodes):
            return zone.get_node(Name((b"*", *name.labels)))
    return None
