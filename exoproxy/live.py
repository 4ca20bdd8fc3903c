"""Does the world answer as the configuration expects: DNS, free ports, the cloud's API, ACME?

The network is handed in, so that tests stay on loopback. As at `/proxy`, every address of an
upstream is judged before one is dialled, and the judged address is the one dialled. Of what a
certificate needs everything is tried but the order itself, which authorities count: that is
`exoproxy cert issue --staging`. Called by `exoproxy check --live`.
"""

import os
import socket
import ssl
from collections.abc import Iterator
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address, ip_address
from pathlib import Path
from typing import Final, Protocol

from exoproxy.certs.problem import IssuanceProblem
from exoproxy.certs.wanted import Wanted, directory_url, wanted
from exoproxy.errors import TargetNotAllowed
from exoproxy.net.sockets import ListenError, open_socket
from exoproxy.net.tls import open_context, verifying_context
from exoproxy.rules.egress import Policy
from exoproxy.settings.acme import Acme, Dns
from exoproxy.settings.addresses import ListenAddress
from exoproxy.settings.model import Settings
from exoproxy.settings.names import HostPattern
from exoproxy.settings.sites import Main, Proxy, Region
from exoproxy.sites import cloud_proxy

_TIMEOUT: Final = 5.0  # seconds, for a person who waits
_SKEW: Final = 300.0  # seconds, from which on certificates and authorities' answers seem wrong

IPAddress = IPv4Address | IPv6Address


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """What was tried and how it went; `subject` is a name, a listener or an upstream."""

    ok: bool
    subject: str
    sentence: str


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


class Network(Protocol):
    """What can be tried in the world; all of it blocks."""

    def resolve(self, host: str) -> list[IPAddress]:
        """Return the addresses of a name; raises OSError."""

    def listen(self, listener: ListenAddress) -> None:
        """Listen for a moment; raises ListenError."""

    def shake_hands(self, address: IPAddress, port: int, name: str, context: ssl.SSLContext) -> str:
        """Connect, complete a TLS handshake as for `name`, return TLS's version; raises OSError."""

    def authority(self, directory: str, ca_file: Path | None) -> Authority:
        """Read an ACME directory; raises `IssuanceProblem`."""

    def place_of(self, name: str, dns: Dns) -> tuple[str, str]:
        """Return the zone and the name where a challenge's TXT record goes, after CNAMEs.

        Raises `IssuanceProblem`.
        """

    def try_zone(self, zone: str, dns: Dns) -> None:
        """Prove that the provider lets us write a zone; raises `IssuanceProblem`."""

    def forbidden(
        self, name: str, identities: tuple[str, ...], challenge: str, dns: Dns
    ) -> str | None:
        """Return the sentence on the CAA records that forbid a name, which may begin with `*.`."""


class System:
    """The network of this host."""

    def resolve(self, host: str) -> list[IPAddress]:
        """Ask the system's resolver."""
        found = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)
        return list(dict.fromkeys(ip_address(sockaddr[0]) for *_, sockaddr in found))

    def listen(self, listener: ListenAddress) -> None:
        """Open the socket as the service would, and close it."""
        open_socket(listener.address, listener.port).close()

    def shake_hands(self, address: IPAddress, port: int, name: str, context: ssl.SSLContext) -> str:
        """Dial the address itself: the name was resolved and judged before."""
        with (
            socket.create_connection((str(address), port), timeout=_TIMEOUT) as plain,
            context.wrap_socket(plain, server_hostname=name) as secured,
        ):
            return secured.version() or "TLS"

    # What follows is heavy to import, and only hosts with certificates by ACME need it.

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

        place = Servers([(each.host, each.port) for each in dns.resolvers]).place_of(name)
        return place.zone, place.name

    def try_zone(self, zone: str, dns: Dns) -> None:
        """Ask the configured provider, with the secret that an order will use."""
        from exoproxy.certs.dns.providers import provider_of

        # What is wrong with the file's mode is told without --live.
        provider_of(dns, os.environ, lambda _: None).check(zone)

    def forbidden(
        self, name: str, identities: tuple[str, ...], challenge: str, dns: Dns
    ) -> str | None:
        """Ask the zones' own servers."""
        from exoproxy.certs.dns.caa import forbidden
        from exoproxy.certs.dns.zones import Dns as Servers

        servers = Servers([(each.host, each.port) for each in dns.resolvers])
        host = name.removeprefix("*.")
        return forbidden(servers, host, host != name, identities, challenge)


def findings(settings: Settings, network: Network) -> Iterator[Finding]:
    """Yield what each try gave, in the order of the configuration; it goes on after a failure."""
    sites: list[Main | Region] = [settings.main] if settings.main else []
    regions = list(settings.uap.regions.values()) if settings.uap else []
    sites += regions
    for site in sites:
        yield _name(site.hostname, network)
    for region in regions:
        # Any label shows whether the wildcard record is there.
        yield _name(f"exoproxy-check.{region.hostname}", network)
    # Regions live on hosts of their own and often listen alike.
    for listener in dict.fromkeys(each for site in sites for each in _listeners(site)):
        yield _listener(listener, network)
    if settings.main and settings.main.proxy:
        yield from _upstreams(settings.main, settings.main.proxy, network)
    if orders := wanted(settings):
        yield from _issuance(settings.acme, orders, network)


def _listeners(site: Main | Region) -> list[ListenAddress]:
    admin = [site.admin_listen] if site.admin_listen else []
    return [*site.listen, *site.redirect_listen, *admin]


def _name(host: str, network: Network) -> Finding:
    try:
        addresses = network.resolve(host)
    except OSError as error:
        return Finding(ok=False, subject=host, sentence=_no_address(error))
    return Finding(ok=True, subject=host, sentence=f"has {', '.join(map(str, addresses))}")


