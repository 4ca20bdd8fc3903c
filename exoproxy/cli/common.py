"""What the commands share: exit codes, what is wrong usage, the configuration, forms of results."""

import argparse
import json
import os
from collections.abc import Callable, Iterable
from difflib import get_close_matches
from pathlib import Path
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from exoproxy.settings.model import Settings

DONE: Final = 0
FAILED: Final = 1
WRONG: Final = 2

_DEFAULT_CONFIG: Final = "/etc/exoproxy/exoproxy.yaml"

Command = Callable[[argparse.Namespace], int]


class Wrong(Exception):
    """Wrong usage or configuration; the lines go to stderr."""

    def __init__(self, lines: Iterable[str]) -> None:
        self.lines = tuple(lines)
        super().__init__("\n".join(self.lines))


def add(
    to: "argparse._SubParsersAction[argparse.ArgumentParser]",
    name: str,
    command: Command,
    text: str,
    *,
    config: bool = True,
) -> argparse.ArgumentParser:
    """Add a command to others and return its parser; with `config` it takes --config FILE."""
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


def group(
    to: "argparse._SubParsersAction[argparse.ArgumentParser]", name: str, text: str
) -> "argparse._SubParsersAction[argparse.ArgumentParser]":
    """Add a command that has commands of its own, and return what they are added to."""
    parser = to.add_parser(name, help=text, description=text, allow_abbrev=False)
    return parser.add_subparsers(metavar="COMMAND", required=True)


def config_path(options: argparse.Namespace) -> Path:
    """Return the configuration file that is meant."""
    given: Path | None = options.config
    return given or Path(os.environ.get("EXOPROXY_CONFIG") or _DEFAULT_CONFIG)


def load(options: argparse.Namespace) -> "Settings":
    """Return the settings. Raises `Wrong` with every mistake in the file."""
    from exoproxy.settings.load import ConfigurationErrors
    from exoproxy.settings.load import load as read

    try:
        return read(config_path(options))
    except ConfigurationErrors as errors:
        raise Wrong(errors.lines) from None


def no_region(name: str, known: list[str]) -> str:
    """Return what is wrong with the name of a region, and what it could have been."""
    if not known:
        return (
            "uap: is missing, so there is no region to serve; write at least `uap:` with "
            "`allowed_origins:` and `regions:`"
        )
    by_lower = {each.lower(): each for each in known}
    close = get_close_matches(name.lower(), by_lower, n=1)
    meant = f"did you mean {by_lower[close[0]]}? " if close else ""
    return f"uap.regions: there is no region {name!a}; {meant}the file has {', '.join(known)}"


def print_json(value: object) -> None:
    """Print a result as JSON."""
    print(json.dumps(value, indent=2))
