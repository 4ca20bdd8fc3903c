"""The fields of a page that is one document: its style and script are allowed by their hashes.

The self-test page and the admin page are such; the pages of errors have `proxy.page`'s own.
"""

from base64 import b64encode
from collections.abc import Iterable
from hashlib import sha256


def fields(style: str, script: str, connect: Iterable[str] = ()) -> dict[str, str]:
    """Return the fields of a page whose elements hold just this style and this script.

    `connect` are the sources (CSP 3 section 2.3.1) that its script may ask beside its own origin.
    """
    return {
        "Content-Type": "text/html; charset=utf-8",
        "Cache-Control": "no-store",
        "X-Content-Type-Options": "nosniff",
        "Referrer-Policy": "no-referrer",
        "Content-Security-Policy": "; ".join(
            (
                "default-src 'none'",
                f"script-src {_source(script)}",
                f"style-src {_source(style)}",
                " ".join(["connect-src 'self'", *connect]),
                "img-src data:",
                "base-uri 'none'",
                "form-action 'none'",
                "frame-ancestors 'none'",
            )
        ),
    }


def _source(text: str) -> str:
    """Return the element of a policy that allows just this (CSP 3 section 2.3.1)."""
    return f"'sha256-{b64encode(sha256(text.encode()).digest()).decode()}'"
