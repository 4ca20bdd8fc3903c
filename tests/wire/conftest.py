"""The proxy between two bare connections, on both event loops, leaving nothing behind."""

import asyncio
import logging
import ssl
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from datetime import UTC, datetime

import pytest
import pytest_asyncio
import uvloop

from exoproxy.certs.context import server_context
from exoproxy.certs.local import local_certificate
from harness.between import Between, Tls, running


def pytest_asyncio_loop_factories(
    config: pytest.Config, item: pytest.Item
) -> Mapping[str, Callable[[], asyncio.AbstractEventLoop]]:
    """Run every asynchronous test of this room on both event loops."""
    return {"uvloop": uvloop.new_event_loop, "asyncio": asyncio.new_event_loop}


@pytest.fixture(autouse=True)
def quiet(caplog: pytest.LogCaptureFixture) -> Iterator[None]:
    """Fail a test that leaves an error in the log."""
    yield
    errors = [
        one.getMessage() for one in caplog.get_records("call") if one.levelno >= logging.ERROR
    ]

    assert errors == []


@pytest.fixture(scope="session")
def tls(tmp_path_factory: pytest.TempPathFactory) -> Tls:
    """A certificate for localhost by an authority of this run."""
    folder = tmp_path_factory.mktemp("tls")
    made = local_certificate(folder, ["localhost"], datetime.now(UTC))
    client = ssl.create_default_context(cafile=str(made.ca_file))
    return Tls(server=server_context(made.cert_file, made.key_file), client=client)


@pytest_asyncio.fixture
async def between() -> AsyncIterator[Between]:
    """A proxy of plain connections; after the test nothing may be left of it."""
    async with running() as both:
        yield both
