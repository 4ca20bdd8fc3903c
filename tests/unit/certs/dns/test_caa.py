"""Which CAA records forbid the authority: judged as values, and found by real questions."""

from collections.abc import Iterator

import dns.rdata
import pytest
from dns.rcode import SERVFAIL
from dns.rdataclass import IN
from dns.rdatatype import CAA as CAA_TYPE
from dns.rdtypes.ANY.CAA import CAA

from exoproxy.certs.dns.caa import forbidden, judge
from name_server import World

LE = ("letsencrypt.org",)


def caa(text: str) -> CAA:
    record = dns.rdata.from_text(IN, CAA_TYPE, text)
    assert isinstance(record, CAA)
    return record


def verdict(
    *records: str,
    wildcard: bool = False,
    identities: tuple[str, ...] = LE,
    method: str | None = None,
) -> str | None:
    return judge(
        [caa(text) for text in records],
        "example.org",
        "proxy.example.org",
        wildcard,
        identities,
        method,
    )


ALLOWED: list[tuple[tuple[str, ...], bool]] = [
    ((), False),
    ((), True),
    (('0 issue "letsencrypt.org"',), False),
    (('0 issue "letsencrypt.org"',), True),
    (('0 ISSUE "LetsEncrypt.ORG"',), False),
    (('0 issue " letsencrypt.org ; accounturi=https://a/1"',), False),
    (('128 issue "letsencrypt.org"',), False),
    (('0 issue ";"', '0 issue "digicert.com"', '0 issue "letsencrypt.org"'), False),
    (('0 issuewild "letsencrypt.org"', '0 issue ";"'), True),
    # Records that are not about this kind of name, or not about issuing.
    (('0 issuewild ";"',), False),
    (('0 iodef "mailto:ca@example.org"',), False),
    (('128 iodef "mailto:ca@example.org"', '128 issuemail ";"'), True),
    (('0 tbs "unknown"', '1 tbs "unknown"'), False),
]


@pytest.mark.parametrize(("records", "wildcard"), ALLOWED)
def test_allowed(records: tuple[str, ...], wildcard: bool) -> None:
    """Records that name the authority, or are not about it, let it issue."""
    assert verdict(*records, wildcard=wildcard) is None


FORBIDDEN: list[tuple[tuple[str, ...], bool]] = [
    (('0 issue ";"',), False),
    (('0 issue ""',), False),
    (('0 issue "digicert.com"',), False),
    (('0 issue "digicert.com"',), True),
    (('0 issue "letsencrypt.org"', '0 issuewild ";"'), True),
    (('0 issuewild "letsencrypt.org"', '0 issue ";"'), False),
    (('0 issue "letsencrypt.org.evil.example"',), False),
    (('0 issue "digicert.com; letsencrypt.org"',), False),
    (('128 tbs "unknown"', '0 issue "letsencrypt.org"'), False),
    (('0 issue "%%%%%"',), False),
]


@pytest.mark.parametrize(("records", "wildcard"), FORBIDDEN)
def test_forbidden(records: tuple[str, ...], wildcard: bool) -> None:
    """Records that name others alone, nobody, or something critical and unknown, forbid it."""
    assert verdict(*records, wildcard=wildcard) is not None


def test_sentence_on_another_authority() -> None:
    """The sentence has the record, where it stands, and the one to add."""
    assert verdict('0 issue "digicert.com"') == (
        'The CAA 0 issue "digicert.com" of example.org forbids letsencrypt.org to issue for '
        'proxy.example.org: add the record example.org. CAA 0 issue "letsencrypt.org".'
    )


def test_sentence_on_wildcards() -> None:
    """What forbids wildcards alone is mended by a record for wildcards."""
    assert verdict('0 issue "letsencrypt.org"', '0 issuewild ";"', wildcard=True) == (
        'The CAA 0 issuewild ";" of example.org forbids letsencrypt.org to issue for '
        '*.proxy.example.org: add the record example.org. CAA 0 issuewild "letsencrypt.org".'
    )


def test_sentence_on_a_critical_tag() -> None:
    """A record that no authority understands is named with both ways out."""
    assert verdict('128 tbs "unknown"') == (
        'The CAA record 128 tbs "unknown" of example.org forbids every certificate for '
        "proxy.example.org, because it is marked critical and authorities don't know its tag: "
        "write it with 0 for 128, or remove it."
    )


def test_sentence_is_bounded() -> None:
    """Many long records fill no log."""
    sentence = verdict(*(f'0 issue "{"a" * 200}{n}.example"' for n in range(50)))

    assert sentence is not None
    assert len(sentence) < 500
    assert "…" in sentence


def test_one_of_several_identities() -> None:
    """An authority has several names, and any of them will do."""
    identities = ("pki.example", "letsencrypt.org")

    assert verdict('0 issue "letsencrypt.org"', identities=identities) is None


