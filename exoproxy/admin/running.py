"""What the admin site reads of the process that it is in. `service` provides it; nothing is set.

Everything is asked for at the moment of a request, so that after a reload the new is shown.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Protocol

from exoproxy.certs.keeper import Keeper
from exoproxy.certs.serving import ServingCertificate
from exoproxy.main import MainSite
from exoproxy.net.caps import Caps
from exoproxy.ops.traffic import Traffic
from exoproxy.server import Server
from exoproxy.settings.model import Settings
from exoproxy.uap import UapSite


@dataclass(frozen=True, slots=True, kw_only=True)
class ConfigurationState:
    """Where the configuration comes from, and how the last reload went.

    `loaded` is when the one in use was read. `problem` says why the last reload left it as it was,
    None if it did not. `pending` are keys whose new values wait for a restart. `reloads` and
    `failed_reloads` count since the start.
    """

    file: Path
    loaded: datetime
    problem: str | None = None
    pending: tuple[str, ...] = ()
    reloads: int = 0
    failed_reloads: int = 0


class Running(Protocol):
    """A process at work. `started` is aware; `mode` is `main` or `uap`, `region` the UAP's."""

    @property
    def settings(self) -> Settings:
        """What is in use."""

    @property
    def configuration(self) -> ConfigurationState:
        """Where that comes from."""

    @property
    def mode(self) -> str:
        """The command."""

    @property
    def region(self) -> str | None:
        """The region of a UAP."""

    @property
    def hostname(self) -> str:
        """The name that is served."""

    @property
    def started(self) -> datetime:
        """When the process began."""

    @property
    def draining(self) -> bool:
        """Whether it is about to end."""

    @property
    def servers(self) -> Sequence[Server]:
        """The sites on their sockets; empty as long as nothing is served."""

    @property
    def caps(self) -> Caps:
        """The places of clients."""

    @property
    def certificate(self) -> ServingCertificate:
        """What TLS connections get."""

    @property
    def keeper(self) -> Keeper | None:
        """Who keeps that fresh."""

    @property
    def traffic(self) -> Traffic:
        """What has passed."""

    @property
    def site(self) -> MainSite | UapSite:
        """The site of the mode."""
