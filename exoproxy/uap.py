"""The User Application Proxy of one region: instances' web applications by wildcard host names.

`https://http-198-51-100-99-8080.HOSTNAME/path` goes to `http://198.51.100.99:8080/path` if the
region's subnets hold that address. Nothing of the request is changed on its way but what one
connection or one proxy owns; nothing of the answer but what would reach other instances.
"""

from dataclasses import dataclass
from functools import lru_cache, partial
from html import escape
from typing import Final

from exoproxy.errors import (
    LoopDetected,
    MethodNotAllowed,
    Misdirected,
    NoInstanceName,
    NotFound,
    ProxyError,
    TargetNotAllowed,
)
from exoproxy.net.dial import Upstream
from exoproxy.net.listen import Peer
from exoproxy.proxy.decision import Decision, Forward, Reply
from exoproxy.proxy.page import SECURITY_FIELDS, page
from exoproxy.rules.cookies import keep_to_host, reaches_others
from exoproxy.rules.cors import (
    Mode,
    Origins,
    answer_fields,
    is_preflight,
    preflight_fields,
    replace,
    request_origin,
)
from exoproxy.rules.egress import Policy
from exoproxy.rules.forwarded import passed_here, pseudonym_of, to_instance, via_field
from exoproxy.rules.instance_name import Instance, parse, pattern
from exoproxy.wire.fields import Field
from exoproxy.wire.head import RequestHead, ResponseHead

ALLOW: Final = b"GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS"
WELCOME: Final = """\
<h1>User Application Proxy</h1>
<p>Exosphere opens the desktops, shells and notebooks of cloud instances through this host.
There is nothing to see at its own name.</p>
<p>{pattern}</p>
"""


@dataclass(slots=True)
class CookieEdits:
    """How many cookies were made host-only; it outlives the sites that count in it."""

    count: int = 0


class UapSite:
    """The rules of the UAP, composed."""

    name = "uap"

    def __init__(
        self,
        *,
        hostname: str,
        policy: Policy,
        origins: Origins,
        cookies: CookieEdits | None = None,
    ) -> None:
        self.hostname = hostname
        self.policy = policy
        self.cookies = cookies or CookieEdits()
        self._suffix = f".{hostname}"
        self._origins = origins
        self._pseudonym = pseudonym_of(hostname)
        self._vias = [via_field(self._pseudonym, minor) for minor in (0, 1)]
        # Names and subnets don't change while the site lives: each host is judged once, so that the
        # number of subnets does not count.
        self._route = lru_cache(maxsize=4096)(self._route_or_refusal)
        welcome = WELCOME.format(pattern=escape(pattern(hostname)))
        self._welcome = page("User Application Proxy", welcome).encode()

    def decide(self, request: RequestHead, peer: Peer) -> Decision:
        """Return what to do with a request; raises `ProxyError` for what is refused."""
        host, sni = request.authority.host, peer.server_name
        if not self.serves(host) or (sni is not None and sni != host and not self.serves(sni)):
            raise Misdirected(hint=pattern(self.hostname))
        if request.target.path == b"*":
            # About this server as a whole, and no instance's (RFC 9110 section 9.3.7).
            return Reply(status=204, fields=[(b"Allow", ALLOW), *self.own_fields(request)])
        if host == self.hostname:
            return self._own_page(request)
        route = self._route(host)
        if isinstance(route, ProxyError):
            raise route.anew()
        return self._forward(request, peer, route)

    def own_fields(self, request: RequestHead | None) -> list[Field]:
        """Return the CORS fields of answers of our own."""
        return answer_fields(None if request is None else self._allowed_origin(request))

    def serves(self, host: str) -> bool:
        """Tell whether a lower-case host name is this host's or below it."""
        return host == self.hostname or host.endswith(self._suffix)

    def instance(self, host: str) -> Instance:
        """Return the instance's server that a host name names; raises `NoInstanceName`."""
        return parse(host, self.hostname)

    def _route_or_refusal(self, host: str) -> Upstream | ProxyError:
        try:
            instance = self.instance(host)
            self.policy.judge(instance.address, instance.port)
        except (NoInstanceName, TargetNotAllowed) as refusal:
            return refusal.anew()
        # Instances have self-signed certificates, which nothing could be verified against.
        return Upstream(instance.scheme, str(instance.address), instance.port, verify=False)

    def _own_page(self, request: RequestHead) -> Reply:
        if request.target.path != b"/":
            raise NotFound(hint=pattern(self.hostname))
        if request.method not in {b"GET", b"HEAD"}:
            raise MethodNotAllowed(hint=pattern(self.hostname))
        fields = [
            (b"Content-Type", b"text/html; charset=utf-8"),
            *SECURITY_FIELDS,
            *self.own_fields(request),
        ]
        return Reply(status=200, fields=fields, content=self._welcome)

    def _forward(self, request: RequestHead, peer: Peer, upstream: Upstream) -> Decision:
        origin = self._allowed_origin(request)
        if origin is not None and is_preflight(request.method, request.fields):
            return Reply(status=204, fields=preflight_fields(Mode.UAP, origin, request.fields))
        if passed_here(request.fields, self._pseudonym):
            raise LoopDetected
        fields = to_instance(
            request.fields,
            peer=peer.text.encode(),
            trusted=peer.trusted,
            host=request.authority.raw,
            via=self._vias[request.minor],
        )
        edit = self._edit if origin is None else partial(self._edit, origin=origin)
        return Forward(
            upstream=upstream,
            target=request.target.origin,
            fields=fields,
            edit_response=edit,
            route="instance",
        )

    def _allowed_origin(self, request: RequestHead) -> bytes | None:
        origin = request_origin(request.fields)
        return origin if origin is not None and self._origins.allows(origin) else None

    def _edit(self, head: ResponseHead, origin: bytes | None = None) -> list[Field]:
        fields = head.fields.end_to_end()
        if reaches_others(head.fields):
            fields, changed = keep_to_host(fields)
            self.cookies.count += changed
        return replace(fields, origin, own_stays=True)
