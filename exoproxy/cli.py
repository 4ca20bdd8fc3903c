"""The command line: parses arguments, loads the settings and calls what does the work.

Results go to stdout, messages to stderr. Exit codes: 0 done, 1 it failed, 2 wrong usage or
configuration. What a command needs is imported when it runs, so that small ones start at once.
"""

import argparse
import io
import json
import os
import shutil
import sys
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from difflib import get_close_matches
from pathlib import Path
from typing import TYPE_CHECKING, Final

from exoproxy import __version__

if TYPE_CHECKING:
    from exoproxy.certs.wanted import Wanted
    from exoproxy.settings.model import Settings

DONE: Final = 0
FAILED: Final = 1
WRONG: Final = 2

_DEFAULT_CONFIG: Final = "/etc/exoproxy/exoproxy.yaml"
_CERTBOT: Final = Path("/etc/letsencrypt")

Command = Callable[[argparse.Namespace], int]


class Wrong(Exception):
    """Wrong usage or configuration; the lines go to stderr."""

    def __init__(self, lines: Iterable[str]) -> None:
        self.lines = tuple(lines)
        super().__init__("\n".join(self.lines))


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

    def add(
        name: str,
        command: Command,
        text: str,
        *,
        config: bool = True,
        to: "argparse._SubParsersAction[argparse.ArgumentParser]" = commands,
    ) -> argparse.ArgumentParser:
        added = to.add_parser(name, help=text, description=text, allow_abbrev=False)
        added.set_defaults(command=command)
        if config:
            added.add_argument(
                "--config",
                metavar="FILE",
                type=Path,
                help=f"configuration; else $EXOPROXY_CONFIG, else {_DEFAULT_CONFIG}",
            )
        return added

    add("main", _main, "Serve the main host: the client, /proxy, the OIDC redirector.")
    uap = add("uap", _uap, "Serve the User Application Proxy of a region.")
    uap.add_argument("--region", metavar="X", required=True, help="name below uap.regions")
    demo = add("demo", _demo, "Serve both on loopback with a stand-in cloud.", config=False)
    demo.add_argument("--port", metavar="N", type=_port, help="port of the main host")
    check = add("check", _check, "Validate the configuration and the files it names.")
    check.add_argument(
        "--live",
        action="store_true",
        help="also try DNS, ports, upstreams and what certificates need",
    )
    check.add_argument("--json", action="store_true", help="print the result as JSON")
    explain = add("explain", _explain, "Tell what would happen to a request, and why.")
    explain.add_argument("target", metavar="HOST_OR_URL")
    explain.add_argument("--json", action="store_true", help="print the result as JSON")
    text = "Show the certificates, get them now, or take over certbot's."
    certs = commands.add_parser("cert", help=text, description=text, allow_abbrev=False)
    cert = certs.add_subparsers(metavar="COMMAND", required=True)
    status = add("status", _cert_status, "Show what there is, and what comes next.", to=cert)
    status.add_argument("--json", action="store_true", help="print the result as JSON")
    issue = add("issue", _cert_issue, "Get what is missing now, with a word on each step.", to=cert)
    issue.add_argument("--staging", action="store_true", help="only try whether it would work")
    issue.add_argument("--force", action="store_true", help="also where there is one already")
    renew = add("renew", _cert_renew, "Get new ones now.", to=cert)
    renew.add_argument("--if-due", action="store_true", help="only those that are due")
    take = add("import", _cert_import, "Take over certificates and account of certbot.", to=cert)
    take.add_argument("--from", dest="source", metavar="FOLDER", type=Path, default=_CERTBOT)
    for each in (issue, renew, take):
        each.add_argument("names", metavar="NAME", nargs="*", help="host name, as configured")
    text = "Install the Exosphere client, and tell it of this deployment."
    clients = commands.add_parser("client", help=text, description=text, allow_abbrev=False)
    client = clients.add_subparsers(metavar="COMMAND", required=True)
    text = "Print what the client's own configuration must say."
    lines = add("config", _client_config, text, to=client)
    lines.add_argument("--json", action="store_true", help="print the result as JSON")
    config = add("config", _config, "Print what can be configured.", config=False)
    config.add_argument(
        "what", choices=["schema", "example"], help="JSON Schema, or a commented example"
    )
    add("version", _version, "Print the version.", config=False)
    return parser


