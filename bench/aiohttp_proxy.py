"""`python -m bench.aiohttp_proxy MAIN-PORT UAP-PORT CERTIFICATE FILES`: the plainest proxy.

On uvloop, with an access log. No compression, no websockets, no policy, no checks: a lower bound
for whoever would write it with a framework. Started by `fronts.reference`.
"""

import asyncio
import logging
import ssl
import sys
from typing import Final

import uvloop
from aiohttp import ClientSession, ClientTimeout, TCPConnector, web
from multidict import CIMultiDict

_HOP: Final = ("connection", "keep-alive", "transfer-encoding", "upgrade", "te", "trailer")
_MAX_CONTENT: Final = 64 * 1024 * 1024


def _application(files: str | None) -> web.Application:
    """Return the main host's application with its files, or the UAP's without."""
    app = web.Application(client_max_size=_MAX_CONTENT)
    insecure = ssl.create_default_context()
    insecure.check_hostname, insecure.verify_mode = False, ssl.CERT_NONE

    async def with_client(_app: web.Application):  # type: ignore[no-untyped-def]
        async with ClientSession(
            connector=TCPConnector(limit=0, ssl=insecure),
            auto_decompress=False,
            timeout=ClientTimeout(total=None),
        ) as session:
            clients.append(session)
            yield

    clients: list[ClientSession] = []
    app.cleanup_ctx.append(with_client)

    async def forward(request: web.Request, base: str) -> web.StreamResponse:
        fields = CIMultiDict(request.headers)
        for name in _HOP:
            fields.popall(name, None)
        content = request.content if request.body_exists else None
        async with clients[0].request(
            request.method, base, headers=fields, data=content, allow_redirects=False
        ) as answer:
            response = web.StreamResponse(status=answer.status)
            for name, value in answer.headers.items():
                if name.lower() not in _HOP:
                    response.headers.add(name, value)
            await response.prepare(request)
            async for chunk in answer.content.iter_any():
                await response.write(chunk)
            await response.write_eof()
            return response

    async def cloud(request: web.Request) -> web.StreamResponse:
        host = request.headers["exo-proxy-orig-host"]
        port = request.headers["exo-proxy-orig-port"]
        return await forward(request, f"https://{host}:{port}{request.path_qs[6:]}")

    async def instance(request: web.Request) -> web.StreamResponse:
        scheme, a, b, c, d, port = request.host.partition(".")[0].split("-")
        return await forward(request, f"{scheme}://{a}.{b}.{c}.{d}:{port}{request.path_qs}")

    if files is None:
        app.router.add_route("*", "/{path:.*}", instance)
    else:
        app.router.add_route("*", "/proxy/{path:.*}", cloud)
        app.router.add_static("/", files)
    return app


async def _serve(main: int, uap: int, certificate: str, files: str) -> None:
    logging.basicConfig(level=logging.INFO)
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(certificate)
    for port, app in ((main, _application(files)), (uap, _application(None))):
        runner = web.AppRunner(app)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", port, ssl_context=context, backlog=4096).start()
    await asyncio.Event().wait()


if __name__ == "__main__":
    uvloop.run(_serve(int(sys.argv[1]), int(sys.argv[2]), sys.argv[3], sys.argv[4]))
