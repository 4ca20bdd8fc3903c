"""Files of the client through the real process: encoded beside the requests, and until its end."""

import asyncio
import signal
from pathlib import Path

import brotli  # type: ignore[import-untyped] # without annotations; nobody publishes any
import pytest

from deployment import MAIN_NAME, Deployment, Site
from messages import Message
from peers import End, request
from scripts import script

# As large as the client's own.
SCRIPT = script(665_093)
BROTLI = (b"Accept-Encoding", b"br")
# Seconds that the process may go on with what it encodes.
END = 4


@pytest.fixture
def site(deployment: Deployment, tmp_path: Path) -> Site:
    root = tmp_path / "release"
    root.mkdir()
    (root / "index.html").write_text("<!doctype html><title>client</title>", "utf-8")
    (root / "elm-web.js").write_bytes(SCRIPT)
    return deployment.main(client=root)


async def get(client: End) -> Message:
    client.send(request(MAIN_NAME, BROTLI, line=b"GET /elm-web.js HTTP/1.1"))
    return await client.message()


async def test_first_visitor_does_not_wait(site: Site) -> None:
    """The file as it is at once, its encoded form as soon as it is ready: one content, two tags."""
    client = await site.connect(MAIN_NAME)
    first = await get(client)
    async with asyncio.timeout(60):
        while (b"Content-Encoding", b"br") not in (later := await get(client)).fields:
            pass
    client.close()

    assert first.content == SCRIPT
    assert brotli.decompress(later.content) == SCRIPT
    assert len(later.content) < len(SCRIPT) / 2
    assert dict(first.fields)[b"ETag"] != dict(later.fields)[b"ETag"]


async def test_end_while_it_encodes(site: Site) -> None:
    """SIGTERM in the midst of it ends the process soon, with 0 and no complaint."""
    client = await site.connect(MAIN_NAME)
    await get(client)
    client.close()
    site.process.send_signal(signal.SIGTERM)

    assert await asyncio.to_thread(site.process.wait, END) == 0
    assert b"Traceback" not in site.output.read_bytes()
