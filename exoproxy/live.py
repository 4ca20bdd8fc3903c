"""Does the world answer as the configuration expects: DNS, free ports, the cloud's API?

The network is handed in, so that tests stay on loopback. As at `/proxy`, every address of an
upstream is judged before one is dialled, and the judged address is the one dialled. Called by
`exoproxy check --live`.
"""

import socket
import ssl
from collections.abc import Iterator
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address, ip_address
from typing import Final, Protocol

from exoproxy.errors import TargetNotAllowed
from exoproxy.net.sockets import ListenError, open_socket
from exoproxy.net.tls import open_context, verifying_context
from exoproxy.rules.egress import Policy
from exoproxy.settings.addresses import ListenAddress
from exoproxy.settings.model import Settings
from exoproxy.settings.names import HostPattern
from exoproxy.settings.sites import Main, Proxy, Region
from exoproxy.sites import cloud_proxy

_TIMEOUT: Final = 5.0  # seconds, for a person who waits

IPAddress = IPv4Address | IPv6Address


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """What was tried and how it went; `subject` is a name, a listener or an upstream."""

    ok: bool
    subject: str
    sentence: str


class Network(Protocol):
    """What can be tried in the world; all of it blocks."""

    def resolve(self, host: str) -> list[IPAddress]:
        """Return the addresses of a name; raises OSError."""

    def listen(self, listener: ListenAddress) -> None:
        """Listen for a moment; raises ListenError."""

    def shake_hands(self, address: IPAddress, port: int, name: str, context: ssl.SSLContext) -> str:
        """Connect, complete a TLS handshake as for `name`, return TLS's version; raises OSError."""


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
    if any(site.certificate == "acme" for site in sites):
        yield Finding(
            ok=True,
            subject="acme.dns.token_file",
            sentence="not tried: the Cloudflare token is for certificates by ACME, which is not "
            "there yet in this version",
        )


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
