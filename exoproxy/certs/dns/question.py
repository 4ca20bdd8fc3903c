"""One DNS question to one server, or to many at once.

By UDP, then by TCP where the answer was cut short. Packets that don't belong to the question are
passed over until its time is up. What an answer means is judged by who asks: `zones`,
`certs.propagation` and `certs.caa`.

Servers are asked wherever a zone's NS records say, private addresses included: zones of intranets
are as good as others. What bounds a hostile zone is number and time.
"""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Final, Protocol

import dns.exception
import dns.flags
import dns.message
import dns.query
from dns.message import Message
from dns.name import Name
from dns.rdatatype import RdataType

# A zone's own server has its answer at hand; a resolver may have to walk from the root.
_SERVER_SECONDS: Final = 2.0
_RESOLVER_SECONDS: Final = 3.0
# The largest UDP answer that passes every usual path unfragmented (RFC 9715 section 3).
_PAYLOAD: Final = 1232


@dataclass(frozen=True, slots=True, kw_only=True)
class Server:
    """A DNS server at one address. `name` is that of its NS record, empty for a resolver."""

    address: str
    port: int = 53
    name: str = ""

    def __str__(self) -> str:
        address = self.address
        if self.port != 53:
            address = f"[{address}]:{self.port}" if ":" in address else f"{address}:{self.port}"
        return f"{self.name} ({address})" if self.name else address


class NoAnswer(Exception):
    """A server gave no answer; the message says how, to follow the server's name."""


class Ask(Protocol):
    """A way to put one question to one server. Raises `NoAnswer`."""

    def __call__(self, server: Server, name: Name, kind: RdataType, *, recurse: bool) -> Message:
        """Return the server's answer, of whatever rcode; `recurse` lets it ask others for it."""


def ask(server: Server, name: Name, kind: RdataType, *, recurse: bool) -> Message:
    """Ask over the network, within seconds."""
    question = dns.message.make_query(
        name, kind, use_edns=0, payload=_PAYLOAD, flags=dns.flags.RD if recurse else 0
    )
    seconds = _RESOLVER_SECONDS if recurse else _SERVER_SECONDS
    try:
        answer, _ = dns.query.udp_with_fallback(
            question,
            server.address,
            timeout=seconds,
            port=server.port,
            ignore_unexpected=True,
            ignore_errors=True,
        )
    except dns.exception.Timeout as error:
        raise NoAnswer(f"does not answer within {seconds:g} s") from error
    except OSError as error:
        raise NoAnswer(f"can't be reached ({error.strerror or error})") from error
    except (dns.exception.DNSException, EOFError, ValueError) as error:
        raise NoAnswer("answers by TCP with something that is no DNS answer") from error
    return answer


def ask_all(
    ask: Ask, servers: Sequence[Server], name: Name, kind: RdataType
) -> list[tuple[Server, Message | NoAnswer]]:
    """Ask all at once for what they know themselves; it takes as long as the slowest."""

    def one(server: Server) -> tuple[Server, Message | NoAnswer]:
        try:
            return server, ask(server, name, kind, recurse=False)
        except NoAnswer as error:
            return server, error

    if not servers:
        return []
    with ThreadPoolExecutor(len(servers)) as threads:
        return list(threads.map(one, servers))
