"""SIGHUP: what the file says holds for new requests, and nobody who is connected notices.

A mistake in the file, or in what it names, leaves everything as it was.
"""

import asyncio
import shutil
import signal
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from authority import Authority
from deployment import GOING_AWAY, MAIN_NAME, REGION, UAP_NAME, Deployment, Site
from peers import answer, code_of, status_of, until
from ports import free_port


def change(site: Site, *path: str, to: object) -> None:
    """Set a key of the configuration."""
    content = yaml.safe_load(site.configuration.read_text("utf-8"))
    part: Any = content
    for key in path[:-1]:
        part = part.setdefault(key, {})
    part[path[-1]] = to
    site.configuration.write_text(yaml.safe_dump(content), "utf-8")


def messages(site: Site) -> list[str]:
    return [line["message"] for line in site.log() if "message" in line]


async def reload(site: Site, says: str = "Reloaded") -> None:
    """Send SIGHUP, and wait until the log tells how it went."""
    before = len([line for line in messages(site) if says in line])
    site.process.send_signal(signal.SIGHUP)
    await until(lambda: len([line for line in messages(site) if says in line]) > before)


def frame(turn: int) -> bytes:
    """Return a masked frame with a thousand bytes (RFC 6455 section 5.2)."""
    return b"\x82\xfe\x03\xe8mask" + bytes([turn]) * 1000


async def test_websocket_with_traffic_survives(deployment: Deployment) -> None:
    """Reload after reload not a byte is lost; at a drain it gets a clean goodbye."""
    frames = [frame(turn) for turn in range(200)]
    async with deployment.way("uap", limits={"drain": 2}) as way:
        client, there = await way.tunnel()
        coming = asyncio.create_task(there.read(sum(map(len, frames))))
        for turn, each in enumerate(frames):
            client.send(each)
            if turn % 50 == 25:
                await reload(way.site)
        async with asyncio.timeout(10):
            came = await coming

        assert came == b"".join(frames)
        way.site.process.send_signal(signal.SIGTERM)
        assert await client.read(4) == GOING_AWAY
        client.writer.close()
        there.close()


async def test_running_request_ends_as_it_began(deployment: Deployment) -> None:
    """Its instance is no longer allowed, and still it gets its answer; the next one is refused."""
    async with deployment.way("uap") as way:
        client, there = await way.asked()
        change(way.site, "uap", "regions", REGION, "ports", to=["1-1023"])
        await reload(way.site)
        there.send(answer(b"as it began"))
        first = await client.message()
        client.send(way.request())
        second = await client.message()

        assert first.content == b"as it began"
        assert (status_of(second), code_of(second)) == (403, "target-not-allowed")


async def test_kept_connection_to_what_is_no_longer_allowed(deployment: Deployment) -> None:
    """A name may stay allowed while its address no longer is: the pool must not lead there."""
    async with deployment.way("main") as way:
        client, there = await way.asked()
        there.send(answer(b"kept"))
        await client.message()
        change(way.site, "main", "proxy", "networks", to=[])
        await reload(way.site)
        client.send(way.request())
        got = await client.message()

        assert (status_of(got), code_of(got)) == (403, "target-not-allowed")


async def test_who_is_believed_no_more(deployment: Deployment) -> None:
    """A balancer's connection stays open, and its next request is that of any other client."""
    forged = (b"X-Forwarded-For", b"203.0.113.9")
    told = []
    async with deployment.way("uap", trusted_proxies=["127.0.0.0/8"]) as way:
        client = await way.connect()
        for trusted in (["192.0.2.1/32"], ["127.0.0.0/8"], []):
            client.send(way.request(forged))
            there = await way.upstream.accepted()
            told += [value for name, value in (await there.message()).fields if name == forged[0]]
            there.send(answer())
            await client.message()
            change(way.site, "trusted_proxies", to=trusted)
            await reload(way.site)

    assert told == [b"203.0.113.9, 127.0.0.1", b"127.0.0.1", b"203.0.113.9, 127.0.0.1"]


async def test_caps_hold_at_once(deployment: Deployment) -> None:
    """Lowered during an attack, they turn away who comes next; who is in stays in."""
    async with deployment.way("uap") as way:
        first, there = await way.asked()
        change(way.site, "limits", to={"connections_per_client": 1})
        await reload(way.site)
        second = await way.connect()
        second.send(way.request())
        refused = await second.message()
        there.send(answer(b"stays"))
        got = await first.message()

    assert (status_of(refused), code_of(refused)) == (503, "overloaded")
    assert got.content == b"stays"


async def test_mistakes_leave_all_as_it_was(deployment: Deployment) -> None:
    """Every mistake is told with its line, and the process goes on by what it had."""
    site = deployment.uap()
    async with deployment.through(site, complaint="Not reloaded, and nothing has changed: ") as way:
        change(way.site, "uap", "regions", REGION, "ports", to=["1-1023"])
        change(way.site, "limits", to={"drian": 5, "idle_timeout": "soon"})
        await reload(way.site, says="limits.idle_timeout")
        told = messages(way.site)
        client, there = await way.asked()
        there.send(answer(b"as before"))
        got = await client.message()

    assert got.content == b"as before"
    assert any("limits.drian: " in line and "did you mean" in line for line in told)
    assert any("limits.idle_timeout: " in line for line in told)


