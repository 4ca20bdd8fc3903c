"""File names out of request paths: the cases that need no file system."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exoproxy.client.paths import file_name, is_asset
from exoproxy.errors import NotFound


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        (b"/", "index.html"),
        (b"/docs/", "docs/index.html"),
        (b"/docs", "docs"),
        (b"/a/b/c.js", "a/b/c.js"),
        (b"/sp%20ace", "sp ace"),
        (b"/%252e", "%2e"),
        (b"/a;x=1", "a;x=1"),
        (b"/" + b"a" * 255, "a" * 255),
    ],
)
def test_name(path: bytes, expected: str) -> None:
    """A path is decoded once, and a folder's name is its index's."""
    assert file_name(path) == expected


@pytest.mark.parametrize(
    "path",
    [
        b"/" + b"a" * 256,
        b"/" + b"%C3%BC" * 128,
        b"/a" * 1537,
        b"/a\x00b",
        b"/\xc3\xbc\xff",
        b"/" + b"../" * 40,
    ],
)
def test_no_name(path: bytes) -> None:
    """What is too long for a file system, or no text, names no file."""
    with pytest.raises(NotFound):
        file_name(path)


@given(
    st.lists(
        st.sampled_from(
            ["/", "%2f", "%2F", ".", "%2e", "..", "\\", "%5c", "%00", "a", "%", "%c0%af"]
        )
    )
)
def test_no_name_climbs(pieces: list[str]) -> None:
    """Whatever is put together, a name that comes out has only plain segments."""
    try:
        name = file_name("".join(["/", *pieces]).encode())
    except NotFound:
        return

    assert all(part and not part.startswith(".") for part in name.split("/"))
    assert "\\" not in name
    assert "\x00" not in name


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("a.js", True),
        ("a.JS", True),
        ("a/b.webmanifest", True),
        ("a.js/b", False),
        ("my.host.example.org", False),
        ("ajs", False),
        ("index.html", False),
    ],
)
def test_assets_are_told_by_extension(name: str, expected: bool) -> None:
    """Only a name's own last extension makes it an asset."""
    assert is_asset(name) is expected
