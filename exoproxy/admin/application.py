"""The admin site: page, JSON, metrics and probes of the process that it is in.

    /             the page                  /metrics      for Prometheus
    /status.json  the same for programs     /livez        200 while the event loop turns
                                            /readyz       200 while requests are served, else 503

Without a password: what it tells is for whoever may connect, on loopback unless configured
otherwise. It only tells; nothing can be changed here, and no other origin's page can read it.
Imported when it is served, and nowhere else: aiohttp takes 12 MB and a fifth of a second.
"""

import asyncio
import json
import logging
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager, suppress
from datetime import UTC, datetime
from ipaddress import ip_address
from typing import Any, Final, TypeVar

from aiohttp import web

from exoproxy.admin.certificate import standing
from exoproxy.admin.connection import MOST_CONNECTIONS, Door
from exoproxy.admin.disk import OnDisk, look
from exoproxy.admin.health import RECENT, problems
from exoproxy.admin.metrics import exposition, process_metrics
from exoproxy.admin.page import page
from exoproxy.admin.running import Running
from exoproxy.admin.status import gather, passed
from exoproxy.errors import BadHost, Internal, MethodNotAllowed, Misdirected, NotFound, ProxyError
from exoproxy.ops.hour import Hour
from exoproxy.wire.target import parse_authority

logger: Final = logging.getLogger("exoproxy.admin")

# Every answer's, unless it says otherwise: nothing is loaded, framed, guessed, kept or shared.
_FIELDS: Final = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": "default-src 'none'; base-uri 'none'; form-action 'none'; "
    "frame-ancestors 'none'",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "Server": "exoproxy",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
}

_GRACE_SECONDS: Final = 0.1

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]
Now = Callable[[], datetime]
T = TypeVar("T")


def wall_clock() -> datetime:
    """Return the time of day, in UTC."""
    return datetime.now(UTC)


@asynccontextmanager
async def serving(
    running: Running, sock: socket.socket, *, now: Now = wall_clock
) -> AsyncIterator[None]:
    """Serve on a listening socket until the block ends, which closes it.

    To be entered before the first request and left after the last, so that `/readyz` says of the
    drain that it is one; or left before, where a successor has the same socket.
    """
    site = AdminSite(running, now)
    runner = web.AppRunner(site.application(), access_log=None, shutdown_timeout=_GRACE_SECONDS)
    marking = asyncio.get_running_loop().create_task(site.mark_minutes())
    try:
        await runner.setup()
        if runner.server is None:
            raise RuntimeError("a runner that was set up has a server")
        loop, door = asyncio.get_running_loop(), Door(runner.server)
        listener = await loop.create_server(door, sock=sock, backlog=MOST_CONNECTIONS)
        host, port = sock.getsockname()[:2]
        shown = f"[{host}]" if ":" in host else host
        logger.info("Status and metrics at http://%s:%d/", shown, port)
        try:
            yield
        finally:
            listener.close()
    finally:
        sock.close()
        await runner.cleanup()
        marking.cancel()
        with suppress(asyncio.CancelledError):
            await marking
        site.close()


class AdminSite:
    """What is told about a process, and the minutes that are remembered of it."""

    def __init__(self, running: Running, now: Now) -> None:
        self._running = running
        self._now = now
        self._hour = Hour()
        self._hour.mark(now(), passed(running))
        self._disk = OnDisk()
        # One of its own: look-ups of names may hold up those that the loop has.
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="admin")
        # Whoever asks often waits for himself, and requests have their turn in between.
        self._asking = asyncio.Lock()

    def application(self) -> web.Application:
        """Return the application."""
        app = web.Application(middlewares=[self._guard])
        for path, handler in (
            ("/", self._page),
            ("/status.json", self._status),
            ("/metrics", self._metrics),
            ("/livez", self._livez),
            ("/readyz", self._readyz),
        ):
            app.router.add_get(path, handler)
        return app

    def close(self) -> None:
        """Let go of the thread."""
        self._thread.shutdown(wait=False, cancel_futures=True)

    async def mark_minutes(self) -> None:
        """Take down what has passed whenever a minute begins; runs until it is cancelled."""
        while True:
            now = self._now()
            await asyncio.sleep(60 - now.second - now.microsecond / 1e6)
            self._hour.mark(self._now(), passed(self._running))
            self._disk = await self._in_thread(look, self._running)

    # What is told.

    async def status(self) -> dict[str, Any]:
        """Return the status of the moment."""
        async with self._asking:
            self._disk = await self._in_thread(look, self._running)
            return gather(self._running, self._disk, self._hour, self._now())

    async def _page(self, request: web.Request) -> web.Response:
        content, fields = page(await self.status())
        return web.Response(body=content, headers=fields)

    async def _status(self, request: web.Request) -> web.Response:
        text = json.dumps(await self.status(), allow_nan=False)
        return web.Response(text=f"{text}\n", content_type="application/json")

    async def _metrics(self, request: web.Request) -> web.Response:
        async with self._asking:
            self._disk = await self._in_thread(look, self._running)
            process = await self._in_thread(lambda _: process_metrics(), None)
            accept = ",".join(request.headers.getall("Accept", []))
            content, kind = exposition(self._running, self._disk, process, accept)
        return web.Response(body=content, headers={"Content-Type": kind})

    async def _livez(self, request: web.Request) -> web.Response:
        return web.Response(text="alive\n")

    async def _readyz(self, request: web.Request) -> web.Response:
        running = self._running
        if running.draining:
            return _text(503, "This server is being stopped; requests under way are finished.")
        if not any(server.acceptors for server in running.servers):
            return _text(503, "This server is starting and does not accept requests yet.")
        # Nothing is waited for here, so the disk is as it was when it was looked at last.
        now = self._now()
        recent = self._hour.last(RECENT, now, passed(running))
        wrong = problems(running, standing(running, self._disk), recent.errors, now)
        if wrong:
            return _text(200, "\n".join(["degraded", *wrong]))
        return _text(200, "ready")

    async def _in_thread(self, work: Callable[[Any], T], argument: object) -> T:
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._thread, work, argument)

    # What holds for every request.

    @web.middleware
    async def _guard(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        response: web.StreamResponse
        try:
            self._check_host(request)
            response = await handler(request)
        except ProxyError as error:
            response = _refusal(error)
        except web.HTTPNotFound:
            response = _refusal(NotFound())
        except web.HTTPMethodNotAllowed:
            response = _refusal(MethodNotAllowed("Nothing can be changed here."))
        except Exception:
            logger.exception("The admin site failed by a defect of its own")
            response = _refusal(Internal())
        for name, value in _FIELDS.items():
            response.headers.setdefault(name, value)
        return response

    def _check_host(self, request: web.Request) -> None:
        """Refuse a name that somebody may have pointed here: a page of that name could read all.

        Raises `Misdirected` or `BadHost`.
        """
        given = request.headers.getall("Host", [])
        if len(given) != 1:
            raise BadHost
        host = parse_authority(given[0].encode("utf-8", "surrogateescape")).host
        if host in ("localhost", self._running.hostname):
            return
        try:
            ip_address(host)
        except ValueError:
            raise Misdirected(
                "The admin site answers to an address, to localhost and to the server's own name."
            ) from None


def _refusal(error: ProxyError) -> web.Response:
    response = _text(error.status, f"{error.status} {error.code}: {error.sentence}")
    response.headers["X-Exoproxy-Error"] = error.code
    if isinstance(error, MethodNotAllowed):
        response.headers["Allow"] = error.allow
    return response


def _text(status: int, text: str) -> web.Response:
    return web.Response(status=status, text=f"{text}\n")
