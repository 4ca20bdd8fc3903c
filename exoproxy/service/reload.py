"""What a reload may change, and what waits for a restart. Values in, values out."""

from typing import Final

from exoproxy.settings.model import Settings
from exoproxy.settings.sites import Main, Region
from exoproxy.sites import region_of

# The sockets are open, and the state is in use.
_FIXED: Final = ("listen", "redirect_listen", "admin_listen")


def with_what_is_fixed(running: Settings, read: Settings, region: str | None) -> Settings:
    """Return the settings that were read, with what can't change while running as it runs.

    Raises `KeyError` where what is served is no longer in them.
    """
    settings = read.model_copy(update={"state_dir": running.state_dir})
    before, after = part_of(running, region), part_of(read, region)
    part = after.model_copy(update={key: getattr(before, key) for key in _FIXED})
    if region is None or settings.uap is None:
        return settings.model_copy(update={"main": part})
    regions = {**settings.uap.regions, region: part}
    return settings.model_copy(update={"uap": settings.uap.model_copy(update={"regions": regions})})


def waiting(running: Settings, read: Settings, region: str | None, key: str) -> list[str]:
    """Return the keys whose new values take effect at a restart; `key` is that of the part."""
    before, after = part_of(running, region), part_of(read, region)
    found = [f"{key}.{each}" for each in _FIXED if getattr(before, each) != getattr(after, each)]
    return ["state_dir", *found] if running.state_dir != read.state_dir else found


def part_of(settings: Settings, region: str | None) -> Main | Region:
    """Return the settings of a region, or of the main host. Raises `KeyError`."""
    if region is not None:
        return region_of(settings, region)
    if settings.main is None:
        raise KeyError("main")
    return settings.main
