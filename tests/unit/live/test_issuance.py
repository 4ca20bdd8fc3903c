"""What an order for a certificate would meet."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from exoproxy.live.clock import Skews
from exoproxy.live.finding import Finding, failed, ok
from exoproxy.live.issuance import findings
from exoproxy.settings.model import Settings
from pretended_network import AUTHORITY, Pretended

REGION = "proxy.example.org"
CHALLENGE = f"_acme-challenge.{REGION}"


def issuance(
    network: Pretended,
    *,
    skews: Skews | None = None,
    write: bool = False,
    say: Callable[[str], None] = print,
    **acme: Any,
) -> list[Finding]:
    """Return what is found about certificates, for a region with one by ACME."""
    region = {"hostname": REGION, "subnets": ["192.168.0.0/24"]}
    settings = Settings.model_validate(
        {"acme": acme, "uap": {"allowed_origins": [], "regions": {"X": region}}}
    )
    met = {} if skews is None else skews
    return list(findings(settings, network, met, write=write, say=say))


def ready(**changes: Any) -> Pretended:
    return Pretended(places={CHALLENGE: ("example.org", CHALLENGE)}, **changes)


def test_tries_what_an_order_needs() -> None:
    """The authority, the zone, CAA for each name; nothing is ordered."""
    network = ready()

    assert issuance(network, ca_file="/etc/ca.pem") == [
        ok("acme.directory", "authority.example answers"),
        ok(
            CHALLENGE,
            "lies in the zone example.org, which the provider lets us see; `--write` proves that "
            "it can be written",
        ),
        ok(REGION, "has no CAA record that forbids authority.example"),
    ]
    assert network.asked == [
        ("https://acme-v02.api.letsencrypt.org/directory", Path("/etc/ca.pem")),
        (REGION, ("authority.example",), "dns-01"),
        (f"*.{REGION}", ("authority.example",), "dns-01"),
    ]


def test_nothing_of_acme_is_tried_where_nobody_asks() -> None:
    """A certificate of another kind needs neither authority nor DNS provider."""
    network = Pretended()
    main = {"hostname": "my.example.org", "proxy": None, "certificate": "local"}
    settings = Settings.model_validate({"main": main})

    assert list(findings(settings, network, {}, write=True, say=print)) == []
    assert network.asked == []


def test_notes_the_authoritys_clock() -> None:
    """For the clock's own finding."""
    skews: Skews = {}
    issuance(ready(), skews=skews)

    assert skews == {"authority.example": -299.0}


def test_writes_only_where_that_is_asked_for() -> None:
    """A record is written for both names of a region, and progress is told."""
    network, said = ready(), list[str]()
    [_, finding, _] = issuance(network, write=True, say=said.append)

    assert finding == ok(CHALLENGE, "was written, seen at the zone's name servers, and removed")
    assert ("write", (REGION, f"*.{REGION}")) in network.asked
    assert said == ["Writing"]


def test_tells_why_nothing_was_written() -> None:
    """With the provider's own sentence; a zone that can't even be seen is not tried."""
    [_, finding, _] = issuance(ready(unwritable="It may not: let it."), write=True)
    closed = ready(closed_zones=frozenset({"example.org"}))
    [_, not_seen, _] = issuance(closed, write=True)

    assert finding == failed(CHALLENGE, "was not written and seen: It may not: let it.")
    assert not_seen.sentence.startswith("can't be written: The token does not open it")
    assert all(each[0] != "write" for each in closed.asked if isinstance(each, tuple))


def test_goes_on_without_the_authority() -> None:
    """The zone is tried all the same; whom CAA would have to allow is not known."""
    first, second = issuance(ready(offer="The authority is down: try later."))

    assert first == failed("acme.directory", "can't be used: The authority is down: try later.")
    assert (second.kind, second.subject) == ("ok", CHALLENGE)


def test_tells_where_a_cname_leads() -> None:
    """A delegated challenge is tried in the zone that it is delegated to."""
    network = Pretended(places={CHALLENGE: ("dns.example", "proxy.dns.example")})
    [_, finding, _] = issuance(network)

    assert finding.sentence.startswith(
        "lies as proxy.dns.example, where its CNAME leads, in the zone dns.example, which"
    )


@pytest.mark.parametrize(
    ("network", "expected"),
    [
        (Pretended(), "can't be written: No DNS zone was found: check the name."),
        (
            ready(closed_zones=frozenset({"example.org"})),
            "can't be written: The token does not open it: ",
        ),
    ],
    ids=["zone", "token"],
)
def test_tells_what_is_in_the_way_of_a_challenge(network: Pretended, expected: str) -> None:
    """A zone that can't be found, and one that can't be written."""
    [_, finding, _] = issuance(network)

    assert (finding.kind, finding.subject) == ("failed", CHALLENGE)
    assert finding.sentence.startswith(expected)


@pytest.mark.parametrize("name", [REGION, f"*.{REGION}"])
def test_tells_what_caa_forbids(name: str) -> None:
    """For the name and for the wildcard."""
    [*_, finding] = issuance(ready(forbids=frozenset({name})))

    assert finding == failed(
        REGION, f"gets no certificate: A CAA record of {name} is in the way: change it."
    )


@pytest.mark.parametrize(
    ("offer", "acme", "subject", "expected"),
    [
        ({}, {"profile": "tlsserver"}, "acme.profile", "which has classic, shortlived"),
        ({"profiles": ()}, {"profile": "shortlived"}, "acme.profile", "which has none"),
        ({"needs_binding": True}, {}, "acme.eab_key_id", "is missing, and authority.example"),
    ],
)
def test_tells_what_the_authority_would_refuse(
    offer: dict[str, Any], acme: dict[str, Any], subject: str, expected: str
) -> None:
    """Before it counts as a failed order."""
    [_, finding, *_] = issuance(ready(offer=replace(AUTHORITY, **offer)), **acme)

    assert (finding.kind, finding.subject) == ("failed", subject)
    assert expected in finding.sentence


@pytest.mark.parametrize(
    ("offer", "acme"),
    [
        ({}, {"profile": "shortlived"}),
        ({"needs_binding": True}, {"eab_key_id": "kid", "eab_key_file": "/etc/eab.key"}),
    ],
)
def test_takes_what_the_authority_offers(offer: dict[str, Any], acme: dict[str, Any]) -> None:
    """A profile on offer, and an account that is bound."""
    assert all(
        each.kind == "ok" for each in issuance(ready(offer=replace(AUTHORITY, **offer)), **acme)
    )


def test_http_01_is_not_tried_from_here() -> None:
    """What the internet reaches can't be seen from this host, so that it is said, not guessed."""
    settings = Settings.model_validate(
        {"acme": {"challenge": "http-01"}, "main": {"hostname": REGION, "proxy": None}}
    )
    [*_, finding, caa] = findings(settings, Pretended(), {}, write=True, say=print)

    assert finding.kind == "note"
    assert finding.sentence.startswith("not tried: whether port 80 is reached")
    assert caa.kind == "ok"