async def test_certificate_that_will_not_do(
    deployment: Deployment, authority: Authority, tmp_path: Path
) -> None:
    """The configuration is not taken over by half: neither its certificate nor the rest."""
    site = deployment.uap()
    async with deployment.through(site, complaint="Not reloaded") as way:
        change(site, "uap", "regions", REGION, "ports", to=["1-1023"])
        broken = {"cert_file": str(tmp_path / "none.pem"), "key_file": str(tmp_path / "none.pem")}
        change(site, "uap", "regions", REGION, "certificate", to=broken)
        await reload(site, says="Not reloaded")
        client, there = await way.asked()
        there.send(answer(b"as before"))

        assert (await client.message()).content == b"as before"

        other = tmp_path / "other.pem"
        shutil.copy(authority.issue("other.example.org", f"*.{UAP_NAME}"), other)
        files = {"cert_file": str(other), "key_file": str(other)}
        change(site, "uap", "regions", REGION, "certificate", to=files)
        await reload(site)
        client = await way.connect()
        tls = client.writer.get_extra_info("ssl_object").getpeercert()

        assert ("DNS", "other.example.org") in tls["subjectAltName"]


async def test_what_can_not_change_is_named(deployment: Deployment) -> None:
    """Other listeners wait for a restart; the rest of the file holds at once."""
    async with deployment.way("uap") as way:
        listen = [f"127.0.0.1:{way.site.port}", f"127.0.0.1:{free_port()}"]
        change(way.site, "uap", "regions", REGION, "listen", to=listen)
        change(way.site, "uap", "regions", REGION, "ports", to=["1-1023"])
        await reload(way.site)
        client = await way.connect()
        client.send(way.request())

        assert status_of(await client.message()) == 403
        assert (
            f"uap.regions.{REGION}.listen: the new value takes effect when the service is "
            "restarted" in messages(way.site)
        )


async def test_pages_are_switched(deployment: Deployment) -> None:
    """A page of our own comes and goes with its setting."""
    async with deployment.way("main") as way:
        client = await way.connect()
        found = []
        for on in (True, False):
            change(way.site, "main", "self_test", to=on)
            await reload(way.site)
            client.send(f"GET /.exoproxy/self-test HTTP/1.1\r\nHost: {MAIN_NAME}\r\n\r\n".encode())
            found.append(b"self-test" in (await client.message()).content)

        assert found == [True, False]


async def test_caps_hold_from_then_on(deployment: Deployment) -> None:
    """Fewer places for a client, then more: each number holds for whoever connects next."""
    async with deployment.way("uap") as way:
        await way.connect()
        found = []
        for most in (1, 9):
            change(way.site, "limits", to={"connections_per_client": most})
            await reload(way.site)
            client = await way.connect()
            client.send(way.site.request(9))
            found.append(status_of(await client.message()))

        assert found == [503, 502]


@pytest.mark.parametrize("damage", ["missing", "folder", "half", "binary", "nested"])
async def test_files_that_are_none(deployment: Deployment, damage: str) -> None:
    """Whatever is in the place of the file, it is told, and the process goes on."""
    site = deployment.uap()
    async with deployment.through(site, complaint="Not reloaded, and nothing has changed: ") as way:
        text = site.configuration.read_bytes()
        site.configuration.unlink()
        if damage == "folder":
            site.configuration.mkdir()
        elif damage != "missing":
            half = text[: len(text) // 2]
            nested = b"main: " + b"[" * 100_000
            content = {"half": half, "binary": bytes(range(256)), "nested": nested}[damage]
            site.configuration.write_bytes(content)
        await reload(site, says="Not reloaded")
        client, there = await way.asked()
        there.send(answer(b"as before"))

        assert (await client.message()).content == b"as before"
        assert not any("defect" in line for line in messages(site))


async def test_storm(deployment: Deployment) -> None:
    """Fifty signals in a second take effect like one, the last file like any other."""
    site = deployment.uap()
    # Some find the file half written.
    async with deployment.through(site, complaint="Not reloaded") as way:
        for turn in range(50):
            change(way.site, "limits", to={"drain": turn})
            way.site.process.send_signal(signal.SIGHUP)
            await asyncio.sleep(0.02)
        change(way.site, "uap", "regions", REGION, "ports", to=["1-1023"])
        # The first to be told of may have begun before.
        for _ in range(2):
            await reload(way.site)
        client = await way.connect()
        client.send(way.request())

        assert status_of(await client.message()) == 403


async def test_signals_before_it_serves(deployment: Deployment) -> None:
    """Who asks for a reload while the process starts gets one, and not its end."""
    site = deployment.uap()
    site.process.terminate()
    site.process.wait(10)
    command = ("uap", "--region", REGION, "--config", str(site.configuration))
    output = site.output.with_name("early.log")
    with output.open("wb") as sink:
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "exoproxy", *command), stdout=sink, stderr=sink
        )
    try:
        await until(lambda: blocks(process.pid, signal.SIGHUP))
        process.send_signal(signal.SIGHUP)
        await until(lambda: b'"Reloaded; ' in output.read_bytes())

        assert process.returncode is None
    finally:
        process.kill()
        await process.wait()


def blocks(pid: int, number: signal.Signals) -> bool:
    """Tell whether a process lets a signal wait (proc(5))."""
    status = Path(f"/proc/{pid}/status").read_text("ascii")
    mask = int(status.partition("\nSigBlk:")[2].split()[0], 16)
    return bool(mask & 1 << number - 1)


async def test_end_during_a_reload(deployment: Deployment) -> None:
    """The reload comes to nothing, and requests are finished."""
    async with deployment.way("uap", limits={"drain": 20}) as way:
        client, there = await way.asked()
        # A reload takes a tenth of a second.
        way.site.process.send_signal(signal.SIGHUP)
        await asyncio.sleep(0.03)
        way.site.process.send_signal(signal.SIGTERM)
        await asyncio.sleep(0.5)
        there.send(answer(b"finished"))

        assert (await client.message()).content == b"finished"
        assert await asyncio.to_thread(way.site.process.wait, 10) == 0
