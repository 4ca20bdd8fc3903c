"""The command line: parses arguments, loads the settings and calls what does the work.

Results go to stdout, messages to stderr. Exit codes: 0 done, 1 it failed, 2 wrong usage or
configuration. What a command needs is imported when it runs, so that small ones start at once.
"""

import argparse
import io
import os
import sys
from collections.abc import Sequence

from exoproxy import __version__
from exoproxy.cli import cert, check, client, explain, status
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
)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code; argparse itself exits with 0 or 2."""
    options = _parser().parse_args(arguments)
    if isinstance(sys.stdout, io.TextIOWrapper):
        # As stderr does: names that the terminal's encoding lacks are no reason to fail.
        sys.stdout.reconfigure(errors="backslashreplace")
    command: Command = options.command
    try:
        code = command(options)
        # None where it was closed before the start.
        if sys.stdout is not None:
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
    check.add_commands(commands)
    explain.add_commands(commands)
    cert.add_commands(commands)
    client.add_commands(commands)
    status.add_command(commands)
    config = add(commands, "config", _config, "Print what can be configured.", config=False)
    config.add_argument(
        "what", choices=["schema", "example"], help="JSON Schema, or a commented example"
    )
    add(
        commands,
        "version",
        _version,
        "Print the version, and whether it is compiled.",
        config=False,
    )
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


def _config(options: argparse.Namespace) -> int:
    from exoproxy.settings.example import example, schema

    sys.stdout.write(example() if options.what == "example" else schema())
    return DONE


def _version(_: argparse.Namespace) -> int:
    # One of those that are compiled or not, all together; the extension module is what is found.
    from exoproxy.wire import head

    compiled = "" if head.__file__.endswith(".py") else ", compiled"
    print(f"exoproxy {__version__}{compiled}")
    return DONE