@pytest.mark.parametrize(
    ("record", "expected"),
    [
        ('0 issue ";"', True),
        ('0 issue "digicert.com"', False),
        ('0 issue "digicert.com"; accounturi=x', False),
    ],
)
def test_authority_without_identities(record: str, expected: bool) -> None:
    """Of an authority that doesn't say its names, only what forbids all is forbidden."""
    sentence = verdict(record.replace('"; accounturi=x', '; accounturi=x"'), identities=())

    assert (sentence is not None) is expected
    assert sentence is None or sentence.endswith("with the name that your authority documents.")


@pytest.mark.parametrize(
    ("value", "method", "expected"),
    [
        ("letsencrypt.org", "dns-01", False),
        ("letsencrypt.org; validationmethods=dns-01", "dns-01", False),
        ("letsencrypt.org; accounturi=https://a/1; validationmethods=http-01,dns-01", None, False),
        ("letsencrypt.org;validationmethods=http-01, dns-01 ", "dns-01", False),
        ("letsencrypt.org; validationmethods=http-01", "dns-01", True),
        ("letsencrypt.org; validationmethods=", "dns-01", True),
        ("letsencrypt.org; validationmethods=http-01", None, False),
    ],
)
def test_validation_methods(value: str, method: str | None, expected: bool) -> None:
    """A record may allow some kinds of challenge only (RFC 8657 section 4)."""
    sentence = verdict(f'0 issue "{value}"', method=method)

    assert (sentence is not None) is expected
    assert sentence is None or "add dns-01 to its validationmethods" in sentence


@pytest.fixture
def world() -> Iterator[World]:
    with World() as world:
        yield world


ZONE = "@ NS ns1\nns1 A 192.0.2.1\nproxy A 198.51.100.1\n"
FORBIDS = 'CAA 0 issue "digicert.com"\n'
ALLOWS = 'CAA 0 issue "letsencrypt.org"\n'


def ask(world: World, name: str = "proxy.example.org") -> str | None:
    return forbidden(world.dns(), name, False, LE)


def test_record_of_the_name(world: World) -> None:
    """The record of the name itself counts, and none above it."""
    world.add("192.0.2.1", {"example.org": f"{ZONE}proxy {ALLOWS}@ {FORBIDS}"})

    assert ask(world) is None


def test_record_above(world: World) -> None:
    """Without one at the name the next above counts, and is named."""
    world.add("192.0.2.1", {"example.org": f"{ZONE}@ {FORBIDS}"})

    assert "of example.org forbids" in str(ask(world))
    assert "of example.org forbids" in str(ask(world, "deep.new.example.org"))


def test_record_above_a_delegation(world: World) -> None:
    """The way up goes on over the boundaries of zones."""
    world.add("192.0.2.1", {"example.org": f"{ZONE}@ {FORBIDS}sub NS ns.sub\nns.sub A 192.0.2.2"})
    world.add("192.0.2.2", {"sub.example.org": "@ NS ns\nns A 192.0.2.2\n"})

    assert "of example.org forbids" in str(ask(world, "proxy.sub.example.org"))


def test_no_record(world: World) -> None:
    """Without any record anybody may issue."""
    world.add("192.0.2.1", {"example.org": ZONE})

    assert ask(world) is None


def test_record_behind_a_cname(world: World) -> None:
    """The records of where a CNAME leads count for the name; those above the target don't."""
    aliases = f"a CNAME www.example.net.\nb CNAME sub.example.net.\n@ {ALLOWS}"
    world.add("192.0.2.1", {"example.org": ZONE + aliases})
    other = f"@ NS ns\nns A 192.0.2.2\n@ {FORBIDS}www {FORBIDS}sub A 198.51.100.1\n"
    world.add("192.0.2.2", {"example.net": other})

    assert "of www.example.net forbids" in str(ask(world, "a.example.org"))
    assert ask(world, "b.example.org") is None


def test_circle_of_cnames(world: World) -> None:
    """CNAMEs without end tell nothing."""
    world.add("192.0.2.1", {"example.org": f"{ZONE}a CNAME b\nb CNAME a\n@ {FORBIDS}"})

    assert ask(world, "a.example.org") is None


def test_unknown_nearest_record(world: World) -> None:
    """What stands above forbids nothing while the record nearer to the name is unknown."""
    delegated = f"{ZONE}@ {FORBIDS}sub NS ns.sub\nns.sub A 192.0.2.2"
    world.add("192.0.2.1", {"example.org": delegated})
    world.add("192.0.2.2", {"sub.example.org": "@ NS ns\nns A 192.0.2.2\n"})
    world.servers["192.0.2.2"].rcode = SERVFAIL

    assert ask(world, "proxy.sub.example.org") is None


def test_dns_that_is_down(world: World) -> None:
    """Without a resolver nothing is known, and nothing forbidden."""
    world.resolver.silent = True

    assert ask(world) is None


def test_name_that_is_none(world: World) -> None:
    """A name that the DNS doesn't know is for others to refuse."""
    assert ask(world, "a" * 64 + ".example.org") is None