def _no_address(error: OSError) -> str:
    return f"has no address in the DNS ({error.strerror or error}); add an A or AAAA record"


def _listener(listener: ListenAddress, network: Network) -> Finding:
    try:
        network.listen(listener)
    except ListenError as error:
        sentence = str(error).removeprefix(f"{listener}: ")
        # The running service itself is no obstacle.
        ok = sentence.startswith("exoproxy (process ")
        return Finding(ok=ok, subject=str(listener), sentence=sentence)
    return Finding(ok=True, subject=str(listener), sentence="is free")


def _upstreams(main: Main, proxy: Proxy, network: Network) -> Iterator[Finding]:
    try:
        context = verifying_context(proxy.ca_file) if proxy.verify else open_context()
    except OSError as error:
        yield Finding(
            ok=False,
            subject="main.proxy.ca_file",
            sentence=f"can't be used ({error}); it should be a PEM file with certificates",
        )
        return
    policy = cloud_proxy(main, proxy, frozenset()).policy
    for pattern in proxy.allow:
        if not pattern.subdomains:
            yield _upstream(pattern, policy, context, network)


def _upstream(
    pattern: HostPattern, policy: Policy, context: ssl.SSLContext, network: Network
) -> Finding:
    subject = str(pattern)
    try:
        addresses = network.resolve(pattern.host)
    except OSError as error:
        return Finding(ok=False, subject=subject, sentence=_no_address(error))
    for address in addresses:
        try:
            policy.judge(address, pattern.port or 443)
        except TargetNotAllowed as refusal:
            return Finding(
                ok=False,
                subject=subject,
                sentence=f"has {address}, which /proxy refuses: {refusal.sentence} If it is your "
                "cloud's, list its network in main.proxy.networks",
            )
    if pattern.port is None:
        sentence = f"has {', '.join(map(str, addresses))}; not dialled, as no port is named"
        return Finding(ok=True, subject=subject, sentence=sentence)
    try:
        version = network.shake_hands(addresses[0], pattern.port, pattern.host, context)
    except ssl.SSLCertVerificationError as error:
        return Finding(
            ok=False,
            subject=subject,
            sentence=f"its certificate can't be verified ({error.verify_message}); for a private "
            "authority name its certificate in main.proxy.ca_file",
        )
    except ssl.SSLError as error:
        sentence = f"completes no TLS handshake ({error.reason}); the API must be served by https"
        return Finding(ok=False, subject=subject, sentence=sentence)
    except OSError as error:
        sentence = f"{addresses[0]} does not answer ({error.strerror or error})"
        return Finding(ok=False, subject=subject, sentence=sentence)
    return Finding(ok=True, subject=subject, sentence=f"{addresses[0]} answers with {version}")


def _issuance(acme: Acme, orders: list[Wanted], network: Network) -> Iterator[Finding]:
    subject, authority = "acme.directory", None
    try:
        authority = network.authority(directory_url(acme.directory), acme.ca_file)
    except IssuanceProblem as problem:
        yield Finding(ok=False, subject=subject, sentence=f"can't be used: {problem}")
    if authority is not None:
        yield Finding(ok=True, subject=subject, sentence=f"{authority.host} answers")
        yield from _terms(acme, authority)
    for order in orders:
        if acme.challenge == "dns-01":
            yield _challenge(f"_acme-challenge.{order.name}", acme.dns, network)
        else:
            yield Finding(
                ok=True,
                subject=order.name,
                sentence="not tried: whether port 80 is reached from the internet shows from there "
                "alone; `exoproxy cert issue --staging` finds out",
            )
        if authority is not None:
            yield _caa(order, authority, acme, network)


def _terms(acme: Acme, authority: Authority) -> Iterator[Finding]:
    """Find what the authority would refuse every order for."""
    host = authority.host
    if acme.profile is not None and acme.profile not in authority.profiles:
        offered = ", ".join(authority.profiles) or "none"
        sentence = f"{acme.profile} is not offered by {host}, which has {offered}"
        yield Finding(ok=False, subject="acme.profile", sentence=sentence)
    if authority.needs_binding and acme.eab_key_id is None:
        sentence = f"is missing, and {host} asks for it: copy the id and the key from your account"
        yield Finding(ok=False, subject="acme.eab_key_id", sentence=sentence)
    if abs(authority.clock_skew) > _SKEW:
        minutes = round(abs(authority.clock_skew) / 60)
        way = "ahead of" if authority.clock_skew > 0 else "behind"
        yield Finding(
            ok=False,
            subject="clock",
            sentence=f"of this machine is {minutes} minutes {way} that of {host}; set it, e.g. by "
            "`timedatectl set-ntp true`",
        )


def _challenge(name: str, dns: Dns, network: Network) -> Finding:
    try:
        zone, place = network.place_of(name, dns)
        network.try_zone(zone, dns)
    except IssuanceProblem as problem:
        return Finding(ok=False, subject=name, sentence=f"can't be written: {problem}")
    led = "" if place == name else f" as {place}, where its CNAME leads,"
    return Finding(ok=True, subject=name, sentence=f"can be written{led} in the zone {zone}")


def _caa(order: Wanted, authority: Authority, acme: Acme, network: Network) -> Finding:
    identities = authority.caa_identities
    for name in order.names:
        if sentence := network.forbidden(name, identities, acme.challenge, acme.dns):
            return Finding(ok=False, subject=order.name, sentence=f"gets none: {sentence}")
    sentence = f"has no CAA record that forbids {authority.host}"
    return Finding(ok=True, subject=order.name, sentence=sentence)
