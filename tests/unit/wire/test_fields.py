"""Fields: looking them up, and what of them crosses the proxy."""

import pytest

from cases import CASES, Case
from exoproxy.wire.fields import HOP_BY_HOP, NEVER_BY_LISTING, Field, Fields, encode
from verdicts import expected, fed, observed

PAIRS: list[Field] = [(b"Host", b"a"), (b"X-A", b"1"), (b"x-a", b"2"), (b"Accept", b" b , C,,d ")]


@fed(case for case in CASES if case.group == "c7")
def test_case(case: Case, feeding: str) -> None:
    """Every case of hop-by-hop fields has its outcome, however its bytes are cut."""
    assert observed(case, feeding) == expected(case, feeding)


def test_get() -> None:
    """A field is found by its lower-case name; of several, the last."""
    fields = Fields(PAIRS)

    assert fields.get(b"host") == b"a"
    assert fields.get(b"x-a") == b"2"
    assert fields.get(b"Host") is None
    assert b"accept" in fields
    assert b"x-b" not in fields


def test_all() -> None:
    """All values of a name come in their order."""
    assert Fields(PAIRS).all(b"x-a") == [b"1", b"2"]
    assert Fields(PAIRS).all(b"x-b") == []
    assert Fields(PAIRS[:2]).all(b"x-a") == [b"1"]


def test_tokens() -> None:
    """A list is split at its commas over all its lines, in lower case, empty elements left out."""
    fields = Fields([*PAIRS, (b"accept", b"E\t")])

    assert fields.tokens(b"accept") == {b"b", b"c", b"d", b"e"}
    assert fields.tokens(b"x-b") == frozenset()


def test_order_and_case_are_kept() -> None:
    """Iterating gives the pairs as they came; `distinct` counts names without their case."""
    fields = Fields(PAIRS)

    assert list(fields) == PAIRS
    assert len(fields) == 4
    assert fields.distinct == 3


def test_no_fields() -> None:
    """A head may be without fields."""
    assert list(Fields()) == []


@pytest.mark.parametrize("name", sorted(HOP_BY_HOP))
def test_hop_by_hop(name: bytes) -> None:
    """Each field that speaks of one connection stays on it, in any case."""
    fields = Fields([(name.upper(), b"x"), (name, b"y"), *PAIRS])

    assert fields.end_to_end() == PAIRS


def test_dropped() -> None:
    """What the caller drops goes with the hop-by-hop fields."""
    fields = Fields([*PAIRS, (b"TE", b"x")])

    assert fields.end_to_end(frozenset({b"host", b"x-a"})) == [PAIRS[3]]


def test_listed_in_connection() -> None:
    """What Connection lists stays here, over all its lines, and what is dropped besides."""
    fields = Fields([(b"Connection", b"X-A"), *PAIRS, (b"connection", b", accept")])

    assert fields.end_to_end() == [PAIRS[0]]
    assert fields.end_to_end(frozenset({b"host"})) == []


@pytest.mark.parametrize("name", sorted(NEVER_BY_LISTING))
def test_never_by_listing(name: bytes) -> None:
    """Fields that route or authorize cross even when Connection lists them."""
    fields = Fields([(b"Connection", name.title()), (name.title(), b"x")])

    assert fields.end_to_end() == [(name.title(), b"x")]


def test_repr_has_no_values() -> None:
    """A repr may end up in a log, so it holds names only."""
    assert repr(Fields([(b"Cookie", b"secret")])) == "Fields([b'Cookie'])"


def test_encode() -> None:
    """Pairs are written one per line, an empty value as well."""
    assert encode([(b"A", b"b"), (b"C", b"")]) == b"A: b\r\nC: \r\n"
