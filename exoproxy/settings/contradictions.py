"""Keys that are right each by itself and wrong together.

Pure functions of the settings. Every contradiction names the keys that it is about, the one to
change first, so that `load` can tell the line, and can leave out what it can't judge because one
of these keys is wrong already.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import combinations
from typing import TYPE_CHECKING, Final

from exoproxy.settings.acme import Acme
from exoproxy.settings.addresses import ListenAddress
from exoproxy.settings.limits import Limits
from exoproxy.settings.location import Location, dotted
from exoproxy.settings.sites import Main, Region

if TYPE_CHECKING:
    from exoproxy.settings.model import Settings

# The left is a part of the right.
_PARTS_OF_LIMITS: Final = (
    ("request_target", "request_head"),
    ("request_field", "request_head"),
    ("response_field", "response_head"),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Contradiction:
    """What is wrong between the keys in `about`; the first is the one to change."""

    about: tuple[Location, ...]
    sentence: str

    def __str__(self) -> str:
        return f"{dotted(self.about[0])}: {self.sentence}"


def contradictions(settings: "Settings") -> Iterator[Contradiction]:
    """Yield everything that can't be meant, in no particular order."""
    yield from _of_limits(settings.limits)
    yield from _of_hostnames(settings)
    if settings.main:
        yield from _of_main(settings.main)
        yield from _of_listeners(("main",), settings.main)
    if settings.uap:
        for name, region in settings.uap.regions.items():
            yield from _of_listeners(("uap", "regions", name), region)
    yield from _of_challenges(settings)
    yield from _of_acme(settings.acme)
    if settings.proxy_protocol and not settings.trusted_proxies:
        yield Contradiction(
            about=(("proxy_protocol",), ("trusted_proxies",)),
            sentence="is on, but trusted_proxies is empty, so nobody could connect; list the "
            "balancers' networks there, e.g. 10.0.0.0/28",
        )
    for index, network in enumerate(settings.trusted_proxies):
        if network.prefixlen == 0:
            yield Contradiction(
                about=(("trusted_proxies", index),),
                sentence=f"{network} would believe every client what it says about itself; name "
                "the balancers' networks, e.g. 10.0.0.0/28",
            )


def _of_limits(limits: Limits) -> Iterator[Contradiction]:
    for part, whole in _PARTS_OF_LIMITS:
        small, large = getattr(limits, part), getattr(limits, whole)
        if small > large:
            yield Contradiction(
                about=_written_first(limits, part, whole),
                sentence=f"limits.{part} ({small}) is more than limits.{whole} ({large}), of which "
                "it is a part; lower the one or raise the other",
            )
    if limits.buffer_low >= limits.buffer_high:
        yield Contradiction(
            about=_written_first(limits, "buffer_low", "buffer_high"),
            sentence=f"limits.buffer_low ({limits.buffer_low}) should be less than "
            f"limits.buffer_high ({limits.buffer_high}), e.g. a quarter of it",
        )


def _written_first(limits: Limits, *keys: str) -> tuple[Location, ...]:
    """Order the keys so that one which stands in the file comes before a default."""
    ordered = sorted(keys, key=lambda key: key not in limits.model_fields_set)
    return tuple(("limits", key) for key in ordered)


def _of_main(main: Main) -> Iterator[Contradiction]:
    if main.proxy is None:
        return
    here: Location = ("main", "proxy")
    proxy = main.proxy
    if not proxy.allow and not proxy.allow_any_public:
        yield Contradiction(
            about=((*here, "allow"), (*here, "allow_any_public")),
            sentence="names no host, so no cloud can be reached; list your Keystone, e.g. "
            "keystone.example.org:5000 (or switch the proxy off with `proxy: null`)",
        )
    if proxy.ca_file and not proxy.verify:
        yield Contradiction(
            about=((*here, "verify"), (*here, "ca_file")),
            sentence="is false, so ca_file would be ignored; remove one of the two",
        )
    if main.oidc_redirector and proxy.path.lower() == "/oidc-redirector":
        yield Contradiction(
            about=((*here, "path"), ("main", "oidc_redirector")),
            sentence="is where federated logins come back to; write another path, e.g. /proxy",
        )


