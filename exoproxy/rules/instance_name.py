"""The name of an instance's server: `http-198-51-100-99-8080.proxy.example.com`.

Here: the map between such a host name and the scheme, address and port in it. Not here: whether
that address may be dialled (`rules.egress`). The UAP's site calls it once for each host name that
it meets and keeps the result; `exoproxy explain` calls it for the reason.

One label stands before the proxy's own name: `[http-|https-]ADDRESS-PORT`, https without a prefix.
ADDRESS is an IP address whose `.` or `:` is written as `-`. The families can't be confused: an
IPv4 address is exactly four groups between hyphens, none of them empty. An IPv6 address is eight
groups, or it has `::` and so an empty group, even if all its digits are decimal.

One instance has one spelling, lest a rule that was made for one is passed by with another: IPv4
has no leading zeros, and IPv6 is in the form of RFC 5952. Only the prefix `https-` may be left out.
"""

import re
from dataclasses import dataclass
from ipaddress import AddressValueError, IPv4Address, IPv6Address
from typing import Final

from exoproxy.errors import NoInstanceName

_MAX_LABEL: Final = 63  # RFC 1035 section 2.3.4
_GROUPS: Final = re.compile(r"[0-9a-f-]+")
_DECIMAL: Final = re.compile(r"[0-9]+")


@dataclass(frozen=True, slots=True, kw_only=True)
class Instance:
    """A server on an instance: `scheme` is "http" or "https", `port` is 1 to 65535."""

    scheme: str
    address: IPv4Address | IPv6Address
    port: int


def parse(host: str, suffix: str) -> Instance:
    """Return the instance that `host` names under the proxy's own name `suffix`.

    `host` is without port and trailing dot, in any case; `suffix` is lower-case. Raises
    NoInstanceName with the reason; the hint shows the pattern.
    """
    try:
        return _instance(_label(host, suffix))
    except _Reason as reason:
        raise NoInstanceName(str(reason), hint=pattern(suffix)) from None


def host_of(instance: Instance, suffix: str) -> str:
    """Return the name under `suffix` that `parse` maps to `instance`, its scheme spelt out.

    The scheme is always written: it tells the reader what happens, and no label starts with a
    hyphen, as that of `::1` would.
    """
    address = str(instance.address).replace(".", "-").replace(":", "-")
    return f"{instance.scheme}-{address}-{instance.port}.{suffix}"


def pattern(suffix: str) -> str:
    """Return a sentence that shows what an instance's name looks like."""
    return (
        f"Names of instances look like [http-|https-]A-B-C-D-PORT.{suffix}, for example "
        f"http-198-51-100-99-8080.{suffix}; in an IPv6 address a hyphen stands for each colon."
    )


class _Reason(Exception):
    """Why a host name names no instance."""


def _label(host: str, suffix: str) -> str:
    """Return the one label before `suffix`, in lower case."""
    # First of all: str.lower() turns some characters outside ASCII into letters of ASCII.
    if not host.isascii():
        raise _Reason("The host name holds characters outside ASCII; digits are 0 to 9.")
    lower = host.lower()
    if lower == suffix:
        raise _Reason("This is the proxy's own name; it names no instance.")
    label = lower.removesuffix(f".{suffix}")
    if label == lower:
        raise _Reason("The host name does not end in the proxy's own name.")
    if "." in label:
        raise _Reason("An instance's name is one label before the proxy's own name, not several.")
    if len(label) > _MAX_LABEL:
        raise _Reason(f"A label of a host name has at most {_MAX_LABEL} characters.")
    return label


def _instance(label: str) -> Instance:
    scheme = "https"
    for known in ("http", "https"):
        if label.startswith(f"{known}-"):
            scheme = known
            label = label.removeprefix(f"{known}-")
            break
    if not _GROUPS.fullmatch(label):
        raise _Reason("The label holds more than a scheme, an IP address and a port.")
    text, _, port = label.rpartition("-")
    return Instance(scheme=scheme, address=_address(text.split("-")), port=_port(port))


def _address(groups: list[str]) -> IPv4Address | IPv6Address:
    if "" in groups[1:] or len(groups) == 8:
        return _ipv6(":".join(groups))
    if len(groups) != 4:
        raise _Reason(
            "The label holds neither the four octets of an IPv4 address "
            "nor the groups of an IPv6 address before the port."
        )
    return IPv4Address(bytes([_octet(group) for group in groups]))


def _octet(text: str) -> int:
    value = _decimal(text, "An octet of the address")
    if value > 255:
        raise _Reason("An octet of the address is above 255.")
    return value


def _ipv6(text: str) -> IPv6Address:
    try:
        address = IPv6Address(text)
    except AddressValueError:
        raise _Reason("The groups before the port are no IPv6 address.") from None
    if address.ipv4_mapped is not None:
        raise _Reason("The address is an IPv4 address in IPv6 form; an instance has one name.")
    if str(address) != text:
        raise _Reason("The IPv6 address is not in its shortest form (RFC 5952).")
    return address


def _port(text: str) -> int:
    value = _decimal(text, "The port")
    if not 1 <= value <= 65535:
        raise _Reason("The port is not between 1 and 65535.")
    return value


def _decimal(text: str, what: str) -> int:
    if not _DECIMAL.fullmatch(text):
        raise _Reason(f"{what} is no decimal number.")
    if len(text) > 1 and text[0] == "0":
        raise _Reason(f"{what} has a leading zero.")
    return int(text)
