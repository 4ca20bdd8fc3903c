"""Endpoints that a Keystone names at a login are reached from then on, and nothing else is.

The cloud plays on loopback: a Keystone that `allow` holds by its port, and services that it does
not hold, all by the name localhost.
"""

import asyncio
import contextlib
import gzip
import json
import signal
import ssl
import subprocess
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any

import brotli  # type: ignore[import-untyped] # without annotations; nobody publishes any
import pytest
import pytest_asyncio
import yaml
import zstandard

from authority import Authority
from deployment import CLOUD, MAIN_NAME, Deployment, Site
from messages import Message
from peers import BUFFER, End, answer, code_of, status_of, until

LOGIN = b"POST /v3/auth/tokens HTTP/1.1"
ELSEWHERE = "127.0.0.2"
ENCODERS: dict[str, Callable[[bytes], bytes]] = {
    "": bytes,
    "gzip": gzip.compress,
    "br": brotli.compress,
    "zstd": zstandard.compress,
}


class Service:
    """An API over TLS that gives the same answer to everyone; `count` says how often."""

    def __init__(self) -> None:
        self.port = 0
        self.count = 0
        self.answer = answer(b"{}", (b"Content-Type", b"application/json"))
        self._ends: list[End] = []

    @asynccontextmanager
    async def serving(
        self, context: ssl.SSLContext, address: str = "127.0.0.1"
    ) -> AsyncIterator[None]:
        """Answer at an address, on a port of its own."""
        server = await asyncio.start_server(self._serve, address, 0, ssl=context, limit=BUFFER)
        self.port = server.sockets[0].getsockname()[1]
        try:
            yield
        finally:
            server.close()
            for end in self._ends:
                end.close()
            await server.wait_closed()
            await asyncio.sleep(0.05)  # the handlers' last step

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        end = End(reader, writer)
        self._ends.append(end)
        with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError, TimeoutError):
            while True:
                await end.message()
                self.count += 1
                end.send(self.answer)
        end.close()

    def names(
        self,
        *urls: str,
        status: bytes = b"201 Created",
        coding: str = "",
        padding: int = 0,
    ) -> bytes:
        """Answer from now on with a token whose catalogue has these URLs; return the content."""
        endpoints = [{"interface": "public", "region": "RegionOne", "url": url} for url in urls]
        catalog = [{"type": "compute", "name": "nova", "endpoints": endpoints}]
        token = {"token": {"methods": ["password"], "catalog": catalog, "x": "x" * padding}}
        content = ENCODERS[coding](json.dumps(token).encode())
        fields = [(b"Content-Type", b"application/json"), (b"X-Subject-Token", b"secret")]
        if coding:
            fields.append((b"Content-Encoding", coding.encode()))
        self.answer = answer(content, *fields, status=status)
        return content


class Cloud:
    """A Keystone, two services beside it, and how to ask them through the main host."""

    def __init__(self) -> None:
        self.keystone = Service()
        self.nova = Service()
        self.glance = Service()

    def settings(self, authority: Authority, *allow: str) -> dict[str, Any]:
        """Return `main.proxy` for this cloud; `allow` is the Keystone alone unless it is given."""
        return {
            "allow": list(allow) or [f"{CLOUD}:{self.keystone.port}"],
            "networks": ["127.0.0.1/32", "::1/128"],
            "ca_file": str(authority.file),
        }

    @property
    def compute(self) -> str:
        """The URL of the compute service in a catalogue."""
        return f"https://{CLOUD}:{self.nova.port}/v2.1"

    async def login(self, site: Site, line: bytes = LOGIN) -> Message:
        """Return what the Keystone's answer is for a client."""
        return await ask(site, self.keystone.port, line)


