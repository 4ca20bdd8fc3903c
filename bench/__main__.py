"""`python -m bench`: CPU microseconds per request, fronts taking turns, medians and ratios.

Absolute figures drift with the machine; ratios taken in one run count. Needs nginx and wrk.
"""

import argparse
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from bench.fronts import INSTANCE, Front, Fronts


@dataclass(frozen=True, slots=True, kw_only=True)
class Scenario:
    """A request that is sent over and over; `mode` is `main` or `uap`."""

    name: str
    mode: str
    path: str
    fields: tuple[str, ...] = ()
    connections: int = 32


def scenarios(fronts: Fronts) -> list[Scenario]:
    """Return what is measured."""
    cloud = (f"exo-proxy-orig-host: {INSTANCE}", f"exo-proxy-orig-port: {fronts.tls}")
    dashed = INSTANCE.replace(".", "-")
    plain = (f"Host: http-{dashed}-{fronts.plain}.localhost",)
    tls = (f"Host: https-{dashed}-{fronts.tls}.localhost",)
    gzip = ("Accept-Encoding: gzip",)
    small, large = "/proxy/small.json", "/proxy/servers.json"
    return [
        Scenario(name="static, 2 KB", mode="main", path="/index.html"),
        Scenario(name="static script, gzip", mode="main", path="/elm-web.js", fields=gzip),
        Scenario(name="CCP, 2 KB JSON", mode="main", path=small, fields=cloud),
        Scenario(name="CCP, 23 KB JSON, gzip", mode="main", path=large, fields=cloud + gzip),
        Scenario(name="UAP, 2 KB, plain upstream", mode="uap", path="/small.json", fields=plain),
        Scenario(name="UAP, 2 KB, TLS upstream", mode="uap", path="/small.json", fields=tls),
        Scenario(name="UAP, 16 MiB", mode="uap", path="/16m.bin", fields=plain, connections=4),
    ]


def cpu_per_request(front: Front, scenario: Scenario, seconds: int) -> float:
    """Return microseconds; raises `RuntimeError` when any answer is not right."""
    port = front.main if scenario.mode == "main" else front.uap
    command = ["wrk", "-t1", f"-c{scenario.connections}", f"-d{seconds}s"]
    for field in scenario.fields:
        command += ["-H", field]
    before = front.cpu()
    done = subprocess.run(  # noqa: S603 - fixed words and our own paths
        [*command, f"https://localhost:{port}{scenario.path}"],
        capture_output=True,
        check=True,
        text=True,
    )
    used = front.cpu() - before
    count = re.search(r"(\d+) requests in", done.stdout)
    if count is None or "Non-2xx" in done.stdout or "Socket errors" in done.stdout:
        raise RuntimeError(f"{front.name} does not answer {scenario.name} rightly:\n{done.stdout}")
    return used / int(count[1]) * 1e6


def measure(fronts: Fronts, rounds: int, seconds: int, only: str) -> None:
    """Print a line per scenario: median CPU per request of each front, and the ratio.

    Scenarios whose names don't hold `only` are left out.
    """
    names = [front.name for front in fronts.all]
    print(f"| scenario | {' | '.join(names)} | ratio |")
    print(f"| --- |{' ---: |' * len(names)} ---: |")
    for scenario in scenarios(fronts):
        if only not in scenario.name:
            continue
        samples: dict[str, list[float]] = {name: [] for name in names}
        for _ in range(rounds):
            for front in fronts.all:
                samples[front.name].append(cpu_per_request(front, scenario, seconds))
        medians = [statistics.median(samples[name]) for name in names]
        cells = " | ".join(f"{median:,.1f}" for median in medians)
        print(f"| {scenario.name} | {cells} | {medians[-1] / medians[0]:.2f} |", flush=True)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the benchmark; returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument("--rounds", type=int, default=5, help="turns of each front (5)")
    parser.add_argument("--seconds", type=int, default=2, help="length of a turn (2)")
    parser.add_argument("--only", default="", help="part of the names of scenarios to run (all)")
    chosen = parser.parse_args(arguments)
    for program in ("wrk", "nginx"):
        if shutil.which(program, path="/usr/sbin:/usr/bin:/usr/local/bin:/bin") is None:
            print(f"bench: {program} is missing; apt-get install {program}", file=sys.stderr)
            return 1
    with tempfile.TemporaryDirectory(prefix="exoproxy-bench-") as folder:
        Path(folder).chmod(0o755)
        fronts = Fronts(Path(folder))
        try:
            measure(fronts, chosen.rounds, chosen.seconds, chosen.only)
        finally:
            fronts.close()
    return 0


if __name__ == "__main__":
    sys.exit(main())
