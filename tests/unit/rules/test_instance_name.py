"""Host names of instances, both ways."""

from ipaddress import IPv4Address, IPv6Address, ip_address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exoproxy.errors import NoInstanceName
from exoproxy.rules.instance_name import Instance, host_of, parse

SUFFIX = "proxy.example.com"

ports = st.integers(1, 65535)
# IPv4 in IPv6 form is the one kind of address that has no name: it has that of its IPv4 address.
addresses = st.ip_addresses(v=4) | st.ip_addresses(v=6).filter(
    lambda address: isinstance(address, IPv4Address) or address.ipv4_mapped is None
)


@pytest.mark.rule_cases("instance_name", "named")
def test_name_maps_to_its_instance(host: str, scheme: str, address: str, port: int) -> None:
    """A canonical name gives the scheme, address and port in it."""
    assert parse(host, SUFFIX) == Instance(scheme=scheme, address=ip_address(address), port=port)


@pytest.mark.rule_cases("instance_name", "refused")
def test_other_name_is_refused_with_its_reason(host: str, reason: str) -> None:
    """Whatever is not the one spelling names no instance, and the error says why."""
    with pytest.raises(NoInstanceName) as caught:
        parse(host, SUFFIX)

    assert caught.value.sentence == reason
    assert "http-198-51-100-99-8080.proxy.example.com" in caught.value.hint


@given(st.sampled_from(["http", "https"]), addresses, ports)
def test_instance_survives_the_round_trip(
    scheme: str, address: IPv4Address | IPv6Address, port: int
) -> None:
    """The name of an instance is one label that maps back to it."""
    instance = Instance(scheme=scheme, address=address, port=port)
    host = host_of(instance, SUFFIX)
    label = host.removesuffix(f".{SUFFIX}")

    assert parse(host, SUFFIX) == instance
    assert len(label) <= 63
    assert "." not in label


@given(st.from_regex(r"(http-|https-)?[0-9a-f-]{1,50}", fullmatch=True))
def test_whatever_maps_is_the_one_spelling(label: str) -> None:
    """A label that maps is the canonical one, give or take the prefix https-."""
    try:
        instance = parse(f"{label}.{SUFFIX}", SUFFIX)
    except NoInstanceName:
        return
    canonical = host_of(instance, SUFFIX).removesuffix(f".{SUFFIX}")

    assert canonical in {label, f"https-{label}"}


def test_canonical_name_spells_the_scheme_out() -> None:
    """The name made for an instance always starts with its scheme."""
    instance = Instance(scheme="https", address=IPv6Address("2001:db8::1"), port=443)

    assert host_of(instance, SUFFIX) == "https-2001-db8--1-443.proxy.example.com"
