"""A run's results as JSON, and a Markdown table made of them.

The JSON has

    date      when the run began, ISO 8601, UTC
    machine   what it ran on: processor, cores, kernel, python, openssl
    options   rounds and seconds of a turn
    fronts    name -> version of each that took part
    missing   name -> why a front took no part at all
    rows      in the order measured, each with
        scenario   its name
        unit       of a cost: µs or ms of CPU time of the front's processes for each request,
                   message, connection or session; KB of memory for each connection
        samples    front -> a list of turns, oldest first, each an object as `Sample` describes
        left_out   front -> why it has no samples

What is derived (medians, spreads, ratios) is not in it. Called by `__main__`; `plot` reads it, too.
"""

import os
import platform
import ssl
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from datetime import datetime
from pathlib import Path
from typing import Any, Final

from bench.measure import Measured

# The front that all are compared with, and the one that the table's ratios are of.
BASE: Final = "nginx"
OURS: Final = "exoproxy"

# As JSON has it.
Document = dict[str, Any]


def document(
    measured: Sequence[Measured],
    *,
    date: datetime,
    fronts: Mapping[str, str],
    missing: Mapping[str, str],
    rounds: int,
    seconds: float,
) -> Document:
    """Return the results in the form above."""
    return {
        "date": date.isoformat(timespec="seconds"),
        "machine": _machine(),
        "options": {"rounds": rounds, "seconds": seconds},
        "fronts": dict(fronts),
        "missing": dict(missing),
        "rows": [
            {
                "scenario": each.scenario,
                "unit": each.unit,
                "samples": {
                    front: [
                        {
                            key: round(value, 4)
                            for key, value in asdict(sample).items()
                            if value is not None
                        }
                        for sample in samples
                    ]
                    for front, samples in each.samples.items()
                },
                "left_out": each.left_out,
            }
            for each in measured
        ],
    }


def medians(row: Mapping[str, Any], key: str = "cost") -> dict[str, float]:
    """Return for each front of a row the median of its turns, of those that tell `key`."""
    return {
        front: statistics.median(told)
        for front, samples in row["samples"].items()
        if (told := [sample[key] for sample in samples if key in sample])
    }


def spread(samples: Sequence[Mapping[str, float]]) -> float:
    """Return how far the turns' costs lie apart: largest less smallest, in parts of the median."""
    costs = [sample["cost"] for sample in samples]
    middle = statistics.median(costs)
    return (max(costs) - min(costs)) / middle if middle else 0.0


def table(results: Document) -> str:
    """Return a Markdown table: medians with spreads, and what ours is against each other's.

    A front without a figure has a dash; the ratios are ours to nginx, Caddy and HAProxy.
    """
    against = [name for name in (BASE, "Caddy", "HAProxy") if name in results["fronts"]]
    fronts = [
        name for name in results["fronts"] if any(name in row["samples"] for row in results["rows"])
    ]
    lines = [
        _line(["scenario", "unit", *fronts, *(f"{OURS} / {name}" for name in against)]),
        _line(["---", "---", *("---:" for _ in fronts), *("---:" for _ in against)]),
    ]
    for row in results["rows"]:
        costs = medians(row)
        cells = [
            f"{figure(costs[name])} ±{spread(row['samples'][name]) / 2:.0%}"
            if name in costs
            else "-"
            for name in fronts
        ]
        lines.append(
            _line(
                [row["scenario"], row["unit"], *cells, *(_ratio(costs, name) for name in against)]
            )
        )
    return "\n".join(lines) + "\n"


def figure(number: float) -> str:
    """Return three digits that count: 0.42, 27.1, 991, 43,000."""
    if number < 10:
        return f"{number:.2f}"
    return f"{number:.1f}" if number < 100 else f"{number:,.0f}"


def _ratio(costs: Mapping[str, float], other: str) -> str:
    if OURS not in costs or not costs.get(other):
        return "-"
    return f"{costs[OURS] / costs[other]:.2f}"


def _line(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _machine() -> dict[str, Any]:
    return {
        "processor": _processor(),
        "cores": os.cpu_count(),
        "kernel": platform.release(),
        "python": platform.python_version(),
        "openssl": ssl.OPENSSL_VERSION,
    }


def _processor() -> str:
    for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.machine()
