"""The admin site of a real process: its figures are those of the traffic, and it outlasts it."""

import asyncio
import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator

import pytest

from asking import get, samples, value
from deployment import Deployment, Way
from peers import answer, status_of, until
from ports import free_port


@pytest.fixture
def admin() -> int:
    """A port for the admin site."""
    return free_port()


async def asked(way: Way, status: bytes) -> None:
    client, there = await way.asked()
    there.send(answer(b"x" * 1000, status=status))
    await client.message()
    client.close()
    there.close()


async def test_figures_are_those_of_the_traffic(deployment: Deployment, admin: int) -> None:
    """Metrics, status and the log agree on what passed, and nothing stays open."""
    site = deployment.uap(part={"admin_listen": f"127.0.0.1:{admin}"})
    async with deployment.through(site) as way:
        for status in (b"200 OK", b"200 OK", b"404 Not Found"):
            await asked(way, status)
        refused = await way.connect(9)
        refused.send(way.site.request(9))
        client, there = await way.tunnel()
        assert status_of(await refused.message()) == 502
        during = await asyncio.to_thread(samples, admin)
        client.close()
        there.close()
    await until(lambda: len(site.served()) == 6)
    after = await asyncio.to_thread(samples, admin)
    found = json.loads((await asyncio.to_thread(get, admin, "/status.json"))[1])

    name = "requests_total"
    counted = {
        ("200", ""): 2.0,
        ("404", ""): 1.0,
        ("502", "upstream"): 1.0,
        ("101", ""): 1.0,
    }
    assert {
        key: value(after, name, site="uap", route="instance", code=key[0], side=key[1])
        for key in counted
    } == counted
    assert value(during, "tunnels_open") == 1
    assert value(after, "tunnels_open") == 0
    assert value(after, "connections_open", side="client") == 0
    assert value(after, "upstream_connections", state="open") == 0
    assert found["totals"]["requests"] == 5
    assert found["totals"]["upstream_errors"] == 1
    assert [row["upstream"] for row in found["upstreams"]] == ["http://127.0.0.2:9"]
    assert found["tunnels"]["open"] == 0


async def test_reloads_are_told(deployment: Deployment, admin: int) -> None:
    """One that failed is a health problem until one works; `exoproxy status` says so as well."""
    site = deployment.uap(part={"admin_listen": f"127.0.0.1:{admin}"})
    good = site.configuration.read_text("utf-8")
    site.configuration.write_text(f"{good}\nlogs: {{}}\n", "utf-8")
    site.process.send_signal(signal.SIGHUP)
    await until(lambda: b"Not reloaded" in site.output.read_bytes())
    _, ready = await asyncio.to_thread(get, admin, "/readyz")
    site.configuration.write_text(good, "utf-8")
    shown = await asyncio.to_thread(status_command, str(site.configuration))
    site.process.send_signal(signal.SIGHUP)
    await until(lambda: b"Reloaded" in site.output.read_bytes())
    _, later = await asyncio.to_thread(get, admin, "/readyz")

    assert ready.startswith("degraded\n")
    assert (shown.returncode, "logs: is not known" in " ".join(shown.stdout.split())) == (1, True)
    assert later == "ready\n"


def status_command(configuration: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(  # noqa: S603 - the project's own command
        [sys.executable, "-m", "exoproxy", "status", "--config", configuration],
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )


async def test_drain_is_told(deployment: Deployment, admin: int) -> None:
    """Until the last websocket has gone, a balancer learns that it should ask elsewhere."""
    site = deployment.uap(part={"admin_listen": f"127.0.0.1:{admin}"}, limits={"drain": 3})
    async with deployment.through(site) as way:
        client, there = await way.tunnel()
        before = await asyncio.to_thread(get, admin, "/readyz")
        site.process.send_signal(signal.SIGTERM)
        await until(lambda: b"Ending" in site.output.read_bytes())
        during = await asyncio.to_thread(get, admin, "/readyz")
        alive = await asyncio.to_thread(get, admin, "/livez")
        client.close()
        there.close()

        assert await asyncio.to_thread(site.process.wait, 10) == 0
    assert before == (200, "ready\n")
    assert during[0] == 503
    assert alive == (200, "alive\n")


@pytest.fixture
def successors() -> Iterator[list[int]]:
    """Processes that take over, to be ended after the test."""
    found: list[int] = []
    yield found
    for pid in found:
        os.kill(pid, signal.SIGKILL)


async def test_successor_has_the_admin_site(
    deployment: Deployment, admin: int, successors: list[int]
) -> None:
    """The port stays where it is; the predecessor is not asked any more."""
    site = deployment.uap(part={"admin_listen": f"127.0.0.1:{admin}"})
    async with deployment.through(site) as way:
        await asked(way, b"200 OK")
        site.process.send_signal(signal.SIGUSR2)
        await until(lambda: any("serves now" in line["message"] for line in told(way)), within=30)
        [line] = [line["message"] for line in told(way) if "serves now" in line["message"]]
        successors.append(int(line.split()[1]))
        answers = [await asyncio.to_thread(samples, admin) for _ in range(5)]

    name = "requests_total"
    counts = [
        value(each, name, site="uap", route="instance", code="200", side="none") for each in answers
    ]
    assert counts == [0] * 5


def told(way: Way) -> list[dict[str, str]]:
    return [line for line in way.site.log() if "message" in line]
