"""Content types by file name."""

import pytest

from exoproxy.client.content_types import content_type


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("index.html", b"text/html; charset=utf-8"),
        ("config.js", b"application/javascript; charset=utf-8"),
        ("assets/css/toasty.css", b"text/css; charset=utf-8"),
        ("version.json", b"application/json; charset=utf-8"),
        ("assets/img/logo-alt.svg", b"image/svg+xml; charset=utf-8"),
        ("fonts/LICENSE.txt", b"text/plain; charset=utf-8"),
        ("exosphere.webmanifest", b"application/manifest+json; charset=utf-8"),
        ("fonts/a.woff2", b"font/woff2"),
        ("favicon.ico", b"image/x-icon"),
        ("photo.JPG", b"image/jpeg"),
        ("archive.tar.gz", b"application/gzip"),
        ("assets/scripts/mount_ceph.py", b"application/octet-stream"),
        ("js", b"application/octet-stream"),
        ("a.js/b", b"application/octet-stream"),
        ("trailing.", b"application/octet-stream"),
    ],
)
def test_type_follows_the_extension(name: str, expected: bytes) -> None:
    """A name's last extension gives the type, text says UTF-8, and the unknown is opaque bytes."""
    assert content_type(name) == expected