def _of_hostnames(settings: "Settings") -> Iterator[Contradiction]:
    """An instance's pages are strangers: no name of ours may lie where their wildcard reaches."""
    regions = settings.uap.regions if settings.uap else {}
    places = {name: ("uap", "regions", name, "hostname") for name in regions}
    if settings.main:
        for name, region in regions.items():
            if _lies_within(settings.main.hostname, region.hostname):
                yield Contradiction(
                    about=(places[name], ("main", "hostname")),
                    sentence=f"the main host {settings.main.hostname} lies within "
                    f"{region.hostname}, among the names of instances, whose pages could set "
                    "cookies for it; choose a sibling, e.g. proxy-example.exosphere.app beside "
                    "my-example.exosphere.app",
                )
    for (first, one), (second, other) in combinations(regions.items(), 2):
        if one.hostname == other.hostname:
            yield Contradiction(
                about=(places[second], places[first]),
                sentence=f"{other.hostname} is the name of region {first} already; each region "
                "needs its own, as a name leads to one region's instances only",
            )
        elif _lies_within(one.hostname, other.hostname) or _lies_within(
            other.hostname, one.hostname
        ):
            yield Contradiction(
                about=(places[second], places[first]),
                sentence=f"{other.hostname} and {one.hostname} of region {first} lie within each "
                "other, so one's wildcard would take the other's names; choose siblings",
            )


def _lies_within(name: str, domain: str) -> bool:
    return name == domain or name.endswith(f".{domain}")


def _of_listeners(here: Location, site: Main | Region) -> Iterator[Contradiction]:
    """Of two listeners on one address the second can't start."""
    placed: list[tuple[Location, ListenAddress]] = [
        *(((*here, "listen", n), each) for n, each in enumerate(site.listen)),
        *(((*here, "redirect_listen", n), each) for n, each in enumerate(site.redirect_listen)),
    ]
    if site.admin_listen:
        placed.append(((*here, "admin_listen"), site.admin_listen))
    for (first, one), (second, other) in combinations(placed, 2):
        if one.overlaps(other):
            yield Contradiction(
                about=(second, first),
                sentence=f"{other} is taken by {one} of {dotted(first)}; write another port or "
                "address",
            )


def _of_acme(acme: Acme) -> Iterator[Contradiction]:
    dns, here = acme.dns, ("acme", "dns")
    if dns.provider == "rfc2136" and dns.server is None:
        yield Contradiction(
            about=((*here, "server"), (*here, "provider")),
            sentence="is missing, and rfc2136 needs it; name the zone's primary server, e.g. "
            "ns1.example.org",
        )
    if dns.provider == "cloudflare" and dns.server is not None:
        yield Contradiction(
            about=((*here, "server"), (*here, "provider")),
            sentence="is for rfc2136, and the provider is cloudflare; remove it, or write "
            "`provider: rfc2136`",
        )
    for key in ("zone_id", "api_url"):
        if dns.provider == "rfc2136" and getattr(dns, key) is not None:
            yield Contradiction(
                about=((*here, key), (*here, "provider")),
                sentence="is for Cloudflare, and the provider is rfc2136; remove it",
            )
    if (acme.eab_key_id is None) != (acme.eab_key_file is None):
        there, lacking = "eab_key_id", "eab_key_file"
        if acme.eab_key_id is None:
            there, lacking = lacking, there
        yield Contradiction(
            about=(("acme", lacking), ("acme", there)),
            sentence=f"is missing, and acme.{there} means nothing without it; write both as the "
            "authority gave them, or neither",
        )


def _of_challenges(settings: "Settings") -> Iterator[Contradiction]:
    if settings.acme.challenge != "http-01":
        return
    challenge: Location = ("acme", "challenge")
    for name, region in settings.uap.regions.items() if settings.uap else ():
        if region.certificate == "acme":
            yield Contradiction(
                about=(challenge, ("uap", "regions", name, "certificate")),
                sentence=f"http-01 can't get the wildcard certificate of region {name}; write "
                "dns-01",
            )
    main = settings.main
    if main and main.certificate == "acme" and not main.redirect_listen:
        yield Contradiction(
            about=(challenge, ("main", "redirect_listen")),
            sentence="http-01 is asked for on port 80, and main.redirect_listen is empty; write "
            "0.0.0.0:80 there, or dns-01 here",
        )
