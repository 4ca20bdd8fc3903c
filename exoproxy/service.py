"""A process's life: certificate, sockets, serving, drain, end. The commands of `cli` call this."""

import asyncio
import contextlib
import logging
import signal
import socket
import ssl
import sys
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from ipaddress import IPv4Network, IPv6Network
from pathlib import Path
from typing import Final

import uvloop

from exoproxy.certs.context import CertificateProblem, server_context
from exoproxy.certs.local import local_certificate
from exoproxy.client.tree import check_root
from exoproxy.net.caps import Caps
from exoproxy.net.dial import Dialer
from exoproxy.net.inherited import inherited_sockets
from exoproxy.net.interfaces import own_addresses
from exoproxy.net.listen import Acceptor
from exoproxy.net.resolve import Resolver, SystemResolver
from exoproxy.net.sockets import ListenError, TcpOptions, open_socket
from exoproxy.net.tls import (
    open_context,
    remember_server_name,
    silence_broken_server_names,
    verifying_context,
)
from exoproxy.ops.access import AccessLog
from exoproxy.ops.log import configure
from exoproxy.proxy.decision import Site
from exoproxy.proxy.engine import Engine
from exoproxy.proxy.record import Record
from exoproxy.redirect import RedirectSite
from exoproxy.rules.egress import Policy
from exoproxy.settings.addresses import ListenAddress
from exoproxy.settings.limits import Limits
from exoproxy.settings.load import state_dir
from exoproxy.settings.model import Settings
from exoproxy.settings.sites import Certificate, CertificateFiles, Main, Region
from exoproxy.sites import instance_policy, main_site, region_of, uap_site

logger: Final = logging.getLogger("exoproxy")

Context = Callable[[], ssl.SSLContext | None]


class Server:
    """One site on its sockets. Made inside a running event loop."""

    def __init__(
        self,
        site: Site,
        dialer: Dialer,
        limits: Limits,
        log: Callable[[Record], None],
        *,
        caps: Caps | None = None,
        trusted: Sequence[IPv4Network | IPv6Network] = (),
        proxy_protocol: bool = False,
    ) -> None:
        self.engine = Engine(site, dialer, limits, log)
        self._limits = limits
        self._caps = caps or caps_of(limits)
        self._trusted = trusted
        self._proxy_protocol = proxy_protocol
        self._acceptors: list[Acceptor] = []
        self.engine.start()

    def listen(self, sock: socket.socket, context: Context) -> None:
        """Accept on a listening socket, each connection with the TLS context of its moment."""
        acceptor = Acceptor(
            sock,
            context=context,
            factory=self.engine.accept,
            caps=self._caps,
            trusted=self._trusted,
            proxy_protocol=self._proxy_protocol,
            handshake_timeout=self._limits.handshake_timeout,
        )
        acceptor.start()
        self._acceptors.append(acceptor)

    async def drain(self, seconds: float) -> None:
        """Accept no more, finish what is under way, and end after `seconds` at the latest."""
        for acceptor in self._acceptors:
            acceptor.stop()
        await self.engine.drain(seconds)

    async def close(self) -> None:
        """End everything now."""
        for acceptor in self._acceptors:
            await acceptor.close()
        await self.engine.close()


def caps_of(limits: Limits) -> Caps:
    """Return the process's places for clients."""
    return Caps(total=limits.connections, per_client=limits.connections_per_client)


def tcp_options(limits: Limits) -> TcpOptions:
    """Return how dead peers are found, on both sides of the proxy."""
    return TcpOptions(
        idle=limits.keepalive_idle,
        interval=limits.keepalive_interval,
        count=limits.keepalive_probes,
        user_timeout=limits.user_timeout,
    )


def dialer_for(
    policy: Policy, limits: Limits, *, resolver: Resolver | None = None, ca_file: Path | None = None
) -> Dialer:
    """Return the only way out of a site: nothing is dialled that `policy` has not judged."""
    return Dialer(
        judge=policy.judge,
        resolver=resolver or SystemResolver(),
        verify_context=verifying_context(ca_file),
        open_context=open_context(),
        connect_timeout=limits.connect_timeout,
        options=tcp_options(limits),
    )


class ServingCertificate:
    """The certificate of a mode, and the TLS context made of it at the last (re)load."""

    def __init__(self, certificate: Certificate, names: Sequence[str], folder: Path) -> None:
        self._certificate = certificate
        self._names = names
        self._folder = folder
        self._context = self._load()

    def __call__(self) -> ssl.SSLContext:
        """Return the context of the moment."""
        return self._context

    def reload(self) -> None:
        """Load the files again for connections from now on. Raises `CertificateProblem`."""
        self._context = self._load()

    def _load(self) -> ssl.SSLContext:
        certificate = self._certificate
        if isinstance(certificate, CertificateFiles):
            context = server_context(certificate.cert_file, certificate.key_file)
        elif certificate == "local":
            made = local_certificate(self._folder, self._names, datetime.now(UTC))
            logger.info("Clients must trust the local CA in %s", made.ca_file)
            context = server_context(made.cert_file, made.key_file)
        else:
            raise CertificateProblem(
                "certificate: acme is not there yet in this version; write `certificate: local` "
                "for a private CA, or name files: {cert_file: …, key_file: …}."
            )
        remember_server_name(context)
        return context


