"""The demo's life: opens ports, makes certificates, starts everything, waits for Ctrl-C.

The sites, the engine and the configuration are those of `exoproxy main` and `exoproxy uap`. Only
the resolver is the demo's own: many systems know `localhost` and no name below it.

`run` is called by `cli`.
"""

import asyncio
import os
import signal
import sys
from contextlib import AsyncExitStack, ExitStack
from dataclasses import dataclass
from datetime import UTC, datetime
from ipaddress import IPv4Address, IPv6Address
from pathlib import Path
from socket import socket
from tempfile import TemporaryDirectory

import uvloop
import yaml

from exoproxy.certs.context import CertificateProblem, server_context
from exoproxy.certs.local import local_certificate
from exoproxy.demo.cloud import REGION, cloud
from exoproxy.demo.instance import instance
from exoproxy.demo.plan import CERTIFICATE_NAMES, CLOUD_NAME, INSTANCE_ADDRESS, LOOPBACK, Plan
from exoproxy.demo.servers import listen_at, listen_near, port_of, reachable, served
from exoproxy.errors import UpstreamName
from exoproxy.net.interfaces import own_addresses
from exoproxy.net.sockets import ListenError
from exoproxy.net.tls import remember_server_name
from exoproxy.ops.access import AccessLog
from exoproxy.ops.log import configure
from exoproxy.pages.application import application, serving
from exoproxy.server import Server, dialer_for
from exoproxy.settings.load import load
from exoproxy.settings.model import Settings
from exoproxy.sites import cloud_proxy, main_site, region_of, uap_site

# The port of the main host; the UAP prefers the one after it.
MAIN_PORT = 8443
# Where Keystone, Nova and Jupyter usually are.
KEYSTONE_PORT, SERVICES_PORT, INSTANCE_PORT = 5000, 8774, 8888


def run(port: int | None) -> int:
    """Run the demo until SIGINT or SIGTERM; return the exit code.

    `port` is the main host's, None for the usual one or, if that is taken, a free one.
    """
    configure("auto")
    try:
        with ExitStack() as stack:
            folder = Path(stack.enter_context(TemporaryDirectory(prefix="exoproxy-demo-")))
            ports = _Ports.open(port, stack)
            plan = _plan(ports, folder)
            settings = _write(plan)
            with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
                runner.run(_serve(plan, settings, ports))
    except (CertificateProblem, ListenError) as problem:
        print(f"exoproxy demo: {problem}", file=sys.stderr)
        return 1
    return 0


@dataclass(frozen=True, slots=True, kw_only=True)
class _Ports:
    """The listening sockets of everything, opened before anything needs to know a port."""

    main: list[socket]
    uap: list[socket]
    keystone: list[socket]
    services: list[socket]
    instance: list[socket]
    addresses: tuple[str, ...]

    @classmethod
    def open(cls, port: int | None, stack: ExitStack) -> "_Ports":
        """Open them, to be closed with the stack. Raises `ListenError`."""
        addresses = reachable(LOOPBACK)
        main = listen_near(addresses, MAIN_PORT) if port is None else listen_at(addresses, port)
        here = addresses[:1]
        ports = cls(
            main=main,
            uap=listen_near(addresses, min(port_of(main) + 1, 65535)),
            keystone=listen_near(here, KEYSTONE_PORT),
            services=listen_near(here, SERVICES_PORT),
            instance=listen_near([INSTANCE_ADDRESS], INSTANCE_PORT),
            addresses=addresses,
        )
        for group in (ports.main, ports.uap, ports.keystone, ports.services, ports.instance):
            for each in group:
                stack.enter_context(each)
        if port is None and port_of(main) != MAIN_PORT:
            print(f"Port {MAIN_PORT} is taken; the demo uses {port_of(main)}.", file=sys.stderr)
        return ports


class LoopbackNames:
    """The demo's resolver: the cloud's name is this machine, and there is no other name."""

    def __init__(self, address: IPv4Address) -> None:
        self._address = address

    async def resolve(self, host: str) -> tuple[IPv4Address | IPv6Address, ...]:
        """Return the address of the cloud; raise `UpstreamName` for any other name."""
        if host != CLOUD_NAME:
            raise UpstreamName
        return (self._address,)

    def forget(self, host: str) -> None:
        """Do nothing: the address stays."""


def _plan(ports: _Ports, folder: Path) -> Plan:
    """Make the certificates, and say where everything is. Raises `CertificateProblem`."""
    certificate = local_certificate(_cache(folder), CERTIFICATE_NAMES, datetime.now(UTC))
    return Plan(
        main_port=port_of(ports.main),
        uap_port=port_of(ports.uap),
        keystone_port=port_of(ports.keystone),
        services_port=port_of(ports.services),
        instance_port=port_of(ports.instance),
        addresses=ports.addresses,
        certificate=certificate.cert_file,
        ca_file=certificate.ca_file,
        folder=folder,
    )


def _cache(fallback: Path) -> Path:
    """Return the folder where the CA stays, so that trusting it once is enough."""
    base = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    folder = base / "exoproxy-demo"
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError:
        return fallback / "tls"
    return folder


def _write(plan: Plan) -> Settings:
    """Write the configuration and the page's `config.js`; read the former as every command does."""
    plan.overrides.mkdir()
    (plan.overrides / "config.js").write_text(plan.config_js(), encoding="utf-8")
    file = plan.folder / "exoproxy.yaml"
    file.write_text(yaml.safe_dump(plan.configuration(), sort_keys=False), encoding="utf-8")
    return load(file)


async def _serve(plan: Plan, settings: Settings, ports: _Ports) -> None:
    if settings.main is None or settings.main.proxy is None or settings.uap is None:
        raise ValueError("the demo's plan has both modes")
    interrupted = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, interrupted.set)
    region = region_of(settings, REGION)
    context = server_context(plan.certificate, plan.certificate)
    remember_server_name(context)
    own = own_addresses(address.address for address in (*settings.main.listen, *region.listen))
    main = main_site(settings.main, own)
    uap = uap_site(settings.uap, region, own)
    names = LoopbackNames(IPv4Address(ports.addresses[0]))
    limits = settings.limits
    policy = cloud_proxy(settings.main, settings.main.proxy, own).policy
    to_instances = dialer_for(uap.policy, limits, resolver=names)
    async with AsyncExitStack() as stack:
        pages = await stack.enter_async_context(serving(application(lambda: settings), limits))
        to_cloud = dialer_for(policy, limits, resolver=names, ca_file=plan.ca_file, own=pages)
        api = cloud(plan.endpoints(), plan.server())
        await stack.enter_async_context(
            served(api, [*ports.keystone, *ports.services], context=context)
        )
        await stack.enter_async_context(served(instance(), ports.instance))
        log = AccessLog(settings.log)
        stack.callback(log.close)
        stack.callback(main.close)
        for site, dialer, sockets in ((main, to_cloud, ports.main), (uap, to_instances, ports.uap)):
            server = Server(site, dialer, limits, log.request)
            stack.push_async_callback(server.close)
            for sock in sockets:
                server.listen(sock, lambda: context)
        print(plan.guide(), flush=True)
        await interrupted.wait()
