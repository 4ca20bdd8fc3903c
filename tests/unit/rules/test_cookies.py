"""Answers of instances that would reach other instances in the browser."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exoproxy.rules.cookies import host_only, keep_to_host, reaches_others
from exoproxy.wire.fields import Fields

attributes = st.sampled_from(
    [
        b"Domain=com",
        b" dOmain = x",
        b"Domain",
        b"Path=/",
        b" Secure",
        b"",
        b"xdomain=1",
        b"a=Domain",
    ]
)


@pytest.mark.rule_cases("cookies", "set_cookie")
def test_cookies_lose_their_domain(before: str, after: str) -> None:
    """Domain attributes go, whatever their spelling, and all other bytes stay."""
    value, changed = host_only(before.encode("latin-1"))

    assert value == after.encode("latin-1")
    assert changed is (before != after)


@given(st.binary(max_size=12), st.lists(attributes))
def test_no_browser_finds_a_domain(cookie: bytes, parts: list[bytes]) -> None:
    """Split as a browser does, the result has no Domain, and a second pass changes nothing."""
    value, _ = host_only(b";".join([cookie, *parts]))
    names = [part.partition(b"=")[0].strip(b" \t").lower() for part in value.split(b";")[1:]]

    assert b"domain" not in names
    assert host_only(value) == (value, False)


def test_answer_keeps_its_other_fields() -> None:
    """Only the cookies with a Domain are changed and counted; order and case stay."""
    fields, changed = keep_to_host(
        [
            (b"SET-cookie", b"a=1; Domain=com"),
            (b"Set-Cookie", b"b=2; Path=/domain"),
            (b"X-Domain", b"a; Domain=com"),
            (b"set-cookie", b"c=3; domain=com; Secure"),
            (b"Strict-Transport-Security", b"max-age=1; includeSubDomains"),
        ]
    )

    assert changed == 2
    assert fields == [
        (b"SET-cookie", b"a=1"),
        (b"Set-Cookie", b"b=2; Path=/domain"),
        (b"X-Domain", b"a; Domain=com"),
        (b"set-cookie", b"c=3; Secure"),
        (b"Strict-Transport-Security", b"max-age=1; includeSubDomains"),
    ]


@pytest.mark.parametrize(
    ("name", "value", "kept"),
    [
        (b"Public-Key-Pins", b'pin-sha256="x"', False),
        (b"PUBLIC-KEY-PINS-REPORT-ONLY", b'pin-sha256="x"', False),
        (b"Clear-Site-Data", b'"cookies"', False),
        (b"clear-site-data", b'"cache", "Cookies"', False),
        (b"Clear-Site-Data", b'"*"', False),
        (b"Clear-Site-Data", b'"clientHints"', False),
        (b"Clear-Site-Data", b'"cache", "storage"', True),
        (b"Public-Key", b"x", True),
    ],
)
def test_answer_loses_what_reaches_further(name: bytes, value: bytes, kept: bool) -> None:
    """Key pins, and clearing the cookies of all instances, stay here; a log-out's rest passes."""
    fields, changed = keep_to_host([(name, value)])

    assert fields == ([(name, value)] if kept else [])
    assert changed == (0 if kept else 1)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        (b"Set-Cookie", True),
        (b"clear-site-data", True),
        (b"Public-Key-Pins", True),
        (b"public-key-pins-report-only", True),
        (b"Content-Type", False),
    ],
)
def test_answers_that_need_no_edit_are_told_by_their_names(name: bytes, expected: bool) -> None:
    """Only an answer with a field that the edit looks at is edited at all."""
    assert reaches_others(Fields([(name, b"x")])) is expected
