"""The resolvers: DNS servers that find an answer wherever it lies, and keep it for a while.

Called by `zones`, which knows what they must not be asked.
"""

import socket
from collections.abc import Sequence
from ipaddress import ip_address
from typing import Final

import dns.exception
import dns.resolver
from dns.message import Message
from dns.name import Name
from dns.rcode import NOERROR, NXDOMAIN
from dns.rdatatype import RdataType

from exoproxy.certs.dns.question import Ask, NoAnswer, Server
from exoproxy.certs.problem import IssuanceProblem

# More than any host has, and few enough to wait for each.
_RESOLVERS: Final = 4
# A packet may get lost.
_TRIES: Final = 2


class Resolvers:
    """The configured resolvers, (host name or address, port) each, or those of /etc/resolv.conf."""

    def __init__(self, configured: Sequence[tuple[str, int]], ask: Ask) -> None:
        self._configured = configured
        self._ask = ask
        self._servers: list[Server] = []

    def __str__(self) -> str:
        return ", ".join(map(str, self._servers))

    def resolve(self, name: Name, kind: RdataType) -> Message | None:
        """Return the first answer that tells what there is, else one of failure, else None.

        Raises `IssuanceProblem` if there is no resolver to ask.
        """
        self._servers = self._servers or _servers(self._configured)
        failure = None
        for server in self._servers * _TRIES:
            try:
                answer = self._ask(server, name, kind, recurse=True)
            except NoAnswer:
                continue
            if answer.rcode() in (NOERROR, NXDOMAIN):
                # Those that are down shall not cost seconds at each question.
                self._servers = sorted(self._servers, key=lambda other: other != server)
                return answer
            failure = answer
        return failure


def _servers(configured: Sequence[tuple[str, int]]) -> list[Server]:
    if configured:
        return [Server(address=_address(host), port=port) for host, port in configured[:_RESOLVERS]]
    try:
        system = dns.resolver.Resolver()
    except dns.exception.DNSException as error:
        raise IssuanceProblem(
            "This host names no DNS resolver in /etc/resolv.conf: name one there, or in "
            "acme.dns.resolvers."
        ) from error
    return [Server(address=str(address)) for address in system.nameservers[:_RESOLVERS]]


def _address(host: str) -> str:
    try:
        return str(ip_address(host))
    except ValueError:
        pass
    try:
        return str(socket.getaddrinfo(host, None, type=socket.SOCK_DGRAM)[0][4][0])
    except OSError as error:
        raise IssuanceProblem(
            f"The resolver {host} in acme.dns.resolvers has no address ({error.strerror}): write "
            "its address instead, e.g. 9.9.9.9."
        ) from error
