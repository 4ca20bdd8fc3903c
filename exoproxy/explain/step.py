"""One decision with its reason, and the request that it is about."""

from collections.abc import Callable
from dataclasses import dataclass

from exoproxy.rules.address_space import IPAddress


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One decision: what it is about, and what was decided and why; `ok` unless it refuses."""

    subject: str
    sentence: str
    ok: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Circumstances:
    """What is known of the request besides its target.

    `origin` is that of the page that asks, None for a navigation; `client` the address that
    connects, None if it doesn't matter. `resolve` returns the addresses of a name or raises
    OSError; without it nothing is looked up.
    """

    method: str = "GET"
    origin: str | None = None
    client: IPAddress | None = None
    resolve: Callable[[str], list[IPAddress]] | None = None
