"""What the demo adds to the engine: a resolver that knows one name."""

from ipaddress import IPv4Address

import pytest

from exoproxy.demo.life import LoopbackNames
from exoproxy.errors import UpstreamName


async def test_resolver_knows_the_cloud_alone() -> None:
    """The cloud's name is the given address; any other name has none, and nobody is asked."""
    names = LoopbackNames(IPv4Address("127.0.0.1"))

    assert await names.resolve("cloud.localhost") == (IPv4Address("127.0.0.1"),)
    with pytest.raises(UpstreamName):
        await names.resolve("localhost")
