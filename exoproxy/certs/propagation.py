"""Wait until every name server of a zone has the challenge's values.

An authority asks any of them, and from several places: a challenge that is answered too early
costs a failed validation, of which there are few an hour. Called by the attempt, between writing
the records and telling the authority.

What counts, for each name server's address, asked directly:
    it has all values               fine
    it has not, by authority        waited for; at the timeout the attempt ends, to be made later
    no answer, REFUSED, SERVFAIL …  passed over as resolvers do, after it was asked again for some
                                    seconds, if another one has the values
    no answer of use by anyone      nothing is known (port 53 is blocked, or the zone is broken):
                                    waited for a fixed time, then the attempt goes on
"""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Final

from dns.flags import AA
from dns.message import Message
from dns.name import Name
from dns.rcode import NOERROR, NXDOMAIN
from dns.rcode import to_text as rcode_text
from dns.rdataclass import IN
from dns.rdatatype import CNAME, TXT
from dns.rdtypes.txtbase import TXTBase

from exoproxy.certs.dns.question import NoAnswer, Server
from exoproxy.certs.dns.zones import Dns, Place, name_of
from exoproxy.certs.problem import IssuanceProblem

# For a lost packet, or a server that loads its zone anew.
_PATIENCE: Final = 5.0
# What certbot waits by default for providers whose servers it never asks.
_BLIND_SECONDS: Final = 60.0
_FIRST_PAUSE: Final = 0.5
_LONGEST_PAUSE: Final = 10.0
_PAUSE_GROWTH: Final = 1.5
_SECONDS_BETWEEN_WORDS: Final = 15.0
# A sentence names so many servers, and counts the others.
_NAMED: Final = 3


class Standing(Enum):
    """How far a server is."""

    HAS_ALL = "has all values"
    LACKS = "lacks a value, by its own authority"
    TELLS_NOTHING = "tells nothing"


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """What a server told of a place; `words` follow its name in a sentence."""

    standing: Standing
    words: str


def wait_until_visible(
    dns: Dns,
    place_values: Mapping[Place, Sequence[str]],
    *,
    timeout: float,
    say: Callable[[str], None],
    clock: Callable[[], float] = time.monotonic,
    sleep: Callable[[float], None] = time.sleep,
) -> None:
    """Return once all name servers have all values of all places, or nothing can be known.

    `timeout` is in seconds; `say` tells the operator, a few times. Raises
    `IssuanceProblem` if a server that answers still lacks a value at the timeout.
    """
    waits = [_Wait(dns, place, values) for place, values in place_values.items()]
    started, pause, said_at, said = clock(), _FIRST_PAUSE, -_SECONDS_BETWEEN_WORDS, ""
    while True:
        for wait in waits:
            wait.look()
        elapsed = clock() - started
        waits = [wait for wait in waits if not wait.is_over(elapsed, timeout, say)]
        if not waits:
            return
        words = "; ".join(wait.words() for wait in waits)
        if words != said and elapsed - said_at >= _SECONDS_BETWEEN_WORDS:
            say(words)
            said_at, said = elapsed, words
        sleep(max(0.0, min(pause, timeout - elapsed)))
        pause = min(pause * _PAUSE_GROWTH, _LONGEST_PAUSE)


class _Wait:
    """The wait for one place."""

    def __init__(self, dns: Dns, place: Place, values: Sequence[str]) -> None:
        self._dns = dns
        self._place = place
        self._values = frozenset(values)
        self._zone = name_of(place.zone)
        self._name = name_of(place.name)
        self._told: dict[Server, Told] = {}

    def look(self) -> None:
        """Ask all servers once."""
        for server, answer in self._dns.ask_servers_of(self._zone, self._name, TXT):
            if isinstance(answer, NoAnswer) and server in self._told:
                # Who has answered is there; silence then says nothing new.
                continue
            self._told[server] = told(answer, self._name, self._values)

    def is_over(self, elapsed: float, timeout: float, say: Callable[[str], None]) -> bool:
        """Judge after `elapsed` seconds. Raises `IssuanceProblem` at the timeout."""
        has_all = self._of(Standing.HAS_ALL)
        lacking = self._of(Standing.LACKS)
        silent = self._of(Standing.TELLS_NOTHING)
        if lacking:
            if elapsed < timeout:
                return False
            raise IssuanceProblem(
                f"After {elapsed:.0f} s the record {self._place.name} is not on every name server "
                f"of {self._place.zone}: {self._list(lacking)}; check that these servers follow "
                "the zone, or raise acme.dns.propagation_timeout."
            )
        if has_all and not silent:
            say(f"Every name server of {self._place.zone} has {self._place.name}")
            return True
        if has_all:
            if elapsed < min(_PATIENCE, timeout):
                return False
            say(
                f"The name servers of {self._place.zone} have {self._place.name}; passed over: "
                f"{self._list(silent)}"
            )
            return True
        if elapsed < min(_BLIND_SECONDS, timeout):
            return False
        say(f"Going on without having seen {self._place.name}")
        return True

    def words(self) -> str:
        """Return what is waited for."""
        if lacking := self._of(Standing.LACKS):
            return (
                f"Waiting until all name servers of {self._place.zone} have {self._place.name}: "
                f"{self._list(lacking)}"
            )
        silent = self._of(Standing.TELLS_NOTHING)
        if self._of(Standing.HAS_ALL):
            return f"Asking again: {self._list(silent)}"
        if silent:
            return (
                f"No name server of {self._place.zone} tells anything of use, port 53 may be "
                f"blocked from here: {self._list(silent)}; waiting up to {_BLIND_SECONDS:.0f} s "
                "instead"
            )
        return (
            f"The resolvers name no name server of {self._place.zone} to ask for "
            f"{self._place.name}; waiting up to {_BLIND_SECONDS:.0f} s instead"
        )

    def _of(self, standing: Standing) -> list[Server]:
        return [server for server, told in self._told.items() if told.standing is standing]

    def _list(self, servers: Sequence[Server]) -> str:
        named = [f"{server} {self._told[server].words}" for server in servers[:_NAMED]]
        others = len(servers) - len(named)
        return ", ".join(named) + (f", and {others} more" if others else "")


def told(answer: Message | NoAnswer, name: Name, values: frozenset[str]) -> Told:
    """Judge what a server says of a name that should hold these values, maybe beside others."""
    if isinstance(answer, NoAnswer):
        return Told(standing=Standing.TELLS_NOTHING, words=str(answer))
    rcode = answer.rcode()
    found = _texts(answer, name)
    if rcode == NOERROR and values <= found:
        return Told(standing=Standing.HAS_ALL, words="has all values")
    if rcode not in (NOERROR, NXDOMAIN):
        return Told(standing=Standing.TELLS_NOTHING, words=f"returns {rcode_text(rcode)}")
    if not answer.flags & AA:
        # A lame delegation, or a firewall that answers in the server's place.
        return Told(standing=Standing.TELLS_NOTHING, words="answers without authority")
    if rcode == NXDOMAIN:
        words = "returns NXDOMAIN"
    elif answer.get_rrset(answer.answer, name, IN, CNAME):
        words = "returns a CNAME"
    elif not found:
        words = "returns no TXT record"
    elif values & found:
        words = f"returns {len(values & found)} of {len(values)} values"
    else:
        words = f"returns other values only ({len(found)})"
    return Told(standing=Standing.LACKS, words=words)


def _texts(answer: Message, name: Name) -> set[str]:
    rrset = answer.get_rrset(answer.answer, name, IN, TXT)
    return {
        b"".join(record.strings).decode("latin-1")
        for record in rrset or ()
        if isinstance(record, TXTBase)
    }
