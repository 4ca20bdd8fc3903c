"""`python -m bench`: exoproxy side by side with nginx, HAProxy and Caddy, by one command.

Prints a Markdown table of CPU time and memory, medians over rounds in which the fronts take turns.
Absolute figures drift with the machine; the ratios of one run count.
"""

import argparse
import json
import resource
import sys
import tempfile
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

from bench.front import Front
from bench.fronts import PEERS
from bench.measure import Measured, measure
from bench.plot import picture
from bench.processes import Processes, program, settle
from bench.profile import profile
from bench.results import Document, document, table
from bench.scenarios import Scenario, scenarios
from bench.stage import Stage, set_stage
from bench.upstreams import start_upstreams


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the benchmark; returns the exit code."""
    options = _options(arguments)
    if program("wrk") is None:
        _tell("wrk, which sends the requests, is missing: apt-get install wrk")
        return 1
    # Thousands of connections are opened here and, since limits are inherited, by the fronts.
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    with tempfile.TemporaryDirectory(prefix="exoproxy-bench-") as name:
        folder = Path(name)
        folder.chmod(0o755)
        try:
            results = _run(options, set_stage(folder))
        except RuntimeError as error:
            _tell(str(error))
            return 1
    print(table(results), end="")
    if options.json:
        text = json.dumps(results, ensure_ascii=False, indent=1)
        options.json.write_text(text + "\n", encoding="utf-8")
        options.json.with_suffix(".svg").write_text(picture(results), encoding="utf-8")
    return 0


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m bench", description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    add = parser.add_argument
    add("--quick", action="store_true", help="the main scenarios, one round of a second each")
    add("--scenario", default="", metavar="TEXT", help="only scenarios whose names hold the text")
    add("--front", default="", metavar="TEXT", help="only fronts whose names hold the text")
    add("--rounds", type=int, metavar="N", help="turns of each front (5)")
    add("--seconds", type=int, metavar="N", help="length of a turn (2)")
    add("--profile", type=Path, metavar="FOLDER", help="profile each front in each scenario, too")
    add("--json", type=Path, metavar="FILE", help="write the results there, and a plot beside it")
    options = parser.parse_args(arguments)
    options.rounds = options.rounds or (1 if options.quick else 5)
    options.seconds = options.seconds or (1 if options.quick else 2)
    return options


def _run(options: argparse.Namespace, stage: Stage) -> Document:
    wanted = [
        each
        for each in scenarios(stage)
        if options.scenario in each.name and (each.quick or not options.quick)
    ]
    chosen = [peer for peer in PEERS if options.front in peer.name]
    missing = {
        peer.name: f"it is not here; its package is {peer.package}"
        for peer in chosen
        if not peer.present()
    }
    variants = {each.variant for each in wanted}
    peers = [peer for peer in chosen if peer.name not in missing and peer.variant in variants]
    date = datetime.now(UTC)
    with Processes(stage.folder) as processes:
        start_upstreams(stage, processes)
        fronts = []
        for peer in peers:
            try:
                fronts.append(peer.start(stage, processes))
            except RuntimeError as error:
                missing[peer.name] = str(error)
        for name, reason in missing.items():
            _tell(f"{name} is left out: {reason}")
        peers = [peer for peer in peers if peer.name not in missing]
        settle([root for front in fronts for root in front.roots])
        measured = []
        for scenario in wanted:
            _tell(f"{scenario.name} …")
            measured.append(
                measure(
                    scenario,
                    peers,
                    fronts,
                    stage,
                    rounds=options.rounds,
                    seconds=options.seconds,
                    tell=_tell,
                )
            )
            if options.profile and not scenario.load.fresh:
                _profile(scenario, measured[-1], fronts, stage, options.profile)
    return document(
        measured,
        date=date,
        fronts={front.name: front.version for front in fronts},
        missing=missing,
        rounds=options.rounds,
        seconds=options.seconds,
    )


def _profile(
    scenario: Scenario, measured: Measured, fronts: Sequence[Front], stage: Stage, folder: Path
) -> None:
    for front in fronts:
        if front.name in measured.samples:
            for file in profile(scenario.name, scenario.load, front, stage, folder):
                _tell(f"profile: {file}")


def _tell(line: str) -> None:
    print(f"bench: {line}", file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
