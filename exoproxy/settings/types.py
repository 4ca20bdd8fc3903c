"""The types of the keys: parsers of `text`, `addresses` and `names`, as pydantic takes them."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Final

from pydantic import GetCoreSchemaHandler, GetJsonSchemaHandler
from pydantic_core import CoreSchema, core_schema

from exoproxy.settings.addresses import (
    Address,
    ListenAddress,
    Network,
    PortRange,
    parse_address,
    parse_network,
)
from exoproxy.settings.names import (
    DnsServer,
    HostPattern,
    parse_acme_directory,
    parse_email,
    parse_hostname,
    parse_origin,
    parse_url,
)
from exoproxy.settings.text import (
    parse_key_id,
    parse_path,
    parse_url_path,
    parse_word,
    parse_zone_id,
    shown,
)

_YEAR: Final = 366 * 24 * 3600
_TEXT: Final = {"type": "string"}


# Equal by identity alone, because typing hashes metadata and a schema is a dict.
@dataclass(frozen=True, slots=True, eq=False)
class As:
    """Tells pydantic which parser makes the value, and the schema how it stands in the file."""

    parse: Callable[[object], object]
    schema: dict[str, Any]

    def __get_pydantic_core_schema__(
        self, _source: object, _handler: GetCoreSchemaHandler
    ) -> CoreSchema:
        written = core_schema.plain_serializer_function_ser_schema(str, when_used="json")
        return core_schema.no_info_plain_validator_function(
            self.parse, serialization=written if "string" in self.schema["type"] else None
        )

    def __get_pydantic_json_schema__(
        self, _schema: CoreSchema, _handler: GetJsonSchemaHandler
    ) -> dict[str, Any]:
        return dict(self.schema)


def _switch(value: object) -> bool:
    """Return true or false; `yes`, `on`, 1 and quoted words are none of them."""
    if not isinstance(value, bool):
        raise ValueError(f"{shown(value)} should be true or false, without quotes")
    return value


def _whole(unit: str, example: int, *, low: int = 1, high: int = 2**31 - 1) -> As:
    """Return the type of a whole number of `unit` between two bounds, both included."""

    def parse(value: object) -> int:
        if not isinstance(value, int) or isinstance(value, bool):
            quotes = ", without quotes" if isinstance(value, str) and value.isdecimal() else ""
            raise ValueError(
                f"{shown(value)} should be a whole number of {unit}{quotes}, e.g. {example}"
            )
        if not low <= value <= high:
            raise ValueError(f"{value} should be from {low} to {high} {unit}, e.g. {example}")
        return value

    return As(parse, {"type": "integer", "minimum": low, "maximum": high})


Switch = Annotated[bool, As(_switch, {"type": "boolean"})]
Seconds = Annotated[int, _whole("seconds", 75, high=_YEAR)]
SecondsOrNone = Annotated[int, _whole("seconds", 75, low=0, high=_YEAR)]
# What the kernel takes: TCP_KEEPIDLE and TCP_KEEPINTVL, TCP_KEEPCNT, TCP_USER_TIMEOUT (a signed
# number of milliseconds). More would fail at the first connection, not at start.
ProbeSeconds = Annotated[int, _whole("seconds", 60, high=32767)]
Probes = Annotated[int, _whole("probes", 4, high=127)]
UserTimeout = Annotated[int, _whole("seconds", 120, high=(2**31 - 1) // 1000)]
Connections = Annotated[int, _whole("connections", 64)]
ConnectionsOrNone = Annotated[int, _whole("connections", 64, low=0)]
Refusals = Annotated[int, _whole("refusals", 300, low=0, high=1_000_000)]
FieldCount = Annotated[int, _whole("header fields", 100, low=16, high=10_000)]
Answers = Annotated[int, _whole("answers", 8, low=0, high=1000)]
# Below a kilobyte no real request passes, above 16 MiB one client can fill the memory.
HeadBytes = Annotated[int, _whole("bytes", 65536, low=1024, high=2**24)]
Bytes = Annotated[int, _whole("bytes", 65536, low=1024)]
BytesOrNone = Annotated[int, _whole("bytes", 1048576, low=0, high=2**62)]

File = Annotated[Path, As(parse_path, _TEXT)]
Hostname = Annotated[str, As(parse_hostname, _TEXT)]
RegionName = Annotated[str, As(parse_word, _TEXT)]
Origin = Annotated[str, As(parse_origin, _TEXT)]
Url = Annotated[str, As(parse_url, _TEXT)]
UrlPath = Annotated[str, As(parse_url_path, _TEXT)]
Email = Annotated[str, As(parse_email, _TEXT)]
AcmeDirectory = Annotated[str, As(parse_acme_directory, _TEXT)]
KeyId = Annotated[str, As(parse_key_id, _TEXT)]
ZoneId = Annotated[str, As(parse_zone_id, _TEXT)]
ProfileName = Annotated[str, As(parse_word, _TEXT)]
Hosts = Annotated[HostPattern, As(HostPattern.parse, _TEXT)]
Resolver = Annotated[DnsServer, As(DnsServer.parse, _TEXT)]
HostAddress = Annotated[Address, As(parse_address, _TEXT)]
Subnet = Annotated[Network, As(parse_network, _TEXT)]
ListenOn = Annotated[ListenAddress, As(ListenAddress.parse, _TEXT)]
Ports = Annotated[PortRange, As(PortRange.parse, {"type": ["string", "integer"]})]
