"""Fronts take turns, A B C A B C …, so that what else the machine does hits all alike."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from bench.check import check
from bench.front import Front, Peer
from bench.load.turn import Sample, Wrong
from bench.processes import Processes, settle
from bench.scenarios import Scenario
from bench.stage import Stage


@dataclass(slots=True, kw_only=True)
class Measured:
    """A scenario's samples by front, oldest first, and the reasons of those left out."""

    scenario: str
    unit: str
    samples: dict[str, list[Sample]] = field(default_factory=dict)
    left_out: dict[str, str] = field(default_factory=dict)


def measure(
    scenario: Scenario,
    peers: Sequence[Peer],
    running: Sequence[Front],
    stage: Stage,
    *,
    rounds: int,
    seconds: float,
    tell: Callable[[str], None],
) -> Measured:
    """Return the scenario's samples; a front that answers wrongly at any time has none.

    `tell` gets a line for each that is left out. Loads that want fresh fronts start `peers` anew
    for each turn; the others use those that are `running`.
    """
    measured = Measured(scenario=scenario.name, unit=scenario.load.unit)

    def leave_out(name: str, wrong: Exception) -> None:
        measured.samples.pop(name, None)
        measured.left_out[name] = str(wrong)
        tell(f"{scenario.name}: {name} is left out: {wrong}")

    def turn(front: Front) -> None:
        """Take one turn, unless the front is out."""
        if front.name in measured.left_out:
            return
        try:
            sample = scenario.load.run(front, stage, seconds)
            measured.samples.setdefault(front.name, []).append(sample)
        except Wrong as wrong:
            leave_out(front.name, wrong)

    if scenario.load.fresh:
        for _ in range(rounds):
            for peer in (each for each in peers if each.variant == scenario.variant):
                with Processes(stage.folder) as processes:
                    front = peer.start(stage, processes)
                    settle(front.roots)
                    turn(front)
        return measured
    fronts = [front for front in running if front.variant == scenario.variant]
    for front in fronts:
        try:
            check(scenario.load, front, stage)
        except Wrong as wrong:
            leave_out(front.name, wrong)
    for _ in range(rounds):
        for front in fronts:
            turn(front)
    return measured
