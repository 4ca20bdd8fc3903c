"""Connections to the admin site, within bounds: so many, and none that holds on without moving.

aiohttp's own protocol waits for ever for a client that takes nothing of an answer, and tells the
log and the client what it thinks of bytes that are no HTTP. What is not here: what is served.
"""

import asyncio
from typing import Any, Final, cast

from aiohttp import web

# People with a page open, a Prometheus or two, a balancer's and an orchestrator's probes.
MOST_CONNECTIONS: Final = 64

# Seconds from a connection's begin, or its last answer, to the end of its next request's head.
# Longer than the minute that usually lies between two scrapes.
HEAD_SECONDS: Final = 75.0
# Seconds in which a client must have taken the answer.
TAKE_SECONDS: Final = 30.0
_LONGEST_LINE: Final = 8190


class Door:
    """Makes the protocol of each connection that is accepted, within the cap.

    Beyond it, the oldest that only waits is closed for the new one: who opens many and says nothing
    keeps no probe out. Where all are being answered, the new one is closed.
    """

    def __init__(self, server: web.Server) -> None:
        self._server = server

    def __call__(self) -> asyncio.BaseProtocol:
        """Return the protocol."""
        if len(self._server.connections) >= MOST_CONNECTIONS and not self._make_room():
            return _TurnedAway()
        return _Connection(
            self._server,
            loop=asyncio.get_running_loop(),
            keepalive_timeout=HEAD_SECONDS,
            access_log=None,
            max_line_size=_LONGEST_LINE,
            max_field_size=_LONGEST_LINE,
            lingering_time=1.0,
        )

    def _make_room(self) -> bool:
        for each in self._server.connections:
            if isinstance(each, _Connection) and each.waits:
                each.leave()
                return True
        return False


class _TurnedAway(asyncio.Protocol):
    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        cast(asyncio.Transport, transport).abort()


class _Connection(web.RequestHandler):
    __slots__ = ("_due",)

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self._due: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        # So that `pause_writing` tells of every byte that is not taken at once.
        cast(asyncio.Transport, transport).set_write_buffer_limits(high=0)

    def connection_lost(self, exc: BaseException | None) -> None:
        self._taken()
        super().connection_lost(exc)

    @property
    def waits(self) -> bool:
        """Whether it awaits the end of a request's head, and is not closing."""
        is_open = self.transport is not None and not self.transport.is_closing()
        return is_open and self._waiter is not None

    def leave(self) -> None:
        """End at once."""
        cast(asyncio.Transport, self.transport).abort()

    def pause_writing(self) -> None:
        super().pause_writing()
        transport = cast(asyncio.Transport, self.transport)
        self._due = asyncio.get_running_loop().call_later(TAKE_SECONDS, transport.abort)

    def resume_writing(self) -> None:
        super().resume_writing()
        self._taken()

    def _taken(self) -> None:
        if self._due is not None:
            self._due.cancel()
            self._due = None

    def handle_error(
        self,
        request: web.BaseRequest,
        status: int = 500,
        exc: BaseException | None = None,
        message: str | None = None,
    ) -> web.StreamResponse:
        """Answer what is no request without quoting it, and without a word in the log."""
        response = web.Response(
            status=status,
            text="The request is not valid HTTP.\n",
            headers={"X-Content-Type-Options": "nosniff"},
        )
        response.force_close()
        return response
