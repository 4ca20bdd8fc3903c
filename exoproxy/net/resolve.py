"""From a host name to addresses, kept for a short while.

What is not here: which addresses may be dialled (`dial` judges every answer). Called by `dial`.
"""

import asyncio
import socket
import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Iterable
from ipaddress import IPv4Address, IPv6Address, ip_address
from typing import Any, NamedTuple, Protocol

from exoproxy.errors import Overloaded, UpstreamName

# A name with more addresses than this is refused: each of them has to be judged, and no server of
# a cloud has as many.
MAX_ADDRESSES = 50

# As `loop.getaddrinfo` (host, port, keyword `type`) returns them.
GetAddrInfo = Callable[..., Awaitable[Iterable[tuple[Any, ...]]]]


class Resolver(Protocol):
    """Whatever turns names into addresses."""

    async def resolve(self, host: str) -> tuple[IPv4Address | IPv6Address, ...]:
        """Return all addresses of an ASCII name, at least one; raise UpstreamName."""

    def forget(self, host: str) -> None:
        """Ask anew for this name the next time: its addresses did not work."""


class _Answer(NamedTuple):
    """What a look-up found; `problem` says why there are no addresses."""

    expires: float
    addresses: tuple[IPv4Address | IPv6Address, ...] = ()
    problem: str = ""


class SystemResolver:
    """The system's resolver (getaddrinfo: /etc/hosts, then DNS) with a short memory.

    Answers are kept `keep` seconds, since getaddrinfo does not tell their own lifetime, and
    failures `keep_failure` seconds. At most `size` names are kept and `lookups` run at a time; a
    name that is being looked up is not asked for a second time.
    """

    def __init__(
        self,
        *,
        keep: float = 30,
        keep_failure: float = 1,
        size: int = 1024,
        lookups: int = 256,
        clock: Callable[[], float] = time.monotonic,
        getaddrinfo: GetAddrInfo | None = None,
    ) -> None:
        self._keep = keep
        self._keep_failure = keep_failure
        self._size = size
        self._lookups = lookups
        self._clock = clock
        self._getaddrinfo = getaddrinfo
        self._answers: OrderedDict[str, _Answer] = OrderedDict()
        self._running: dict[str, asyncio.Task[_Answer]] = {}

    async def resolve(self, host: str) -> tuple[IPv4Address | IPv6Address, ...]:
        """Return all addresses of the name, in the system's order of preference.

        Raises UpstreamName when there is none or too many, Overloaded when too many other names
        are being looked up.
        """
        answer = self._answers.get(host)
        if answer is None or answer.expires <= self._clock():
            # Shielded: one waiter's end must not end the look-up that the others wait for.
            answer = await asyncio.shield(self._look_up_once(host))
        if answer.problem:
            raise UpstreamName(answer.problem)
        return answer.addresses

    def forget(self, host: str) -> None:
        """Drop what is kept of the name."""
        self._answers.pop(host, None)

    def _look_up_once(self, host: str) -> asyncio.Task[_Answer]:
        running = self._running.get(host)
        if running is None:
            if len(self._running) >= self._lookups:
                raise Overloaded("The proxy is looking up as many names as it may at a time.")
            running = asyncio.create_task(self._look_up(host), name=f"resolve {host}")
            self._running[host] = running
            running.add_done_callback(lambda _: self._running.pop(host, None))
        return running

    async def _look_up(self, host: str) -> _Answer:
        getaddrinfo = self._getaddrinfo or asyncio.get_running_loop().getaddrinfo
        problem = ""
        addresses: tuple[IPv4Address | IPv6Address, ...] = ()
        try:
            # Without AI_ADDRCONFIG: all answers are judged, whatever interfaces this host has
            # today, and an unreachable family costs happy eyeballs next to nothing.
            infos = await getaddrinfo(host, None, type=socket.SOCK_STREAM)
            # The scope of a link-local address is of no use here: such an address is never dialled.
            found = (ip_address(info[4][0].partition("%")[0]) for info in infos)
            addresses = tuple(dict.fromkeys(found))
        except socket.gaierror as error:
            if error.errno == socket.EAI_AGAIN:
                problem = "The DNS did not answer for the server's name."
        except (OSError, ValueError):
            # ValueError: no label of a name is empty or longer than 63 bytes (RFC 1035).
            pass
        if len(addresses) > MAX_ADDRESSES:
            problem = f"The server's name has more than {MAX_ADDRESSES} addresses."
        elif not addresses and not problem:
            problem = UpstreamName.default
        keep = self._keep_failure if problem else self._keep
        answer = _Answer(self._clock() + keep, addresses, problem)
        self._answers[host] = answer
        self._answers.move_to_end(host)
        while len(self._answers) > self._size:
            self._answers.popitem(last=False)
        return answer
