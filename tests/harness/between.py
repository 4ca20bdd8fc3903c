"""A proxy and what is behind it."""

from typing import NamedTuple

from harness.proxy import Proxy
from harness.upstream import Upstream


class Between(NamedTuple):
    """What a test of sockets gets: clients are made by `proxy.connect`."""

    proxy: Proxy
    upstream: Upstream
