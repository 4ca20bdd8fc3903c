"""What the admin site tells of a real engine is what its clients and upstream did."""

import asyncio
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import cast

from prometheus_client.parser import text_string_to_metric_families

from engine_room import NAME as HOST
from engine_room import Room, engine_room
from exoproxy.admin.application import AdminSite
from exoproxy.admin.disk import OnDisk
from exoproxy.admin.metrics import exposition
from exoproxy.errors import UpstreamName
from exoproxy.ops.traffic import Traffic
from exoproxy.server import Server
from peers import answer, request, until
from process import Process, process
from status_form import faults

UPGRADE = ((b"Connection", b"Upgrade"), (b"Upgrade", b"websocket"))
AGREE = b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n"


def around(room: Room, traffic: Traffic) -> Process:
    """Return the process that the room's engine is at work in."""
    here = SimpleNamespace(engine=room.engine, acceptors=[room.acceptor])
    # The certificate of the stand-in was made for another day, and is of no concern here.
    return process(servers=[cast(Server, here)], caps=room.caps, traffic=traffic)


def metrics(running: Process) -> dict[str, float]:
    """Return the samples whose only labels are few, as `name{value,…}`, by label."""
    text = exposition(running, OnDisk(), [], "")[0].decode()
    return {
        f"{sample.name}{{{','.join(sample.labels.values())}}}": sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


async def test_figures_agree_with_what_was_sent() -> None:
    """Requests, bytes, kept connections, a websocket, refusals: JSON and metrics say the same."""
    traffic = Traffic(asyncio.get_running_loop().time)
    async with engine_room(watcher=traffic.count) as room:
        running = around(room, traffic)
        site = AdminSite(running, lambda: datetime.now(UTC))

        client, other, broken, gone = [await room.connect() for _ in range(4)]
        client.send(request(HOST, content=b"x" * 30))
        there = await room.upstream.accepted()
        await there.head()
        await there.read(30)
        there.send(answer(b"y" * 500))
        await client.message()
        for _ in range(4):
            client.send(request(HOST))
            await there.head()
            there.send(answer(b"y" * 1000))
            await client.message()
        other.send(request(HOST, *UPGRADE))
        socket = await room.upstream.accepted()
        await socket.head()
        socket.send(AGREE)
        await other.head()
        other.send(b"\x82\x05hello")
        await socket.read(7)
        broken.send(b"GET / HTTP/9.9\r\nHost: x\r\n\r\n")
        await broken.rest()
        # A client that asked and has left.
        gone.send(request(HOST, content=b"z"))
        await there.head()
        gone.close()
        broken.close()
        await until(lambda: room.caps.open == 2)

        found, told = await site.status(), metrics(running)
        site.close()

        assert list(faults(found)) == []
        totals, connections = found["totals"], found["connections"]
        assert totals["requests"] == len(room.records) == 8
        assert (totals["client_errors"], totals["upstream_errors"]) == (2, 0)
        assert totals["refused"] == 1
        sent_to_us = 30 + 1 + len(b"\x82\x05hello")
        sent_by_us = 500 + 4 * 1000 + room.records[-2].sent
        assert (totals["received"], totals["sent"]) == (sent_to_us, sent_by_us)
        assert (totals["reused"], totals["dialled"]) == (5, 2)
        assert found["hour"][-1]["requests"] + found["hour"][-2]["requests"] == 8
        assert connections["clients"] == room.caps.open == 2
        assert connections["accepted"] == 4
        assert connections["upstream_open"] - connections["upstream_idle"] == 1
        assert found["tunnels"]["open"] == 1
        (tunnel,) = found["tunnels"]["oldest"]
        assert (tunnel["received"], tunnel["sent"], tunnel["client"]) == (7, 0, "127.0.0.1")
        assert [each["code"] for each in found["refusals"]] == ["version-not-supported"]

        assert told["exoproxy_requests_total{200,upstream,,straight}"] == 5
        assert told["exoproxy_requests_total{101,upstream,,straight}"] == 1
        assert told["exoproxy_requests_total{505,refused,client,straight}"] == 1
        assert told["exoproxy_requests_total{none,upstream,client,straight}"] == 1
        assert told["exoproxy_bytes_total{received}"] == totals["received"]
        assert told["exoproxy_bytes_total{sent}"] == totals["sent"]
        assert told["exoproxy_upstream_requests_total{reused}"] == totals["reused"]
        assert told["exoproxy_tunnels_open{}"] == 1
        assert told["exoproxy_connections_open{client}"] == 2
        assert told["exoproxy_connections_accepted_total{}"] == 4

        other.close()
        socket.close()
        await until(lambda: not room.engine.tunnels)
        after = metrics(running)

    assert after["exoproxy_tunnels_open{}"] == 0
    assert after["exoproxy_tunnel_age_seconds_count{}"] == 1
    assert after["exoproxy_bytes_total{received}"] == totals["received"]
    idle = metrics(running)
    assert idle["exoproxy_connections_open{client}"] == 0
    assert idle["exoproxy_connections_open{upstream}"] == 0


async def test_an_upstream_that_fails_is_named() -> None:
    """With its error and moment, in the table of upstreams and in the metrics."""
    traffic = Traffic(asyncio.get_running_loop().time)
    async with engine_room(watcher=traffic.count, no_name=UpstreamName()) as room:
        running = around(room, traffic)
        client = await room.connect()
        for _ in range(3):
            client.send(request(HOST))
            await client.message()
        site = AdminSite(running, lambda: datetime.now(UTC))
        found, told = await site.status(), metrics(running)
        site.close()

        (row,) = found["upstreams"]
        assert row["upstream"] == f"http://{HOST}:{room.upstream.port}"
        assert (row["failures"], row["last_failure"]["code"]) == (3, "upstream-name")
        ago = datetime.now(UTC) - datetime.fromisoformat(row["last_failure"]["at"])
        assert timedelta() <= ago < timedelta(minutes=1)
        assert told["exoproxy_upstream_failures_total{upstream-name}"] == 3
        assert found["totals"]["dialled"] == 0
