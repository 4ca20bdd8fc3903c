"""A proxy and what is behind it, and the rule that nothing of it is left behind."""

import asyncio
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import NamedTuple

from harness.proxy import Proxy
from harness.upstream import Upstream


class Tls(NamedTuple):
    """Contexts of both sides, for the name localhost."""

    server: ssl.SSLContext
    client: ssl.SSLContext


class Between(NamedTuple):
    """What a test of sockets gets: clients are made by `proxy.connect`."""

    proxy: Proxy
    upstream: Upstream


@asynccontextmanager
async def running(tls: Tls | None = None) -> AsyncIterator[Between]:
    """Run a proxy and an upstream, both over TLS or both plain.

    At the end the proxy must be rid of everything, and no task be left.
    """
    upstream = Upstream(lambda peer, request: None)
    await upstream.start(tls and tls.server)
    scheme = "https" if tls else "http"
    proxy = Proxy(upstream.port, context=tls and tls.server, upstream_scheme=scheme)
    try:
        yield Between(proxy, upstream)
        await proxy.left_clean()
    finally:
        await proxy.stop()
        await upstream.stop()

    assert asyncio.all_tasks() - {asyncio.current_task()} == set()
