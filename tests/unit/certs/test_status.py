"""What is said about each certificate, as values and as a table."""

import json
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from exoproxy.certs.dns.provider import Record
from exoproxy.certs.state import State
from exoproxy.certs.status import Known, Row, life_left, rows, table, values
from exoproxy.rules.renewal import History, Life, Window

NOW = datetime(2026, 11, 22, 12, tzinfo=UTC)
DAY = timedelta(days=1)
HOST = "proxy.example.org"
NAMES = (HOST, f"*.{HOST}")
DIRECTORY = "https://authority.example/directory"
RECORD = Record(zone="example.org", name=f"_acme-challenge.{HOST}", value="secret-of-a-challenge")


def certificate(
    *names: str,
    ends: datetime = NOW + 60 * DAY,
    organization: str = "Let's Encrypt",
    name: str = "E7",
) -> x509.Certificate:
    """Return a certificate of ninety days."""
    key = ec.generate_private_key(ec.SECP256R1())
    issuer = [(NameOID.ORGANIZATION_NAME, organization), (NameOID.COMMON_NAME, name)]
    builder = (
        x509.CertificateBuilder()
        .subject_name(x509.Name([]))
        .issuer_name(x509.Name([x509.NameAttribute(*each) for each in issuer if each[1]]))
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(ends - 90 * DAY)
        .not_valid_after(ends)
    )
    if names:
        alternatives = x509.SubjectAlternativeName([x509.DNSName(each) for each in names])
        builder = builder.add_extension(alternatives, critical=False)
    return builder.sign(key, hashes.SHA256())


GOOD = certificate(*NAMES)
LIFE = Life(not_before=NOW - 30 * DAY, not_after=NOW + 60 * DAY, serial=1)
SERVED = Known(
    key="uap.regions.X",
    name=HOST,
    names=NAMES,
    origin="acme",
    certificate=GOOD,
    life=LIFE,
    path=Path("/var/lib/exoproxy/acme/live/proxy.example.org/fullchain.pem"),
    state=State(directory=DIRECTORY),
)


def row(**changes: Any) -> Row:
    """Return the row of what is known, with changes to a certificate that is well."""
    [found] = rows([replace(SERVED, **changes)], NOW)
    return found


def test_tells_what_there_is() -> None:
    """Names, issuer, end, what is left, where it lies; and nothing to complain about."""
    found = row()

    assert found.covers == NAMES
    assert found.issuer == "Let's Encrypt E7"
    assert (found.not_after, found.left) == (NOW + 60 * DAY, "60 days")
    assert (found.origin, found.key, found.path) == ("acme", SERVED.key, SERVED.path)
    assert (found.errors, found.left_behind) == ((), ())


def test_takes_the_authority_s_window() -> None:
    """The moment that the authority asks for, and the reason, come from the rules of renewal."""
    picked = NOW + 10 * DAY
    window = Window(start=picked, end=picked + DAY, picked=picked, ask_at=NOW + DAY)
    found = row(window=window)

    assert found.next_step == "renews on 2026-12-02 12:00 UTC, as the authority asks for"
    assert found.next_at is not None


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"certificate": None}, "is due: there is none yet"),
        (
            {"certificate": certificate(HOST)},
            "is due: the one there is does not cover *.proxy.example.org",
        ),
        (
            {"state": State(directory="https://staging.example/directory")},
            "is due: the one there is comes from https://staging.example/directory, not from "
            "acme.directory",
        ),
        ({"life": replace(LIFE, not_after=NOW - DAY)}, "is overdue: it expired on "),
    ],
)
def test_says_why_a_certificate_is_due(changes: dict[str, Any], expected: str) -> None:
    """A certificate that will not do counts as none, and the reason says why it will not."""
    found = row(**{"life": None, **changes})

    assert found.next_step.startswith(expected)
    assert found.next_at is None


def test_waits_where_it_failed() -> None:
    """A back-off outranks what is due; the error is told once in the table, and by itself too."""
    history = History(failures=3, retry_at=NOW + DAY / 2, sentence="The token is wrong: make one.")
    found = row(certificate=None, life=None, state=State(history=history))

    assert found.next_step.startswith("failed 3 times and is tried again on 2026-11-23 00:00 UTC")
    assert found.next_at == NOW + DAY / 2
    assert found.errors == ("The token is wrong: make one.",)
    assert table([found], 400).count("The token is wrong") == 1


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"certificate": certificate(HOST)}, "does not cover *.proxy.example.org"),
        ({"certificate": certificate(*NAMES, ends=NOW - DAY)}, "expired on 2026-11-21"),
        ({"certificate": certificate(*NAMES, ends=NOW + 91 * DAY)}, "is valid from 2026-11-23"),
        ({"trouble": "The store may not be read."}, "The store may not be read."),
    ],
)
def test_tells_what_browsers_object_to(changes: dict[str, Any], expected: str) -> None:
    """What is wrong with a certificate is an error with what to do."""
    found = row(**changes)

    assert any(expected in error for error in found.errors)


@pytest.mark.parametrize("origin", ["acme", "local", "files"])
def test_what_this_host_does_not_serve_is_no_error(origin: str) -> None:
    """One file configures all hosts: without certificate and state it is another one's."""
    found = row(origin=origin, certificate=None, life=None, path=None, state=State())

    assert found.next_step.startswith("none: not on this host")
    assert (found.errors, found.left, found.issuer, found.not_after) == ((), "", "", None)


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"origin": "files"}, "none: it is renewed by whoever"),
        ({"origin": "local"}, "is made anew by the service"),
        ({"key": "", "names": ()}, "none: the configuration does not name it"),
        ({"certificate": None, "trouble": "It can't be read."}, "unknown"),
    ],
)
def test_renews_only_what_is_its_own(changes: dict[str, Any], expected: str) -> None:
    """Files of others, and what is stored and not configured, have no renewal here."""
    assert row(**changes).next_step.startswith(expected)


