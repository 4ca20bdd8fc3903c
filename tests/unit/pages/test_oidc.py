"""From a form's token to an address: every byte is kept, and none can do harm."""

import time
from urllib.parse import quote_plus, unquote_to_bytes

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exoproxy.errors import ContentTooLarge, LoginRefused
from exoproxy.pages.oidc import LOGIN, MOST_FIELDS, location
from exoproxy.pages.routes import LONGEST_CONTENT

LONGEST = 65_536


@pytest.mark.parametrize(
    ("form", "token"),
    [
        (b"token=gAAAAABm-_9", "gAAAAABm-_9"),
        (b"token=a%3D%3D", "a%3D%3D"),
        (b"token=a==", "a%3D%3D"),
        (b"token=a+b", "a%20b"),
        (b"token=a%2Bb", "a%2Bb"),
        (b"token=a%26token%3Db", "a%26token%3Db"),
        (b"x=1&token=a&y=2", "a"),
        (b"%74oken=a", "a"),
        (b"&&token=a&", "a"),
        (b"TOKEN=no&token=a", "a"),
        # What is badly encoded stays as it is (URL standard section 1.3).
        (b"token=%", "%25"),
        (b"token=%zz%4", "%25zz%254"),
        # What would end a field, a string or an address if it came through.
        (b"token=a%0D%0ASet-Cookie:%20x=y", "a%0D%0ASet-Cookie%3A%20x%3Dy"),
        (b"token=a\r\nSet-Cookie: x=y", "a%0D%0ASet-Cookie%3A%20x%3Dy"),
        (b"token=a%00b\x00", "a%00b%00"),
        (b"token=%FF%FE\xff", "%FF%FE%FF"),
        (b"token=%C3%AF\xc3\xaf", "%C3%AF%C3%AF"),
        (b"token=//evil.example/#?", "%2F%2Fevil.example%2F%23%3F"),
    ],
)
def test_token_goes_into_the_address(form: bytes, token: str) -> None:
    """The token is decoded from the form and encoded again."""
    assert location(form, LONGEST) == f"/auth/oidc-login?token={token}"


@given(st.binary(min_size=1, max_size=200))
def test_every_token_comes_through(token: bytes) -> None:
    """Whatever bytes a browser posts, the address holds those and nothing that could end it."""
    found = location(b"token=" + quote_plus(token).encode(), LONGEST)

    assert unquote_to_bytes(found.removeprefix(LOGIN)) == token
    assert not set(found.removeprefix(LOGIN)) & set('\r\n\0 &=+#/:<>"\\')


@given(st.binary(max_size=200))
def test_any_form_has_an_address_or_a_reason(form: bytes) -> None:
    """Bytes that are no form are refused, or read as one; nothing else happens."""
    try:
        found = location(form, LONGEST)
    except LoginRefused:
        return

    assert found.startswith(LOGIN)
    assert found.isascii()


@pytest.mark.parametrize(
    ("form", "sentence"),
    [
        (b"", "no token"),
        (b"token", "no token"),
        (b"token=", "no token"),
        (b"=token", "no token"),
        (b"tokens=a&atoken=b&Token=c", "no token"),
        (b'{"token": "a"}', "no token"),
        (b"token=a&token=a", "more than one token"),
        (b"token=a&%74oken=b", "more than one token"),
        (b"token=&token=b", "more than one token"),
        (b"&" * MOST_FIELDS + b"token=a", "more fields"),
    ],
)
def test_forms_without_a_token_of_their_own(form: bytes, sentence: str) -> None:
    """A form without exactly one token is refused with 401; nothing is guessed."""
    with pytest.raises(LoginRefused, match=sentence):
        location(form, LONGEST)


def test_token_has_to_fit_into_a_field() -> None:
    """The longest address that fits passes; a byte more is 413 and no broken answer."""
    longest = LONGEST - len(LOGIN)

    assert len(location(b"token=" + b"a" * longest, LONGEST)) == LONGEST
    assert len(location(b"token=" + b"%61" * longest, LONGEST)) == LONGEST
    for form in (b"token=" + b"a" * (longest + 1), b"token=" + b"%2F" * (longest // 3 + 1)):
        with pytest.raises(ContentTooLarge, match="too long"):
            location(form, LONGEST)


@pytest.mark.parametrize("piece", [b"a&", b"&", b"token=a&", b"%74", b"%", b"token=%41%41", b"+="])
def test_hostile_forms_cost_little(piece: bytes) -> None:
    """No form of the largest size keeps the process busy for a tenth of a second."""
    form = piece * (LONGEST_CONTENT // len(piece))
    started = time.process_time()
    with pytest.raises((LoginRefused, ContentTooLarge)):
        location(form, LONGEST)

    assert time.process_time() - started < 0.1
