"""From ready to the end, as signals say.

SIGHUP reloads, SIGUSR2 hands over to a successor, SIGTERM drains, and a second one ends at once.

All that a reload replaces is made before anything is replaced, so that a mistake leaves the process
as it was. What is under way, a request or a websocket, goes on with what it began with.
"""

import asyncio
import logging
import socket
import time
from collections.abc import Mapping
from contextlib import AbstractAsyncContextManager, AsyncExitStack
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from exoproxy.admin.running import ConfigurationState
from exoproxy.certs.context import CertificateProblem
from exoproxy.certs.keeper import Keeper, Runs
from exoproxy.certs.probe import own_listeners, probe
from exoproxy.certs.serving import Served
from exoproxy.main import MainSite
from exoproxy.net.dial import Dialer
from exoproxy.net.sockets import listening_at
from exoproxy.ops.access import AccessLog
from exoproxy.ops.log import configure
from exoproxy.ops.systemd import Notifier
from exoproxy.ops.traffic import Traffic
from exoproxy.proxy.decision import Site
from exoproxy.proxy.record import Record
from exoproxy.server import Context, Server, caps_of, tcp_options
from exoproxy.service.handover import HandoverProblem, Predecessor, start_successor
from exoproxy.service.mode import Mode
from exoproxy.service.reload import prepared
from exoproxy.service.signals import ENDS, HANDS_OVER, RELOADS, heard
from exoproxy.service.sockets import Sockets
from exoproxy.settings.load import ConfigurationErrors
from exoproxy.settings.model import Settings
from exoproxy.uap import UapSite

logger: Final = logging.getLogger("exoproxy")


