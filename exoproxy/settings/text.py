"""Text out of a configuration file: how it is shown in a message, and what all parsers share.

A parser (here, in `addresses` and in `names`) takes what YAML gave, text or number or list, or the
value as it was parsed before. It returns the value in its one canonical form, or raises ValueError
with the sentence that the operator reads: what is wrong, and an example of what is right.
"""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Final

# Digits without sign, spaces and leading zeros, ASCII only: `int()` takes more than that.
_PORT: Final = re.compile(r"[1-9][0-9]{0,4}")
_URL_PATH: Final = re.compile(r"(?:/[A-Za-z0-9._~-]+)+")
_WORD: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,62}")
_KEY_ID: Final = re.compile(r"[!-~]{1,256}")
_ZONE_ID: Final = re.compile(r"[0-9a-f]{32}")
_LONGEST_SHOWN: Final = 60
_LONGEST_TEXT: Final = 1024


def shown(value: object) -> str:
    """Return `value` for a message: quoted, in ASCII, without control characters, not too long."""
    match value:
        case None:
            return "null"
        case bool():
            return "true" if value else "false"
        case dict():
            return "a mapping"
        case list() | tuple():
            return "a list"
    text = ascii(value)
    return text if len(text) <= _LONGEST_SHOWN else f"{text[:_LONGEST_SHOWN]}…"


def text_of(value: object, wanted: str) -> str:
    """Return `value` if it is text; `wanted` says what should stand there, with an example."""
    if not isinstance(value, str) or not value:
        raise ValueError(f"{shown(value)} should be {wanted}")
    if len(value) > _LONGEST_TEXT:
        raise ValueError(f"{shown(value)} is far too long; it should be {wanted}")
    return value


def instead(parse: Callable[[object], object], candidate: str, example: str) -> str:
    """Return "write" and the candidate, when it is right by itself, else "write" and an example."""
    try:
        return f"write {parse(candidate)}"
    except ValueError:
        return f"write {example}"


def parse_port(text: str, whole: str) -> int:
    """Return a port from 1 to 65535; `whole` is the text that it stands in."""
    if not _PORT.fullmatch(text) or int(text) > 65535:
        raise ValueError(
            f"{shown(whole)} has a wrong port: it should be a number from 1 to 65535 "
            "without leading zeros"
        )
    return int(text)


def parse_path(value: object) -> Path:
    """Return an absolute path; it need not exist."""
    if isinstance(value, Path):
        value = str(value)
    text = text_of(value, "an absolute path, e.g. /etc/exoproxy/cloudflare.token")
    if not text.isprintable():
        raise ValueError(f"{shown(text)} has a control character; it should be an absolute path")
    if not text.startswith("/"):
        raise ValueError(
            f"{shown(text)} should be an absolute path: it begins with a slash, and `~` or "
            "variables mean nothing in it"
        )
    return Path(text)


def parse_url_path(value: object) -> str:
    """Return the path below which something is served: `/name` or more segments, no end slash."""
    wanted = "a path of letters, digits and hyphens with a slash before each, e.g. /proxy"
    text = text_of(value, wanted)
    if not _URL_PATH.fullmatch(text) or "/." in text:
        raise ValueError(f"{shown(text)} should be {wanted}")
    return text


def parse_word(value: object) -> str:
    """Return a name that can stand in a command line, a unit's name and a metric's label."""
    wanted = "letters, digits, `.`, `_` and `-`, 63 at most, a letter or digit first"
    text = text_of(value, wanted)
    if not _WORD.fullmatch(text):
        raise ValueError(f"{shown(text)} should be {wanted}, e.g. RegionOne")
    return text


def parse_key_id(value: object) -> str:
    """Return the id of an account's key, in whatever form an authority gives them out."""
    wanted = "the key's id as the authority gave it, without spaces, e.g. kid-1"
    text = text_of(value, wanted)
    if not _KEY_ID.fullmatch(text):
        raise ValueError(f"{shown(text)} should be {wanted}")
    return text


def parse_zone_id(value: object) -> str:
    """Return the id of a DNS zone at Cloudflare."""
    wanted = (
        "the zone's id, 32 hexadecimal digits, as Cloudflare's overview page of the zone has it"
    )
    text = text_of(value, wanted).lower()
    if not _ZONE_ID.fullmatch(text):
        raise ValueError(f"{shown(value)} should be {wanted}")
    return text
