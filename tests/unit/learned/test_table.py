"""What counts of what was named, for how long, and how much of it."""

from datetime import UTC, datetime, timedelta

from exoproxy.learned.table import GRAIN, LIFE, MOST, MOST_BY_ONE, Naming, Table
from exoproxy.rules.catalogue import Endpoint

NOW = datetime(2026, 11, 22, 12, tzinfo=UTC)
KEYSTONE, OTHER = Endpoint("keystone.example.org", 5000), Endpoint("other.example.org", 5000)
NOVA, GLANCE = Endpoint("nova.example.org", 8774), Endpoint("glance.example.org", 9292)
MOMENT = timedelta(microseconds=1)


def naming(endpoint: Endpoint, by: Endpoint = KEYSTONE, when: datetime = NOW) -> Naming:
    return Naming(endpoint=endpoint, by=by, last_named=when)


def numbered(count: int, first: int = 0) -> list[Endpoint]:
    return [Endpoint(f"a{number:05}.example", 443) for number in range(first, first + count)]


def test_knows_who_named_an_endpoint() -> None:
    """Host and port, and no other of either."""
    table = Table()

    assert table.name(KEYSTONE, [NOVA, GLANCE], NOW)
    assert table.of(NOVA, NOW) == [naming(NOVA)]
    assert table.of(Endpoint("nova.example.org", 443), NOW) == []
    assert table.of(Endpoint("xnova.example.org", 8774), NOW) == []
    assert table.of(KEYSTONE, NOW) == []
    assert table.namings(NOW) == [naming(GLANCE), naming(NOVA)]


def test_counts_for_thirty_days() -> None:
    """To the moment, with nobody's help."""
    table = Table([naming(NOVA)])
    (found,) = table.of(NOVA, NOW + LIFE - MOMENT)

    assert found.expires == NOW + timedelta(days=30)
    assert table.of(NOVA, NOW + LIFE) == []
    assert table.namings(NOW + LIFE) == []


def test_counts_anew_when_named_again() -> None:
    """From the last time on."""
    table = Table([naming(NOVA), naming(GLANCE)])
    later = NOW + LIFE - MOMENT

    assert table.name(KEYSTONE, [NOVA], later)
    assert table.namings(NOW + LIFE) == [naming(NOVA, when=later)]


def test_a_login_within_the_hour_changes_nothing() -> None:
    """From an hour on it does; many in short order don't put that off."""
    table = Table([naming(NOVA)])

    assert [table.name(KEYSTONE, [NOVA], NOW + GRAIN * part / 4) for part in range(5)] == [
        *([False] * 4),
        True,
    ]
    assert table.of(NOVA, NOW) == [naming(NOVA, when=NOW + GRAIN)]


def test_a_clock_that_was_put_back_changes_nothing() -> None:
    """What is dated later than now counts, and is not dated earlier."""
    table = Table([naming(NOVA)])

    assert not table.name(KEYSTONE, [NOVA], NOW - LIFE)
    assert table.of(NOVA, NOW - LIFE) == [naming(NOVA)]


def test_each_keystone_names_for_itself() -> None:
    """What two have named stays when one of them is not believed any more, or forgets it."""
    table = Table([naming(NOVA, OTHER, NOW - LIFE / 2)])
    table.name(KEYSTONE, [NOVA], NOW)

    assert table.of(NOVA, NOW) == [naming(NOVA), naming(NOVA, OTHER, NOW - LIFE / 2)]
    assert table.of(NOVA, NOW + LIFE / 2) == [naming(NOVA)]


def test_of_one_keystone_the_oldest_go() -> None:
    """And only that one's."""
    table = Table([naming(NOVA, OTHER, NOW - 2 * GRAIN)])
    table.name(KEYSTONE, [GLANCE, *numbered(MOST_BY_ONE - 1)], NOW - GRAIN)
    table.name(KEYSTONE, numbered(MOST_BY_ONE - 1), NOW)

    assert table.of(GLANCE, NOW)

    table.name(KEYSTONE, numbered(1, MOST_BY_ONE), NOW)

    assert len(table.namings(NOW)) == MOST_BY_ONE + 1
    assert table.of(GLANCE, NOW) == []
    assert table.of(NOVA, NOW) == [naming(NOVA, OTHER, NOW - 2 * GRAIN)]


def test_the_ports_of_one_host_are_one_keystone() -> None:
    """Who runs a host that is allowed on any port pushes out nobody else."""
    table = Table([naming(NOVA, OTHER, NOW - GRAIN)])
    for port in range(1, MOST // MOST_BY_ONE + 2):
        named = numbered(MOST_BY_ONE, port * MOST_BY_ONE)
        table.name(Endpoint(KEYSTONE.host, port), named, NOW + port * MOMENT)

    assert len(table.namings(NOW)) == MOST_BY_ONE + 1
    assert table.of(NOVA, NOW)


def test_of_all_the_oldest_go() -> None:
    """However many hosts below an allowed domain call themselves a Keystone."""
    table = Table([naming(NOVA, when=NOW - GRAIN)])
    for number, by in enumerate(numbered(2 * MOST)):
        table.name(by, numbered(1, number), NOW + number * MOMENT)

    assert len(table.namings(NOW)) == MOST
    assert table.of(NOVA, NOW) == []
    assert table.of(numbered(1, 2 * MOST - 1)[0], NOW)


def test_what_expired_takes_no_place() -> None:
    """Of a Keystone that names others each month, the new ones stay."""
    table = Table()
    table.name(KEYSTONE, numbered(MOST_BY_ONE), NOW)
    table.name(KEYSTONE, numbered(MOST_BY_ONE, MOST_BY_ONE), NOW + LIFE)

    assert len(table.namings(NOW)) == MOST_BY_ONE
