"""Host names and wildcards: here, elsewhere, or not to be judged from here."""

from typing import Any

import pytest

from exoproxy.live.finding import Finding
from exoproxy.live.names import findings
from exoproxy.settings.model import Settings
from pretended_network import Pretended

# Public ones, which nothing here ever dials.
HERE, HERE_6 = "8.8.8.8", "2600::8"
ELSEWHERE, ELSEWHERE_6 = "9.9.9.9", "2600::9"
NAME = "my.example.org"
REGION = "proxy.example.org"


def of_main(addresses: Any, *own: str, **settings: Any) -> list[Finding]:
    main = {"hostname": NAME, "proxy": None, **settings.pop("main", {})}
    network = Pretended(names={NAME: addresses}, own=own)
    return list(findings(Settings.model_validate({"main": main, **settings}), network))


@pytest.mark.parametrize(
    ("addresses", "own", "kind", "expected"),
    [
        ([HERE], [HERE], "ok", f"points here ({HERE})"),
        ([HERE, HERE_6], [HERE, HERE_6], "ok", f"points here ({HERE_6}, {HERE})"),
        ([], [HERE], "failed", "has no address in the DNS; add an A record"),
        ("down", [HERE], "failed", "can't be looked up: No DNS resolver answers"),
        (
            [ELSEWHERE],
            ["10.0.0.5"],
            "note",
            f"has {ELSEWHERE}, which no interface of this host has: right if that is this one's",
        ),
        # A floating IP for IPv4 beside an IPv6 address of one's own is what OpenStack gives.
        ([ELSEWHERE, HERE_6], ["10.0.0.5", HERE_6], "note", f"has {ELSEWHERE}, which no interface"),
        (
            [HERE, ELSEWHERE_6],
            [HERE, "fe80::1"],
            "failed",
            f"has the AAAA record {ELSEWHERE_6}, and this host has no public IPv6",
        ),
        (
            [HERE, ELSEWHERE_6],
            [HERE, HERE_6],
            "failed",
            f"leads here by IPv4 and elsewhere by IPv6 ({ELSEWHERE_6})",
        ),
        (
            ["127.0.1.1"],
            [HERE, "127.0.1.1"],
            "failed",
            "has 127.0.1.1 in the DNS, an address in 127.0.0.0/8 (loopback, RFC 1122), by which",
        ),
        (["203.0.113.7"], [HERE], "failed", "has 203.0.113.7 in the DNS, an address in 203.0.113"),
        (["10.0.0.9"], ["10.0.0.5"], "failed", "has 10.0.0.9 in the DNS, an address in 10.0.0.0/8"),
        (["10.0.0.5"], ["10.0.0.5"], "note", "points here, to 10.0.0.5 in 10.0.0.0/8 (private"),
        (["10.0.0.5", "127.0.0.1"], ["10.0.0.5"], "failed", "has 127.0.0.1 in the DNS, an addr"),
    ],
)
def test_judges_where_a_name_leads(
    addresses: Any, own: list[str], kind: str, expected: str
) -> None:
    """What is surely wrong fails; what may be a floating IP is a note."""
    [finding] = of_main(addresses, *own)

    assert (finding.subject, finding.kind) == (NAME, kind)
    assert finding.sentence.startswith(expected)


def test_takes_the_address_that_was_chosen() -> None:
    """Who listens on one address alone means that one, be it private or loopback."""
    [finding] = of_main(["10.0.0.9"], main={"listen": ["10.0.0.9:443"], "redirect_listen": []})

    assert (finding.kind, finding.sentence) == ("ok", "points here (10.0.0.9)")


@pytest.mark.parametrize("addresses", [[ELSEWHERE, ELSEWHERE_6], ["10.0.9.9"]])
def test_a_balancer_has_the_address(addresses: list[str]) -> None:
    """Behind one, no address is this host's own, and it may be a private one; never loopback."""
    trusted = ["10.0.0.0/24"]
    [finding] = of_main(addresses, "10.0.0.5", trusted_proxies=trusted)
    [loopback] = of_main(["127.0.1.1"], "10.0.0.5", trusted_proxies=trusted)

    assert finding.kind == "note"
    assert "load balancer" in finding.sentence
    assert loopback.kind == "failed"


def test_tells_of_a_family_that_nobody_listens_on() -> None:
    """An AAAA record needs a listener for IPv6."""
    [first, second] = of_main([HERE, HERE_6], HERE, HERE_6, main={"listen": ["0.0.0.0:443"]})

    assert first.kind == "ok"
    assert second.kind == "failed"
    assert second.sentence.startswith("has an AAAA record, and nothing here listens on IPv6: add")


def of_region(names: dict[str, list[str]], **region: Any) -> list[Finding]:
    content = {"hostname": REGION, "subnets": ["192.168.0.0/24"], **region}
    settings = Settings.model_validate({"uap": {"allowed_origins": [], "regions": {"X": content}}})
    return list(findings(settings, Pretended(names=names, own=[HERE])))


@pytest.mark.parametrize(
    ("names", "kind", "expected"),
    [
        ({REGION: [HERE], f"*.{REGION}": [HERE]}, "ok", f"leads where {REGION} does"),
        (
            {REGION: [HERE], f"exoproxy-check.{REGION}": [HERE]},
            "failed",
            "has no address in the DNS, so that no instance can be reached by its name; add a wild",
        ),
        (
            {REGION: [HERE], f"*.{REGION}": [ELSEWHERE]},
            "failed",
            f"leads to {ELSEWHERE}, and {REGION} to {HERE}: give both the same addresses",
        ),
        ({f"*.{REGION}": [HERE]}, "failed", f"leads to {HERE}, and {REGION} to nowhere"),
    ],
)
def test_judges_the_wildcard(names: dict[str, list[str]], kind: str, expected: str) -> None:
    """It leads where the host's name does; a single record is not taken for it."""
    [_, finding] = of_region(names)

    assert (finding.subject, finding.kind) == (f"*.{REGION}", kind)
    assert finding.sentence.startswith(expected)


def test_takes_a_floating_address_that_is_listed() -> None:
    """What a region calls its own is; what it doesn't, it is told to."""
    names = {REGION: [ELSEWHERE], f"*.{REGION}": [ELSEWHERE]}

    assert of_region(names, own_addresses=[ELSEWHERE])[0].kind == "ok"
    assert "list it in uap.regions.X.own_addresses" in of_region(names)[0].sentence


def test_many_addresses_stay_a_line() -> None:
    """A name with a hundred addresses is not told whole."""
    [finding] = of_main([f"9.9.9.{number}" for number in range(100)], HERE)

    assert "9.9.9.0, 9.9.9.1, 9.9.9.10, 9.9.9.11 and 96 more" in finding.sentence


@pytest.mark.parametrize("addresses", [["10.0.0.9"], [ELSEWHERE, ELSEWHERE_6]])
def test_another_host_may_serve_a_mode(addresses: list[str]) -> None:
    """With several modes in the file, what leads elsewhere may be right; documentation never is."""
    main = {"hostname": NAME, "proxy": None}
    region = {"hostname": REGION, "subnets": ["192.168.0.0/24"]}
    content = {"main": main, "uap": {"allowed_origins": [], "regions": {"X": region}}}
    network = Pretended(names={NAME: [HERE], REGION: addresses}, own=[HERE])
    first, second, _ = findings(Settings.model_validate(content), network)

    assert (first.kind, second.kind) == ("ok", "note")
    assert "right if another host serves it, or that is this one's floating IP" in second.sentence
