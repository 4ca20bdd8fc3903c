"""The main host: the static Exosphere client, and the Cloud CORS Proxy under its path.

A request below `/proxy` names its target in two fields that the client's page sets
(`exo-proxy-orig-host`, `exo-proxy-orig-port`); it goes to that API if policy allows it, and what
belongs to the page and its host (cookies, Origin, Referer) stays here. A few paths are pages of our
own, which need a form or a template. All else is a file.
"""

import dataclasses
import re
from collections.abc import Mapping
from datetime import datetime
from functools import lru_cache, partial
from types import MappingProxyType
from typing import Final, NamedTuple
from urllib.parse import unquote_to_bytes

from exoproxy.client.tree import Tree
from exoproxy.errors import (
    BadRequest,
    LoopDetected,
    Misdirected,
    OriginNotAllowed,
    ProxyError,
    TargetNotAllowed,
)
from exoproxy.learned.learning import Learned
from exoproxy.learned.table import Naming
from exoproxy.net.dial import Upstream
from exoproxy.net.listen import Peer
from exoproxy.pages.routes import Route as PageRoute
from exoproxy.proxy.decision import Decision, Forward, Observer, Reply
from exoproxy.rules.catalogue import Endpoint
from exoproxy.rules.cors import (
    Mode,
    Origins,
    answer_fields,
    is_preflight,
    preflight_fields,
    replace,
    request_origin,
)
from exoproxy.rules.egress import AllowList, Policy, host_address
from exoproxy.rules.forwarded import passed_here, pseudonym_of, to_cloud, via_field
from exoproxy.wire.fields import Field, Fields
from exoproxy.wire.head import RequestHead, ResponseHead

HOST_FIELD: Final = b"exo-proxy-orig-host"
PORT_FIELD: Final = b"exo-proxy-orig-port"
# As longest a DNS name, or an IPv6 address in brackets.
LONGEST_HOST: Final = 256
LONGEST_PORT: Final = 5
PORT: Final = re.compile(rb"[1-9][0-9]{0,4}")
SLASHES: Final = re.compile(rb"/{2,}")
BROKEN_ENCODING: Final = re.compile(rb"%(?![0-9A-Fa-f]{2})")
ALLOW: Final = b"GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS"
NO_PORT: Final = "The target's port is not a number from 1 to 65535."
CONTROL_HINT: Final = (
    "The Exosphere client sets these fields; cloudCorsProxyUrl in its config.js names this path."
)
NOT_LISTED_HINT: Final = "The operator lists the cloud's API hosts in main.proxy.allow."
NOT_LEARNED_HINT: Final = (
    "What the cloud's Keystone names in its catalogue (as https) is allowed once a user has logged "
    "in: reload the page or log in again. The operator lists other API hosts in main.proxy.allow."
)
# Identity API v3; some Keystones live below a path, as in /identity/v3.
LOGIN: Final = b"/v3/auth/tokens"
SWITCHED_OFF_HINT: Final = "The operator switches it on by a main.proxy that is not null."


class CloudProxy(NamedTuple):
    """What the Cloud CORS Proxy may do: `path` is its prefix, without a slash at the end.

    With `learned` it may reach what hosts that `allow` holds have named in their catalogues.
    """

    path: str
    allow: AllowList
    any_public: bool
    policy: Policy
    verify: bool
    merge_slashes: bool
    compress: bool
    learned: Learned | None = None


class Route(NamedTuple):
    """Where the control fields lead: an upstream, and the Host that it is asked for.

    `listed`: main.proxy.allow holds it. `forbidden`: policy forbids its address, where it is one.
    """

    upstream: Upstream
    host: bytes
    listed: bool
    forbidden: TargetNotAllowed | None


