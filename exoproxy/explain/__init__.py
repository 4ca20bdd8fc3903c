"""What would happen to a request, each decision with its reason, for `exoproxy explain`.

The sites that serve are made from the settings and asked: they decide on a GET for the target, and
their own rules are asked again for the reasons, so that what is said here is what is done there.
Nothing is looked up and nothing is dialled; of the serving process's files, only that of learned
endpoints is read.
"""

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from ipaddress import ip_address
from pathlib import Path
from typing import Final
from urllib.parse import quote

from exoproxy.errors import ProxyError, TargetNotAllowed
from exoproxy.learned.file import Unusable, read
from exoproxy.learned.learning import Learned
from exoproxy.main import HOST_FIELD, PORT_FIELD, CloudProxy, MainSite
from exoproxy.net.dial import OWN, Upstream
from exoproxy.net.interfaces import own_addresses
from exoproxy.net.listen import Peer
from exoproxy.proxy.decision import Forward, Site
from exoproxy.proxy.problem import reason_of
from exoproxy.redirect import RedirectSite
from exoproxy.rules.address_space import IPAddress
from exoproxy.rules.egress import Policy
from exoproxy.rules.redaction import escape
from exoproxy.settings.model import Settings
from exoproxy.settings.sites import Main, Region
from exoproxy.sites import learned_file, main_site, uap_site
from exoproxy.uap import UapSite
from exoproxy.wire.fields import Field, Fields
from exoproxy.wire.head import RequestHead
from exoproxy.wire.target import parse_authority, parse_target

_SCHEME_PORTS: Final = {"http": 80, "https": 443}
# As browsers read an address: what stands before the @ is no host, what follows the # stays there.
_TARGET: Final = re.compile(
    r"(?:(?P<scheme>[A-Za-z][A-Za-z0-9+.-]*)://(?:[^/?#@]*@)?)?"
    r"(?P<host>\[[^\]/?#]*\]|[^/?#:]*)(?::(?P<port>[^/?#]*))?(?P<path>[^#]*)(?:#.*)?",
    re.DOTALL,
)
# Browsers send other characters of a path and a query percent-encoded.
_SENT_AS_IS: Final = "".join(map(chr, range(0x21, 0x7F)))


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One decision: what it is about, and what was decided and why; `ok` unless it refuses."""

    subject: str
    sentence: str
    ok: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Explanation:
    """The decisions in their order; `mode` is `main`, `uap` or None, `region` the UAP's."""

    target: str
    mode: str | None
    region: str | None
    steps: tuple[Step, ...]

    @property
    def served(self) -> bool:
        """Whether nothing refuses the request."""
        return all(step.ok for step in self.steps)


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """A host or URL, taken apart: `port` is text as written or "", `path` in origin form."""

    scheme: str
    host: str
    port: str
    path: str

    @property
    def name(self) -> str:
        """The host as sites compare it."""
        return self.host.lower().removesuffix(".")

    @property
    def shown(self) -> str:
        """The host for a terminal."""
        return escape(self.host.encode()) or "the empty name"

    @property
    def authority(self) -> str:
        """The host and port, as in a Host field."""
        return f"{self.host}:{self.port}" if self.port else self.host


def explain(settings: Settings, target: str) -> Explanation:
    """Return what would happen to a GET for `target`: HOST, HOST:PORT or a URL."""
    asked = read_target(target)
    mode = region = None
    steps: Iterable[Step] = [
        Step(subject="host", sentence="neither main nor a region of uap serves it", ok=False)
    ]
    if settings.main:
        mode, main = "main", settings.main
        learned, problem = _learned(learned_file(settings, main))
        own = own_addresses(each.address for each in main.listen)
        site = main_site(main, own, learned)
        of_client = site.serves(asked.name)
        steps = _of_client(site, main, asked) if of_client else _of_cloud(site, asked, problem)
    if settings.uap:
        for name, part in settings.uap.regions.items():
            uap = uap_site(settings.uap, part, own_addresses(each.address for each in part.listen))
            if uap.serves(asked.name):
                mode, region, steps = "uap", name, _of_uap(uap, part, name, asked)
    return Explanation(target=target, mode=mode, region=region, steps=tuple(steps))


def read_target(target: str) -> Asked:
    """Take a host or URL apart as a browser would; what is wrong with it, the sites find."""
    if (address := _literal(target)) is not None:
        host = f"[{address}]" if address.version == 6 else target
        return Asked(scheme="https", host=host, port="", path="/")
    # Bytes of the command line that are no text of the locale come as surrogates.
    parts = _TARGET.fullmatch(target.strip().encode(errors="backslashreplace").decode())
    if parts is None:
        raise ValueError("the pattern matches anything")
    path = parts["path"]
    return Asked(
        scheme=(parts["scheme"] or "https").lower(),
        host=parts["host"],
        port=parts["port"] or "",
        path=quote(path if path.startswith("/") else f"/{path}", safe=_SENT_AS_IS),
    )


def _of_uap(site: UapSite, region: Region, name: str, asked: Asked) -> Iterator[Step]:
    yield Step(
        subject="host",
        sentence=f"{asked.shown} {'is' if asked.name == site.hostname else 'lies below'} "
        f"{site.hostname}, which `exoproxy uap --region {name}` serves",
    )
    yield from _plain(site.serves, region, asked)
    # What fails here is the reason why `decide` refuses, and told there.
    with suppress(ProxyError):
        instance = site.instance(asked.name)
        yield Step(
            subject="name",
            sentence=f"{instance.scheme}, address {instance.address}, port {instance.port}",
        )
        network = site.policy.allowing(instance.address, instance.port)
        yield Step(subject="policy", sentence=f"the subnet {network} holds that address")
    yield _decision(site, asked)


