"""The command `exoproxy status`: its arguments, and which processes are asked."""

import argparse
import json
import shutil
import sys
from typing import TYPE_CHECKING

from exoproxy.cli.common import DONE, FAILED, Wrong, add, config_path, load, no_region, print_json

if TYPE_CHECKING:
    from exoproxy.settings.addresses import ListenAddress
    from exoproxy.settings.sites import Main, Region
    from exoproxy.status import Target

_TEXT = "Show what the running process does: health, certificate, traffic, tunnels, refusals."
_CODES = (
    "Exit codes: 0 it answers and all is well; 1 it does not answer, or something is wrong with "
    "it, which is shown all the same; 2 wrong usage or configuration."
)


def add_command(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add `status`."""
    status = add(commands, "status", _status, _TEXT)
    status.epilog = _CODES
    status.add_argument(
        "--region", metavar="X", help="ask that region's process; else all that answer on this host"
    )
    status.add_argument("--json", action="store_true", help="print each answer as JSON, as it came")


def _status(options: argparse.Namespace) -> int:
    targets = _targets(options)
    from exoproxy.admin.terminal import healthy, report
    from exoproxy.status import Silent, Unusable, ask

    answers, silent, wrong = [], [], []
    for target in targets:
        try:
            answers.append(ask(target))
        except Silent as error:
            silent.append(str(error))
        except Unusable as error:
            wrong.append(str(error))
    for index, (content, status) in enumerate(answers):
        if options.json:
            print_json(json.loads(content))
            continue
        if index:
            print()
        width = shutil.get_terminal_size().columns
        sys.stdout.write(report(status, width, unicode=_writes_bars()))
    # A deployment's file names hosts other than this one: who runs here is who answers.
    for sentence in wrong if answers else wrong + silent:
        print(sentence, file=sys.stderr)
    well = answers and not wrong and all(healthy(status["health"]) for _, status in answers)
    return DONE if well else FAILED


def _targets(options: argparse.Namespace) -> "list[Target]":
    """Return whom to ask: the region named, or all that the configuration has answer."""
    settings = load(options)
    regions = settings.uap.regions if settings.uap else {}
    # The main host's has no name.
    sites: dict[str | None, Main | Region] = {}
    if options.region is None:
        sites.update({None: settings.main} if settings.main else {})
        sites.update(regions)
    elif options.region in regions:
        sites[options.region] = regions[options.region]
    else:
        raise Wrong([f"{config_path(options)}: {no_region(options.region, list(regions))}"])
    from exoproxy.status import Target

    by_address: dict[ListenAddress, list[str | None]] = {}
    for name, site in sites.items():
        if site.admin_listen:
            by_address.setdefault(site.admin_listen, []).append(name)
    if not by_address:
        keys = [f"uap.regions.{name}" if name else "main" for name in sites]
        raise Wrong(
            f"{config_path(options)}: {key}.admin_listen: is null, so there is nobody to ask; "
            "write an address, e.g. 127.0.0.1:9180, and restart the service"
            for key in keys
        )
    return [Target(listen=listen, sites=tuple(names)) for listen, names in by_address.items()]


def _writes_bars() -> bool:
    from exoproxy.admin.terminal import SPARKS

    try:
        SPARKS.encode(sys.stdout.encoding or "ascii")
    except UnicodeEncodeError:
        return False
    return True