class Life:
    """A mode on its sockets, from `live` until a signal ends it.

    `config` is the file that its settings come from. Making one raises `CertificateProblem`.
    """

    def __init__(self, mode: Mode, config: Path, sockets: Sockets, notifier: Notifier) -> None:
        self._mode = mode
        self._config = config
        self._sockets = sockets
        self._notifier = notifier
        self._own: Mapping[str, Path] = {}
        # What the admin site reads (`admin.running`).
        self.started = datetime.now(UTC)
        self.configuration = ConfigurationState(file=config, loaded=self.started)
        self.certificate = mode.certificate()
        self.keeper: Keeper | None = None
        self._runs = Runs()
        self.caps = caps_of(mode.settings.limits)
        self.traffic = Traffic(time.monotonic)
        self.servers: list[Server] = []
        self._predecessor = Predecessor()
        self._reload_asked = asyncio.Event()
        # Held by a reload, and while a successor starts: one of them at a time.
        self._changing = asyncio.Lock()
        self._handover: asyncio.Task[None] | None = None
        self._ending: asyncio.Task[None] | None = None
        # No more is accepted: by a successor's leave, or because the end has begun.
        self._leaving = False
        self._ended = asyncio.Event()

    @property
    def settings(self) -> Settings:
        """Return what is in use."""
        return self._mode.settings

    @property
    def site(self) -> MainSite | UapSite:
        """Return the site of the mode, whose name is the mode's."""
        return self._mode.site

    @property
    def mode(self) -> str:
        """Return the command: `main` or `uap`."""
        return self._mode.site.name

    @property
    def region(self) -> str | None:
        """Return the region of a UAP."""
        return self._mode.region

    @property
    def hostname(self) -> str:
        """Return the name that is served."""
        return self._mode.names[0]

    @property
    def draining(self) -> bool:
        """Tell whether the process is about to end."""
        return self._ending is not None

    async def live(self) -> None:
        """Serve until a signal ends it; the pages are there before and after all else.

        Raises `CertificateProblem` and `ListenError`.
        """
        self._loop = asyncio.get_running_loop()
        for number in ENDS:
            self._loop.add_signal_handler(number, self._end)
        heard(*ENDS)
        try:
            async with AsyncExitStack() as around:
                if self._mode.region is None:
                    self._own = await around.enter_async_context(self._pages())
                admin = await around.enter_async_context(AsyncExitStack())
                if self._sockets.admin is not None:
                    await admin.enter_async_context(self._admin_site(self._sockets.admin))
                self._admin = admin
                await self._serve()
        finally:
            self._mode.close()

    def _admin_site(self, sock: socket.socket) -> AbstractAsyncContextManager[None]:
        from exoproxy.admin.application import serving

        return serving(self, sock)

    def _pages(self) -> AbstractAsyncContextManager[Mapping[str, Path]]:
        # Heavy to import, as the admin site's is, and only one mode needs it.
        from exoproxy.pages.application import application, serving

        return serving(application(lambda: self._mode.settings), self._mode.settings.limits)

    async def _serve(self) -> None:
        mode = self._mode
        limits, trusted = mode.settings.limits, mode.settings.trusted_proxies
        self._log = AccessLog(mode.settings.log, trusted=trusted)
        dialer = mode.dialer(self._own)
        contexts: tuple[Context, Context] = (lambda: self.certificate(), lambda: None)
        groups = self._sockets.https, self._sockets.http
        for site, sockets, context in zip(self._sites(), groups, contexts, strict=True):
            server = Server(
                site,
                dialer,
                limits,
                self._finished,
                caps=self.caps,
                trusted=trusted,
                proxy_protocol=mode.settings.proxy_protocol,
            )
            self.servers.append(server)
            for sock in sockets:
                server.listen(sock, context)
        reloader = self._loop.create_task(self._reload_when_asked())
        if not self._leaving:
            self._begin()
        try:
            await self._ended.wait()
        finally:
            reloader.cancel()
            for server in self.servers:
                await server.close()
            if self._mode.learned is not None:
                await self._mode.learned.close()
            self._log.close()

    def _begin(self) -> None:
        """Say that this process serves, and listen to what it is told from now on."""
        self._keep()
        self._loop.add_signal_handler(RELOADS, self._reload_asked.set)
        self._loop.add_signal_handler(HANDS_OVER, self._hand_over)
        heard(RELOADS, HANDS_OVER)
        logger.info("%s with %s", self._status(), self.certificate.served)
        self._notifier.ready(self._status())
        self._predecessor.take_leave()
        self._beat()

    def _sites(self) -> tuple[Site, Site]:
        """Return what is served by https, and by http."""
        return self._mode.site, self._mode.redirect()

    def _finished(self, record: Record) -> None:
        self.traffic.count(record)
        self._log.request(record)

    def _status(self) -> str:
        where = ", ".join(listening_at(sock) for sock in self._sockets.https)
        return f"Serving {self._mode.names[0]} ({self._mode.site.name}) on {where}"

    def _beat(self) -> None:
        """Tell systemd's watchdog that the loop turns."""
        if self._notifier.watchdog is not None:
            self._notifier.beat()
            self._loop.call_later(self._notifier.watchdog, self._beat)

    def _keep(self) -> None:
        """Begin to watch the certificate, and to get one where that is our business."""
        issuing = self._mode.issuing(self._config)
        self.keeper = Keeper(self.certificate, self._probe, issuing=issuing, runs=self._runs)
        self.keeper.start()

    async def _probe(self, served: Served) -> None:
        settings = self._mode.settings
        listeners = own_listeners(
            self._sockets.https,
            proxy_protocol=settings.proxy_protocol,
            trusted=settings.trusted_proxies,
        )
        await probe(listeners, self._mode.names[0], served)

    # Other settings.

    async def _reload_when_asked(self) -> None:
        while True:
            await self._reload_asked.wait()
            async with self._changing:
                self._reload_asked.clear()
                if self._leaving:
                    logger.info("Not reloaded: this process accepts no more requests")
                    continue
                await self._try_to_reload()

    async def _try_to_reload(self) -> None:
        self._notifier.reloading()
        try:
            await self._reload()
        except ConfigurationErrors as errors:
            self._not_reloaded(*errors.lines)
        except CertificateProblem as problem:
            self._not_reloaded(str(problem))
        except Exception:
            logger.exception("A reload failed by a defect of the proxy")
            self._not_reloaded("by a defect of the proxy; its log has more")
        if not self._leaving:
            self._notifier.ready(self._status())

    def _not_reloaded(self, *reasons: str) -> None:
        for reason in reasons:
            logger.error("Not reloaded, and nothing has changed: %s", reason)
        self.configuration = replace(
            self.configuration,
            problem="; ".join(reasons),
            failed_reloads=self.configuration.failed_reloads + 1,
        )

    async def _reload(self) -> None:
        """Take over what the file says now. Raises `ConfigurationErrors`, `CertificateProblem`."""
        before = self._mode
        new = await asyncio.to_thread(prepared, before, self.certificate, self._own, self._config)
        try:
            if self._leaving:
                new.mode.close()
                return
            new.serve()
        except BaseException:
            new.mode.close()
            raise
        self._mode, self.certificate = new.mode, new.certificate
        self._adopt(new.dialer)
        self.configuration = replace(
            self.configuration,
            loaded=datetime.now(UTC),
            problem=None,
            pending=new.waiting,
            reloads=self.configuration.reloads + 1,
        )
        for key in new.waiting:
            logger.warning("%s: the new value takes effect when the service is restarted", key)
        logger.info("Reloaded; %s with %s", self._status(), self.certificate.served)
        if new.served is None and self.keeper is not None:
            await self.keeper.stop()
            if not self._leaving:
                self._keep()
        # It waits for the file that is being encoded.
        await asyncio.to_thread(before.close)

    def _adopt(self, dialer: Dialer) -> None:
        settings = self._mode.settings
        limits, trusted = settings.limits, settings.trusted_proxies
        configure(settings.log.format)
        self.caps.adopt(total=limits.connections, per_client=limits.connections_per_client)
        self._log.adopt(settings.log, trusted=trusted)
        for sock in (*self._sockets.https, *self._sockets.http):
            if sock.family != socket.AF_UNIX:
                tcp_options(limits).apply(sock)
        for server, site in zip(self.servers, self._sites(), strict=True):
            server.adopt(
                site,
                dialer,
                limits,
                trusted=trusted,
                proxy_protocol=settings.proxy_protocol,
            )

    # The end.

    def _hand_over(self) -> None:
        if self._handover is None and self._ending is None:
            self._handover = self._loop.create_task(self._leave_to_successor())

    async def _leave_to_successor(self) -> None:
        try:
            async with self._changing:
                logger.info("Starting a successor")
                pid = await start_successor(self._sockets.named(), self._notifier.variables)
                self._leaving = True
        except HandoverProblem as problem:
            logger.error("Not handed over, this process goes on: %s", problem)
            self._handover = None
            return
        self._notifier.leave_to(pid)
        await self._admin.aclose()
        seconds = self._mode.settings.limits.handover
        logger.info("Process %d serves now; websockets may stay here for %d s", pid, seconds)
        await self._drain(seconds)

    def _end(self) -> None:
        """The first signal drains, the second ends at once."""
        if self._ending is not None:
            self._ended.set()
            return
        self._leaving = True
        if self._handover is not None:
            self._handover.cancel()
        seconds = self._mode.settings.limits.drain
        text = f"Ending: requests and websockets get {seconds} s"
        logger.info("%s", text)
        self._notifier.stopping(text)
        self._ending = self._loop.create_task(self._drain(seconds))

    async def _drain(self, seconds: float) -> None:
        stopping = [server.drain(seconds) for server in self.servers]
        if self.keeper is not None:
            stopping.append(self.keeper.stop())
        await asyncio.gather(*stopping)
        self._ended.set()
