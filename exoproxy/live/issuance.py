"""Would a certificate be issued: the authority, the challenges' zones, CAA records.

Everything is tried but the order itself, which authorities count: that is
`exoproxy cert issue --staging`. A record is written only where that was asked for.
"""

from collections.abc import Callable, Iterator

from exoproxy.certs.problem import IssuanceProblem
from exoproxy.certs.wanted import Wanted, directory_url, wanted
from exoproxy.live.clock import Skews
from exoproxy.live.finding import Finding, failed, note, ok
from exoproxy.live.network import Authority, Network
from exoproxy.settings.acme import Acme, Dns
from exoproxy.settings.model import Settings


def findings(
    settings: Settings,
    network: Network,
    skews: Skews,
    *,
    write: bool,
    say: Callable[[str], None],
) -> Iterator[Finding]:
    """Yield what an order would meet; with `write` a probe is written for each name.

    `say` tells how far that is, which may take minutes. The authority's clock is noted.
    """
    acme, orders = settings.acme, wanted(settings)
    if not orders:
        return
    authority = None
    try:
        authority = network.authority(directory_url(acme.directory), acme.ca_file)
    except IssuanceProblem as problem:
        yield failed("acme.directory", f"can't be used: {problem}")
    if authority is not None:
        skews[authority.host] = authority.clock_skew
        yield ok("acme.directory", f"{authority.host} answers")
        yield from _terms(acme, authority)
    for order in orders:
        if acme.challenge == "dns-01":
            finding = _challenge(f"_acme-challenge.{order.name}", acme.dns, network)
            if write and finding.kind != "failed":
                finding = _written(finding.subject, settings, order, network, say)
            yield finding
        else:
            yield note(
                order.name,
                "not tried: whether port 80 is reached from the internet shows from there alone; "
                "`exoproxy cert issue --staging` finds out",
            )
        if authority is not None:
            yield _caa(order, authority, acme, network)


def _terms(acme: Acme, authority: Authority) -> Iterator[Finding]:
    """Find what the authority would refuse every order for."""
    host = authority.host
    if acme.profile is not None and acme.profile not in authority.profiles:
        offered = ", ".join(authority.profiles) or "none"
        yield failed(
            "acme.profile", f"{acme.profile} is not offered by {host}, which has {offered}"
        )
    if authority.needs_binding and acme.eab_key_id is None:
        yield failed(
            "acme.eab_key_id",
            f"is missing, and {host} asks for it: copy the id and the key from your account",
        )


def _challenge(name: str, dns: Dns, network: Network) -> Finding:
    try:
        zone, place = network.place_of(name, dns)
        network.try_zone(zone, dns)
    except IssuanceProblem as problem:
        return failed(name, f"can't be written: {problem}")
    led = "" if place == name else f" as {place}, where its CNAME leads,"
    return ok(
        name,
        f"lies{led} in the zone {zone}, which the provider lets us see; `--write` proves that it "
        "can be written",
    )


def _written(
    subject: str,
    settings: Settings,
    order: Wanted,
    network: Network,
    say: Callable[[str], None],
) -> Finding:
    try:
        network.write_probe(settings, order, say)
    except IssuanceProblem as problem:
        return failed(subject, f"was not written and seen: {problem}")
    return ok(subject, "was written, seen at the zone's name servers, and removed")


def _caa(order: Wanted, authority: Authority, acme: Acme, network: Network) -> Finding:
    identities = authority.caa_identities
    for name in order.names:
        if sentence := network.forbidden(name, identities, acme.challenge, acme.dns):
            return failed(order.name, f"gets no certificate: {sentence}")
    return ok(order.name, f"has no CAA record that forbids {authority.host}")
