"""renewal/NAME.conf, from which certbot knows its lineages and renews them.

The format is that of the Python package configobj: `key = value` lines below `[section]` lines.
What stands in a file already stays line by line, with its comments, unless it must change. Pure:
text in, text out. Called by `Store.save` and `takeover`.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Final

from exoproxy.settings.acme import Acme

# As configobj's strings go; certbot 5.8 writes files like this one.
_VERSION: Final = "5.8.0"
_PARAMETERS: Final = "renewalparams"
_SECTION: Final = re.compile(r"\s*\[+\s*(.*?)\s*\]+\s*(#.*)?")
_QUOTES: Final = ('"', "'", '"""', "'''")
_QUOTED: Final = re.compile(r"""(\"{3}|'{3}|["'])(.*?)\1""")
_ENTRY: Final = re.compile(r"\s*([^\s=#\[][^=]*?)\s*=\s*(.*?)\s*")


@dataclass(frozen=True, slots=True, kw_only=True)
class Renewal:
    """What certbot needs to go on with a lineage.

    `server` is the URL of the directory, `account` the account's id in the store, `key_type` as in
    our settings (ecdsa-p256 …), `authenticator` certbot's plugin (dns-cloudflare …), and `options`
    its options as certbot calls them in the file (dns_cloudflare_credentials …). What is not known
    is empty, and left out.
    """

    server: str
    account: str
    key_type: str
    authenticator: str
    options: Mapping[str, str] = field(default_factory=dict)


def renewal_by(acme: Acme, server: str, account: str) -> Renewal:
    """Return how certbot would renew what these settings got from a server, with an account."""
    authenticator, options = "standalone", {}
    if acme.challenge == "dns-01":
        authenticator = f"dns-{acme.dns.provider}"
        plugin = authenticator.replace("-", "_")
        options = {f"{plugin}_credentials": str(acme.dns.token_file)}
    return Renewal(
        server=server,
        account=account,
        key_type=acme.key_type,
        authenticator=authenticator,
        options=options,
    )


def updated(conf: str, renewal: Renewal, paths: Mapping[str, str]) -> str:
    """Return a file's new content; `conf` is what it holds, empty if there is none.

    `paths` are archive_dir and the four links, absolute. The options of an authenticator that is
    there already stay: who wrote them knew what certbot can use. A value that the format has no
    quotes for is left out.
    """
    there = parameters(conf)
    wanted = {
        "server": renewal.server,
        "account": renewal.account,
        **_key_parameters(renewal.key_type),
    }
    if there.get("authenticator") != renewal.authenticator:
        wanted |= {"authenticator": renewal.authenticator, **renewal.options}
    known = {key: value for key, value in wanted.items() if value and _quotes_for(value)}
    lines = conf.removesuffix("\n").split("\n") if conf else [f"version = {_VERSION}"]
    lines = _set(lines, "", paths)
    return "\n".join(_set(lines, _PARAMETERS, known)) + "\n"


def parameters(conf: str) -> dict[str, str]:
    """Return what stands below [renewalparams], with quotes taken off."""
    return {
        key: _unquoted(value)
        for section, key, value in _entries(conf.split("\n"))
        if section == _PARAMETERS and key
    }


def _entries(lines: Iterable[str]) -> list[tuple[str, str, str]]:
    """Return section, key and value of each line; key and value are empty where there is none."""
    section = ""
    found = []
    for line in lines:
        key = value = ""
        if header := _SECTION.fullmatch(line):
            section = header[1]
        elif entry := _ENTRY.fullmatch(line):
            key, value = entry[1], entry[2]
        found.append((section, key, value))
    return found


def _set(lines: list[str], section: str, wanted: Mapping[str, str]) -> list[str]:
    """Return the lines with these values in a section; new ones stand at its end."""
    lines = list(lines)
    missing = dict(wanted)
    end = None
    for number, (here, key, value) in enumerate(_entries(lines)):
        if here != section:
            continue
        if key or lines[number].strip().startswith("["):
            end = number + 1
        if key in missing:
            new = missing.pop(key)
            if _unquoted(value) != new:
                lines[number] = f"{key} = {_quoted(new)}"
    if end is None:
        lines += ["", f"[{section}]"] if section else []
        end = len(lines) if section else 0
    lines[end:end] = [f"{key} = {_quoted(value)}" for key, value in missing.items()]
    return lines


def _key_parameters(key_type: str) -> dict[str, str]:
    kind, _, size = key_type.partition("-")
    if kind == "rsa":
        return {"key_type": "rsa", "rsa_key_size": size}
    return {"key_type": "ecdsa", "elliptic_curve": f"sec{size}r1"}


def _quoted(value: str) -> str:
    if value and not re.search(r"""[,#'"\r\n]|^\s|\s$""", value):
        return value
    quote = _quotes_for(value)
    return f"{quote}{value}{quote}"


def _quotes_for(value: str) -> str:
    """Return the quotes that a value can stand in; empty if it has all kinds in itself."""
    return next((quote for quote in _QUOTES if quote not in value), "")


def _unquoted(value: str) -> str:
    if quoted := _QUOTED.match(value):
        return quoted[2]
    return value.partition("#")[0].rstrip()
