"""From the path of a request target to the name of a file, as a pure function of values.

What is judged here never reaches the file system: a name that comes out has neither dot segments
nor separators that were encoded, and joined to a folder it stays below it, links aside. Those are
`client.tree`'s to judge.
"""

import re
from functools import lru_cache
from typing import Final
from urllib.parse import unquote_to_bytes

from exoproxy.errors import NotFound

INDEX: Final = "index.html"

# A file's name has at most 255 bytes on every file system that Linux has, and a path 4,096.
_LONGEST_SEGMENT: Final = 255
_LONGEST_PATH: Final = 3072

_BAD_PERCENT: Final = re.compile(rb"%(?![0-9A-Fa-f]{2})")
# Separators that were encoded, and what no file of the client has: controls, and the separator of
# other systems, which some software on the way takes for a slash.
_FOREIGN: Final = re.compile(r"[\x00-\x1f\x7f\\/]")

# What ends like this is asked for by a page, not by a person: index.html in its place would be
# taken for a script or an image.
_ASSETS: Final = (
    ".js",
    ".css",
    ".map",
    ".json",
    ".svg",
    ".png",
    ".jpg",
    ".ico",
    ".woff2",
    ".webmanifest",
)


# The same few dozen paths come again and again. At 3 KiB each the memory is bounded to 1.5 MiB.
@lru_cache(maxsize=512)
def file_name(path: bytes) -> str:
    """Return the relative name of the file that a path names; a folder's is its index.html.

    `path` is in origin form, as received. Raises `NotFound` for a path that can't name a file:
    dot segments and dot files, empty segments, encoded separators, broken percent-encoding, what
    is no UTF-8, control characters, and names that are too long.
    """
    if len(path) > _LONGEST_PATH or not path.startswith(b"/") or _BAD_PERCENT.search(path):
        raise NotFound
    *folders, last = path[1:].split(b"/")
    segments = [_segment(raw) for raw in folders]
    segments.append(_segment(last) if last else INDEX)
    return "/".join(segments)


def is_asset(name: str) -> bool:
    """Tell whether a name ends in an asset's extension, so that no page may stand in for it."""
    return name.lower().endswith(_ASSETS)


def _segment(raw: bytes) -> str:
    """Return a path segment decoded, once; raises `NotFound` for one that names no file."""
    try:
        segment = unquote_to_bytes(raw).decode("utf-8")
    except UnicodeDecodeError:
        raise NotFound from None
    if (
        not segment
        or segment.startswith(".")
        or len(segment.encode()) > _LONGEST_SEGMENT
        or _FOREIGN.search(segment)
    ):
        raise NotFound
    return segment
