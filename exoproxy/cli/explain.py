"""The command `exoproxy explain`: its arguments, and how the steps are shown."""

import argparse
import re
import shutil
import socket
import sys
import textwrap
from dataclasses import asdict
from ipaddress import IPv4Address, IPv6Address, ip_address
from typing import Final

from exoproxy.cli.common import DONE, FAILED, add, load, print_json
from exoproxy.rules.printable import printable

# RFC 9110 section 5.6.2; methods are case-sensitive, and all that browsers send are upper-case.
_METHOD: Final = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]{1,32}")
_ORIGIN: Final = re.compile(r"[!-~]{1,512}")
_SUBJECT_WIDTH: Final = 9


def add_commands(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add `explain`."""
    explain = add(commands, "explain", _explain, "Tell what would happen to a request, and why.")
    explain.add_argument("target", metavar="HOST_OR_URL")
    explain.add_argument(
        "--method", metavar="METHOD", type=_method, default="GET", help="of the request; else GET"
    )
    explain.add_argument(
        "--origin",
        metavar="ORIGIN",
        type=_origin,
        help="site of the page that sends the request, e.g. https://other.example.org",
    )
    explain.add_argument(
        "--client", metavar="ADDRESS", type=_address, help="address that the connection comes from"
    )
    explain.add_argument(
        "--resolve",
        action="store_true",
        help="look the cloud's name up and judge each address; nothing is sent there",
    )
    explain.add_argument("--json", action="store_true", help="print the result as JSON")


def _explain(options: argparse.Namespace) -> int:
    settings = load(options)
    from exoproxy.explain import explain
    from exoproxy.explain.step import Circumstances

    circumstances = Circumstances(
        method=options.method,
        origin=options.origin,
        client=options.client,
        resolve=_resolve if options.resolve else None,
    )
    explanation = explain(settings, options.target, circumstances)
    if options.json:
        print_json({**asdict(explanation), "served": explanation.served})
    else:
        for step in explanation.steps:
            _print(step.subject, f"{'' if step.ok else 'refused, '}{step.sentence}")
    return DONE if explanation.served else FAILED


def _print(subject: str, sentence: str) -> None:
    """Print a step as one line; a terminal gets whole words below each other."""
    line = printable(f"{subject:{_SUBJECT_WIDTH}} {sentence}")
    if sys.stdout.isatty():
        line = textwrap.fill(
            line,
            max(40, shutil.get_terminal_size().columns),
            subsequent_indent=" " * (_SUBJECT_WIDTH + 1),
            break_long_words=False,
            break_on_hyphens=False,
        )
    print(line)


def _resolve(host: str) -> list[IPv4Address | IPv6Address]:
    """Ask the system's resolver, as the service does."""
    found = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)
    texts = (str(sockaddr[0]).partition("%")[0] for *_, sockaddr in found)
    return list(dict.fromkeys(map(ip_address, texts)))


def _method(text: str) -> str:
    if not _METHOD.fullmatch(text):
        raise argparse.ArgumentTypeError(f"{text[:40]!a} is no method, e.g. POST")
    return text


def _origin(text: str) -> str:
    if not _ORIGIN.fullmatch(text):
        raise argparse.ArgumentTypeError(
            f"{text[:40]!a} is no origin, e.g. https://other.example.org"
        )
    return text


def _address(text: str) -> IPv4Address | IPv6Address:
    try:
        return ip_address(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text[:40]!a} is no IP address") from None
