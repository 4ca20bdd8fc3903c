"""The application of the pages, and its life on a socket that this process alone can reach.

Imported where pages are served, and nowhere else: aiohttp takes 12 MB and a fifth of a second.
"""

import logging
import os
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

from aiohttp import web

from exoproxy.errors import ClientGone, ContentTooLarge, Internal, ProxyError
from exoproxy.net.sockets import ListenError
from exoproxy.pages.oidc import oidc_redirector
from exoproxy.pages.routes import LONGEST_CONTENT, OIDC_REDIRECTOR, PAGES, SELF_TEST
from exoproxy.pages.self_test import self_test
from exoproxy.proxy.problem import problem
from exoproxy.settings.limits import Limits
from exoproxy.settings.model import Settings
from exoproxy.wire.fields import Fields

logger: Final = logging.getLogger("exoproxy.pages")

# The engine has ended every request before; what is left is idle connections.
_GRACE_SECONDS: Final = 0.1

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


def application(current: Callable[[], Settings]) -> web.Application:
    """Return all pages; which of them are reached is said by `routes`.

    `current` returns the settings of the moment, which a reload changes.
    """
    app = web.Application(middlewares=[_refusals], client_max_size=LONGEST_CONTENT)
    app.router.add_post(OIDC_REDIRECTOR.decode(), oidc_redirector(current))
    app.router.add_get(SELF_TEST.decode(), self_test(current))
    return app


@web.middleware
async def _refusals(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Answer errors as the engine does."""
    error: ProxyError
    try:
        return await handler(request)
    except ProxyError as refusal:
        error = refusal
    except web.HTTPRequestEntityTooLarge:
        error = ContentTooLarge()
    except (ConnectionError, web.RequestPayloadError):
        error = ClientGone()
    except Exception:
        logger.exception("A page failed by a defect of its own")
        error = Internal()
    reply = problem(
        error,
        method=request.method.encode(),
        accept=Fields(request.raw_headers),
        request_id=request.headers.get("X-Request-Id", ""),
    )
    headers = {name.decode(): value.decode() for name, value in reply.fields}
    return web.Response(status=reply.status, headers=headers, body=reply.content)


@asynccontextmanager
async def serving(app: web.Application, limits: Limits) -> AsyncIterator[dict[str, Path]]:
    """Serve the pages until the block ends; yields where the dialler finds them.

    The socket lies in a folder that only this user can enter, made below RUNTIME_DIRECTORY, which
    systemd sets, or below the system's folder for temporary files. Raises `ListenError`.
    """
    place = os.environ.get("RUNTIME_DIRECTORY", "").partition(":")[0] or None
    runner = web.AppRunner(
        app,
        access_log=None,
        shutdown_timeout=_GRACE_SECONDS,
        # The engine has judged the head already.
        max_line_size=limits.request_target,
        max_field_size=limits.request_field,
    )
    try:
        folder = TemporaryDirectory(prefix="pages-", dir=place, ignore_cleanup_errors=True)
    except OSError as error:
        raise _no_socket(place, error) from error
    with folder as name:
        path = Path(name) / "socket"
        await runner.setup()
        try:
            try:
                backlog = limits.connections_per_upstream
                await web.UnixSite(runner, str(path), backlog=backlog).start()
            except OSError as error:
                raise _no_socket(name, error) from error
            yield {PAGES.host: path}
        finally:
            await runner.cleanup()


def _no_socket(folder: str | None, error: OSError) -> ListenError:
    where = folder or "the system's folder for temporary files"
    return ListenError(
        f"the pages of our own can't have a socket in {where} ({error.strerror or error}); let "
        "RUNTIME_DIRECTORY name a writable folder with a short path"
    )
