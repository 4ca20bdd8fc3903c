"""Real name servers on loopback: knot, which holds zones, and unbound, which asks it for others.

Who is sent from one name server to the next (NS, then A) finds them all at port 53, so that each
knot has an address of its own there. `unbound` is what a stub resolver or an ACME authority asks;
it knows the zones it was told and refuses any other name, so that no question leaves the machine.
Answers with faults of any kind are `name_server`'s affair; here are those that an operator has.
"""

import base64
import contextlib
import itertools
import os
import secrets
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from ipaddress import IPv4Address
from pathlib import Path

import dns.exception
import dns.message
import dns.query
import dns.rcode
import dns.rdata
import dns.rdatatype
import dns.tsig
import dns.update
import dns.zone
from dns.rdtypes.txtbase import TXTBase

from ports import free_port

DNS_PORT = 53
KEY_NAME = "exoproxy-tests"
READY_SECONDS = 10
GRACE_SECONDS = 5
ANSWER_SECONDS = 2

_KNOT = """\
server:
  rundir: "{folder}"
  listen: "{address}@53"
  udp-workers: 1
  tcp-workers: 1
  background-workers: 1
log:
- target: stderr
  any: warning
database:
  storage: "{folder}/db"
key:
- id: {key_name}
  algorithm: hmac-sha256
  secret: {secret}
acl:
- id: holder
  key: {key_name}
  action: [update, transfer]
template:
- id: default
  storage: "{folder}"
  acl: holder
  zonefile-load: whole
  # What is changed stays in memory and goes with the process.
  zonefile-sync: -1
  journal-content: none
zone:
{zones}
"""

_UNBOUND = """\
server:
  interface: 127.0.0.1
  port: {port}
  outgoing-interface: 127.0.0.1
  do-ip6: no
  access-control: 127.0.0.0/8 allow
  do-not-query-localhost: no
  # No DNSSEC, and nothing kept for longer than a test's next look.
  module-config: "iterator"
  cache-max-ttl: 0
  cache-max-negative-ttl: 0
  num-threads: 1
  # What it is told by default wants a folder and a user of Debian's.
  username: ""
  chroot: ""
  directory: "{folder}"
  pidfile: ""
  do-daemonize: no
  use-syslog: no
  logfile: ""
  local-zone: "." refuse
{zones}
remote-control:
  control-enable: no
"""

# Each process of the tests begins elsewhere, and leaves the addresses that a person would choose.
_next = itertools.count(os.getpid() * 37)
_FIRST, _COUNT = int(IPv4Address("127.1.0.0")), 0xFD0000
_ATTEMPTS = 20


def port_53_denied() -> str | None:
    """Return why there can be no server of ours at port 53, None if there can."""
    try:
        free_address()
    except PermissionError:
        return "needs port 53 of loopback addresses; run as root"
    except OSError:
        return "needs port 53 of loopback addresses; some server has it on all of them"
    return None


def free_address() -> str:
    """Return an address in 127.0.0.0/8 whose port 53 nobody uses, and that no later call returns.

    Raises OSError: PermissionError where the port is root's alone, another if all are taken.
    """
    for attempt in itertools.count(1):
        address = str(IPv4Address(_FIRST + next(_next) % _COUNT))
        try:
            with _taken(address):
                break
        except OSError as error:
            if isinstance(error, PermissionError) or attempt == _ATTEMPTS:
                raise
    return address


@contextmanager
def silent_server() -> Iterator[str]:
    """Give the address of a name server that takes every question and answers none."""
    address = free_address()
    with _taken(address):
        yield address


@dataclass(frozen=True, slots=True, kw_only=True)
class NameServer:
    """A knot at work at port 53 of its address, and what its zones hold now.

    `secret` is that of the TSIG key `KEY_NAME` (hmac-sha256), which may change the zones;
    `key_file` holds it as tsig-keygen prints one.
    """

    address: str
    zones: tuple[str, ...]
    secret: str
    key_file: Path

    def txt(self, name: str) -> list[str]:
        """Return the TXT values at a name, sorted."""
        answer = _ask(dns.message.make_query(name, "TXT"), self.address)
        return sorted(
            _text(data)
            for rrset in answer.answer
            if rrset.rdtype == dns.rdatatype.TXT
            for data in rrset
        )

    def left(self) -> dict[str, list[str]]:
        """Return every TXT value in any of the zones, by name."""
        found: dict[str, list[str]] = {}
        for each in self.zones:
            zone = dns.zone.Zone(each, relativize=False)
            query = dns.message.make_query(each, "AXFR")
            query.use_tsig(self._key())
            dns.query.inbound_xfr(self.address, zone, query, lifetime=ANSWER_SECONDS)
            for name, _, data in zone.iterate_rdatas("TXT"):
                found.setdefault(name.to_text(omit_final_dot=True), []).append(_text(data))
        return found

    def add(self, name: str, kind: str, data: str) -> None:
        """Add a record to those at the name, in the words of a zone file."""
        change = self._change(name)
        change.add(f"{name}.", 1, kind, data)
        self._send(change)

    def delete(self, name: str, kind: str) -> None:
        """Take away all records of one kind at the name."""
        change = self._change(name)
        change.delete(f"{name}.", kind)
        self._send(change)

    def _change(self, name: str) -> dns.update.UpdateMessage:
        holding = [zone for zone in self.zones if f".{name}".endswith(f".{zone}")]
        return dns.update.UpdateMessage(max(holding, key=len), keyring=self._key())

    def _send(self, change: dns.update.UpdateMessage) -> None:
        code = _ask(change, self.address).rcode()

        assert code == dns.rcode.NOERROR, dns.rcode.to_text(code)

    def _key(self) -> dns.tsig.Key:
        return dns.tsig.Key(KEY_NAME, self.secret, dns.tsig.HMAC_SHA256)


