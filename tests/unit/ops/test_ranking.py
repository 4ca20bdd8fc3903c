"""What happens most often within an hour, in a table that nobody can make useless."""

from random import Random

from exoproxy.ops.ranking import HOUR, Ranking, Recent


def test_counts_the_last_hour() -> None:
    """What happened counts for an hour, and no longer."""
    recent = Recent()
    for minute in range(0, 180):
        recent.add(minute * 60, "")

    assert 55 <= recent.count(179 * 60) <= 60
    assert recent.count(179 * 60 + HOUR) == 0


def test_a_clock_that_rests_or_turns_back_does_no_harm() -> None:
    """A moment before the last one counts as the last one's."""
    recent = Recent()
    recent.add(10_000, "")
    recent.add(100, "")

    assert recent.count(10_000) == 2


def test_remembers_what_was_said_last() -> None:
    """A row has the last moment and the last word."""
    ranking: Ranking[str] = Ranking(4)
    ranking.add("a", 1, "first")
    ranking.add("b", 2, "other")
    ranking.add("a", 3, "second")

    first, second = ranking.rows(4, 99)
    assert (first.key, first.count, first.last, first.note) == ("a", 2, 3, "second")
    assert (second.key, second.count) == ("b", 1)


def test_forgets_what_is_an_hour_old() -> None:
    """What has not happened for an hour is no row, and gives its place away."""
    ranking: Ranking[str] = Ranking(1)
    for _ in range(50):
        ranking.add("old", 0, "")

    assert ranking.rows(HOUR + 600, 99) == []
    ranking.add("new", HOUR + 600, "")
    assert [row.key for row in ranking.rows(HOUR + 600, 99)] == ["new"]


def test_is_bounded() -> None:
    """However many things come, no more are kept than there are places."""
    ranking: Ranking[int] = Ranking(8)
    for key in range(10_000):
        ranking.add(key, 0, "")

    assert len(ranking) == 8


def test_a_flood_leaves_alone_what_comes_often() -> None:
    """Names that somebody makes up replace one another, not what many users ask for."""
    ranking: Ranking[str] = Ranking(32)
    random = Random(9110)
    for number in range(20_000):
        ranking.add(f"made-up-{number}", number / 100, "")
        # One in six requests is a user's, for one of three names.
        if number % 5 == 0:
            ranking.add(random.choice(("swift", "nova", "glance")), number / 100, "")

    first = [row.key for row in ranking.rows(200, 3)]
    assert sorted(first) == ["glance", "nova", "swift"]


def test_counts_are_never_too_high() -> None:
    """A row does not inherit the count of the one that it replaced."""
    ranking: Ranking[int] = Ranking(2)
    for key in range(100):
        ranking.add(key, 0, "")

    assert {row.count for row in ranking.rows(0, 99)} == {1}
