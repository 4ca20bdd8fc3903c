"""What a reload brings: all of it is made before anything is replaced.

What can't change while the process runs stays as it is, and is named. `life` puts the rest in the
place of what there was.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from exoproxy.certs.serving import Served, ServingCertificate
from exoproxy.net.dial import Dialer
from exoproxy.service.mode import Mode, mode_of
from exoproxy.settings.load import ConfigurationErrors, load
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


@dataclass(frozen=True, slots=True, kw_only=True)
class Prepared:
    """What is to be put in the place of what runs.

    `served` is what is to be served by the same `certificate` as before; None where another one,
    which is loaded already, takes its place. `waiting` are the keys whose new values take effect at
    a restart.
    """

    mode: Mode
    dialer: Dialer
    certificate: ServingCertificate
    served: Served | None
    waiting: tuple[str, ...]

    def serve(self) -> None:
        """Give it to connections from now on. Raises `CertificateProblem` if it won't do."""
        if self.served is not None:
            self.certificate.serve(self.served)


def prepared(
    running: Mode, certificate: ServingCertificate, own: Mapping[str, Path], config: Path
) -> Prepared:
    """Return what the file says now; a thread does this, as it reads a hundred files.

    `own` are the sockets of our own pages. Raises `ConfigurationErrors`, `CertificateProblem`.
    """
    read = load(config)
    try:
        settings = with_what_is_fixed(running.settings, read, running.region)
    except KeyError:
        raise ConfigurationErrors(
            [f"{config}: {running.key}: is gone, and this process serves it; stop the service"]
        ) from None
    mode = mode_of(settings, running.region, running)
    try:
        mode.warn()
        dialer = mode.dialer(own)
        same = mode.certificate_is_as_in(running)
        served = certificate.load() if same else None
        certificate = certificate if same else mode.certificate()
    except BaseException:
        mode.close()
        raise
    return Prepared(
        mode=mode,
        dialer=dialer,
        certificate=certificate,
        served=served,
        waiting=tuple(waiting(running.settings, read, running.region, running.key)),
    )
