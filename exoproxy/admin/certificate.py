"""The certificate that is served, beside the one that should be; for status, health and metrics."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal

from cryptography import x509

from exoproxy.admin.disk import OnDisk, part_of
from exoproxy.admin.running import Running
from exoproxy.certs.serving import Served
from exoproxy.rules.renewal import Action
from exoproxy.settings.sites import CertificateFiles


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """How the certificate stands.

    `stored` is the one that lies in the store, or in the configured files, as far as it is known.
    `next_action` is None where the renewal is others' business; `failures` and `trouble` tell of
    the attempts since the last success.
    """

    source: Literal["acme", "local", "files"]
    served: Served
    stored: x509.Certificate | None
    next_action: Action | None = None
    failures: int = 0
    trouble: str = ""

    @property
    def served_is_stored(self) -> bool:
        """Whether connections get what they should."""
        if self.stored is None:
            return not self.served.temporary
        return self.stored == self.served.certificate

    def left(self, now: datetime) -> timedelta:
        """Return for how long what is served is still valid."""
        return self.served.not_after - now


def standing(running: Running, disk: OnDisk) -> Standing:
    """Return how the certificate stands."""
    served, keeper, kind = running.certificate.served, running.keeper, part_of(running).certificate
    if isinstance(kind, CertificateFiles):
        return Standing(source="files", served=served, stored=disk.files)
    if kind == "local" or keeper is None:
        return Standing(source=kind, served=served, stored=None)
    stored, history = keeper.stored, keeper.history
    return Standing(
        source=kind,
        served=served,
        stored=None if stored is None else stored.certificate,
        next_action=keeper.next_action(),
        failures=history.failures,
        trouble=history.sentence,
    )
