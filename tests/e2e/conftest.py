"""The real commands on loopback, with upstreams that a test plays itself."""

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
import pytest_asyncio

from acme_world import World, acme_world
from authority import Authority
from deployment import Deployment, Site, Start, Way


@pytest.fixture(scope="session")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    """The authority that clients and the main host's proxy trust."""
    return Authority(tmp_path_factory.mktemp("authority"))


@pytest.fixture
def deployment(authority: Authority, tmp_path: Path, start_exoproxy: Start) -> Deployment:
    """Starts `exoproxy main` and `exoproxy uap` as processes of this test."""
    return Deployment(authority, tmp_path, start_exoproxy)


@pytest.fixture(scope="session")
def standing(
    authority: Authority, tmp_path_factory: pytest.TempPathFactory, start_exoproxy_once: Start
) -> dict[str, Site]:
    """Both modes with the default limits, for every test that does not end them."""
    deployment = Deployment(authority, tmp_path_factory.mktemp("standing"), start_exoproxy_once)
    return {"main": deployment.main(), "uap": deployment.uap()}


@pytest_asyncio.fixture(params=["main", "uap"])
async def way(
    request: pytest.FixtureRequest, standing: dict[str, Site], deployment: Deployment
) -> AsyncIterator[Way]:
    """Each mode with an upstream behind it."""
    async with deployment.through(standing[request.param]) as found:
        yield found


@pytest_asyncio.fixture
async def uap(standing: dict[str, Site], deployment: Deployment) -> AsyncIterator[Way]:
    """The UAP with an instance behind it."""
    async with deployment.through(standing["uap"]) as found:
        yield found


@pytest.fixture(scope="session")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """An ACME authority, name servers and Cloudflare's API, without faults, for all tests."""
    with acme_world(tmp_path_factory.mktemp("world")) as started:
        yield started
