"""Which certificates the configuration asks an authority for, and where they are kept.

The serving process, the issuance process and the commands must agree on this, so that it stands
here once. Light to import: neither the ACME client nor a DNS provider is.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from exoproxy.certs.certbot.lineage import Stored
from exoproxy.certs.context import ari_id, covers
from exoproxy.certs.state import State
from exoproxy.certs.store import Store
from exoproxy.rules.renewal import Action, Life, NoWindow, Window, next_action
from exoproxy.settings.load import state_dir
from exoproxy.settings.location import dotted
from exoproxy.settings.model import Settings
from exoproxy.settings.sites import Main, Region

# https://letsencrypt.org/docs/acme-protocol-updates, https://letsencrypt.org/docs/staging-environment
_DIRECTORIES: Final = {
    "letsencrypt": "https://acme-v02.api.letsencrypt.org/directory",
    "letsencrypt-staging": "https://acme-staging-v02.api.letsencrypt.org/directory",
}


class Unknown(Exception):
    """No such certificate is wanted, or several are; the message says what to write."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """A certificate that `key` of the configuration asks for: `names`, the first of them its name.

    `directory` is the URL of the authority that shall issue it.
    """

    key: str
    names: tuple[str, ...]
    directory: str

    @property
    def name(self) -> str:
        """Return what it is called in the store and on the command line: its host name."""
        return self.names[0]

    def life(self, stored: Stored | None, state: State) -> Life | None:
        """Return the life of what is stored, or None where it is not what is wanted.

        A certificate by another authority counts as none, so that the one from staging does not
        stay; where the authority is not known, as after the state was lost, it counts.
        """
        if stored is None or state.directory not in ("", self.directory):
            return None
        if not all(covers(stored.certificate, name) for name in self.names):
            return None
        return Life(
            not_before=stored.certificate.not_valid_before_utc,
            not_after=stored.certificate.not_valid_after_utc,
            serial=stored.certificate.serial_number,
        )

    def window(self, stored: Stored | None, state: State) -> Window | NoWindow | None:
        """Return what the authority said about the stored certificate, None if that is unknown.

        What the state holds may have been said about its predecessor.
        """
        same = stored is not None and state.window_of == ari_id(stored.certificate)
        return state.window if same else None

    def next_action(self, stored: Stored | None, state: State, now: datetime) -> Action:
        """Return what is to be done about what is stored, by the rules of renewal; `now` is aware.

        The serving process and the one that issues both decide by this.
        """
        life, window = self.life(stored, state), self.window(stored, state)
        return next_action(life, window, state.history, now)


def wanted(settings: Settings) -> list[Wanted]:
    """Return the certificates that all hosts of the file together want from an authority."""
    directory = directory_url(settings.acme.directory)
    return [
        Wanted(key=f"{key}.certificate", names=names, directory=directory)
        for key, site, names in sites(settings)
        if site.certificate == "acme"
    ]


def chosen(settings: Settings, names: Sequence[str]) -> list[Wanted]:
    """Return the wanted certificates with these names, or the only one. Raises `Unknown`."""
    known = {each.name: each for each in wanted(settings)}
    if not known:
        raise Unknown("no `certificate:` is acme, so there is none to get from an authority")
    if not names and len(known) > 1:
        raise Unknown(f"there are several certificates; name this host's: {', '.join(known)}")
    for name in names:
        if name not in known:
            raise Unknown(
                f"no host with `certificate: acme` is called {name!a}; there is {', '.join(known)}"
            )
    return [known[name] for name in dict.fromkeys(names or known)]


def sites(settings: Settings) -> Iterator[tuple[str, Main | Region, tuple[str, ...]]]:
    """Yield the key of each mode's settings, the settings, and the names it is served by."""
    if main := settings.main:
        yield "main", main, (main.hostname,)
    for name, region in settings.uap.regions.items() if settings.uap else ():
        key = dotted(("uap", "regions", name))
        yield key, region, (region.hostname, f"*.{region.hostname}")


def directory_url(directory: str) -> str:
    """Return the URL for what `acme.directory` says, a known name or a URL."""
    return _DIRECTORIES.get(directory, directory)


def store_of(settings: Settings) -> Store:
    """Return the store that all certificates of this host are kept in."""
    return Store(settings.acme.store or state_dir(settings) / "acme")
