"""The fields of pages that are one document."""

from base64 import b64encode
from hashlib import sha256

from exoproxy.pages.policy import fields


def hashed(text: str) -> str:
    return f"'sha256-{b64encode(sha256(text.encode()).digest()).decode()}'"


def test_allows_this_style_and_script_alone() -> None:
    """Both are allowed by their hashes, and nothing by its place or because it is inline."""
    policy = fields("a {}", "b()")["Content-Security-Policy"].split("; ")

    assert policy[:2] == ["default-src 'none'", f"script-src {hashed('b()')}"]
    assert f"style-src {hashed('a {}')}" in policy
    assert "connect-src 'self'" in policy
    assert "unsafe" not in str(policy)


def test_allows_what_is_to_be_asked() -> None:
    """Hosts that the script asks stand beside its own."""
    policy = fields("", "", ["https://a.example"])["Content-Security-Policy"]

    assert "connect-src 'self' https://a.example;" in policy
