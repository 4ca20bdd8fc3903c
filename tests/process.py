"""A process as the admin site sees it, at whose figures a test turns; nothing of it runs."""

import ssl
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

from cryptography import x509

from chains import chain_for
from exoproxy.admin.running import ConfigurationState, Running
from exoproxy.certs.keeper import Keeper, Runs
from exoproxy.certs.serving import Served, ServingCertificate
from exoproxy.main import MainSite
from exoproxy.net.caps import Caps
from exoproxy.net.dial import Upstream
from exoproxy.net.pool import Pool
from exoproxy.ops.traffic import Traffic
from exoproxy.proxy.record import Record
from exoproxy.rules.cors import Origins
from exoproxy.rules.egress import Policy
from exoproxy.rules.renewal import Action, History
from exoproxy.server import Server
from exoproxy.settings.model import Settings
from exoproxy.uap import UapSite
from heads import peer, request

NOW = datetime(2026, 5, 4, 14, 7, 31, tzinfo=UTC)
DAY = timedelta(days=1)
NAME = "proxy.example.org"
INSTANCE = Upstream("http", "192.168.0.5", 8888, verify=False)

UAP: dict[str, Any] = {
    "uap": {
        "allowed_origins": ["https://my.example.org"],
        "regions": {"IU": {"hostname": NAME, "subnets": ["192.168.0.0/24"]}},
    },
    "trusted_proxies": ["10.0.0.0/8"],
}


@dataclass(kw_only=True)
class Process:
    """What `Running` asks for, each to be set by a test."""

    settings: Settings
    site: MainSite | UapSite
    certificate: ServingCertificate
    keeper: Keeper | None
    mode: str = "uap"
    region: str | None = "IU"
    hostname: str = NAME
    started: datetime = NOW - 11 * DAY
    draining: bool = False
    configuration: ConfigurationState = field(
        default_factory=lambda: ConfigurationState(
            file=Path("/etc/exoproxy/exoproxy.yaml"), loaded=NOW - 2 * DAY
        )
    )
    servers: list[Server] = field(default_factory=lambda: [server()])
    caps: Caps = field(default_factory=lambda: Caps(total=100, per_client=10))
    traffic: Traffic = field(default_factory=lambda: Traffic(lambda: 100.0))


def process(settings: dict[str, Any] | None = None, **changes: Any) -> Process:
    """Return a UAP that has been running for a while and has a good certificate by an authority."""
    origins = Origins.parse(["https://my.example.org"], development=None)
    values: dict[str, Any] = {
        "settings": Settings.model_validate(settings or UAP),
        "site": UapSite(hostname=NAME, policy=Policy(networks=(), public=False), origins=origins),
        "certificate": serving(certificate()),
        "keeper": None,
        **changes,
    }
    found = Process(**values)
    _: Running = found
    return found


def certificate(left: timedelta = 60 * DAY, life: timedelta = 90 * DAY) -> x509.Certificate:
    """Return one for the UAP's names."""
    end = NOW + left
    return chain_for(NAME, f"*.{NAME}", start=end - life, end=end).certificate


def serving(served: x509.Certificate, *, temporary: bool = False) -> ServingCertificate:
    """Return what serves a certificate."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    value = Served(context=context, certificate=served, temporary=temporary)
    return cast(ServingCertificate, SimpleNamespace(served=value))


def keeper(stored: x509.Certificate | None, action: Action | None = None, **history: Any) -> Keeper:
    """Return what keeps a certificate; keywords are the history's."""
    value = SimpleNamespace(
        stored=None if stored is None else SimpleNamespace(certificate=stored),
        history=History(**history),
        next_action=lambda: action,
        runs=Runs(all=7, failed=3),
    )
    return cast(Keeper, value)


def server(
    tunnels: Sequence[object] = (), *, accepted: int = 0, refused: int = 0, failures: int = 0
) -> Server:
    """Return one site on one socket, with an empty pool."""
    engine = SimpleNamespace(
        tunnels=set(tunnels), pool=Pool[Any](idle_timeout=55, per_upstream=9, total=99)
    )
    acceptor = SimpleNamespace(
        accepted=accepted, arriving=1, refused=refused, handshake_failures=failures
    )
    return cast(Server, SimpleNamespace(engine=engine, acceptors=[acceptor]))


def tunnel(opened: float, *, received: int = 0, sent: int = 0, **values: Any) -> Any:
    """Return an open tunnel."""
    values = {"status": 101, "upstream": INSTANCE, "route": "instance", **values}
    found = record(ended=opened, **values)
    return _Tunnel(record=found, received=received, sent=sent)


@dataclass(eq=False)
class _Tunnel:
    record: Record
    received: int
    sent: int


def record(host: str | None = None, **values: Any) -> Record:
    """Return a request that took 3 ms, the head of one for `host` if there is one."""
    values = {
        "id": "r",
        "site": "uap",
        "peer": peer(),
        "request": None if host is None else request("GET /", f"Host: {host}"),
        "started": 99.0,
        "ended": 99.003,
        "route": "instance",
        "status": 200,
        **values,
    }
    return Record(**values)
