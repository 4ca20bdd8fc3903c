"""Where in the file a value stands: the keys and list indexes that lead to it."""

import re
from typing import Final

from exoproxy.settings.text import shown

Location = tuple[str | int, ...]

_PLAIN: Final = re.compile(r"[A-Za-z0-9_.-]{1,64}")


def dotted(location: Location) -> str:
    """Return a location as people write it: `main.proxy.allow[2]`; odd keys stand in quotes."""
    text = ""
    for step in location:
        if isinstance(step, int):
            text += f"[{step}]"
        else:
            text += f".{step if _PLAIN.fullmatch(step) else shown(step)}"
    return text.removeprefix(".")


def touches(one: Location, other: Location) -> bool:
    """Tell whether the two are the same value, or one holds the other."""
    return all(a == b for a, b in zip(one, other, strict=False))
