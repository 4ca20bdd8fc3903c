"""Host names, host patterns, web origins and URLs as they stand in a configuration file."""

import re
from dataclasses import dataclass
from ipaddress import IPv4Address
from typing import Final

from exoproxy.settings.addresses import parse_address
from exoproxy.settings.text import instead, parse_port, shown, text_of

_LABEL: Final = re.compile(r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?")
# Resolvers read 127.1, 0x7f000001, 2130706433 and 0177.0.0.1 as addresses (inet_aton): a last label
# like these makes the whole a number, whatever stands before it (WHATWG URL, "ends in a number").
_NUMERIC: Final = re.compile(r"[0-9]+|0x[0-9a-f]*")
_LOCAL_PART: Final = re.compile(
    r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+(?:\.[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+)*"
)


def _without_scheme(text: str) -> str:
    """Return what stands between `://` and the path, the query or the fragment."""
    return re.split(r"[/?#]", text.partition("://")[2], maxsplit=1)[0]


def parse_hostname(value: object) -> str:
    """Return a DNS name of letters, digits and hyphens (RFC 1123 section 2.1), in lower case."""
    example = "my-example.exosphere.app"
    text = text_of(value, f"a host name, e.g. {example}")
    if "://" in text:
        write = instead(parse_hostname, _without_scheme(text).partition(":")[0], example)
        raise ValueError(f"{shown(text)} is a URL; {write}")
    if text.startswith("*."):
        raise ValueError(
            f"{shown(text)} has a wildcard; {instead(parse_hostname, text.lstrip('*.'), example)}"
        )
    if "/" in text:
        write = instead(parse_hostname, text.partition("/")[0], example)
        raise ValueError(f"{shown(text)} has a path; {write}")
    if text.startswith("[") or text.count(":") > 1:
        raise ValueError(f"{shown(text)} is an address; a host name belongs here, e.g. {example}")
    if ":" in text:
        write = instead(parse_hostname, text.partition(":")[0], example)
        raise ValueError(f"{shown(text)} has a port; {write}")
    if text.endswith("."):
        write = instead(parse_hostname, text.rstrip("."), example)
        raise ValueError(f"{shown(text)} ends in a dot; {write}")
    if not text.isascii():
        raise ValueError(
            f"{shown(text)} has characters outside ASCII; write the name as the DNS has it (xn--…)"
        )
    host = text.lower()
    labels = host.split(".")
    if _NUMERIC.fullmatch(labels[-1]):
        raise ValueError(
            f"{shown(text)} is, or looks like, an address; a host name belongs here, e.g. {example}"
        )
    if len(host) > 253 or not all(_LABEL.fullmatch(label) for label in labels):
        raise ValueError(
            f"{shown(text)} is no host name: it should be labels of letters, digits and hyphens "
            f"with dots between, e.g. {example}"
        )
    return host


def parse_host(text: str) -> str:
    """Return a host name, or an address in canonical form, IPv6 without its brackets.

    Numbers that resolvers would take for addresses (`127.1`, `0x7f000001`) are refused.
    """
    if text.startswith("[") and text.endswith("]"):
        address = parse_address(text[1:-1])
        if address.version == 6:
            return str(address)
    if text.isascii() and _NUMERIC.fullmatch(text.lower().rpartition(".")[2]):
        try:
            return str(IPv4Address(text))
        except ValueError:
            raise ValueError(
                f"{shown(text)} looks like a number, which resolvers take for an address; "
                "write a host name, or an address with four decimal parts, e.g. 203.0.113.7"
            ) from None
    return parse_hostname(text)


@dataclass(frozen=True, slots=True)
class HostPattern:
    """Hosts that may be reached: one host, or all under a suffix; `port` None means any port."""

    host: str
    port: int | None = None
    subdomains: bool = False

    @staticmethod
    def parse(value: object) -> "HostPattern":
        """Return the pattern for `HOST`, `*.SUFFIX` or `HOST:PORT`."""
        if isinstance(value, HostPattern):
            return value
        example = "keystone.example.org:5000"
        text = text_of(value, f"HOST, HOST:PORT or *.SUFFIX, e.g. {example}")
        if "://" in text:
            write = instead(HostPattern.parse, _without_scheme(text), example)
            raise ValueError(f"{shown(text)} is a URL; {write}")
        if "@" in text:
            raise ValueError(f"{shown(text)} should have no user name; write {example}")
        if "/" in text:
            write = instead(HostPattern.parse, text.partition("/")[0], example)
            raise ValueError(f"{shown(text)} has a path; {write}")
        if text in {"*", "*.", "*:*"}:
            raise ValueError(
                f"{shown(text)} would be every host; write `allow_any_public: true` for that, or "
                "*.SUFFIX, e.g. *.example.org"
            )
        if text.startswith("*."):
            suffix, colon, _ = text[2:].partition(":")
            if colon:
                write = instead(HostPattern.parse, f"*.{suffix}", "*.example.org")
                raise ValueError(
                    f"{shown(text)} has a wildcard and a port; {write} (any port), or each "
                    "HOST:PORT by itself"
                )
            return HostPattern(parse_hostname(suffix), subdomains=True)
        if "*" in text:
            raise ValueError(
                f"{shown(text)} has its wildcard in a wrong place; write *.SUFFIX, "
                "e.g. *.example.org"
            )
        if text.count(":") > 1 and not text.startswith("["):
            raise ValueError(f"{shown(text)} should have IPv6 in brackets, e.g. [2001:db8::7]:5000")
        host, colon, port = text.rpartition(":")
        if not colon or text.endswith("]"):
            return HostPattern(parse_host(text))
        return HostPattern(parse_host(host), parse_port(port, text))

    def __str__(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        wildcard = "*." if self.subdomains else ""
        return f"{wildcard}{host}" if self.port is None else f"{wildcard}{host}:{self.port}"


@dataclass(frozen=True, slots=True)
class DnsServer:
    """A DNS server to ask: a host name or an address, and a port."""

    host: str
    port: int = 53

    @staticmethod
    def parse(value: object) -> "DnsServer":
        """Return the server for `HOST` or `HOST:PORT`; a lone IPv6 address needs no brackets."""
        if isinstance(value, DnsServer):
            return value
        text = text_of(value, "HOST or HOST:PORT of a DNS server, e.g. 9.9.9.9 or [2620:fe::fe]:53")
        if text.count(":") > 1 and not text.startswith("["):
            return DnsServer(str(parse_address(text)))
        host, colon, port = text.rpartition(":")
        if not colon or text.endswith("]"):
            return DnsServer(parse_host(text))
        return DnsServer(parse_host(host), parse_port(port, text))

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


def parse_origin(value: object) -> str:
    """Return a web origin as browsers send it (RFC 6454 section 6.2): `https://host[:port]`."""
    example = "https://my-example.exosphere.app"
    text = text_of(value, f"a web origin, e.g. {example}")
    if text == "null":
        raise ValueError(f"'null' is the origin of any sandboxed page; name yours, e.g. {example}")
    if "*" in text:
        raise ValueError(f"{shown(text)} has a wildcard; list each origin, e.g. {example}")
    scheme, separator, rest = text.partition("://")
    if not separator:
        raise ValueError(
            f"{shown(text)} has no scheme; {instead(parse_origin, f'https://{text}', example)}"
        )
    if scheme.lower() == "http":
        raise ValueError(
            f"{shown(text)} should be https: whoever sits on the way could speak for an http "
            f"origin; write {example}, or for work on the client `development_origins: true`"
        )
    if scheme.lower() != "https":
        raise ValueError(f"{shown(text)} should begin with https://, e.g. {example}")
    if "@" in rest:
        raise ValueError(f"{shown(text)} should have no user name; write {example}")
    authority = re.split(r"[/?#]", rest, maxsplit=1)[0]
    if authority != rest:
        write = instead(parse_origin, f"https://{authority}", example)
        raise ValueError(f"{shown(text)} has a path or a slash at the end; {write}")
    if not authority:
        raise ValueError(f"{shown(text)} names no host; write {example}")
    pattern = HostPattern.parse(authority)
    if pattern.port == 443:
        host = str(HostPattern(pattern.host))
        raise ValueError(
            f"{shown(text)} names https's own port, which browsers leave out; write https://{host}"
        )
    return f"https://{pattern}"


def parse_url(value: object) -> str:
    """Return an https URL, or an http one on this very host, unchanged."""
    example = "https://acme.example.org/directory"
    text = text_of(value, f"a URL, e.g. {example}")
    if not text.isascii() or any(character <= " " or character == "\x7f" for character in text):
        raise ValueError(f"{shown(text)} should be a URL without spaces, e.g. {example}")
    scheme = text.partition("://")[0]
    authority = _without_scheme(text)
    if scheme not in {"http", "https"} or not authority or "@" in authority:
        raise ValueError(f"{shown(text)} should be an https URL, e.g. {example}")
    host = HostPattern.parse(authority).host
    if scheme == "http" and host not in {"localhost", "127.0.0.1", "::1"}:
        raise ValueError(
            f"{shown(text)} should be https: secrets are sent there; http is for this host alone"
        )
    return text


def parse_acme_directory(value: object) -> str:
    """Return `letsencrypt`, `letsencrypt-staging` or an ACME directory's URL, unchanged."""
    wanted = "letsencrypt, letsencrypt-staging or an ACME directory's URL"
    text = text_of(value, wanted)
    if text in {"letsencrypt", "letsencrypt-staging"}:
        return text
    if "://" not in text:
        raise ValueError(f"{shown(text)} should be {wanted}")
    return parse_url(text)


def parse_email(value: object) -> str:
    """Return an e-mail address with a plain local part (RFC 5322's dot-atom)."""
    wanted = "an e-mail address, e.g. you@example.org"
    text = text_of(value, wanted)
    local, _, domain = text.rpartition("@")
    if not _LOCAL_PART.fullmatch(local):
        raise ValueError(f"{shown(text)} should be {wanted}")
    try:
        return f"{local}@{parse_hostname(domain)}"
    except ValueError:
        raise ValueError(f"{shown(text)} should be {wanted}") from None
