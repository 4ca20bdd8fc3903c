"""Reading what a DNS provider is paid with: Cloudflare's API token, or a TSIG key (RFC 8945).

The files may be those that certbot's plugins read, so that an operator who comes from there writes
nothing new. What is read never prints: it is a `SecretStr`. Called by `providers`, and by the
commands that check a configuration.
"""

import base64
import binascii
import os
import re
import stat
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from pydantic import SecretStr

from exoproxy.certs.problem import IssuanceProblem

TOKEN_CREDENTIAL: Final = "cloudflare.token"  # noqa: S105 - a file's name
TSIG_CREDENTIAL: Final = "tsig.key"

_MAKE_ONE: Final = (
    "make one at https://dash.cloudflare.com/profile/api-tokens with the "
    "permissions Zone / DNS / Edit and Zone / Zone / Read, for your zone alone"
)
_TSIG_FORMS: Final = (
    'write it as `tsig-keygen NAME` prints it (key "NAME" { algorithm hmac-sha256; '
    'secret "…"; };), or as certbot\'s rfc2136.ini'
)
# RFC 6750 section 2.1. Never a length: Cloudflare has changed it before.
_TOKEN: Final = re.compile(r"[A-Za-z0-9._~+/-]+=*")
_BEARER: Final = re.compile(r"(?:Authorization:\s*)?Bearer(?:\s+|$)", re.IGNORECASE)
_INI_LINE: Final = re.compile(r"(dns_\w+)\s*=\s*(.*)")
_BIND_KEY: Final = re.compile(r'key\s+"?([^\s"{;]+)"?\s*\{(.*?)\}', re.DOTALL)
_BIND_STATEMENT: Final = re.compile(r'(algorithm|secret)\s+"?([^\s";]+)"?\s*;')
_KEY_NAME: Final = re.compile(r"(?=.{1,253}$)[\w-]{1,63}(?:\.[\w-]{1,63})*\.?", re.ASCII)
_ALGORITHMS: Final = (
    "hmac-md5",
    "hmac-sha1",
    "hmac-sha224",
    "hmac-sha256",
    "hmac-sha384",
    "hmac-sha512",
)
_READABLE_BYTES: Final = 65536


@dataclass(frozen=True, slots=True, kw_only=True)
class TsigKey:
    """A key that signs updates: its name, one of the HMAC algorithms, the secret in base64."""

    name: str
    algorithm: str
    secret: SecretStr


def secret_file(configured: Path, credential: str, environment: Mapping[str, str]) -> Path:
    """Return which file holds the secret: systemd's credential if there is one with content."""
    if folder := environment.get("CREDENTIALS_DIRECTORY"):
        given = Path(folder, credential)
        try:
            if given.read_bytes().strip():
                return given
        except FileNotFoundError:
            pass
        except OSError:
            # It is there, or its folder is closed to us: reading it says which.
            return given
    return configured


def read_token(path: Path) -> SecretStr:
    """Return the API token in a file: the bare token, or certbot's cloudflare.ini.

    Raises `IssuanceProblem`.
    """
    lines = _lines(path, f"put Cloudflare's API token there: {_MAKE_ONE}")
    if ini := _ini(lines):
        return SecretStr(_token(path, _token_of_ini(path, ini)))
    if len(lines) > 1:
        raise IssuanceProblem(
            f"The token file {path} has {len(lines)} lines: leave Cloudflare's API token alone on "
            "one line, or write `dns_cloudflare_api_token = TOKEN` as for certbot."
        )
    return SecretStr(_token(path, lines[0]))


def read_tsig_key(path: Path) -> TsigKey:
    """Return the TSIG key in a file: as tsig-keygen prints it, or certbot's rfc2136.ini.

    Raises `IssuanceProblem`.
    """
    lines = _lines(path, f"put the key there that your name server knows: {_TSIG_FORMS}")
    if ini := _ini(lines):
        found = [
            (
                ini.get("dns_rfc2136_name", ""),
                # certbot's own default.
                ini.get("dns_rfc2136_algorithm", "hmac-md5"),
                ini.get("dns_rfc2136_secret", ""),
            )
        ]
    else:
        found = []
        for name, body in _BIND_KEY.findall("\n".join(lines)):
            statements = dict(_BIND_STATEMENT.findall(body))
            found.append((name, statements.get("algorithm", ""), statements.get("secret", "")))
    if len(found) != 1:
        number = len(found) or "no"
        raise IssuanceProblem(f"The key file {path} holds {number} TSIG keys: {_TSIG_FORMS}.")
    name, algorithm, secret = found[0]
    algorithm = algorithm.lower().rstrip(".").removesuffix(".sig-alg.reg.int")
    if not _KEY_NAME.fullmatch(name):
        raise IssuanceProblem(f"The key in {path} has no usable name: {_TSIG_FORMS}.")
    if algorithm not in _ALGORITHMS:
        raise IssuanceProblem(
            f"The key in {path} names no algorithm that is known here: use one of "
            f"{', '.join(_ALGORITHMS)}."
        )
    return TsigKey(name=name, algorithm=algorithm, secret=_base64(path, secret))


