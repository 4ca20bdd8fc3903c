"""The commands `exoproxy client …`: their arguments, and the folder that is meant."""

import argparse
import sys
from typing import TYPE_CHECKING

from exoproxy.cli.common import DONE, FAILED, Wrong, add, config_path, group, load, print_json

if TYPE_CHECKING:
    from exoproxy.settings.sites import Client

_SOURCE = (
    "URL of a git repository (https, ssh, file), a folder with the client's source (taken with "
    "edits that are not committed, unless --ref is given) or with a built client, or a tar, "
    "tar.gz, tar.xz or zip archive of a built client"
)


def add_commands(
    commands: "argparse._SubParsersAction[argparse.ArgumentParser]",
) -> None:
    """Add `client` and what belongs to it."""
    client = group(
        commands, "client", "Install the Exosphere client, and tell it of this deployment."
    )
    install = add(client, "install", _install, "Install a client and serve it from now on.")
    install.add_argument("source", metavar="SOURCE", help=_SOURCE)
    update = add(client, "update", _update, "Install again from where the client came from.")
    for each in (install, update):
        each.add_argument("--ref", metavar="REF", help="branch, tag or commit of the repository")
        each.add_argument(
            "--builder",
            choices=["npm", "docker"],
            help="build with this host's npm, which runs the source's code as the user that owns "
            "the state, or in a container",
        )
    listing = add(client, "list", _list, "Show the releases that are installed.")
    listing.add_argument("--json", action="store_true", help="print the result as JSON")
    back = add(client, "rollback", _rollback, "Serve an older release again.")
    back.add_argument("release", metavar="RELEASE", nargs="?", help="else the one before")
    lines = add(client, "config", _config, "Print what the client's own configuration must say.")
    lines.add_argument("--json", action="store_true", help="print the result as JSON")


def _install(options: argparse.Namespace) -> int:
    client = _client(options)
    from exoproxy.installing import install_client

    return install_client(client, options.source, options.ref, options.builder)


def _update(options: argparse.Namespace) -> int:
    client = _client(options)
    from exoproxy.installing import update_client

    return update_client(client, options.ref, options.builder)


def _list(options: argparse.Namespace) -> int:
    client = _client(options)
    from exoproxy.installing import listed, table, values
    from exoproxy.releases.problem import ReleaseProblem

    try:
        found = listed(client)
    except ReleaseProblem as problem:
        print(problem, file=sys.stderr)
        return FAILED
    if options.json:
        print_json(values(found))
    elif found:
        sys.stdout.write(table(found))
    else:
        print("No client is installed; use `exoproxy client install SOURCE`.", file=sys.stderr)
    return DONE


def _rollback(options: argparse.Namespace) -> int:
    client = _client(options)
    from exoproxy.installing import roll_back

    return roll_back(client, options.release)


def _config(options: argparse.Namespace) -> int:
    settings = load(options)
    from exoproxy.client.snippets import snippets

    found = snippets(settings)
    if not found:
        raise Wrong(
            [
                f"{config_path(options)}: there is neither main.proxy nor uap, so the client needs "
                "no lines for them"
            ]
        )
    if options.json:
        print_json({each.file: each.keys for each in found})
    else:
        print("\n".join(each.text for each in found), end="")
    return DONE


def _client(options: argparse.Namespace) -> "Client":
    settings = load(options)
    if settings.main is None:
        raise Wrong(
            [
                f"{config_path(options)}: main: is missing, so no client is served; write at least "
                "`main:` with its `hostname:` and `proxy:`"
            ]
        )
    return settings.main.client
