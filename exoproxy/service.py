"""A process's life: certificate, sockets, serving, drain, end. The commands of `cli` call this."""

import asyncio
import contextlib
import logging
import signal
import socket
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Final

import uvloop

from exoproxy.certs.context import CertificateProblem
from exoproxy.certs.http_01 import answer
from exoproxy.certs.issuance import SLACK, start_renewal
from exoproxy.certs.keeper import Issuing, Keeper
from exoproxy.certs.probe import own_listeners, probe
from exoproxy.certs.serving import ServingCertificate
from exoproxy.certs.wanted import store_of, wanted
from exoproxy.client.tree import check_root
from exoproxy.main import MainSite
from exoproxy.net.dial import Dialer
from exoproxy.net.inherited import inherited_sockets
from exoproxy.net.interfaces import own_addresses
from exoproxy.net.sockets import ListenError, open_socket
from exoproxy.net.tls import silence_broken_server_names
from exoproxy.ops.access import AccessLog
from exoproxy.ops.log import configure
from exoproxy.pages.routes import routes
from exoproxy.proxy.decision import Site
from exoproxy.redirect import RedirectSite
from exoproxy.rules.egress import Policy
from exoproxy.server import Context, Server, caps_of, dialer_for, tcp_options
from exoproxy.settings.addresses import ListenAddress
from exoproxy.settings.limits import Limits
from exoproxy.settings.load import state_dir
from exoproxy.settings.model import Settings
from exoproxy.settings.sites import Main, Region
from exoproxy.sites import main_site, region_of, uap_site
from exoproxy.uap import UapSite

logger: Final = logging.getLogger("exoproxy")

# Serves the pages of our own while it is entered; says by name where their sockets are.
Pages = contextlib.AbstractAsyncContextManager[Mapping[str, Path]]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Mode:
    """What a command serves, by its part of the settings.

    `names` are those of the certificate, `policy` says what the site may dial, `ca_file` is extra
    trust towards it, and `pages` are the applications of our own that it forwards to.
    """

    part: Main | Region
    site: MainSite | UapSite
    names: tuple[str, ...]
    policy: Policy
    ca_file: Path | None = None
    pages: Pages | None = None


def serve_main(settings: Settings, config: Path) -> int:
    """Run `exoproxy main` until a signal ends it; returns the exit code.

    `config` is the file that the settings come from; the process that gets certificates reads it.
    """
    main = settings.main
    if main is None:
        raise ValueError("the main host is not configured")
    configure(settings.log.format)
    if (problem := check_root(main.client.root)) is not None:
        logger.warning("%s", problem)
    site = main_site(main, own_addresses(address.address for address in main.listen))
    proxy = site.proxy
    mode = _Mode(
        part=main,
        site=site,
        names=(main.hostname,),
        policy=Policy(networks=(), public=False) if proxy is None else proxy.policy,
        ca_file=None if main.proxy is None else main.proxy.ca_file,
        pages=_pages(settings) if routes(main) else None,
    )
    try:
        return _run(settings, config, mode)
    finally:
        site.close()


def serve_uap(settings: Settings, config: Path, region: str) -> int:
    """Run `exoproxy uap` for a region until a signal ends it; returns the exit code."""
    configure(settings.log.format)
    part = region_of(settings, region)
    if settings.uap is None:
        raise ValueError("the UAP is not configured")
    own = own_addresses(address.address for address in part.listen)
    site = uap_site(settings.uap, part, own)
    names = (part.hostname, f"*.{part.hostname}")
    mode = _Mode(part=part, site=site, names=names, policy=site.policy)
    return _run(settings, config, mode)


def _pages(settings: Settings) -> Pages:
    # Heavy to import, and only this mode needs it.
    from exoproxy.pages.application import application, serving

    return serving(application(settings), settings.limits)


