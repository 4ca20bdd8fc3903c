"""Nothing secret and nothing that breaks a line gets into a log."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exoproxy.rules.redaction import LOGGED_FIELDS, escape, logged_fields, target
from exoproxy.wire.fields import Fields

CANARY = b"k4n4rie-5d1f"


def is_one_safe_line(text: str) -> bool:
    plain = text.replace("…", "")
    return plain.isascii() and (not plain or plain.isprintable()) and '"' not in plain


@pytest.mark.rule_cases("redaction", "target")
def test_targets_are_shown_without_values(raw: str, shown: str) -> None:
    """A target is one line; its path is escaped, and its query has keys only."""
    assert target(raw.encode("latin-1")) == shown


@given(st.binary())
def test_any_target_is_one_safe_line(raw: bytes) -> None:
    """Whatever the bytes, the text can stand between quotation marks on one line."""
    assert is_one_safe_line(target(raw))
    assert is_one_safe_line(escape(raw))


@given(st.binary(), st.binary())
def test_escaping_keeps_values_apart(one: bytes, other: bytes) -> None:
    """Two values look the same only if they are the same."""
    assert (escape(one, 9999) == escape(other, 9999)) is (one == other)


def test_long_values_are_cut_visibly() -> None:
    """What is cut off is marked, and what just fits is not."""
    assert escape(b"a" * 256) == "a" * 256
    assert escape(b"a" * 257) == "a" * 256 + "…"
    assert target(b"/" * 1025) == "/" * 1024 + "…"
    assert target(b"/?" + b"k" * 65 + b"=v") == "/?" + "k" * 64 + "…=…"


def test_many_keys_are_cut_visibly() -> None:
    """A query of more keys than the log shows ends in an ellipsis."""
    assert target(b"/?" + b"&".join([b"a=1"] * 32)) == "/?" + "&".join(["a=…"] * 32)
    assert target(b"/?" + b"&".join([b"a=1"] * 33)) == "/?" + "&".join(["a=…"] * 32) + "&…"


def test_long_target_stays_bounded() -> None:
    """The line's length has a bound, whatever is sent."""
    raw = b"/" + b"\x00" * 70_000 + b"?" + b"&".join([b"\x00" * 100 + b"=1"] * 1000)

    assert len(target(raw)) < 4 * (1024 + 32 * 64) + 200


@pytest.mark.parametrize(
    "raw",
    [
        b"/lab?token=" + CANARY,
        b"/lab?" + CANARY,
        b"/lab?" + CANARY + b"=",
        b"/lab?" + CANARY + b"==",
        b"/lab?a=1&code=" + CANARY + b"&state=" + CANARY,
        b"/lab?a=b?" + CANARY,
        b"/lab?=" + CANARY,
        b"/lab?" + b"a&" * 40 + b"token=" + CANARY,
    ],
)
def test_canary_in_a_query_is_never_shown(raw: bytes) -> None:
    """Wherever a secret stands in a query, the log does not hold it."""
    assert CANARY.decode() not in target(raw)


@pytest.mark.parametrize(
    "name",
    [
        b"Authorization",
        b"Cookie",
        b"Proxy-Authorization",
        b"Referer",
        b"Sec-WebSocket-Protocol",
        b"Set-Cookie",
        b"X-AUTH-TOKEN",
        b"X-Service-Token",
        b"X-Subject-Token",
        b"X-Unknown",
        b"x-caf\xe9",
    ],
)
def test_canary_in_a_field_is_never_shown(name: bytes) -> None:
    """Only listed fields are shown, so one that carries a secret is not."""
    assert logged_fields(Fields([(name, CANARY), (b"Host", b"a")])) == {"host": "a"}
    assert name.lower() not in LOGGED_FIELDS


def test_listed_fields_are_shown_escaped() -> None:
    """A listed field is shown under its lower-case name, on one line."""
    fields = Fields([(b"User-Agent", b'x"\x1b[31m'), (b"ORIGIN", b"https://a.example")])

    assert logged_fields(fields) == {
        "user-agent": "x\\x22\\x1b[31m",
        "origin": "https://a.example",
    }