@contextmanager
def name_server(
    folder: Path,
    zones: Mapping[str, Sequence[str]],
    *,
    address: str = "",
    listed: Sequence[str] = (),
) -> Iterator[NameServer]:
    """Start knot with zones: their records, as lines of a zone file without SOA and NS.

    The zones name the addresses `listed` as their servers, or else this one alone. The folder is
    for this server only.
    """
    address = address or free_address()
    secret = base64.b64encode(secrets.token_bytes(32)).decode()
    key_file = folder / "tsig.key"
    key_file.touch(0o600)
    key_file.write_text(
        f'key "{KEY_NAME}" {{\n\talgorithm hmac-sha256;\n\tsecret "{secret}";\n}};\n', "ascii"
    )
    for zone, records in zones.items():
        lines = [f"$ORIGIN {zone}.", "$TTL 1", "@ SOA ns1 hostmaster 1 3600 600 86400 1"]
        for number, server in enumerate(listed or [address], 1):
            lines += [f"@ NS ns{number}", f"ns{number} A {server}"]
        (folder / f"{zone}.zone").write_text("\n".join([*lines, *records, ""]), "ascii")
    file = folder / "knot.conf"
    file.write_text(
        _KNOT.format(
            folder=folder,
            address=address,
            key_name=KEY_NAME,
            secret=secret,
            zones="\n".join(f"- domain: {zone}" for zone in zones),
        ),
        "ascii",
    )
    with _running(folder / "knot.log", "knotd", "-c", str(file)) as process:
        for zone in zones:
            _await_answer(process, zone, address, DNS_PORT)
        yield NameServer(address=address, zones=tuple(zones), secret=secret, key_file=key_file)


@contextmanager
def recursor(folder: Path, zones: Mapping[str, str]) -> Iterator[str]:
    """Start unbound over zones, each with the address of its server; gives its HOST:PORT."""
    port = free_port()
    lines = [f"local-zone: {zone}. transparent" for zone in zones]
    for zone, server in zones.items():
        lines += ["stub-zone:", f"  name: {zone}.", f"  stub-addr: {server}"]
    file = folder / "unbound.conf"
    file.write_text(_UNBOUND.format(folder=folder, port=port, zones="\n".join(lines)), "ascii")
    with _running(folder / "unbound.log", "unbound", "-c", str(file)) as process:
        for zone in zones:
            _await_answer(process, zone, "127.0.0.1", port)
        yield f"127.0.0.1:{port}"


@contextmanager
def _running(log: Path, program: str, *arguments: str) -> Iterator[subprocess.Popen[bytes]]:
    """Start a server; it goes at the end, by force should it not heed SIGTERM."""
    path = shutil.which(program)
    assert path is not None
    with log.open("wb") as sink:
        process = subprocess.Popen(  # noqa: S603 - Debian's
            [path, *arguments], stdin=subprocess.DEVNULL, stdout=sink, stderr=subprocess.STDOUT
        )
    try:
        yield process
    except NotReady as problem:
        raise NotReady(f"{program}: {problem}\n{log.read_text('utf-8')}") from problem
    finally:
        process.terminate()
        try:
            process.wait(GRACE_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


class NotReady(Exception):
    """A name server did not answer for a zone of its own."""


def _await_answer(process: subprocess.Popen[bytes], zone: str, address: str, port: int) -> None:
    query = dns.message.make_query(zone, "SOA")
    deadline = time.monotonic() + READY_SECONDS
    while process.poll() is None:
        with contextlib.suppress(OSError, dns.exception.DNSException):
            if dns.query.udp(query, address, timeout=0.2, port=port).answer:
                return
        if time.monotonic() > deadline:
            raise NotReady(f"no answer for {zone} within {READY_SECONDS} s")
        time.sleep(0.02)
    raise NotReady(f"ended with {process.returncode}")


def _ask(message: dns.message.Message, address: str) -> dns.message.Message:
    return dns.query.udp_with_fallback(message, address, timeout=ANSWER_SECONDS)[0]


def _text(data: dns.rdata.Rdata) -> str:
    assert isinstance(data, TXTBase)
    return b"".join(data.strings).decode()


@contextmanager
def _taken(address: str) -> Iterator[None]:
    """Hold port 53 of an address, UDP and TCP. Raises OSError."""
    with (
        socket.socket(type=socket.SOCK_DGRAM) as datagrams,
        socket.socket() as streams,
    ):
        datagrams.bind((address, DNS_PORT))
        streams.bind((address, DNS_PORT))
        streams.listen()
        yield
