"""The link to the active release: which one it leads to, and when that was installed.

All that the serving process asks about releases; what keeps them is `shelf`.
"""

import os
import re
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

RELEASES: Final = "releases"
STAMP: Final = "%Y%m%dT%H%M%SZ"
NAME: Final = re.compile(r"[0-9]{8}T[0-9]{6}Z-[A-Za-z0-9._+-]+")


def active(root: Path) -> str | None:
    """Return the release that the link leads to; None if it is none of ours, or not there."""
    try:
        folder, _, name = os.readlink(root).partition("/")
    except OSError:
        return None
    return name if folder == RELEASES and NAME.fullmatch(name) else None


def installed_at(name: str) -> datetime | None:
    """Return when a release was installed; None where somebody else has made up its name."""
    with suppress(ValueError, OverflowError):
        return datetime.strptime(name.partition("-")[0], STAMP).replace(tzinfo=UTC)
    return None
