"""Nothing secret and nothing that breaks a line gets into a log."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exoproxy.rules.redaction import NO_REQUEST, escape, shown, target
from heads import request

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
    assert target(b"/?" + b"k" * 32 + b"=v") == "/?" + "k" * 32 + "=…"
    assert target(b"/?" + b"k" * 33 + b"=v") == "/?…=…"
    assert target(b"/" * 1024 + b";a=b") == "/" * 1024 + "…"


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
        b"/lab?" + CANARY + b"=1",
        b"/lab?a[" + CANARY + b"]=1",
        b"/lab;" + CANARY,
        b"/lab;jsessionid=" + CANARY + b"/b;c=" + CANARY,
        b"/" + b"a" * 1010 + b";jsessionid=" + CANARY,
    ],
)
def test_canary_in_a_query_is_never_shown(raw: bytes) -> None:
    """Wherever a secret stands in a query, the log does not hold it."""
    assert CANARY.decode() not in target(raw)


@pytest.mark.parametrize(
    "name",
    [
        "Authorization",
        "Cookie",
        "Proxy-Authorization",
        "Referer",
        "Sec-WebSocket-Extensions",
        "Sec-WebSocket-Protocol",
        "X-AUTH-TOKEN",
        "X-Service-Token",
        "X-Subject-Token",
        "X-Unknown",
        "x-caf",
    ],
)
def test_canary_in_a_field_is_never_shown(name: str) -> None:
    """What is shown is a list, so a field that carries a secret is not on it."""
    asked = request("GET /lab?token=t", "Host: a:1", f"{name}: {CANARY.decode()}", "User-Agent: x")

    assert shown(asked) == ("GET", "a", "/lab?token=…", "x")
    assert CANARY.decode() not in repr(asked)


def test_an_authority_is_not_shown() -> None:
    """CONNECT is refused, and its target may be `user:password@host:port`."""
    asked = request("CONNECT " + CANARY.decode() + "@a:443", "Host: a")

    assert shown(asked).target == "-"


def test_the_list_has_four_entries() -> None:
    """Whoever adds one has to think of what it may hold."""
    assert NO_REQUEST._fields == ("method", "host", "target", "agent")
    assert shown(None) == NO_REQUEST


def test_the_user_agent_is_shown_escaped() -> None:
    """On one line, and its beginning."""
    hostile = request("GET /", "Host: a", 'User-Agent: x"\\\xe9' + "y" * 300)

    assert shown(hostile).agent == "x\\x22\\x5C\\xE9" + "y" * 252 + "…"
    assert shown(request("GET /", "Host: a")).agent == ""