def _run(settings: Settings, config: Path, mode: _Mode) -> int:
    silence_broken_server_names()
    name = mode.names[0]
    local = state_dir(settings) / "local" / name
    try:
        certificate = ServingCertificate(
            mode.part.certificate, mode.names, local=local, store=store_of(settings)
        )
        with contextlib.ExitStack() as opened:
            https, http = _sockets(mode.part, settings.limits, opened)
            with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
                life = _Life(settings, mode, certificate, _issuing(settings, config, name))
                runner.run(life.live(https, http))
    except (CertificateProblem, ListenError) as problem:
        print(f"exoproxy: {problem}", file=sys.stderr)
        return 1
    return 0


def _issuing(settings: Settings, config: Path, name: str) -> Issuing | None:
    """Return how the certificate is got from an authority; None where others bring it."""
    for each in wanted(settings):
        if each.name == name:
            return Issuing(
                wanted=each,
                store=store_of(settings),
                start=lambda: start_renewal(name, config),
                limit=settings.acme.dns.propagation_timeout + SLACK,
            )
    return None


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

    def __init__(
        self,
        settings: Settings,
        mode: _Mode,
        certificate: ServingCertificate,
        issuing: Issuing | None,
    ) -> None:
        self._settings = settings
        self._mode = mode
        self._certificate = certificate
        self._issuing = issuing
        self._keeper: Keeper | None = None
        self._ending: asyncio.Task[None] | None = None
        self._servers: list[Server] = []
        self._ended = asyncio.Event()

    async def live(self, https: Sequence[socket.socket], http: Sequence[socket.socket]) -> None:
        """Serve until a signal ends it; the pages are there before and after all else."""
        mode = self._mode
        async with mode.pages or contextlib.nullcontext({}) as own:
            limits = self._settings.limits
            dialer = dialer_for(mode.policy, limits, ca_file=mode.ca_file, own=own)
            await self._serve(dialer, https, http)

    def _redirect(self) -> RedirectSite:
        part = self._mode.part
        answers = store_of(self._settings).answers
        return RedirectSite(
            serves=self._mode.site.serves,
            port=part.listen[0].port,
            challenge=partial(answer, answers) if isinstance(part, Main) else None,
        )

    async def _serve(
        self, dialer: Dialer, https: Sequence[socket.socket], http: Sequence[socket.socket]
    ) -> None:
        settings, site = self._settings, self._mode.site
        log = AccessLog(settings.log, trusted=settings.trusted_proxies)
        caps = caps_of(settings.limits)
        plan: list[tuple[Site, Sequence[socket.socket], Context]] = [
            (site, https, self._certificate),
            (self._redirect(), http, lambda: None),
        ]
        for each, sockets, context in plan:
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
        logger.info("Serving %s on %s with %s", site.name, where, self._certificate.served)
        self._keeper = self._keep(https)
        try:
            await self._ended.wait()
        finally:
            for server in self._servers:
                await server.close()
            log.close()

    def _keep(self, https: Sequence[socket.socket]) -> Keeper:
        """Begin to watch the certificate, and to get one where that is our business."""
        settings = self._settings
        listeners = own_listeners(
            https, proxy_protocol=settings.proxy_protocol, trusted=settings.trusted_proxies
        )
        keeper = Keeper(
            self._certificate,
            partial(probe, listeners, self._mode.names[0]),
            issuing=self._issuing,
        )
        keeper.start()
        return keeper

    def _end(self) -> None:
        """The first signal drains, the second ends at once."""
        if self._ending is not None:
            self._ended.set()
            return
        seconds = self._settings.limits.drain
        logger.info("Ending: requests and websockets get %d s", seconds)
        self._ending = asyncio.get_running_loop().create_task(self._drain(seconds))

    async def _drain(self, seconds: float) -> None:
        stopping = [server.drain(seconds) for server in self._servers]
        if self._keeper is not None:
            stopping.append(self._keeper.stop())
        await asyncio.gather(*stopping)
        self._ended.set()

    def _reload(self) -> None:
        """Load the certificate again; connections that are open keep the one they have."""
        try:
            self._certificate.reload()
        except CertificateProblem as problem:
            logger.error("The certificate stays as it is: %s", problem)
        else:
            logger.info("Certificate loaded; changes of the configuration need a restart")