def mode_warnings(path: Path) -> list[str]:
    """Return a sentence if others than the file's owner and group may read or write it.

    A group is left alone: it is a way to let a service in. Never a refusal: that took sites down.
    """
    try:
        mode = stat.S_IMODE(path.stat().st_mode)
    except OSError:
        return []
    if not mode & (stat.S_IROTH | stat.S_IWOTH):
        return []
    return [
        f"The secret in {path} can be read or written by every user of this machine (mode "
        f"{mode:o}): run `chmod o= {path}`, and think about a new one."
    ]


def _token_of_ini(path: Path, ini: Mapping[str, str]) -> str:
    if token := ini.get("dns_cloudflare_api_token"):
        return token
    if "dns_cloudflare_api_key" in ini or "dns_cloudflare_email" in ini:
        raise IssuanceProblem(
            f"The file {path} holds a global API key, which opens the whole Cloudflare account; an "
            f"API token is needed: {_MAKE_ONE}, and write it there as "
            "`dns_cloudflare_api_token = TOKEN`."
        )
    raise IssuanceProblem(
        f"The file {path} has no dns_cloudflare_api_token: write "
        f"`dns_cloudflare_api_token = TOKEN`; if there is no token yet, {_MAKE_ONE}."
    )


def _token(path: Path, text: str) -> str:
    text = _BEARER.sub("", _without_quotes(text), count=1).strip()
    if not _TOKEN.fullmatch(text):
        raise IssuanceProblem(
            f"What is in {path} is no API token: it has spaces, quotes or other characters that no "
            "token has; copy the token again, alone on one line."
        )
    return text


def _base64(path: Path, secret: str) -> SecretStr:
    try:
        empty = not base64.b64decode(secret, validate=True)
    except (binascii.Error, ValueError):
        empty = True
    if empty:
        raise IssuanceProblem(
            f"The secret of the key in {path} is missing or no base64: {_TSIG_FORMS}."
        )
    return SecretStr(secret)


def _ini(lines: list[str]) -> dict[str, str]:
    """Return certbot's settings in these lines; empty if they are none of certbot's."""
    matches = (_INI_LINE.fullmatch(line) for line in lines)
    return {match[1]: _without_quotes(match[2].partition(" #")[0]) for match in matches if match}


def _without_quotes(text: str) -> str:
    text = text.strip()
    if len(text) >= 2 and text[0] == text[-1] and text[0] in "\"'":
        return text[1:-1].strip()
    return text


def _lines(path: Path, what_to_do: str) -> list[str]:
    """Return a file's lines without comments and empty ones; at least one."""
    try:
        with path.open("rb") as file:
            content = file.read(_READABLE_BYTES)
    except FileNotFoundError:
        raise IssuanceProblem(f"The file {path} does not exist: {what_to_do}.") from None
    except PermissionError:
        raise IssuanceProblem(
            f"The file {path} may not be read by the user that exoproxy runs as (id "
            f"{os.geteuid()}): grant it the permission to read the file and to enter its folders."
        ) from None
    except OSError as error:
        raise IssuanceProblem(
            f"The file {path} can't be read ({error.strerror}): {what_to_do}."
        ) from None
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError:
        text = "\x00"
    if any(character < " " and character not in "\t\r\n" for character in text):
        raise IssuanceProblem(
            f"The file {path} has control characters or is no text: {what_to_do}."
        )
    lines = [line.strip() for line in text.splitlines()]
    lines = [line for line in lines if line and not line.startswith(("#", ";", "//"))]
    if not lines:
        raise IssuanceProblem(f"The file {path} is empty: {what_to_do}.")
    return lines
