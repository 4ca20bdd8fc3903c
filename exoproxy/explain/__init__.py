"""What would happen to a request, each decision with its reason, for `exoproxy explain`.

The sites that serve are made from the settings and asked: they decide on a request for the target,
and their own rules are asked again for the reasons, so that what is said here is what is done
there. Nothing is dialled, and nothing is looked up unless that is asked for; of the serving
process's files, only that of learned endpoints is read.
"""

from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from exoproxy.errors import ProxyError, TargetNotAllowed
from exoproxy.explain.case import Case, reason
from exoproxy.explain.step import Circumstances, Step
from exoproxy.explain.target import Asked, literal, read_target
from exoproxy.learned.file import Unusable, read
from exoproxy.learned.learning import Learned
from exoproxy.main import HOST_FIELD, PORT_FIELD, CloudProxy, MainSite
from exoproxy.net.dial import Upstream
from exoproxy.net.interfaces import own_addresses
from exoproxy.rules.egress import Policy
from exoproxy.settings.model import Settings
from exoproxy.settings.sites import Main, Region
from exoproxy.sites import learned_file, main_site, uap_site
from exoproxy.uap import UapSite
from exoproxy.wire.fields import Fields

_SCHEME_PORTS: Final = {"http": 80, "https": 443}
_USUAL: Final = Circumstances()


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


def explain(settings: Settings, target: str, circumstances: Circumstances = _USUAL) -> Explanation:
    """Return what would happen to a request for `target`: HOST, HOST:PORT or a URL."""
    asked = read_target(target)
    case = Case(settings, circumstances)
    mode = region = None
    steps: Iterable[Step] = [
        Step(subject="host", sentence="neither main nor a region of uap serves it", ok=False)
    ]
    if settings.main:
        mode, main = "main", settings.main
        learned, problem = _learned(learned_file(settings, main))
        site = main_site(main, own_addresses(each.address for each in main.listen), learned)
        of_client = site.serves(asked.name)
        steps = (
            _of_client(case, site, main, asked)
            if of_client
            else _of_cloud(case, site, asked, problem)
        )
    if settings.uap:
        for name, part in settings.uap.regions.items():
            uap = uap_site(settings.uap, part, own_addresses(each.address for each in part.listen))
            if uap.serves(asked.name):
                mode, region, steps = "uap", name, _of_uap(case, uap, part, name, asked)
    return Explanation(target=target, mode=mode, region=region, steps=tuple(steps))


def _of_uap(case: Case, site: UapSite, region: Region, name: str, asked: Asked) -> Iterator[Step]:
    yield Step(
        subject="host",
        sentence=f"{asked.shown} {'is' if asked.name == site.hostname else 'lies below'} "
        f"{site.hostname}, which `exoproxy uap --region {name}` serves",
    )
    yield from case.plain(site.serves, region, asked)
    # What fails here is the reason why `decide` refuses, and told there.
    with suppress(ProxyError):
        instance = site.instance(asked.name)
        yield Step(
            subject="name",
            sentence=f"{instance.scheme}, address {instance.address}, port {instance.port}",
        )
        network = site.policy.allowing(instance.address, instance.port)
        holding = next(each for each in region.ports if each.first <= instance.port <= each.last)
        yield Step(
            subject="policy",
            sentence=f"the subnet {network} holds that address, which is not this host's own; "
            f"ports {holding} hold that port",
        )
    yield from case.decided(site, asked)


def _of_client(case: Case, site: MainSite, main: Main, asked: Asked) -> Iterator[Step]:
    yield Step(
        subject="host", sentence=f"{asked.shown} is the main host, which `exoproxy main` serves"
    )
    yield from case.plain(site.serves, main, asked)
    yield from case.decided(site, asked)


def _learned(path: Path) -> tuple[Learned, str]:
    """Return what the serving process has learned, and why it can't be told, if it can't."""
    try:
        return Learned(path, read(path, datetime.now(UTC))), ""
    except Unusable as problem:
        return Learned(path), str(problem)


def _of_cloud(case: Case, site: MainSite, asked: Asked, problem: str) -> Iterator[Step]:
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
        yield Step(subject="name", sentence=_permission(site, proxy, upstream))
        yield Step(subject="policy", sentence=_addresses(proxy.policy, upstream))
        found = list(case.resolved(proxy.policy, upstream))
        yield from found
        if not all(step.ok for step in found):
            return
    own = Asked(scheme="https", host=site.hostname, port="", path=proxy.path + asked.path)
    yield from case.decided(site, own, control)


def _permission(site: MainSite, proxy: CloudProxy, upstream: Upstream) -> str:
    """Return what permits the name of an upstream that `route` let through."""
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
    address = literal(upstream.host)
    if address is None:
        listed = "".join(f", {network}" for network in policy.networks)
        return (
            f"each of its addresses is judged when it is dialled; allowed are public ones{listed}"
        )
    return reason(policy, address, upstream.port)
