"""The commands `exoproxy cert …`: their arguments, and the certificates that are meant."""

import argparse
import shutil
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Final

from exoproxy.cli.common import DONE, Wrong, add, config_path, group, load, print_json

if TYPE_CHECKING:
    from exoproxy.certs.wanted import Wanted
    from exoproxy.settings.model import Settings

_CERTBOT: Final = Path("/etc/letsencrypt")


def add_commands(
    commands: "argparse._SubParsersAction[argparse.ArgumentParser]",
) -> None:
    """Add `cert` and what belongs to it."""
    cert = group(commands, "cert", "Show the certificates, get them now, or take over certbot's.")
    status = add(cert, "status", _cert_status, "Show what there is, and what comes next.")
    status.add_argument("--json", action="store_true", help="print the result as JSON")
    issue = add(cert, "issue", _cert_issue, "Get what is missing now, with a word on each step.")
    issue.add_argument("--staging", action="store_true", help="only try whether it would work")
    issue.add_argument("--force", action="store_true", help="also where there is one already")
    renew = add(cert, "renew", _cert_renew, "Get new ones now.")
    renew.add_argument("--if-due", action="store_true", help="only those that are due")
    take = add(cert, "import", _cert_import, "Take over certificates and account of certbot.")
    take.add_argument("--from", dest="source", metavar="FOLDER", type=Path, default=_CERTBOT)
    for each in (issue, renew, take):
        each.add_argument("names", metavar="NAME", nargs="*", help="host name, as configured")


def _cert_status(options: argparse.Namespace) -> int:
    settings = load(options)
    from exoproxy.certs.inventory import inventory
    from exoproxy.certs.status import rows, table, values

    found = rows(inventory(settings), datetime.now(UTC))
    if options.json:
        print_json(values(found))
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
    settings = load(options)
    from exoproxy.cert import take_over
    from exoproxy.certs.wanted import wanted

    asked = _chosen(options, settings) if options.names or not wanted(settings) else None
    return take_over(settings, asked, options.source)


def _asked(options: argparse.Namespace) -> "tuple[Settings, list[Wanted]]":
    settings = load(options)
    return settings, _chosen(options, settings)


def _chosen(options: argparse.Namespace, settings: "Settings") -> "list[Wanted]":
    """Return the certificates that are meant: those named, or the only one."""
    from exoproxy.certs.wanted import Unknown, chosen

    try:
        return chosen(settings, options.names)
    except Unknown as unknown:
        raise Wrong([f"{config_path(options)}: {unknown}"]) from None
