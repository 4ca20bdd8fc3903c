"""A stand-in for an OpenStack cloud: as much API as shows what the Cloud CORS Proxy does.

Keystone's version document and tokens, Nova's servers, Glance's images, and errors in OpenStack's
form. Nothing is kept but the tokens that were issued. The statuses, field names and shapes are
those of the real services; a catalogue that names a second port for compute and images is too.

Called by `exoproxy.demo.life`, which serves it over TLS.
"""

import json
import secrets
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from http import HTTPStatus

from aiohttp import web
from aiohttp.typedefs import Handler

USER, PASSWORD = "demo", "demo"
REGION = "Demo"
# A public cloud's list is about this long; uncompressed it is a quarter of a megabyte.
IMAGES = 300

_TOKEN_LIFETIME = timedelta(hours=1)
_RELEASES = ("Ubuntu 24.04", "Ubuntu 22.04", "Debian 13", "Rocky Linux 9", "AlmaLinux 10")


@dataclass(frozen=True, slots=True, kw_only=True)
class Endpoints:
    """Where the catalogue says that the services are: base URLs without a slash at the end."""

    identity: str
    compute: str
    image: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Server:
    """An instance as Nova lists it; `port` is where a web application listens on it."""

    name: str
    address: str
    port: int


def cloud(endpoints: Endpoints, server: Server) -> web.Application:
    """Return the application; every one of its services answers under each host and port."""
    app = web.Application(middlewares=[_openstack_fields, _openstack_errors])
    tokens: set[str] = set()

    async def versions(_request: web.Request) -> web.Response:
        link = {"rel": "self", "href": f"{endpoints.identity}/v3/"}
        version = {"id": "v3.14", "status": "stable", "links": [link], "media-types": []}
        return web.json_response({"version": version})

    async def issue_token(request: web.Request) -> web.Response:
        if not _is_password_of_demo(await _json(request)):
            raise web.HTTPUnauthorized(
                reason="The password is wrong, or the user doesn't exist.",
                headers={"WWW-Authenticate": f'Keystone uri="{endpoints.identity}"'},
            )
        token = f"gAAAAA{secrets.token_urlsafe(96)}"
        tokens.add(token)
        return web.json_response(
            {"token": _token(endpoints)}, status=201, headers={"X-Subject-Token": token}
        )

    def with_token(body: object) -> Callable[[web.Request], Awaitable[web.Response]]:
        text = json.dumps(body)

        async def handler(request: web.Request) -> web.Response:
            if request.headers.get("X-Auth-Token") not in tokens:
                raise web.HTTPUnauthorized(reason="The request you have made needs a token.")
            return web.Response(text=text, content_type="application/json")

        return handler

    app.router.add_get("/v3", versions)
    app.router.add_get("/v3/", versions)
    app.router.add_post("/v3/auth/tokens", issue_token)
    app.router.add_get("/v2.1/servers/detail", with_token(_servers(server)))
    app.router.add_get("/v2/images", with_token(_images()))
    return app


@web.middleware
async def _openstack_fields(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Give every answer the fields that OpenStack's services give."""
    response = await handler(request)
    response.headers["X-OpenStack-Request-Id"] = f"req-{secrets.token_hex(16)}"
    response.headers.add("Vary", "X-Auth-Token")
    return response


@web.middleware
async def _openstack_errors(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Answer errors as Keystone does: JSON with code, title and message."""
    try:
        return await handler(request)
    except web.HTTPError as error:
        title = HTTPStatus(error.status).phrase
        body = {"error": {"code": error.status, "title": title, "message": error.reason}}
        response = web.json_response(body, status=error.status)
        for name in ("WWW-Authenticate", "Allow"):
            if name in error.headers:
                response.headers[name] = error.headers[name]
        return response


async def _json(request: web.Request) -> object:
    try:
        return await request.json()
    except ValueError:
        raise web.HTTPBadRequest(reason="The body is not JSON.") from None


def _is_password_of_demo(body: object) -> bool:
    match body:
        case {
            "auth": {
                "identity": {
                    "methods": ["password"],
                    "password": {"user": {"name": str(name), "password": str(password)}},
                }
            }
        }:
            return (name, password) == (USER, PASSWORD)
    return False


def _token(endpoints: Endpoints) -> dict[str, object]:
    now = datetime.now(UTC)
    return {
        "methods": ["password"],
        "user": {"id": "0" * 31 + "1", "name": USER, "domain": {"id": "default"}},
        "issued_at": now.isoformat(),
        "expires_at": (now + _TOKEN_LIFETIME).isoformat(),
        "catalog": [
            _service("identity", "keystone", f"{endpoints.identity}/v3/"),
            _service("compute", "nova", f"{endpoints.compute}/v2.1"),
            _service("image", "glance", endpoints.image),
        ],
    }


def _service(kind: str, name: str, url: str) -> dict[str, object]:
    endpoint = {"interface": "public", "region": REGION, "region_id": REGION, "url": url}
    return {"type": kind, "name": name, "endpoints": [endpoint]}


def _servers(server: Server) -> dict[str, object]:
    address = {"addr": server.address, "version": 4, "OS-EXT-IPS:type": "floating"}
    return {
        "servers": [
            {
                "id": "11111111-2222-4333-8444-555555555555",
                "name": server.name,
                "status": "ACTIVE",
                "addresses": {"demo": [address]},
                "metadata": {"web_port": str(server.port)},
            }
        ]
    }


def _images() -> dict[str, object]:
    return {
        "images": [
            {
                "id": f"{number:08x}-0000-4000-8000-{number:012x}",
                "name": f"{_RELEASES[number % len(_RELEASES)]} (build {number})",
                "status": "active",
                "visibility": "public",
                "container_format": "bare",
                "disk_format": "raw",
                "size": 2_361_393_152 + number * 65_536,
                "min_disk": 10,
                "min_ram": 1024,
                "checksum": f"{number * 2_654_435_761:032x}",
                "os_hash_algo": "sha512",
                "os_hash_value": f"{number * 2_654_435_761:0128x}",
                "os_distro": _RELEASES[number % len(_RELEASES)].split()[0].lower(),
                "created_at": "2026-01-15T08:30:00Z",
                "updated_at": "2026-01-15T08:41:12Z",
                "self": f"/v2/images/{number:08x}-0000-4000-8000-{number:012x}",
                "file": f"/v2/images/{number:08x}-0000-4000-8000-{number:012x}/file",
                "schema": "/v2/schemas/image",
                "tags": [],
                "owner": "0" * 31 + "2",
            }
            for number in range(1, IMAGES + 1)
        ]
    }