class MainSite:
    """The rules of the main host, composed."""

    name = "main"

    def __init__(
        self,
        *,
        hostname: str,
        tree: Tree,
        origins: Origins,
        proxy: CloudProxy | None,
        pages: Mapping[bytes, PageRoute] = MappingProxyType({}),
    ) -> None:
        self.hostname = hostname
        self._tree = tree
        self._origins = origins
        self.proxy = proxy
        self._pages = pages
        self._learned = None if proxy is None else proxy.learned
        self._prefix = b"" if proxy is None else proxy.path.lower().encode() + b"/"
        self._pseudonym = pseudonym_of(hostname)
        self._vias = [via_field(self._pseudonym, minor) for minor in (0, 1)]
        # Lists and policy don't change while the site lives: each target is judged once by them.
        self._route = lru_cache(maxsize=4096)(self._route_or_refusal)
        # Most requests go to endpoints that were learned, and nothing is learned for hours.
        self._good_until = lru_cache(maxsize=4096)(self._named_until)

    def decide(self, request: RequestHead, peer: Peer) -> Decision:
        """Return what to do with a request; raises `ProxyError` for what is refused."""
        host, sni = request.authority.host, peer.server_name
        if host != self.hostname or (sni is not None and sni != host):
            raise Misdirected(hint=f"Its name is {self.hostname}.")
        path = request.target.path
        if b"%" in path and BROKEN_ENCODING.search(path):
            raise BadRequest("The address holds a % that begins no percent-encoding.")
        prefix, proxy = self._prefix, self.proxy
        if proxy is not None and path[: len(prefix)].lower() == prefix:
            return self._to_cloud(request, proxy)
        return self._own(request)

    def own_fields(self, request: RequestHead | None) -> list[Field]:
        """Return the CORS fields of answers of our own."""
        if not self._origins:
            return []
        return answer_fields(None if request is None else self._listed_origin(request))

    def serves(self, host: str) -> bool:
        """Tell whether a lower-case host name is this host's."""
        return host == self.hostname

    def close(self) -> None:
        """End what works beside the requests: encoding files."""
        self._tree.close()

    # Files, and pages.

    def _own(self, request: RequestHead) -> Decision:
        origin = self._listed_origin(request) if self._origins else None
        if origin is not None and is_preflight(request.method, request.fields):
            return _preflight(request, origin)
        if request.target.path == b"*":
            # About this server as a whole (RFC 9110 section 9.3.7).
            return Reply(status=204, fields=[(b"Allow", ALLOW), *self.own_fields(request)])
        if (page := self._pages.get(request.target.path)) is not None:
            return self._to_page(page(request), origin)
        answer = self._tree.answer(request)
        if not self._origins:
            return answer
        # The tree keeps its lists of fields: they are not ours to change.
        return dataclasses.replace(answer, fields=[*answer.fields, *answer_fields(origin)])

    def _to_page(self, forward: Forward, origin: bytes | None) -> Forward:
        if self._origins:
            edit, cors = forward.edit_response, answer_fields(origin)
            forward.edit_response = lambda head: [*edit(head), *cors]
        return forward

    # The Cloud CORS Proxy.

    def _to_cloud(self, request: RequestHead, proxy: CloudProxy) -> Decision:
        fields = request.fields
        origin = request_origin(fields)
        if origin == _own_origin(request):
            origin = None
        if origin is not None:
            if not self._origins.allows(origin):
                raise OriginNotAllowed(hint="The operator can list it in main.allowed_origins.")
            if is_preflight(request.method, fields):
                return _preflight(request, origin)
        target = self._target(request, proxy)
        if passed_here(fields, self._pseudonym):
            raise LoopDetected
        route = self.route(fields)
        return Forward(
            upstream=route.upstream,
            target=target,
            fields=to_cloud(fields, host=route.host, via=self._vias[request.minor]),
            edit_response=_edit if origin is None else partial(_edit, origin=origin),
            route="proxy",
            compress=proxy.compress,
            observer=_observer(request.method, target, route, proxy),
        )

    def _target(self, request: RequestHead, proxy: CloudProxy) -> bytes:
        """Return the request target without the prefix; its bytes are kept."""
        path = request.target.path[len(self._prefix) - 1 :]
        if b"." in path or b"%" in path:
            _check_inside(path)
        if proxy.merge_slashes and b"//" in path:
            path = SLASHES.sub(b"/", path)
        query = request.target.query
        return path if query is None else b"%b?%b" % (path, query)

    def route(self, fields: Fields) -> Route:
        """Return where the control fields lead.

        Raises `BadRequest` for fields that say nothing or nonsense, `TargetNotAllowed` for a target
        that policy forbids, by its name or, where the name is one, by its address.
        """
        hosts, ports = fields.all(HOST_FIELD), fields.all(PORT_FIELD)
        if len(hosts) != 1 or len(ports) != 1 or len(hosts[0]) > LONGEST_HOST:
            raise BadRequest(
                "The request does not say which API it is for: exo-proxy-orig-host and "
                "exo-proxy-orig-port must each come once.",
                hint=CONTROL_HINT,
            )
        # What is asked for is remembered, so its size has to be known.
        if len(ports[0]) > LONGEST_PORT:
            raise BadRequest(NO_PORT, hint=CONTROL_HINT)
        route = self._route(hosts[0], ports[0])
        if isinstance(route, ProxyError):
            raise route.anew()
        if not route.listed and not self._opens(route.upstream):
            raise TargetNotAllowed(
                "The target is not among the hosts that this proxy may reach.",
                hint=NOT_LISTED_HINT if self._learned is None else NOT_LEARNED_HINT,
            )
        if route.forbidden is not None:
            raise route.forbidden.anew()
        return route

    def _opens(self, upstream: Upstream) -> bool:
        """Tell whether a host that main.proxy.allow does not hold may be asked for now."""
        if self.proxy is not None and self.proxy.any_public:
            return True
        learned = self._learned
        if learned is None:
            return False
        until = self._good_until(upstream, learned.generation)
        return until is not None and learned.clock() < until

    def _named_until(self, upstream: Upstream, generation: int) -> datetime | None:
        return max((each.expires for each in self.named(upstream)), default=None)

    def named(self, upstream: Upstream) -> list[Naming]:
        """Return who has named an upstream in a catalogue and is believed."""
        if self._learned is None:
            return []
        endpoint = Endpoint(upstream.host, upstream.port)
        return [each for each in self._learned.of(endpoint) if self._believes(each)]

    def learned(self) -> list[Naming] | None:
        """Return all endpoints that are allowed because they were named; None if none ever is."""
        if self._learned is None:
            return None
        return [each for each in self._learned.namings() if self._believes(each)]

    def _believes(self, naming: Naming) -> bool:
        # Who was named itself names nobody; and what it has named goes with its place on the list.
        return self.proxy is not None and self.proxy.allow.permits(*naming.by)

    def _route_or_refusal(self, host: bytes, port: bytes) -> Route | ProxyError:
        if self.proxy is None:
            return TargetNotAllowed("The Cloud CORS Proxy is switched off.", hint=SWITCHED_OFF_HINT)
        try:
            return _judged(host, port, self.proxy)
        except (BadRequest, TargetNotAllowed) as refusal:
            return refusal.anew()

    def _listed_origin(self, request: RequestHead) -> bytes | None:
        origin = request_origin(request.fields)
        return origin if origin is not None and self._origins.allows(origin) else None


