from dataclasses import dataclass, field
from pathlib import Path
from typing import cast

from bench.front import Front
from bench.load.turn import Sample, Wrong
from bench.measure import measure
from bench.scenarios import Scenario
from bench.stage import Stage


@dataclass
class Scripted:
    """A load that notes whose turn it is, and goes wrong for one front in one of its turns."""

    wrong: str = ""
    at: int = 0
    unit: str = "µs"
    fresh: bool = False
    turns: list[str] = field(default_factory=list)

    def run(self, front: Front, stage: Stage, seconds: float) -> Sample:
        self.turns.append(front.name)
        if front.name == self.wrong and self.turns.count(front.name) == self.at:
            raise Wrong("it answers 502")
        return Sample(cost=len(self.turns), count=1, seconds=seconds)


def fronts(*names: str, variant: str = "") -> list[Front]:
    return [
        Front(name=name, version="1", main=1, uap=2, roots=(), variant=variant) for name in names
    ]


def taken(load: Scripted, running: list[Front], told: list[str]) -> dict[str, list[float]]:
    measured = measure(
        Scenario(name="echo", load=load),
        [],
        running,
        cast("Stage", Path()),
        rounds=2,
        seconds=1,
        tell=told.append,
    )
    return {name: [each.cost for each in taken] for name, taken in measured.samples.items()}


def test_fronts_take_turns() -> None:
    """After the check of all come A B A B, not A A B B."""
    load = Scripted()

    samples = taken(load, fronts("A", "B"), [])

    assert load.turns == ["A", "B", "A", "B", "A", "B"]
    assert samples == {"A": [3, 5], "B": [4, 6]}


def test_front_that_fails_its_check_is_left_out() -> None:
    """It gets no turn, and the reason is told."""
    load, told = Scripted(wrong="A", at=1), list[str]()

    samples = taken(load, fronts("A", "B"), told)

    assert load.turns == ["A", "B", "B", "B"]
    assert list(samples) == ["B"]
    assert told == ["echo: A is left out: it answers 502"]


def test_front_that_goes_wrong_later_loses_its_samples() -> None:
    """What it was quick at before is no figure either."""
    samples = taken(Scripted(wrong="A", at=3), fronts("A", "B"), [])

    assert list(samples) == ["B"]


def test_fronts_of_another_variant_take_no_part() -> None:
    """A front that is configured for another scenario is not compared here."""
    samples = taken(Scripted(), [*fronts("A"), *fronts("B", variant="64 subnets")], [])

    assert list(samples) == ["A"]