def _port(text: str) -> int:
    from exoproxy.settings.text import parse_port

    try:
        return parse_port(text, text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


def _config_path(options: argparse.Namespace) -> Path:
    given: Path | None = options.config
    return given or Path(os.environ.get("EXOPROXY_CONFIG") or _DEFAULT_CONFIG)


def _load(options: argparse.Namespace) -> "Settings":
    from exoproxy.settings.load import ConfigurationErrors, load

    try:
        return load(_config_path(options))
    except ConfigurationErrors as errors:
        raise Wrong(errors.lines) from None


def _main(options: argparse.Namespace) -> int:
    settings = _load(options)
    if settings.main is None:
        raise Wrong(
            [
                f"{_config_path(options)}: main: is missing, so there is no main host to serve; "
                "write at least `main:` with its `hostname:` and `proxy:`, or start `exoproxy uap`"
            ]
        )
    from exoproxy.service import serve_main

    return serve_main(settings, _config_path(options))


def _uap(options: argparse.Namespace) -> int:
    settings = _load(options)
    regions = settings.uap.regions if settings.uap else {}
    if options.region not in regions:
        raise Wrong([f"{_config_path(options)}: {_no_region(options.region, list(regions))}"])
    from exoproxy.service import serve_uap

    return serve_uap(settings, _config_path(options), options.region)


def _no_region(name: str, known: list[str]) -> str:
    if not known:
        return (
            "uap: is missing, so there is no region to serve; write at least `uap:` with "
            "`allowed_origins:` and `regions:`"
        )
    by_lower = {each.lower(): each for each in known}
    close = get_close_matches(name.lower(), by_lower, n=1)
    meant = f"did you mean {by_lower[close[0]]}? " if close else ""
    return f"uap.regions: there is no region {name!a}; {meant}the file has {', '.join(known)}"


def _demo(options: argparse.Namespace) -> int:
    from exoproxy.demo import run

    return run(options.port)


def _check(options: argparse.Namespace) -> int:
    from exoproxy.check import summary, warnings

    path = _config_path(options)
    try:
        settings = _load(options)
    except Wrong as wrong:
        if options.json:
            _print_json({"file": str(path), "valid": False, "errors": wrong.lines})
        raise
    told = warnings(settings, datetime.now(UTC))
    if not options.json:
        print(summary(path, settings))
        for warning in told:
            print(f"warning: {warning}")
    found = _live(settings, quiet=options.json) if options.live else []
    if options.json:
        _print_json(
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
    settings = _load(options)
    from exoproxy.explain import explain

    explanation = explain(settings, options.target)
    if options.json:
        _print_json({**asdict(explanation), "served": explanation.served})
    else:
        for step in explanation.steps:
            print(f"{step.subject:8}  {'' if step.ok else 'refused, '}{step.sentence}")
    return DONE if explanation.served else FAILED


def _cert_status(options: argparse.Namespace) -> int:
    settings = _load(options)
    from exoproxy.certs.inventory import inventory
    from exoproxy.certs.status import rows, table, values

    found = rows(inventory(settings), datetime.now(UTC))
    if options.json:
        _print_json(values(found))
    else:
        sys.stdout.write(table(found, shutil.get_terminal_size().columns))
    return DONE


def _cert_issue(options: argparse.Namespace) -> int:
    settings, asked = _asked(options)
    from exoproxy.cert import issue

    return issue(settings, asked, staging=options.staging, force=options.force)


def _cert_renew(options: argparse.Namespace) -> int:
    settings, asked = _asked(options)
    from exoproxy.cert import renew

    return renew(settings, asked, if_due=options.if_due)


def _cert_import(options: argparse.Namespace) -> int:
    settings = _load(options)
    from exoproxy.cert import take_over
    from exoproxy.certs.wanted import wanted

    asked = _chosen(options, settings) if options.names or not wanted(settings) else None
    return take_over(settings, asked, options.source)


def _asked(options: argparse.Namespace) -> "tuple[Settings, list[Wanted]]":
    settings = _load(options)
    return settings, _chosen(options, settings)


def _chosen(options: argparse.Namespace, settings: "Settings") -> "list[Wanted]":
    """Return the certificates that are meant: those named, or the only one."""
    from exoproxy.certs.wanted import Unknown, chosen

    try:
        return chosen(settings, options.names)
    except Unknown as unknown:
        raise Wrong([f"{_config_path(options)}: {unknown}"]) from None


def _client_config(options: argparse.Namespace) -> int:
    settings = _load(options)
    from exoproxy.client.snippets import snippets

    found = snippets(settings)
    if not found:
        raise Wrong(
            [
                f"{_config_path(options)}: there is neither main.proxy nor uap, so the client "
                "needs no lines for them"
            ]
        )
    if options.json:
        _print_json({each.file: each.keys for each in found})
    else:
        print("\n".join(each.text for each in found), end="")
    return DONE


def _config(options: argparse.Namespace) -> int:
    from exoproxy.settings.example import example, schema

    sys.stdout.write(example() if options.what == "example" else schema())
    return DONE


def _version(_: argparse.Namespace) -> int:
    print(f"exoproxy {__version__}")
    return DONE


def _print_json(value: object) -> None:
    print(json.dumps(value, indent=2))
