"""The plain HTTP port: sends every request for a served name to https, and nothing else."""

from collections.abc import Callable

from exoproxy.errors import Misdirected
from exoproxy.net.listen import Peer
from exoproxy.proxy.decision import Decision, Reply
from exoproxy.wire.fields import Field
from exoproxy.wire.head import RequestHead


class RedirectSite:
    """Answers 308 to https. `serves` says whether a host name is one of ours."""

    name = "redirect"

    def __init__(self, *, serves: Callable[[str], bool], port: int) -> None:
        self._serves = serves
        self._suffix = b"" if port == 443 else b":%d" % port

    def decide(self, request: RequestHead, peer: Peer) -> Decision:
        """Return the redirect; only a name that is served here makes its way into Location."""
        host = request.authority.host
        if not self._serves(host):
            raise Misdirected
        # The host is made of letters, digits, dots and hyphens, the target of visible ASCII.
        path = b"/" if request.target.path == b"*" else request.target.origin
        location = b"https://%b%b%b" % (host.encode(), self._suffix, path)
        return Reply(status=308, fields=[(b"Location", location)])

    def own_fields(self, request: RequestHead | None) -> list[Field]:
        """Return none: nobody calls here from a script."""
        return []
