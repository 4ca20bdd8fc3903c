"""What is measured: a name, a load, and whether `--quick` has it too.

Names are what `--scenario` looks in, and what results are known by: one that changes begins anew.
"""

from dataclasses import dataclass

from bench.load.echo import Echo
from bench.load.handshakes import Handshakes
from bench.load.idle import Idle
from bench.load.requests import Requests
from bench.load.rotation import Rotation
from bench.load.session import Session
from bench.load.turn import Load
from bench.stage import ADDRESS, LARGE, Stage


@dataclass(frozen=True, slots=True, kw_only=True)
class Scenario:
    """A load under a name. Fronts of another `variant` take no part."""

    name: str
    load: Load
    quick: bool = False
    variant: str = ""


def scenarios(stage: Stage) -> list[Scenario]:
    """Return all of them, those that say most first."""
    return [*_files(), *_cloud(stage), *_instances(stage), *_connections(), *_growth()]


def _files() -> list[Scenario]:
    script = Requests(role="main", path="/elm-web.js", answer="elm-web.js", connections=8)
    packed = Requests(role="main", path="/elm-web.js", answer="elm-web.js", gzip=True)
    small = Requests(role="main", path="/index.html", answer="index.html")
    return [
        Scenario(name="static, 2 KB", load=small, quick=True),
        Scenario(name="static script, gzip", load=packed, quick=True),
        Scenario(name="static script, plain", load=script),
    ]


def _cloud(stage: Stage) -> list[Scenario]:
    def call(file: str, *, gzip: bool = False) -> Requests:
        return Requests(
            role="main",
            path=f"/proxy/{file}",
            answer=file,
            fields=(("exo-proxy-orig-host", ADDRESS), ("exo-proxy-orig-port", str(stage.tls))),
            gzip=gzip,
        )

    return [
        Scenario(name="CCP, 2 KB JSON", load=call("small.json"), quick=True),
        Scenario(name="CCP, 2 KB JSON, gzip", load=call("small.json", gzip=True)),
        Scenario(name="CCP, 23 KB JSON, gzip", load=call("servers.json", gzip=True), quick=True),
        Scenario(name="CCP, 78 KB JSON, gzip", load=call("images.json", gzip=True)),
        Scenario(name="session replayed", load=Session()),
    ]


def _instances(stage: Stage) -> list[Scenario]:
    plain = (("Host", stage.instance("http", stage.plain)),)
    tls = (("Host", stage.instance("https", stage.tls)),)
    small, large = "small.json", "16m.bin"
    return [
        Scenario(
            name="UAP, 2 KB, plain upstream",
            load=Requests(role="uap", path=f"/{small}", answer=small, fields=plain),
            quick=True,
        ),
        Scenario(
            name="UAP, 2 KB, TLS upstream",
            load=Requests(role="uap", path=f"/{small}", answer=small, fields=tls),
            quick=True,
        ),
        Scenario(
            name="UAP, 16 MiB down",
            load=Requests(role="uap", path=f"/{large}", answer=large, fields=plain, connections=4),
            quick=True,
        ),
        Scenario(
            name="UAP, 16 MiB up",
            load=Requests(
                role="uap",
                path="/sink",
                answer=small,
                fields=plain,
                upload=LARGE,
                connections=4,
            ),
        ),
        Scenario(name="websocket echo, 128 B", load=Echo(size=128), quick=True),
        Scenario(name="websocket echo, 64 KiB", load=Echo(size=65_536)),
    ]


def _connections() -> list[Scenario]:
    return [
        Scenario(name="new TLS connection", load=Handshakes(resumed=False), quick=True),
        Scenario(name="new TLS connection, resumed", load=Handshakes(resumed=True)),
        Scenario(name="memory, idle TLS connection", load=Idle(count=2_000)),
        Scenario(name="memory, idle tunnel", load=Idle(count=2_000, tunnels=True)),
    ]


def _growth() -> list[Scenario]:
    connections = [
        Scenario(name=f"growth, {count:,} connections", load=Rotation(connections=count))
        for count in (1, 32, 500, 2_000)
    ]
    instances = [
        Scenario(name=f"growth, {count:,} instances", load=Rotation(instances=count))
        for count in (1, 30, 1_000)
    ]
    # Beside the row of 32 connections, which is the same with one subnet.
    subnets = Scenario(name="growth, 64 subnets", load=Rotation(), variant="64 subnets")
    return [*connections, *instances, subnets]
