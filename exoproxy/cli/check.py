"""The commands `exoproxy check` and `exoproxy explain`, which ask and change nothing.

The one exception is `check --live --write`, which writes a DNS record and removes it.
"""

import argparse
import shutil
import sys
import textwrap
from collections import Counter
from dataclasses import asdict
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from exoproxy.cli.common import DONE, FAILED, Wrong, add, config_path, load, print_json
from exoproxy.rules.printable import printable

if TYPE_CHECKING:
    from exoproxy.live.finding import Finding
    from exoproxy.settings.model import Settings

_FINDING_INDENT = " " * 10


def add_commands(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add `check`."""
    check = add(commands, "check", _check, "Validate the configuration and the files it names.")
    check.add_argument(
        "--live",
        action="store_true",
        help="also try DNS, ports, certificates, the cloud, routes, the clock, files and units",
    )
    check.add_argument(
        "--write",
        action="store_true",
        help="with --live: write a DNS record for each certificate, look for it, remove it",
    )
    check.add_argument(
        "--instance",
        metavar="HOST[:PORT]",
        dest="instances",
        action="append",
        default=[],
        help="with --live: an instance to reach, by its name below a region's or its address; "
        "may be given several times",
    )
    check.add_argument("--json", action="store_true", help="print the result as JSON")


def _check(options: argparse.Namespace) -> int:
    from exoproxy.check import summary, warnings

    if not options.live and (options.write or options.instances):
        option = "--write" if options.write else f"--instance {options.instances[0]}"
        raise Wrong([printable(f"{option} is for --live: write `exoproxy check --live {option}`")])
    path = config_path(options)
    try:
        settings = load(options)
    except Wrong as wrong:
        if options.json:
            print_json({"file": str(path), "valid": False, "errors": wrong.lines})
        raise
    told = warnings(settings, datetime.now(UTC))
    if not options.json:
        print(summary(path, settings))
        for warning in told:
            print(f"warning: {warning}")
    found = _live(settings, options) if options.live else []
    if options.json:
        print_json(
            {
                "file": str(path),
                "valid": True,
                "main": settings.main.hostname if settings.main else None,
                "regions": list(settings.uap.regions) if settings.uap else [],
                "warnings": told,
                "live": found,
            }
        )
    return DONE if all(each["ok"] for each in found) else FAILED


def _live(settings: "Settings", options: argparse.Namespace) -> list[dict[str, object]]:
    """Try everything, and print each result as it comes: the slow ones are the interesting ones."""
    from exoproxy.live.doctor import Asked, groups
    from exoproxy.live.finding import Kind
    from exoproxy.live.system import System
    from exoproxy.ops.stopping import Stopped, stoppable

    def say(sentence: str) -> None:
        print(printable(sentence), file=sys.stderr, flush=True)

    asked = Asked(
        configuration=config_path(options), write=options.write, instances=tuple(options.instances)
    )
    found: list[dict[str, object]] = []
    counts: Counter[Kind] = Counter()
    try:
        # What was written is removed before the command ends, whatever ends it.
        with stoppable():
            for title, findings in groups(settings, asked, System(), say):
                for index, finding in enumerate(findings):
                    if not options.json:
                        _print(finding, title if index == 0 else "")
                    counts[finding.kind] += 1
                    ok = finding.kind is not Kind.FAILED
                    found.append({"ok": ok, "group": title, **asdict(finding)})
    except Stopped as stopped:
        raise SystemExit(stopped.code) from None
    if not options.json:
        notes = "1 note" if counts[Kind.NOTE] == 1 else f"{counts[Kind.NOTE]} notes"
        print(f"\n{counts[Kind.OK]} ok, {notes}, {counts[Kind.FAILED]} FAILED")
    return found


def _print(finding: "Finding", title: str) -> None:
    """Print a finding, below its group's title if it is the first; a terminal gets whole words."""
    if title:
        print(f"\n{title}")
    kind = finding.kind.upper() if finding.kind == "failed" else finding.kind
    line = printable(f"  {kind:6}  {finding.subject} {finding.sentence}")
    if sys.stdout.isatty():
        line = textwrap.fill(
            line,
            max(40, shutil.get_terminal_size().columns),
            subsequent_indent=_FINDING_INDENT,
            break_long_words=False,
            break_on_hyphens=False,
        )
    print(line, flush=True)