async def ask(site: Site, port: int, line: bytes = b"GET / HTTP/1.1", host: str = CLOUD) -> Message:
    """Return the answer to a client that asks /proxy for a host and port."""
    client = await site.connect(MAIN_NAME)
    try:
        content = b"{}" if line.startswith(b"POST") else b""
        asked = site.request(port, line=line, content=content)
        client.send(asked.replace(b"host: " + CLOUD.encode(), b"host: " + host.encode()))
        return await client.message()
    finally:
        client.close()


async def refused(site: Site, port: int, host: str = CLOUD) -> bool:
    """Tell whether /proxy refuses a target by policy; it is served if not."""
    got = await ask(site, port, host=host)
    if status_of(got) == 200:
        return False

    assert (status_of(got), code_of(got)) == (403, "target-not-allowed")
    return True


@pytest_asyncio.fixture
async def cloud(authority: Authority) -> AsyncIterator[Cloud]:
    """A cloud of its own for each test."""
    here = Cloud()
    context = authority.serve(CLOUD)
    async with contextlib.AsyncExitStack() as stack:
        for service in (here.keystone, here.nova, here.glance):
            await stack.enter_async_context(service.serving(context))
        yield here


@pytest.fixture
def site(deployment: Deployment, authority: Authority, cloud: Cloud) -> Site:
    """The main host of a cloud whose Keystone alone is listed."""
    return deployment.main(part={"proxy": cloud.settings(authority)})


async def stopped(site: Site) -> None:
    """End the process as systemd does, and wait for it."""
    site.process.send_signal(signal.SIGTERM)
    await until(lambda: site.process.poll() is not None)

    assert site.process.returncode == 0


@pytest.mark.parametrize("coding", ENCODERS)
async def test_a_login_opens_what_the_catalogue_names(
    site: Site, cloud: Cloud, coding: str
) -> None:
    """Refused before, served after; the client's answer is the Keystone's, byte for byte."""
    before = await refused(site, cloud.nova.port)
    content = cloud.keystone.names(cloud.compute, coding=coding)
    got = await cloud.login(site)

    assert before
    assert (status_of(got), got.content) == (201, content)
    assert not await refused(site, cloud.nova.port)
    assert await refused(site, cloud.glance.port)
    assert cloud.nova.count == 1


async def test_a_restart_forgets_nothing(
    site: Site,
    cloud: Cloud,
    authority: Authority,
    deployment: Deployment,
    run_exoproxy: Callable[..., subprocess.CompletedProcess[str]],
) -> None:
    """Though the end comes right after the login; and `explain` tells who named it."""
    cloud.keystone.names(cloud.compute)
    await cloud.login(site)
    await stopped(site)
    target, config = f"{CLOUD}:{cloud.nova.port}", str(site.configuration)
    told = await asyncio.to_thread(run_exoproxy, "explain", target, "--config", config)
    again = deployment.main(part={"proxy": cloud.settings(authority)})

    assert not await refused(again, cloud.nova.port)
    assert f"{CLOUD}:{cloud.keystone.port}, which main.proxy.allow holds, named it" in told.stdout
    (file,) = await asyncio.to_thread(files, site.configuration.parent / "state" / "learned")
    assert file.name == f"{MAIN_NAME}.json"
    assert file.stat().st_mode & 0o777 == 0o600
    assert "secret" not in file.read_text()


def files(folder: Path) -> list[Path]:
    return list(folder.iterdir())


async def test_a_reload_forgets_nothing_but_who_is_believed(
    site: Site, cloud: Cloud, authority: Authority
) -> None:
    """What a Keystone has named goes with its place on the list, and comes back with it."""
    cloud.keystone.names(cloud.compute)
    await cloud.login(site)
    seen: list[bool] = []
    for allow in ([], [f"{CLOUD}:{cloud.glance.port}"], []):
        content = yaml.safe_load(site.configuration.read_text("utf-8"))
        content["main"]["proxy"] = cloud.settings(authority, *allow)
        site.configuration.write_text(yaml.safe_dump(content), "utf-8")
        site.process.send_signal(signal.SIGHUP)
        done = len(seen) + 1
        await until(partial(reloaded, site, done))
        seen.append(await refused(site, cloud.nova.port))

    assert seen == [False, True, False]