def serve_main(settings: Settings) -> int:
    """Run `exoproxy main` until a signal ends it; returns the exit code."""
    main = settings.main
    if main is None:
        raise ValueError("the main host is not configured")
    if (problem := check_root(main.client.root)) is not None:
        logger.warning("%s", problem)
    own = own_addresses(address.address for address in main.listen)
    site = main_site(main, own)
    proxy = site.proxy
    policy = Policy(networks=(), public=False) if proxy is None else proxy.policy
    ca_file = None if main.proxy is None else main.proxy.ca_file
    return _run(settings, main, site, policy, ca_file, [main.hostname], site.serves)


def serve_uap(settings: Settings, region: str) -> int:
    """Run `exoproxy uap` for a region until a signal ends it; returns the exit code."""
    part = region_of(settings, region)
    if settings.uap is None:
        raise ValueError("the UAP is not configured")
    own = own_addresses(address.address for address in part.listen)
    site = uap_site(settings.uap, part, own)
    names = [part.hostname, f"*.{part.hostname}"]
    return _run(settings, part, site, instance_policy(part, own), None, names, site.serves)


def _run(
    settings: Settings,
    part: Main | Region,
    site: Site,
    policy: Policy,
    ca_file: Path | None,
    names: Sequence[str],
    serves: Callable[[str], bool],
) -> int:
    configure(settings.log.format)
    silence_broken_server_names()
    try:
        folder = state_dir(settings) / "local" / names[0]
        certificate = ServingCertificate(part.certificate, names, folder)
        with contextlib.ExitStack() as opened:
            https, http = _sockets(part, settings.limits, opened)
            with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
                life = _Life(settings, certificate)
                redirect = RedirectSite(serves=serves, port=part.listen[0].port)
                runner.run(life.live(site, redirect, policy, ca_file, https, http))
    except (CertificateProblem, ListenError) as problem:
        print(f"exoproxy: {problem}", file=sys.stderr)
        return 1
    return 0


def _sockets(
    part: Main | Region, limits: Limits, opened: contextlib.ExitStack
) -> tuple[list[socket.socket], list[socket.socket]]:
    """Return the sockets for https and for http: systemd's where it passed some, else our own."""
    options = tcp_options(limits)
    passed = inherited_sockets(options=options)
    if passed:
        http = [sock for name, sock in passed if name == "http"]
        return [sock for name, sock in passed if name != "http"], http

    def open_all(addresses: Sequence[ListenAddress]) -> list[socket.socket]:
        return [
            opened.enter_context(open_socket(each.address, each.port, options=options))
            for each in addresses
        ]

    return open_all(part.listen), open_all(part.redirect_listen)


class _Life:
    """From ready to the end, as signals say."""

    def __init__(self, settings: Settings, certificate: ServingCertificate) -> None:
        self._settings = settings
        self._certificate = certificate
        self._ending: asyncio.Task[None] | None = None
        self._servers: list[Server] = []
        self._ended = asyncio.Event()

    async def live(
        self,
        site: Site,
        redirect: Site,
        policy: Policy,
        ca_file: Path | None,
        https: Sequence[socket.socket],
        http: Sequence[socket.socket],
    ) -> None:
        """Serve until a signal ends it."""
        settings = self._settings
        log = AccessLog(settings.log, trusted=settings.trusted_proxies)
        dialer = dialer_for(policy, settings.limits, ca_file=ca_file)
        caps = caps_of(settings.limits)
        for each, sockets, context in (
            (site, https, self._certificate),
            (redirect, http, lambda: None),
        ):
            server = Server(
                each,
                dialer,
                settings.limits,
                log.request,
                caps=caps,
                trusted=settings.trusted_proxies,
                proxy_protocol=settings.proxy_protocol,
            )
            self._servers.append(server)
            for sock in sockets:
                server.listen(sock, context)
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._end)
        loop.add_signal_handler(signal.SIGHUP, self._reload)
        where = ", ".join("{}:{}".format(*sock.getsockname()[:2]) for sock in https)
        logger.info("Serving %s on %s", site.name, where)
        try:
            await self._ended.wait()
        finally:
            for server in self._servers:
                await server.close()
            log.close()

    def _end(self) -> None:
        """The first signal drains, the second ends at once."""
        if self._ending is not None:
            self._ended.set()
            return
        seconds = self._settings.limits.drain
        logger.info("Ending: requests and websockets get %d s", seconds)
        self._ending = asyncio.get_running_loop().create_task(self._drain(seconds))

    async def _drain(self, seconds: float) -> None:
        await asyncio.gather(*(server.drain(seconds) for server in self._servers))
        self._ended.set()

    def _reload(self) -> None:
        """Load the certificate again; connections that are open keep the one they have."""
        try:
            self._certificate.reload()
        except CertificateProblem as problem:
            logger.error("The certificate stays as it is: %s", problem)
        else:
            logger.info("Certificate loaded; changes of the configuration need a restart")
