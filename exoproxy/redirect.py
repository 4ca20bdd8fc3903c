"""The plain HTTP port: sends every request for a served name to https.

What the main host answers here is an authority's question for an http-01 challenge (RFC 8555
section 8.3), whatever challenge is configured: without a pending one it is a 404 at once. A UAP has
no such answers, as its wildcard name needs dns-01.
"""

from collections.abc import Callable
from typing import Final

from exoproxy.errors import MethodNotAllowed, Misdirected, NotFound
from exoproxy.net.listen import Peer
from exoproxy.proxy.decision import Decision, Reply
from exoproxy.wire.fields import Field
from exoproxy.wire.head import RequestHead

_CHALLENGES: Final = b"/.well-known/acme-challenge/"
_CHALLENGE_FIELDS: Final[list[Field]] = [
    (b"Content-Type", b"application/octet-stream"),
    (b"Cache-Control", b"no-store"),
    (b"X-Content-Type-Options", b"nosniff"),
]


class RedirectSite:
    """Answers 308 to https.

    `serves` says whether a host name is one of ours. `challenge` returns the key authorization for
    a token, which may be any text, and None for one that is not known; without it, challenges are
    redirected like everything else.
    """

    name = "redirect"

    def __init__(
        self,
        *,
        serves: Callable[[str], bool],
        port: int,
        challenge: Callable[[str], bytes | None] | None = None,
    ) -> None:
        self._serves = serves
        self._suffix = b"" if port == 443 else b":%d" % port
        self._challenge = challenge

    def decide(self, request: RequestHead, peer: Peer) -> Decision:
        """Return the redirect; only a name that is served here makes its way into Location."""
        host = request.authority.host
        if not self._serves(host):
            raise Misdirected
        if self._challenge is not None and request.target.path.startswith(_CHALLENGES):
            return _proof(request, self._challenge)
        # The host is made of letters, digits, dots and hyphens, the target of visible ASCII.
        path = b"/" if request.target.path == b"*" else request.target.origin
        location = b"https://%b%b%b" % (host.encode(), self._suffix, path)
        return Reply(status=308, fields=[(b"Location", location)], route="redirect")

    def own_fields(self, request: RequestHead | None) -> list[Field]:
        """Return none: nobody calls here from a script."""
        return []


def _proof(request: RequestHead, challenge: Callable[[str], bytes | None]) -> Reply:
    """Return the key authorization for the token that ends the path, byte for byte."""
    if request.method not in {b"GET", b"HEAD"}:
        raise MethodNotAllowed
    content = challenge(request.target.path[len(_CHALLENGES) :].decode("latin-1"))
    if content is None:
        raise NotFound(
            "No challenge of an authority is pending under this address.",
            hint="A challenge is answered only while a certificate is being ordered.",
        )
    fields = list(_CHALLENGE_FIELDS)
    return Reply(status=200, fields=fields, content=content, route="challenge")
