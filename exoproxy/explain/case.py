"""A request in its circumstances: put to a site, and the outcome in words."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from ipaddress import IPv4Address
from typing import Final

from exoproxy.errors import ProxyError, TargetNotAllowed, TargetTooLong
from exoproxy.explain.carried import REQUEST, carried, cors, preflight
from exoproxy.explain.step import Circumstances, Step
from exoproxy.explain.target import Asked, literal
from exoproxy.net.dial import OWN, Upstream
from exoproxy.net.listen import Peer
from exoproxy.net.resolve import MAX_ADDRESSES
from exoproxy.proxy.decision import Decision, Forward, Site
from exoproxy.proxy.problem import reason_of
from exoproxy.redirect import RedirectSite
from exoproxy.rules.address_space import IPAddress
from exoproxy.rules.egress import Policy
from exoproxy.rules.redaction import escape
from exoproxy.rules.redaction import target as redacted
from exoproxy.settings.model import Settings
from exoproxy.settings.sites import Main, Region
from exoproxy.wire.fields import Field, Fields
from exoproxy.wire.head import RequestHead
from exoproxy.wire.target import parse_authority, parse_target

# Of a path; beyond that nobody reads on.
_LONGEST_SHOWN: Final = 1024
# Of the range for documentation (RFC 5737), where the client doesn't matter.
_ANYBODY: Final = IPv4Address("192.0.2.1")


class Case:
    """A request in its circumstances, put to the sites."""

    def __init__(self, settings: Settings, circumstances: Circumstances) -> None:
        self._longest = settings.limits.request_target
        self._circumstances = circumstances
        client = circumstances.client
        self._trusted = [each for each in settings.trusted_proxies if client and client in each]

    def plain(
        self, serves: Callable[[str], bool], part: Main | Region, asked: Asked
    ) -> Iterator[Step]:
        """Explain what happens on port 80: to a target that begins with http, before all else."""
        if asked.scheme != "http":
            return
        if not part.redirect_listen:
            yield Step(
                subject="http", sentence="redirect_listen is empty: nobody answers", ok=False
            )
            return
        site = RedirectSite(serves=serves, port=part.listen[0].port)
        try:
            decision = site.decide(self._request(asked, "GET"), self._peer(asked, tls=False))
        except ProxyError as error:
            yield _refusal("http", error)
        else:
            yield Step(subject="http", sentence=_outcome(decision))

    def resolved(self, policy: Policy, upstream: Upstream) -> Iterator[Step]:
        """Judge each address that a name has now, if it may be looked up; nothing is dialled."""
        resolve = self._circumstances.resolve
        if resolve is None or literal(upstream.host) is not None:
            return
        try:
            addresses = resolve(upstream.host)
        except (OSError, ValueError) as error:
            why = getattr(error, "strerror", None) or error
            yield Step(subject="address", sentence=f"none was found ({why})", ok=False)
            return
        for address in addresses[:MAX_ADDRESSES]:
            try:
                sentence = reason(policy, address, upstream.port)
            except TargetNotAllowed as refusal:
                words = f"{address}, and with it the name: {refusal.sentence} {refusal.hint}"
                yield Step(subject="address", sentence=words.rstrip(), ok=False)
            else:
                yield Step(subject="address", sentence=sentence)

    def decided(self, site: Site, asked: Asked, control: Sequence[Field] = ()) -> Iterator[Step]:
        """Let the site decide, and put the outcome into words, with what follows from it."""
        circumstances = self._circumstances
        yield from self._client()
        try:
            request = self._request(asked, circumstances.method, control)
            decision = site.decide(request, self._peer(asked))
        except ProxyError as error:
            yield _refusal("decision", error)
            return
        if circumstances.origin is not None:
            with suppress(ProxyError):
                yield self._preflight(site, asked)
            yield cors(decision, circumstances.origin)
        yield Step(subject="decision", sentence=_outcome(decision))
        if isinstance(decision, Forward) and decision.upstream.scheme != OWN:
            yield from carried(request, decision)
        line = f"{circumstances.method} {asked.shown} {redacted(asked.path.encode())}"
        yield Step(subject="log", sentence=f"as route {decision.route}: {line}")

    def _client(self) -> Iterator[Step]:
        client = self._circumstances.client
        if client is None:
            return
        if self._trusted:
            sentence = (
                f"{client} is in trusted_proxies ({self._trusted[0]}): its X-Forwarded-* hold"
            )
        else:
            sentence = f"{client} is not in trusted_proxies: its X-Forwarded-* are replaced"
        yield Step(subject="client", sentence=sentence)

    def _preflight(self, site: Site, asked: Asked) -> Step:
        """Put the browser's question before a request of a page to the site."""
        method = self._circumstances.method.encode()
        question = [(b"Access-Control-Request-Method", method)]
        request = self._request(asked, "OPTIONS", question)
        return preflight(site.decide(request, self._peer(asked)))

    def _request(self, asked: Asked, method: str, more: Sequence[Field] = ()) -> RequestHead:
        """Return the request as the engine reads it. Raises `ProxyError` for what it refuses."""
        if len(asked.path) > self._longest:
            raise TargetTooLong
        authority, verb = asked.authority.encode(), method.encode()
        fields = [(b"Host", authority), *REQUEST, *more]
        if self._circumstances.origin is not None:
            fields.append((b"Origin", self._circumstances.origin.encode()))
        return RequestHead(
            method=verb,
            target=parse_target(verb, asked.path.encode()),
            minor=1,
            fields=Fields(fields),
            authority=parse_authority(authority),
        )

    def _peer(self, asked: Asked, *, tls: bool = True) -> Peer:
        name = parse_authority(asked.authority.encode()).host if tls else None
        return Peer(
            address=self._circumstances.client or _ANYBODY,
            port=0,
            tls=tls,
            server_name=name,
            trusted=bool(self._trusted),
        )


def _refusal(subject: str, error: ProxyError) -> Step:
    sentence = f"{error.status} {error.code}: {error.sentence} {error.hint}"
    return Step(subject=subject, sentence=sentence.rstrip(), ok=False)


def _outcome(decision: Decision) -> str:
    if isinstance(decision, Forward):
        return _onward(decision)
    fields = dict(decision.fields)
    about = fields.get(b"Location") or fields.get(b"Content-Type") or b""
    sentence = f"answered here: {decision.status} {reason_of(decision.status).decode()}"
    return f"{sentence}, {escape(about, _LONGEST_SHOWN)}".rstrip(", ")


def _onward(forward: Forward) -> str:
    scheme, host, port, verify = forward.upstream
    if scheme == OWN:
        return "answered here, by a page of our own"
    shown = f"[{host}]" if ":" in host else host
    tls = f", certificate {'verified' if verify else 'not verified'}" if scheme == "https" else ""
    return f"goes to {scheme}://{shown}:{port}{escape(forward.target, _LONGEST_SHOWN)}{tls}"


def reason(policy: Policy, address: IPAddress, port: int) -> str:
    """Return why an address may be dialled; raises TargetNotAllowed."""
    network = policy.allowing(address, port)
    return f"{address} is {'public' if network is None else f'in main.proxy.networks: {network}'}"
