"""What a server is made of: limits handed on, and its only way out."""

import asyncio
from ipaddress import ip_address

import pytest

from exoproxy.errors import TargetNotAllowed
from exoproxy.net.dial import Address, Upstream
from exoproxy.rules.egress import Policy
from exoproxy.server import caps_of, dialer_for, tcp_options
from exoproxy.settings.limits import Limits


def test_limits_reach_the_sockets() -> None:
    """Caps and keep-alive are those configured."""
    limits = Limits(
        connections=7,
        connections_per_client=3,
        keepalive_idle=61,
        keepalive_interval=16,
        keepalive_probes=5,
        user_timeout=121,
    )
    options, caps = tcp_options(limits), caps_of(limits)

    assert (options.idle, options.interval, options.count) == (61, 16, 5)
    assert options.user_timeout == 121
    assert (caps.total, caps.per_client) == (7, 3)


async def test_nothing_is_dialled_unjudged() -> None:
    """The dialler has the site's policy, whatever the resolver says."""

    class Resolver:
        async def resolve(self, host: str) -> tuple[Address, ...]:
            return (ip_address("127.0.0.1"),)

        def forget(self, host: str) -> None:
            pass

    policy = Policy(networks=(), public=True)
    dialer = dialer_for(policy, Limits(), resolver=Resolver())
    for host in ("rebound.example", "127.0.0.1"):
        with pytest.raises(TargetNotAllowed):
            await dialer.dial(Upstream("https", host, 443, verify=True), asyncio.Protocol)