def _of_client(site: MainSite, main: Main, asked: Asked) -> Iterator[Step]:
    yield Step(
        subject="host", sentence=f"{asked.shown} is the main host, which `exoproxy main` serves"
    )
    yield from _plain(site.serves, main, asked)
    yield _decision(site, asked)


def _learned(path: Path) -> tuple[Learned, str]:
    """Return what the serving process has learned, and why it can't be told, if it can't."""
    try:
        return Learned(path, read(path, datetime.now(UTC))), ""
    except Unusable as problem:
        return Learned(path), str(problem)


def _of_cloud(site: MainSite, asked: Asked, problem: str) -> Iterator[Step]:
    """Explain what a page of the client gets that asks /proxy for the target.

    `problem` says why it is not known which endpoints were learned.
    """
    yield Step(
        subject="host",
        sentence=f"{asked.shown} is not served here; the client on "
        f"{site.hostname} may ask its Cloud CORS Proxy for it",
    )
    proxy = site.proxy
    if proxy is None:
        yield Step(
            subject="policy", sentence="main.proxy is null: there is no such proxy", ok=False
        )
        return
    port = asked.port or str(_SCHEME_PORTS.get(asked.scheme, 443))
    control = [(HOST_FIELD, asked.host.encode()), (PORT_FIELD, port.encode())]
    with suppress(ProxyError):
        try:
            upstream = site.route(Fields(control)).upstream
        except TargetNotAllowed:
            if proxy.learned is not None and problem:
                yield Step(
                    subject="learned", sentence=f"{problem} What it holds is not known here."
                )
            raise
        yield Step(subject="name", sentence=_why(site, proxy, upstream))
        yield Step(subject="policy", sentence=_addresses(proxy.policy, upstream))
    own = Asked(scheme="https", host=site.hostname, port="", path=proxy.path + asked.path)
    yield _decision(site, own, control)


def _why(site: MainSite, proxy: CloudProxy, upstream: Upstream) -> str:
    """Say what allows to ask for an upstream by its name."""
    pattern = proxy.allow.match(upstream.host, upstream.port)
    if pattern is not None:
        return f"main.proxy.allow holds {pattern}"
    if proxy.any_public:
        return "main.proxy.allow_any_public is true: any name may be asked for"
    naming = max(site.named(upstream), key=lambda each: each.last_named)
    return (
        f"{naming.by}, which main.proxy.allow holds, named it in its catalogue "
        f"on {naming.last_named:%Y-%m-%d}; that is good until {naming.expires:%Y-%m-%d}"
    )


def _addresses(policy: Policy, upstream: Upstream) -> str:
    address = _literal(upstream.host)
    if address is None:
        listed = "".join(f", {network}" for network in policy.networks)
        return (
            f"each of its addresses is judged when it is dialled; allowed are public ones{listed}"
        )
    network = policy.allowing(address, upstream.port)
    return f"{address} is {'public' if network is None else f'in main.proxy.networks: {network}'}"


def _plain(serves: Callable[[str], bool], part: Main | Region, asked: Asked) -> Iterator[Step]:
    """Explain what happens before, if the target begins with http."""
    if asked.scheme != "http":
        return
    if not part.redirect_listen:
        yield Step(subject="http", sentence="redirect_listen is empty: nobody answers", ok=False)
        return
    site = RedirectSite(serves=serves, port=part.listen[0].port)
    yield _decision(site, asked, subject="http")


def _decision(
    site: Site, asked: Asked, control: Sequence[Field] = (), *, subject: str = "decision"
) -> Step:
    """Let the site decide on a GET, and put the outcome into words."""
    try:
        authority = asked.authority.encode()
        request = RequestHead(
            method=b"GET",
            target=parse_target(b"GET", asked.path.encode()),
            minor=1,
            fields=Fields([(b"Host", authority), *control]),
            authority=parse_authority(authority),
        )
        peer = Peer(address=None, port=0, tls=True, server_name=request.authority.host)
        decision = site.decide(request, peer)
    except ProxyError as error:
        refusal = f"{error.status} {error.code}: {error.sentence} {error.hint}"
        return Step(subject=subject, sentence=refusal.rstrip(), ok=False)
    if isinstance(decision, Forward):
        return Step(subject=subject, sentence=_onward(decision))
    fields = dict(decision.fields)
    about = fields.get(b"Location") or fields.get(b"Content-Type") or b""
    sentence = f"answered here: {decision.status} {reason_of(decision.status).decode()}"
    return Step(subject=subject, sentence=f"{sentence}, {about.decode()}".rstrip(", "))


def _onward(forward: Forward) -> str:
    scheme, host, port, verify = forward.upstream
    if scheme == OWN:
        return "answered here, by a page of our own"
    shown = f"[{host}]" if ":" in host else host
    tls = f", certificate {'verified' if verify else 'not verified'}" if scheme == "https" else ""
    return f"goes to {scheme}://{shown}:{port}{forward.target.decode()}{tls}"


def _literal(host: str) -> IPAddress | None:
    try:
        return ip_address(host)
    except ValueError:
        return None
