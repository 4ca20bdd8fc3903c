"""The command line: parses arguments, loads the settings and calls what does the work.

Results go to stdout, messages to stderr. Exit codes: 0 done, 1 it failed, 2 wrong usage or
configuration. What a command needs is imported when it runs, so that small ones start at once.
"""

import argparse
import io
import os
import sys
from collections.abc import Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from exoproxy import __version__
from exoproxy.cli import cert, client, status
from exoproxy.cli.common import (
    DONE,
    FAILED,
    WRONG,
    Command,
    Wrong,
    add,
    config_path,
    load,
    no_region,
    print_json,
)

if TYPE_CHECKING:
    from exoproxy.settings.model import Settings


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code; argparse itself exits with 0 or 2."""
    options = _parser().parse_args(arguments)
    if isinstance(sys.stdout, io.TextIOWrapper):
        # As stderr does: names that the terminal's encoding lacks are no reason to fail.
        sys.stdout.reconfigure(errors="backslashreplace")
    command: Command = options.command
    try:
        code = command(options)
        sys.stdout.flush()
    except Wrong as wrong:
        print("\n".join(wrong.lines), file=sys.stderr)
        return WRONG
    except BrokenPipeError:
        # `exoproxy config example | head`: nobody reads on. Python would flush once more at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return FAILED
    except KeyboardInterrupt:
        return FAILED
    return code


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="exoproxy",
        description="The web server and reverse proxy of an Exosphere deployment.",
        epilog="Exit codes: 0 done, 1 it failed, 2 wrong usage or configuration.",
        allow_abbrev=False,
    )
    commands = parser.add_subparsers(metavar="COMMAND", required=True)

    add(commands, "main", _main, "Serve the main host: the client, /proxy, the OIDC redirector.")
    uap = add(commands, "uap", _uap, "Serve the User Application Proxy of a region.")
    uap.add_argument("--region", metavar="X", required=True, help="name below uap.regions")
    demo = add(
        commands, "demo", _demo, "Serve both on loopback with a stand-in cloud.", config=False
    )
    demo.add_argument("--port", metavar="N", type=_port, help="port of the main host")
    check = add(commands, "check", _check, "Validate the configuration and the files it names.")
    check.add_argument(
        "--live",
        action="store_true",
        help="also try DNS, ports, upstreams and what certificates need",
    )
    check.add_argument("--json", action="store_true", help="print the result as JSON")
    explain = add(commands, "explain", _explain, "Tell what would happen to a request, and why.")
    explain.add_argument("target", metavar="HOST_OR_URL")
    explain.add_argument("--json", action="store_true", help="print the result as JSON")
    cert.add_commands(commands)
    client.add_commands(commands)
    status.add_command(commands)
    config = add(commands, "config", _config, "Print what can be configured.", config=False)
    config.add_argument(
        "what", choices=["schema", "example"], help="JSON Schema, or a commented example"
    )
    add(commands, "version", _version, "Print the version.", config=False)
    return parser


def _port(text: str) -> int:
    from exoproxy.settings.text import parse_port

    try:
        return parse_port(text, text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


def _main(options: argparse.Namespace) -> int:
    settings = load(options)
    if settings.main is None:
        raise Wrong(
            [
                f"{config_path(options)}: main: is missing, so there is no main host to serve; "
                "write at least `main:` with its `hostname:` and `proxy:`, or start `exoproxy uap`"
            ]
        )
    from exoproxy.service import serve_main

    return serve_main(settings, config_path(options))


def _uap(options: argparse.Namespace) -> int:
    settings = load(options)
    regions = settings.uap.regions if settings.uap else {}
    if options.region not in regions:
        raise Wrong([f"{config_path(options)}: {no_region(options.region, list(regions))}"])
    from exoproxy.service import serve_uap

    return serve_uap(settings, config_path(options), options.region)


def _demo(options: argparse.Namespace) -> int:
    from exoproxy.demo import run

    return run(options.port)


def _check(options: argparse.Namespace) -> int:
    from exoproxy.check import summary, warnings

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
    found = _live(settings, quiet=options.json) if options.live else []
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


def _live(settings: "Settings", *, quiet: bool) -> list[dict[str, object]]:
    """Try everything, and print each result as it comes: the slow ones are the interesting ones."""
    from exoproxy.live import System, findings

    found = []
    for finding in findings(settings, System()):
        if not quiet:
            result = "ok" if finding.ok else "FAILED"
            print(f"{result}: {finding.subject} {finding.sentence}", flush=True)
        found.append(asdict(finding))
    return found


def _explain(options: argparse.Namespace) -> int:
    settings = load(options)
    from exoproxy.explain import explain

    explanation = explain(settings, options.target)
    if options.json:
        print_json({**asdict(explanation), "served": explanation.served})
    else:
        for step in explanation.steps:
            print(f"{step.subject:8}  {'' if step.ok else 'refused, '}{step.sentence}")
    return DONE if explanation.served else FAILED


def _config(options: argparse.Namespace) -> int:
    from exoproxy.settings.example import example, schema

    sys.stdout.write(example() if options.what == "example" else schema())
    return DONE


def _version(_: argparse.Namespace) -> int:
    print(f"exoproxy {__version__}")
    return DONE