def reloaded(site: Site, times: int) -> bool:
    said = [str(line.get("message", "")) for line in site.log()]
    return sum(message.startswith("Reloaded") for message in said) == times


async def test_a_poisoned_catalogue_opens_nothing(
    site: Site, cloud: Cloud, authority: Authority
) -> None:
    """Addresses that policy forbids, other schemes, and hosts that are none."""
    hidden = Service()
    async with hidden.serving(authority.serve(ELSEWHERE), ELSEWHERE):
        cloud.keystone.names(
            f"http://{CLOUD}:{cloud.nova.port}",
            f"https://u@{CLOUD}:{cloud.nova.port}",
            f"https://{CLOUD}:{cloud.nova.port}:1",
            f"https://{ELSEWHERE}:{hidden.port}",
            f"https://127.2:{hidden.port}",
            f"https://[::ffff:{ELSEWHERE}]:{hidden.port}",
            "https://169.254.169.254",
            f"https://{CLOUD}:99999",
        )
        await cloud.login(site)

        assert await refused(site, cloud.nova.port)
        for host in (ELSEWHERE, "127.2", f"[::ffff:{ELSEWHERE}]"):
            assert await refused(site, hidden.port, host)
        assert await refused(site, 443, "169.254.169.254")
        assert (cloud.nova.count, hidden.count) == (0, 0)


@pytest.mark.parametrize(
    ("line", "status"),
    [
        (LOGIN, b"200 OK"),
        (LOGIN, b"300 Multiple Choices"),
        (LOGIN, b"401 Unauthorized"),
        (b"GET /v3/auth/tokens HTTP/1.1", b"201 Created"),
        (b"PUT /v3/auth/tokens HTTP/1.1", b"201 Created"),
        (b"POST /v3/auth/tokens/x HTTP/1.1", b"201 Created"),
        (b"POST /v3/users HTTP/1.1", b"201 Created"),
        (b"POST /v3?/v3/auth/tokens HTTP/1.1", b"201 Created"),
    ],
)
async def test_other_answers_open_nothing(
    site: Site, cloud: Cloud, line: bytes, status: bytes
) -> None:
    """Only a login that made a token names endpoints."""
    cloud.keystone.names(cloud.compute, status=status)
    got = await cloud.login(site, line)

    assert status_of(got) == int(status[:3])
    assert await refused(site, cloud.nova.port)


async def test_who_was_named_names_nobody(site: Site, cloud: Cloud) -> None:
    """A service of the catalogue that plays a Keystone opens nothing further."""
    cloud.keystone.names(cloud.compute)
    await cloud.login(site)
    cloud.nova.names(f"https://{CLOUD}:{cloud.glance.port}")
    got = await ask(site, cloud.nova.port, LOGIN)

    assert status_of(got) == 201
    assert await refused(site, cloud.glance.port)


async def test_a_catalogue_beyond_bounds_passes_and_is_told_once(site: Site, cloud: Cloud) -> None:
    """The client gets all of it, nothing is learned, and the operator knows what to do."""
    content = cloud.keystone.names(cloud.compute, padding=2**20)
    for _ in range(2):
        got = await cloud.login(site)

        assert got.content == content
        assert await refused(site, cloud.nova.port)
    said = [line["message"] for line in site.log() if line.get("level") == "WARNING"]

    assert len(said) == 1
    assert "larger than 256 KiB" in said[0]


async def test_learning_can_be_switched_off(
    deployment: Deployment, authority: Authority, cloud: Cloud
) -> None:
    """learn_endpoints: false."""
    settings = {**cloud.settings(authority), "learn_endpoints": False}
    site = deployment.main(part={"proxy": settings})
    cloud.keystone.names(cloud.compute)
    await cloud.login(site)

    assert await refused(site, cloud.nova.port)
