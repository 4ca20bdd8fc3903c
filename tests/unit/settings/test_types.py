"""The types of the keys, as pydantic takes them."""

from typing import Any

import pytest
from pydantic import TypeAdapter, ValidationError

from exoproxy.settings import types


@pytest.mark.parametrize("value", [True, False])
def test_takes_switches(value: bool) -> None:
    """true and false are taken."""
    assert TypeAdapter(types.Switch).validate_python(value) is value


@pytest.mark.parametrize("value", ["true", "yes", 1, 0, None, []])
def test_refuses_other_switches(value: object) -> None:
    """Nothing else is true or false."""
    with pytest.raises(ValidationError, match="should be true or false, without quotes"):
        TypeAdapter(types.Switch).validate_python(value)


@pytest.mark.parametrize(
    ("value", "match"),
    [
        ("75", "whole number of seconds, without quotes, e.g. 75"),
        ("75s", "'75s' should be a whole number of seconds, e.g. 75"),
        (7.5, "7.5 should be a whole number of seconds, e.g. 75"),
        (True, "true should be a whole number"),
        (None, "null should be a whole number"),
        (0, "0 should be from 1 to"),
        (-1, "-1 should be from 1 to"),
        (10**17, "should be from 1 to 31622400 seconds"),
    ],
)
def test_refuses_what_is_no_number_of_seconds(value: object, match: str) -> None:
    """Units, fractions, negative and endless times are refused, in words for people."""
    with pytest.raises(ValidationError, match=match):
        TypeAdapter(types.Seconds).validate_python(value)


def test_takes_zero_where_it_means_none() -> None:
    """A timeout that can be switched off is switched off by 0."""
    assert TypeAdapter(types.SecondsOrNone).validate_python(0) == 0


@pytest.mark.parametrize(
    ("kind", "high"),
    [(types.ProbeSeconds, 32767), (types.Probes, 127), (types.UserTimeout, 2147483)],
)
def test_takes_no_more_than_the_kernel(kind: Any, high: int) -> None:
    """A socket option that the kernel refuses is told at start, not at the first connection."""
    adapter = TypeAdapter(kind)

    assert adapter.validate_python(high) == high
    with pytest.raises(ValidationError, match=f"from 1 to {high}"):
        adapter.validate_python(high + 1)


@pytest.mark.parametrize(
    ("kind", "written"),
    [
        (types.ListenOn, "[::]:443"),
        (types.Subnet, "192.168.0.0/24"),
        (types.HostAddress, "2001:db8::7"),
        (types.Hosts, "*.example.org"),
        (types.Ports, "1-65535"),
        (types.Resolver, "9.9.9.9:53"),
        (types.File, "/etc/exoproxy"),
        (types.Hostname, "example.org"),
    ],
)
def test_writes_what_it_reads(kind: Any, written: str) -> None:
    """Every text form survives reading and writing."""
    adapter = TypeAdapter(kind)

    assert adapter.dump_python(adapter.validate_python(written), mode="json") == written


def test_tells_the_schema_how_a_value_stands_in_the_file() -> None:
    """The schema shows the written form and the bounds, not the parsed value."""
    assert TypeAdapter(types.ListenOn).json_schema() == {"type": "string"}
    assert TypeAdapter(types.Probes).json_schema() == {
        "type": "integer",
        "minimum": 1,
        "maximum": 127,
    }
