"""Which origins may call, and what the browser is told."""

import pytest

from exoproxy.rules.cors import (
    Mode,
    Origins,
    answer_fields,
    is_preflight,
    preflight_fields,
    replace,
    request_origin,
)
from exoproxy.wire.fields import Field, Fields

ORIGIN = b"https://my-example.exosphere.app"
ALLOWED = ["https://my-example.exosphere.app", "http://dev.example.org:8080"]


def preflight(*asked: bytes, method: bytes = b"GET") -> Fields:
    return Fields(
        [
            (b"Origin", ORIGIN),
            (b"Access-Control-Request-Method", method),
            *((b"Access-Control-Request-Headers", names) for names in asked),
        ]
    )


def values(fields: list[Field], name: bytes) -> list[bytes]:
    return Fields(fields).all(name)


@pytest.mark.rule_cases("cors", "origin")
def test_origins_are_compared_whole(origin: str, development: str, allowed: bool) -> None:
    """Listed origins are allowed, and nothing that resembles them."""
    mode = None if development == "none" else Mode(development)

    assert Origins.parse(ALLOWED, development=mode).allows(origin.encode()) is allowed


@pytest.mark.rule_cases("cors", "no_origin")
def test_origin_that_no_browser_sends_is_an_error(origin: str, reason: str) -> None:
    """A configured origin that could never match, or would match all, is refused."""
    with pytest.raises(ValueError) as caught:  # noqa: PT011  the sentence is compared below
        Origins.parse(["https://example.org", origin])

    assert str(caught.value) == reason


@pytest.mark.parametrize("origin", ["http://[::1]:8000", "https://192.0.2.1", "http://a:65535"])
def test_addresses_and_ports_are_origins(origin: str) -> None:
    """An origin may have an address for a host, and a port."""
    assert Origins.parse([origin]).allows(origin.encode())


def test_origins_are_false_when_there_are_none() -> None:
    """A site can tell that no answer varies."""
    assert not Origins.parse([])
    assert Origins.parse(ALLOWED)
    assert Origins.parse([], development=Mode.MAIN)


@pytest.mark.parametrize(
    ("fields", "origin"),
    [
        ([], None),
        ([(b"Origin", ORIGIN)], ORIGIN),
        ([(b"ORIGIN", ORIGIN), (b"origin", ORIGIN)], ORIGIN + b", " + ORIGIN),
    ],
)
def test_origin_of_a_request(fields: list[Field], origin: bytes | None) -> None:
    """Two fields give a value that is no origin, whichever of them is allowed."""
    assert request_origin(Fields(fields)) == origin


@pytest.mark.parametrize("missing", [b"origin", b"access-control-request-method"])
def test_options_without_the_fields_is_no_preflight(missing: bytes) -> None:
    """Only OPTIONS with both fields is a preflight; the rest is the application's."""
    assert is_preflight(b"OPTIONS", preflight())
    assert not is_preflight(b"GET", preflight())
    assert not is_preflight(b"OPTIONS", Fields(preflight().end_to_end(frozenset({missing}))))


def test_preflight_is_answered_in_full() -> None:
    """The main host grants its methods, and the names asked for, for a day."""
    answer = preflight_fields(Mode.MAIN, ORIGIN, preflight(b"content-type,exo-proxy-orig-host"))

    assert answer == [
        (b"Access-Control-Allow-Origin", ORIGIN),
        (b"Access-Control-Allow-Credentials", b"true"),
        (b"Access-Control-Allow-Methods", b"GET, POST, PUT, PATCH, DELETE, OPTIONS, HEAD"),
        (b"Access-Control-Max-Age", b"86400"),
        (b"Vary", b"Origin, Access-Control-Request-Method, Access-Control-Request-Headers"),
        (b"Access-Control-Allow-Headers", b"content-type, exo-proxy-orig-host"),
    ]


