"""Hosts and URLs as people give them."""

import pytest

from exoproxy.explain.target import read_target


@pytest.mark.parametrize(
    ("target", "expected"),
    [
        ("a", ("https", "a", "", "/")),
        ("a:1", ("https", "a", "1", "/")),
        ("HTTP://A:1/b?c#d", ("http", "A", "1", "/b?c")),
        ("http://a?c", ("http", "a", "", "/?c")),
        ("https://u:p@a/b@c", ("https", "a", "", "/b@c")),
        (" https://a/\u00fc b ", ("https", "a", "", "/%C3%BC%20b")),
        ("a/%2F%zz", ("https", "a", "", "/%2F%zz")),
        ("::1", ("https", "[::1]", "", "/")),
        ("[::1]:80/x", ("https", "[::1]", "80", "/x")),
        ("[::1", ("https", "[", ":1", "/")),
        ("192.0.2.1", ("https", "192.0.2.1", "", "/")),
    ],
)
def test_reads_targets_as_browsers_do(target: str, expected: tuple[str, ...]) -> None:
    """Scheme, host, port and path; what makes no sense is left for the sites to refuse."""
    asked = read_target(target)

    assert (asked.scheme, asked.host, asked.port, asked.path) == expected
