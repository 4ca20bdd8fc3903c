"""A stand-in for an instance: a small web application behind the User Application Proxy.

It has what applications on instances have and proxies stumble over: a page, a websocket, a stream
of server-sent events, a cookie, and an answer that shows which fields arrived.

Called by `exoproxy.demo.life`, which serves it over plain HTTP on an address of its own.
"""

import asyncio
from datetime import UTC, datetime
from pathlib import Path

from aiohttp import WSMsgType, web

# What a page on the instance can read about the way its request took.
SHOWN_FIELDS = ("Host", "X-Forwarded-For", "X-Forwarded-Host", "X-Forwarded-Proto", "Via")

_PAGE = Path(__file__).with_name("instance.html")
_COOKIE = "visits"
_TICK_SECONDS = 1


def instance() -> web.Application:
    """Return the application: `/`, `/request`, `/echo` (websocket), `/clock` (event stream)."""
    app = web.Application()
    app.router.add_get("/", _page)
    app.router.add_get("/request", _request)
    app.router.add_get("/echo", _echo)
    app.router.add_get("/clock", _clock)
    return app


async def _page(_request: web.Request) -> web.Response:
    return web.Response(body=_PAGE.read_bytes(), content_type="text/html", charset="utf-8")


async def _request(request: web.Request) -> web.Response:
    """Show the fields that arrived, and count in a cookie how often this was asked."""
    known = request.cookies.get(_COOKIE, "")
    visits = int(known) + 1 if known.isascii() and known.isdigit() and len(known) < 9 else 1
    fields = {name: request.headers[name] for name in SHOWN_FIELDS if name in request.headers}
    response = web.json_response({"fields": fields, "visits": visits})
    response.headers["Cache-Control"] = "no-store"
    response.set_cookie(_COOKIE, str(visits), httponly=True, samesite="Lax")
    return response


async def _echo(request: web.Request) -> web.WebSocketResponse:
    """Send every message back as it came."""
    websocket = web.WebSocketResponse()
    await websocket.prepare(request)
    async for message in websocket:
        if message.type is WSMsgType.TEXT:
            await websocket.send_str(message.data)
        elif message.type is WSMsgType.BINARY:
            await websocket.send_bytes(message.data)
    return websocket


async def _clock(request: web.Request) -> web.StreamResponse:
    """Send the time each second for as long as somebody listens."""
    response = web.StreamResponse(
        headers={"Content-Type": "text/event-stream", "Cache-Control": "no-store"}
    )
    await response.prepare(request)
    while True:
        now = datetime.now(UTC).isoformat(timespec="milliseconds")
        try:
            await response.write(f"data: {now}\n\n".encode())
        except ConnectionError:
            return response
        await asyncio.sleep(_TICK_SECONDS)
