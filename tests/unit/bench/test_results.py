from datetime import UTC, datetime

from bench.load.turn import Sample
from bench.measure import Measured
from bench.results import document, figure, medians, spread, table

DATE = datetime(2026, 11, 22, 12, tzinfo=UTC)


def sample(cost: float, **more: float) -> Sample:
    return Sample(cost=cost, count=10, seconds=1.0, **more)


def results(*rows: Measured, missing: tuple[str, ...] = ()) -> dict[str, object]:
    return document(
        rows,
        date=DATE,
        fronts={"nginx": "1.22.1", "exoproxy": "0.1.0"},
        missing=dict.fromkeys(missing, "package"),
        rounds=3,
        seconds=2,
    )


def test_document_has_every_turn_and_why_others_have_none() -> None:
    """Raw samples stay as they were measured, and a front that was left out has its reason."""
    told = results(
        Measured(
            scenario="static",
            unit="µs",
            samples={"nginx": [sample(10.00004, p50=1.0), sample(12)]},
            left_out={"exoproxy": "it answers 502"},
        ),
        missing=("Caddy",),
    )

    assert told["rows"] == [
        {
            "scenario": "static",
            "unit": "µs",
            "samples": {
                "nginx": [
                    {"cost": 10.0, "count": 10, "seconds": 1.0, "p50": 1.0},
                    {"cost": 12, "count": 10, "seconds": 1.0},
                ]
            },
            "left_out": {"exoproxy": "it answers 502"},
        }
    ]
    assert told["date"] == "2026-11-22T12:00:00+00:00"
    assert told["missing"] == {"Caddy": "package"}


def test_medians_are_of_the_turns_that_tell() -> None:
    """A turn without a figure counts for nothing, and a front without any has no median."""
    row = {"samples": {"a": [{"cost": 1, "p50": 4.0}, {"cost": 9}, {"cost": 3}], "b": []}}

    assert medians(row) == {"a": 3}
    assert medians(row, "p50") == {"a": 4.0}


def test_spread_is_in_parts_of_the_median() -> None:
    """From 9 to 12 around 10 is three tenths; what costs nothing has no spread."""
    assert spread([{"cost": 9}, {"cost": 10}, {"cost": 12}]) == 0.3
    assert spread([{"cost": 0}, {"cost": 0}]) == 0


def test_table_has_medians_and_ratios() -> None:
    """Each front's median is followed by half its spread; ratios are ours to the others'."""
    row = Measured(
        scenario="static",
        unit="µs",
        samples={"nginx": [sample(19), sample(20), sample(21)], "exoproxy": [sample(10)]},
    )

    assert table(results(row)).splitlines() == [
        "| scenario | unit | nginx | exoproxy | exoproxy / nginx |",
        "| --- | --- | ---: | ---: | ---: |",
        "| static | µs | 20.0 ±5% | 10.0 ±0% | 0.50 |",
    ]


def test_table_never_guesses() -> None:
    """Where ours or the other has no figure, neither has the ratio."""
    ours = Measured(scenario="a", unit="µs", samples={"exoproxy": [sample(10)]})
    theirs = Measured(scenario="b", unit="µs", samples={"nginx": [sample(10)]})

    lines = table(results(ours, theirs)).splitlines()

    assert lines[2] == "| a | µs | - | 10.0 ±0% | - |"
    assert lines[3] == "| b | µs | 10.0 ±0% | - | - |"


def test_figures_have_three_digits() -> None:
    """As many digits as a measurement deserves."""
    assert [figure(n) for n in (0.4231, 27.14, 991.2, 43_012)] == ["0.42", "27.1", "991", "43,012"]