@pytest.mark.parametrize(
    ("mode", "method", "granted"),
    [
        (Mode.UAP, b"GET", b"GET, POST, OPTIONS, HEAD"),
        (Mode.UAP, b"PROPFIND", b"GET, POST, OPTIONS, HEAD, PROPFIND"),
        (Mode.UAP, b"A B", b"GET, POST, OPTIONS, HEAD"),
        (Mode.UAP, b"", b"GET, POST, OPTIONS, HEAD"),
        (Mode.UAP, b"X" * 33, b"GET, POST, OPTIONS, HEAD"),
        (Mode.MAIN, b"PROPFIND", b"GET, POST, PUT, PATCH, DELETE, OPTIONS, HEAD"),
    ],
)
def test_preflight_methods(mode: Mode, method: bytes, granted: bytes) -> None:
    """The UAP also grants what is asked for, if it is a method."""
    answer = preflight_fields(mode, ORIGIN, preflight(method=method))

    assert values(answer, b"access-control-allow-methods") == [granted]


@pytest.mark.parametrize(
    ("asked", "granted"),
    [
        ((), []),
        ((b"",), []),
        ((b"x-auth-token, , X-B\t",), [b"x-auth-token, X-B"]),
        ((b"a", b"b"), [b"a, b"]),
        ((b"a b, c\x00, d:e, \xe9, (f), ok",), [b"ok"]),
        ((b"a" * 4096,), [b"a" * 4096]),
        ((b"a" * 4097,), []),
        ((b"a," * 2049,), []),
    ],
)
def test_preflight_names(asked: tuple[bytes, ...], granted: list[bytes]) -> None:
    """Names are echoed if they are tokens and not too many."""
    answer = preflight_fields(Mode.MAIN, ORIGIN, preflight(*asked))

    assert values(answer, b"access-control-allow-headers") == granted


def test_own_answers_carry_the_fields() -> None:
    """An answer to an allowed origin names it, allows credentials and exposes the token's field."""
    answer = answer_fields(ORIGIN)

    assert values(answer, b"access-control-allow-origin") == [ORIGIN]
    assert values(answer, b"access-control-allow-credentials") == [b"true"]
    assert b"X-Subject-Token" in values(answer, b"access-control-expose-headers")[0]
    assert b"X-OpenStack-Request-Id" in values(answer, b"access-control-expose-headers")[0]
    assert values(answer, b"vary") == [b"Origin"]


def test_own_answers_to_others_only_vary() -> None:
    """Without an allowed origin there is no CORS field, but caches are told."""
    assert answer_fields(None) == [(b"Vary", b"Origin")]


def test_upstream_fields_are_replaced() -> None:
    """An upstream's own CORS fields give way; the rest keeps its bytes and order."""
    upstream = [
        (b"Content-Type", b"application/json"),
        (b"ACCESS-CONTROL-ALLOW-ORIGIN", b"*"),
        (b"Set-Cookie", b"a=1"),
        (b"Access-Control-Expose-Headers", b"X-A"),
        (b"Access-Control-Anything-New", b"1"),
        (b"Set-Cookie", b"b=2"),
    ]

    assert replace(upstream, ORIGIN) == [
        (b"Content-Type", b"application/json"),
        (b"Set-Cookie", b"a=1"),
        (b"Set-Cookie", b"b=2"),
        *answer_fields(ORIGIN),
    ]


def test_upstream_fields_stay_without_an_allowed_origin() -> None:
    """An application that does its own CORS keeps it for origins that are not ours."""
    upstream = [(b"Access-Control-Allow-Origin", b"https://other.example")]

    assert replace(upstream, None, own_stays=True) == [*upstream, (b"Vary", b"Origin")]


def test_upstream_fields_go_where_the_cloud_has_no_say() -> None:
    """The CCP passes no upstream's CORS on, whoever asks."""
    upstream = [(b"Access-Control-Allow-Origin", b"*"), (b"Accept", b"1")]

    assert replace(upstream, None) == [(b"Accept", b"1"), (b"Vary", b"Origin")]


@pytest.mark.parametrize(
    ("vary", "added"),
    [
        ([], True),
        ([b"Accept-Encoding"], True),
        ([b"X-Origin"], True),
        ([b"Origin"], False),
        ([b"Accept-Encoding", b"Accept , oRIGIN"], False),
        ([b"ORIGIN", b"Accept"], False),
        ([b"*"], False),
    ],
)
@pytest.mark.parametrize("origin", [ORIGIN, None])
def test_vary_is_added_once(vary: list[bytes], added: bool, origin: bytes | None) -> None:
    """An upstream's own Vary lines stay, and Origin is added unless they say it."""
    answer = replace([(b"vary", value) for value in vary], origin)

    assert values(answer, b"vary") == vary + [b"Origin"] * added