def _judged(host: bytes, port: bytes, proxy: CloudProxy) -> Route:
    if PORT.fullmatch(port) is None or int(port) > 65535:
        raise BadRequest(NO_PORT, hint=CONTROL_HINT)
    try:
        text = host.decode("ascii").lower()
    except UnicodeDecodeError:
        raise BadRequest("The target's host holds characters outside ASCII.") from None
    address, number = host_address(text), int(port)
    name = text if address is None else str(address)
    forbidden = None
    if address is not None:
        try:
            proxy.policy.judge(address, number)
        except TargetNotAllowed as refusal:
            forbidden = refusal.anew()
    shown = f"[{name}]" if ":" in name else name
    authority = shown if number == 443 else f"{shown}:{number}"
    return Route(
        upstream=Upstream("https", name, number, proxy.verify),
        host=authority.encode(),
        listed=proxy.allow.permits(name, number),
        forbidden=forbidden,
    )


def _observer(method: bytes, target: bytes, route: Route, proxy: CloudProxy) -> Observer | None:
    """Return who reads the answer: to a login, and of a host that main.proxy.allow itself holds."""
    if method != b"POST" or proxy.learned is None or not route.listed:
        return None
    path = SLASHES.sub(b"/", target.partition(b"?")[0])
    if not path.endswith(LOGIN):
        return None
    return proxy.learned.reader(Endpoint(route.upstream.host, route.upstream.port))


def _own_origin(request: RequestHead) -> bytes:
    """Return the origin of pages of the host asked for; browsers leave the scheme's port out."""
    return b"https://" + request.authority.raw.lower().removesuffix(b":443")


def _preflight(request: RequestHead, origin: bytes) -> Reply:
    return Reply(status=204, fields=preflight_fields(Mode.MAIN, origin, request.fields))


def _check_inside(path: bytes) -> None:
    """Refuse a path that leads out of the proxy's own once it is decoded and its dots resolved.

    It would go upstream as it is; but what reads it as leaving must not be led to other APIs.
    """
    depth = 0
    for segment in unquote_to_bytes(path).split(b"/"):
        if segment == b"..":
            depth -= 1
        elif segment not in {b"", b"."}:
            depth += 1
        if depth < 0:
            raise BadRequest("The path leads out of the proxy's own path.")


def _edit(head: ResponseHead, origin: bytes | None = None) -> list[Field]:
    return replace(head.fields.end_to_end(), origin)
