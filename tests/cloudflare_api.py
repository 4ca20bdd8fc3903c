"""A stand-in of Cloudflare's API v4, as far as DNS challenges need it, on loopback.

It answers with the envelopes, codes and habits of the real one, so that the official SDK and
software built on it can't tell the difference. Records live in memory, and by `Updates` also in a
real name server. A test says what goes wrong: `fail`, `lose_answers`, `stall`.
"""

import asyncio
import itertools
import json
import re
import ssl
import threading
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol, Self

import dns.name
import dns.query
import dns.rcode
import dns.rdata
import dns.tsig
import dns.update
from aiohttp import web
from aiohttp.typedefs import Handler

from ports import free_port

# As the real ones: 40 characters; the API answers 6003 to what is of another form.
TOKEN = "stand-in-token-for-tests-0123456789abcdef"
_WELL_FORMED = re.compile(r"Bearer [A-Za-z0-9_-]{40,}")
_ID = re.compile(r"[0-9a-f]{32}")
_TTL = range(60, 86401)
_AUTOMATIC_TTL = 1

Json = dict[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Permissions:
    """What a token may do. `zones` are names; None means all."""

    zones: frozenset[str] | None = None
    zone_read: bool = True
    dns_edit: bool = True

    def covers(self, zone: str) -> bool:
        return self.zones is None or zone in self.zones


class Backend(Protocol):
    """Where records appear besides in memory."""

    def add(self, zone: str, name: str, value: str) -> None: ...

    def remove(self, zone: str, name: str, value: str) -> None: ...


class Updates:
    """Records appear in a name server, by signed RFC 2136 updates."""

    def __init__(
        self, address: str, port: int, *, key: str, secret: str, algorithm: str = "hmac-sha256"
    ) -> None:
        self._address = address
        self._port = port
        self._key = dns.tsig.Key(key, secret, algorithm)

    def add(self, zone: str, name: str, value: str) -> None:
        update = self._update(zone)
        update.add(dns.name.from_text(name), 60, _txt(value))
        self._send(update)

    def remove(self, zone: str, name: str, value: str) -> None:
        update = self._update(zone)
        update.delete(dns.name.from_text(name), _txt(value))
        self._send(update)

    def _update(self, zone: str) -> dns.update.UpdateMessage:
        return dns.update.UpdateMessage(dns.name.from_text(zone), keyring=self._key)

    def _send(self, update: dns.update.UpdateMessage) -> None:
        answer = dns.query.tcp(update, self._address, timeout=5, port=self._port)
        if answer.rcode() != dns.rcode.NOERROR:
            raise RuntimeError(f"The name server answered {dns.rcode.to_text(answer.rcode())}.")


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """A request that came in."""

    method: str
    path: str
    query: Mapping[str, str]
    headers: Mapping[str, str]


@dataclass(slots=True, kw_only=True)
class _Trouble:
    """What happens to the next `times` requests by `method` whose path contains `path`."""

    method: str
    path: str
    times: int
    answer: web.Response | None
    carried_out: bool = False


class _Failure(Exception):
    """An answer with an error, as the API words it."""

    def __init__(self, status: int, code: int, message: str, *, chain: Iterable[Json] = ()) -> None:
        super().__init__(message)
        self.status = status
        self.errors: list[Json] = [{"code": code, "message": message}]
        if chain := list(chain):
            self.errors[0]["error_chain"] = chain


class CloudflareApi:
    """The stand-in; a context manager that serves in a thread of its own.

    `zones` maps a zone's name to its id of 32 hexadecimal digits, `tokens` a token to what it may.
    `records` are the records as the API shows them, `calls` what came in, in order.
    """

    def __init__(
        self,
        zones: Mapping[str, str],
        *,
        tokens: Mapping[str, Permissions] | None = None,
        backend: Backend | None = None,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        self.zones = dict(zones)
        self.tokens = {TOKEN: Permissions()} if tokens is None else dict(tokens)
        self.records: list[Json] = []
        self.calls: list[Call] = []
        self.port = free_port()
        self._backend = backend
        self._tls = tls
        self._troubles: list[_Trouble] = []
        self._numbers = itertools.count(1)
        self._ready = threading.Event()
        self._stop = asyncio.Event()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread = threading.Thread(target=lambda: asyncio.run(self._serve()), daemon=True)

    @property
    def url(self) -> str:
        """The base URL, for `api_url` and CLOUDFLARE_BASE_URL."""
        return f"http{'s' if self._tls else ''}://127.0.0.1:{self.port}/client/v4"

    def __enter__(self) -> Self:
        self._thread.start()
        assert self._ready.wait(10), "the stand-in of Cloudflare's API did not start"
        return self

    def __exit__(self, *_: object) -> None:
        assert self._loop is not None
        self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join()

    def values(self, name: str) -> list[str]:
        """Return the TXT values at a name, without quotes."""
        return [_unquoted(each["content"]) for each in self.records if each["name"] == name]

    def fail(
        self,
        method: str,
        status: int,
        code: int | None = None,
        message: str = "Something went wrong",
        *,
        path: str = "",
        body: str | None = None,
        content_type: str = "application/json",
        headers: Mapping[str, str] | None = None,
        times: int = 1,
    ) -> None:
        """Answer the next requests with an error, or with a body that is no API's."""
        if body is None:
            errors = [] if code is None else [{"code": code, "message": message}]
            body = json.dumps(_envelope(None, errors))
        answer = web.Response(
            status=status, text=body, content_type=content_type, headers=dict(headers or {})
        )
        self._troubles.append(_Trouble(method=method, path=path, times=times, answer=answer))

    def lose_answers(self, method: str, *, path: str = "", times: int = 1) -> None:
        """Carry the next requests out, and cut the connection instead of answering."""
        self._troubles.append(
            _Trouble(method=method, path=path, times=times, answer=None, carried_out=True)
        )

    def stall(self, method: str, *, path: str = "", times: int = 1) -> None:
        """Say nothing to the next requests until the client gives up."""
        self._troubles.append(_Trouble(method=method, path=path, times=times, answer=None))

    def forget_troubles(self) -> None:
        """Answer as always again."""
        self._troubles.clear()

    async def _serve(self) -> None:
        self._loop = asyncio.get_running_loop()
        application = web.Application(middlewares=[self._guard])
        base, records = "/client/v4", "/client/v4/zones/{zone}/dns_records"
        application.router.add_get(f"{base}/user/tokens/verify", self._verify)
        application.router.add_get(f"{base}/zones", self._list_zones)
        application.router.add_get(f"{base}/zones/{{zone}}", self._get_zone)
        application.router.add_get(records, self._list_records)
        application.router.add_post(records, self._create_record)
        application.router.add_delete(f"{records}/{{record}}", self._delete_record)
        # A stalled client's connection is not waited for at the end.
        runner = web.AppRunner(application, handler_cancellation=True, shutdown_timeout=0)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", self.port, ssl_context=self._tls).start()
        self._ready.set()
        await self._stop.wait()
        await runner.cleanup()

    @web.middleware
    async def _guard(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        """Note the call, let go wrong what shall, and put errors into the envelope."""
        self.calls.append(
            Call(
                method=request.method,
                path=request.path,
                query=dict(request.query),
                headers=dict(request.headers),
            )
        )
        trouble = self._trouble(request)
        if trouble is None:
            return await self._answer(request, handler)
        if trouble.answer is not None:
            answer = trouble.answer
            return web.Response(status=answer.status, body=answer.body, headers=answer.headers)
        if trouble.carried_out:
            await self._answer(request, handler)
        else:
            await self._stop.wait()
        assert request.transport is not None
        request.transport.abort()
        return web.Response()

    def _trouble(self, request: web.Request) -> _Trouble | None:
        for trouble in self._troubles:
            if trouble.times and trouble.method == request.method and trouble.path in request.path:
                trouble.times -= 1
                return trouble
        return None

    async def _answer(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        try:
            return await handler(request)
        except _Failure as failure:
            return web.json_response(_envelope(None, failure.errors), status=failure.status)
        except web.HTTPNotFound:
            errors = [{"code": 7000, "message": "No route for that URI"}]
            return web.json_response(_envelope(None, errors), status=404)

    async def _verify(self, request: web.Request) -> web.Response:
        try:
            self._permissions(request)
        except _Failure as failure:
            if failure.errors[0]["code"] == 9109:
                raise _Failure(401, 1000, "Invalid API Token") from None
            raise
        return web.json_response(_envelope({"id": "f" * 32, "status": "active"}))

    async def _list_zones(self, request: web.Request) -> web.Response:
        permissions = self._permissions(request)
        wanted = request.query.get("name")
        found = [
            self._zone(name)
            for name in self.zones
            if permissions.zone_read and permissions.covers(name) and wanted in (None, name)
        ]
        return _page(request, found, default=20)

    async def _get_zone(self, request: web.Request) -> web.Response:
        name = self._zone_name(request)
        if not self._permissions(request).zone_read:
            raise _Failure(403, 9109, "Unauthorized to access requested resource")
        return web.json_response(_envelope(self._zone(name)))

    async def _list_records(self, request: web.Request) -> web.Response:
        zone = self._writable_zone(request)
        query = request.query
        name, content = _filter(query, "name", "exact"), _filter(query, "content", "exact")
        part = _filter(query, "content", "contains", plain=False)
        found = [
            record
            for record in self.records
            if record["zone"] == zone
            and query.get("type") in (None, record["type"])
            and (name is None or name.lower() == record["name"])
            and content in (None, record["content"])
            and (part is None or part.lower() in record["content"].lower())
        ]
        return _page(request, [_shown(record) for record in found], default=100)

    async def _create_record(self, request: web.Request) -> web.Response:
        zone = self._writable_zone(request)
        try:
            wish = await request.json()
            kind, name, content = wish["type"], wish["name"], wish["content"]
        except (ValueError, KeyError, TypeError):
            raise _Failure(400, 9207, "Request body is invalid.") from None
        ttl = wish.get("ttl", _AUTOMATIC_TTL)
        if ttl != _AUTOMATIC_TTL and ttl not in _TTL:
            message = "Invalid TTL. Must be between 60 and 86400 seconds, or 1 for Automatic."
            raise _Failure(400, 9021, message)
        name = name.lower().rstrip(".")
        # A name outside the zone is taken as relative to it.
        if name != zone and not name.endswith(f".{zone}"):
            name = f"{name}.{zone}"
        if any(_same(record, zone, kind, name, content) for record in self.records):
            raise _Failure(400, 81058, "An identical record already exists.")
        record = {
            "id": f"{next(self._numbers):032x}",
            "zone": zone,
            "name": name,
            "type": kind,
            "content": content,
            "ttl": ttl,
            "proxiable": False,
            "proxied": False,
            "settings": {},
            "meta": {},
            "comment": wish.get("comment"),
            "tags": [],
            "created_on": "2026-01-01T00:00:00.000000Z",
            "modified_on": "2026-01-01T00:00:00.000000Z",
        }
        if self._backend is not None:
            # This thread serves nobody else meanwhile.
            self._backend.add(zone, name, _unquoted(content))
        self.records.append(record)
        return web.json_response(_envelope(_shown(record)))

    async def _delete_record(self, request: web.Request) -> web.Response:
        zone = self._writable_zone(request)
        wanted = request.match_info["record"]
        if not _ID.fullmatch(wanted):
            raise _unroutable(request)
        for record in self.records:
            if record["zone"] == zone and record["id"] == wanted:
                if self._backend is not None:
                    self._backend.remove(zone, record["name"], _unquoted(record["content"]))
                self.records.remove(record)
                return web.json_response(_envelope({"id": wanted}))
        raise _Failure(404, 81044, "Record does not exist.")

    def _permissions(self, request: web.Request) -> Permissions:
        """Return what the request's token may do."""
        headers = request.headers
        if "X-Auth-Email" in headers or "X-Auth-Key" in headers:
            chain = [{"code": 6103, "message": "Invalid format for X-Auth-Key header"}]
            raise _Failure(400, 6003, "Invalid request headers", chain=chain)
        authorization = headers.get("Authorization", "")
        if not _WELL_FORMED.fullmatch(authorization):
            chain = [{"code": 6111, "message": "Invalid format for Authorization header"}]
            raise _Failure(400, 6003, "Invalid request headers", chain=chain)
        permissions = self.tokens.get(authorization.removeprefix("Bearer "))
        if permissions is None:
            raise _Failure(403, 9109, "Invalid access token")
        return permissions

    def _zone_name(self, request: web.Request) -> str:
        """Return the name of the zone in the path, which the token covers."""
        permissions = self._permissions(request)
        wanted = request.match_info["zone"]
        if not _ID.fullmatch(wanted):
            raise _unroutable(request)
        for name, zone_id in self.zones.items():
            if zone_id == wanted and permissions.covers(name):
                return name
        raise _Failure(403, 9109, "Unauthorized to access requested resource")

    def _writable_zone(self, request: web.Request) -> str:
        """Return the name of the zone in the path, whose records the token may edit."""
        name = self._zone_name(request)
        if not self._permissions(request).dns_edit:
            raise _Failure(403, 10000, "Authentication error")
        return name

    def _zone(self, name: str) -> Json:
        """Return a zone as the API shows it."""
        return {
            "id": self.zones[name],
            "name": name,
            "status": "active",
            "paused": False,
            "type": "full",
            "name_servers": ["ada.ns.cloudflare.test", "bob.ns.cloudflare.test"],
            "permissions": ["#dns_records:edit", "#zone:read"],
            "account": {"id": "a" * 32, "name": "Stand-in"},
        }


def _envelope(result: object, errors: Iterable[Json] = ()) -> Json:
    errors = list(errors)
    return {"result": result, "success": not errors, "errors": errors, "messages": []}


def _unroutable(request: web.Request) -> _Failure:
    message = f"Could not route to {request.path}, perhaps your object identifier is invalid?"
    return _Failure(404, 7003, message)


def _page(request: web.Request, found: list[Json], *, default: int) -> web.Response:
    """Answer with the page of a list that the request asks for."""
    page = int(request.query.get("page", 1))
    size = int(request.query.get("per_page", default))
    shown = found[(page - 1) * size : page * size]
    answer = _envelope(shown)
    answer["result_info"] = {
        "page": page,
        "per_page": size,
        "count": len(shown),
        "total_count": len(found),
        "total_pages": -(-len(found) // size),
    }
    return web.json_response(answer)


def _filter(
    query: Mapping[str, str], name: str, operator: str, *, plain: bool = True
) -> str | None:
    """Return a filter's value, written `name.operator`, `name[operator]` or, if plain, `name`."""
    for key in (f"{name}.{operator}", f"{name}[{operator}]", *([name] if plain else [])):
        if key in query:
            return query[key]
    return None


def _same(record: Json, zone: str, kind: str, name: str, content: str) -> bool:
    here = (record["zone"], record["type"], record["name"], _unquoted(record["content"]))
    return here == (zone, kind, name, _unquoted(content))


def _shown(record: Json) -> Json:
    """Return a record as the API shows it."""
    return {key: value for key, value in record.items() if key != "zone"}


def _unquoted(content: str) -> str:
    if len(content) >= 2 and content[0] == content[-1] == '"':
        return content[1:-1]
    return content


def _txt(value: str) -> dns.rdata.Rdata:
    return dns.rdata.from_text("IN", "TXT", f'"{value}"')
