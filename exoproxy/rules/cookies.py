"""What an instance's answer may do to its neighbours in the browser.

All instances share one registrable domain, so an answer of one could plant or erase cookies of the
others. Here: the edit of an answer's fields that prevents it. Only the UAP calls it, for each
answer; the count goes into its metrics. Fields of one connection, Alt-Svc among them, are not here:
they never cross the proxy (`wire.fields`).

HSTS passes: with includeSubDomains it still reaches no further than the instance's own label.
"""

import re
from typing import Final

from exoproxy.wire.fields import Field, Fields

# Pins outlive the instance that set them and lock out the one that gets its address next
# (RFC 7469 section 4.5).
_DROPPED: Final = frozenset({b"public-key-pins", b"public-key-pins-report-only"})
_LOOKED_AT: Final = (b"set-cookie", b"clear-site-data", *sorted(_DROPPED))
# These clear cookies for the whole registrable domain ("Clear Site Data" section 3.2); the rest,
# such as "cache" and "storage", stays within the origin.
_CLEARS_COOKIES: Final = re.compile(rb'"(?:cookies|clientHints|\*)"', re.IGNORECASE)


def reaches_others(fields: Fields) -> bool:
    """Tell whether an answer has any field that `keep_to_host` looks at."""
    return any(name in fields for name in _LOOKED_AT)


def keep_to_host(fields: list[Field]) -> tuple[list[Field], int]:
    """Return an instance's fields without what reaches other hosts, and how many were changed."""
    kept: list[Field] = []
    changed = 0
    for pair in fields:
        name = pair[0].lower()
        if name == b"set-cookie":
            value, had_domain = host_only(pair[1])
            if had_domain:
                changed += 1
                pair = (pair[0], value)
        elif name in _DROPPED or (
            name == b"clear-site-data" and _CLEARS_COOKIES.search(pair[1]) is not None
        ):
            changed += 1
            continue
        kept.append(pair)
    return kept, changed


def host_only(set_cookie: bytes) -> tuple[bytes, bool]:
    """Return the value of a Set-Cookie without Domain attributes, and whether there were any.

    A browser splits at each semicolon, be it within quotes or not, and takes the last Domain (RFC
    6265 sections 5.2 and 5.3): so does this, and removes them all. Every other byte stays.
    """
    if b"domain" not in set_cookie.lower():
        return set_cookie, False
    cookie, *attributes = set_cookie.split(b";")
    kept = [attribute for attribute in attributes if not _is_domain(attribute)]
    return b";".join([cookie, *kept]), len(kept) < len(attributes)


def _is_domain(attribute: bytes) -> bool:
    return attribute.partition(b"=")[0].strip().lower() == b"domain"
