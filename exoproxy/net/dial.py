"""Connections to upstreams."""

from typing import NamedTuple


class Upstream(NamedTuple):
    """Where a request goes; the pool's key.

    `scheme` is "http" or "https", `host` an ASCII name or a canonical address without brackets,
    `verify` whether the certificate must be valid for `host`.
    """

    scheme: str
    host: str
    port: int
    verify: bool