def test_expired_leftovers_are_no_error() -> None:
    """Nobody is served with what is not configured."""
    found = row(key="", names=(), certificate=certificate(*NAMES, ends=NOW - DAY))

    assert (found.errors, found.left) == ((), "expired 24 hours ago")


def test_tells_what_is_left_in_the_dns() -> None:
    """A record of the journal is named once, without its value."""
    found = row(state=State(records=(RECORD, replace(RECORD, value="other", id="7"))))

    assert found.left_behind == (f"_acme-challenge.{HOST}",)
    text = table([found], 120)
    assert f"_acme-challenge.{HOST} may still have a TXT record" in text
    assert RECORD.value not in text


@pytest.mark.parametrize(
    ("left", "expected"),
    [
        (58.9 * DAY, "58 days"),
        (2 * DAY, "2 days"),
        (2 * DAY - timedelta(seconds=1), "47 hours"),
        (timedelta(minutes=119), "119 minutes"),
        (timedelta(minutes=7, seconds=59), "7 minutes"),
        (timedelta(seconds=60), "1 minute"),
        (timedelta(seconds=59), "less than a minute"),
        (timedelta(), "less than a minute"),
        (-3 * DAY, "expired 3 days ago"),
    ],
)
def test_says_how_long_it_lives(left: timedelta, expected: str) -> None:
    """In words, rounded down: never more than there is."""
    assert life_left(NOW + left, NOW) == expected


@pytest.mark.parametrize(
    ("organization", "name", "expected"),
    [
        ("Let's Encrypt", "E7", "Let's Encrypt E7"),
        ("", "Pebble Intermediate CA 3f0a", "Pebble Intermediate CA 3f0a"),
        ("Example", "Example CA", "Example CA"),
        ("Example", "", "Example"),
        ("", "\x1b[2Jboo\n", "?[2Jboo?"),
        ("", "x" * 60, "x" * 27 + "…"),
    ],
)
def test_names_the_issuer(organization: str, name: str, expected: str) -> None:
    """Organization and name, once, bounded, and nothing that a terminal would obey."""
    found = row(certificate=certificate(*NAMES, organization=organization, name=name))

    assert found.issuer == expected


def test_values_are_json() -> None:
    """Programs get every value; times in UTC, null for what there is none of."""
    nothing = rows([Known(key="main", name="a.example", names=("a.example",), origin="acme")], NOW)
    [there, absent] = values([row(), *nothing])

    assert json.loads(json.dumps(there)) == {
        "name": HOST,
        "configured_at": "uap.regions.X",
        "source": "acme",
        "covers": list(NAMES),
        "issuer": "Let's Encrypt E7",
        "not_after": "2027-01-21T12:00:00+00:00",
        "left": "60 days",
        "next_step": there["next_step"],
        "next_at": None,
        "errors": [],
        "records_left": [],
        "path": str(SERVED.path),
    }
    assert absent["next_step"].startswith("none: not on this host")
    there = values([replace(row(), next_at=NOW.astimezone(timezone(timedelta(hours=2))))])[0]
    assert there["next_at"] == "2026-11-22T12:00:00+00:00"
    for key in ("issuer", "not_after", "left", "next_at", "path"):
        assert absent[key] is None


URL = f"https://authority.example/{'long-path-of-a-document-' * 5}"


def many() -> Iterator[Row]:
    long = "a-very-long-name-of-a-host-somewhere.proxy.example.org"
    yield row()
    failed = State(history=History(sentence=f"Word {'word ' * 60}{URL}: mend it."))
    yield row(name=long, certificate=None, life=None, state=failed)
    yield row(certificate=certificate(*NAMES, *(f"{n}.example.org" for n in range(20))))
    yield row(certificate=certificate(*NAMES, ends=NOW - DAY, name="x" * 60))


def test_table_is_aligned() -> None:
    """Columns begin below their heads; what there is none of is a dash."""
    [first, second] = rows(
        [
            replace(SERVED, names=(HOST,), certificate=certificate(HOST)),
            Known(key="main", name="a.example", names=("a.example",), origin="acme"),
        ],
        NOW,
    )
    lines = table([replace(first, next_step="waits"), second], 100).splitlines()

    assert lines == [
        "NAME               SOURCE  ISSUER            VALID UNTIL           LEFT",
        "proxy.example.org  acme    Let's Encrypt E7  2027-01-21 12:00 UTC  60 days",
        "    next    waits",
        "    file    /var/lib/exoproxy/acme/live/proxy.example.org/fullchain.pem",
        "a.example          acme    -                 -                     -",
        "    next    none: not on this host, whose services have not asked for it",
    ]


@pytest.mark.parametrize("width", [1, 60, 80, 120, 10_000])
def test_table_fits_the_terminal(width: int) -> None:
    """Rows fit into 80 columns, and sentences wrap below them; names and paths are kept whole."""
    found = list(many())
    printed = table(found, width)

    for line in printed.splitlines():
        sentence = line.startswith("    ")
        widest = max(60 if sentence else 80, min(width, 120))
        assert len(line) <= widest or len(line.split()) <= 2
    assert URL in printed
    for each in found:
        assert each.name in printed
        assert "".join(each.next_step.split()) in "".join(printed.split())


def test_table_obeys_no_stored_sentence() -> None:
    """A state file that others could write moves no cursor and adds no row."""
    state = State(history=History(sentence="Bad\x1b[2J\r\nevil.example  acme"))
    text = table([row(state=state, name="a\x1b[2J")], 80)

    assert "\x1b" not in text
    assert not any(line.startswith("evil.example") for line in text.splitlines())
