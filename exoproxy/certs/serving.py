"""The certificate that a mode serves, and the TLS context of the moment that is made of it.

`certificate: acme` serves the newest version in the store, whoever put it there, and a temporary
self-signed one as long as there is none. Getting certificates is no business of this module.
Called for each connection, by `service` at a reload and by `keeper` when the store has changed.
"""

import logging
import ssl
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives.hashes import SHA256

from exoproxy.certs.certbot.lineage import Stored
from exoproxy.certs.context import CertificateProblem, covers, read_certificate, server_context
from exoproxy.certs.local import local_certificate
from exoproxy.certs.store import Store
from exoproxy.certs.temporary import temporary
from exoproxy.net.tls import remember_server_name
from exoproxy.settings.sites import Certificate, CertificateFiles

logger: Final = logging.getLogger("exoproxy")


@dataclass(frozen=True, slots=True, kw_only=True)
class Served:
    """A certificate that connections get, and their context.

    `stored` is where the store has it. `temporary` tells that it is a self-signed one, for want of
    another.
    """

    context: ssl.SSLContext
    certificate: x509.Certificate
    stored: Stored | None = None
    temporary: bool = False

    @property
    def issuer(self) -> str:
        """Return who issued it, as the certificate says."""
        return self.certificate.issuer.rfc4514_string()

    @property
    def not_after(self) -> datetime:
        """Return when it ends, in UTC."""
        return self.certificate.not_valid_after_utc

    @property
    def fingerprint(self) -> str:
        """Return the SHA-256 of its DER form, in hexadecimal digits."""
        return self.certificate.fingerprint(SHA256()).hex()

    def __str__(self) -> str:
        if self.temporary:
            return "a temporary self-signed certificate until the authority has issued one"
        return f"a certificate by {self.issuer}, valid until {self.not_after:%Y-%m-%d %H:%M} UTC"

    def merit(self, names: Sequence[str], now: datetime) -> tuple[bool, bool, bool]:
        """Return how good it is, to be compared: an expired one is better than a temporary one."""
        lives = self.certificate.not_valid_before_utc <= now <= self.not_after
        return not self.temporary, all(covers(self.certificate, each) for each in names), lives


class ServingCertificate:
    """The certificate of a mode, and the TLS context made of it at the last (re)load.

    `names` are those to be covered, the first of them the certificate's name in the `store`.
    `local` is the folder of `certificate: local`. Raises `CertificateProblem`.
    """

    def __init__(
        self, certificate: Certificate, names: Sequence[str], *, local: Path, store: Store
    ) -> None:
        self._certificate = certificate
        self._names = names
        self._local = local
        self._store = store
        self._served = self.load()

    def __call__(self) -> ssl.SSLContext:
        """Return the context of the moment."""
        return self._served.context

    @property
    def served(self) -> Served:
        """Return what connections get at the moment."""
        return self._served

    def load(self) -> Served:
        """Return what there is to be served, with a fresh context. Raises `CertificateProblem`.

        Changes nothing: a thread may do this, since it reads files.
        """
        certificate = self._certificate
        if isinstance(certificate, CertificateFiles):
            served = _from_files(certificate.cert_file, certificate.key_file)
        elif certificate == "local":
            made = local_certificate(self._local, self._names, datetime.now(UTC))
            if made.new_ca:
                logger.info("A local CA was made; clients must trust it: %s", made.ca_file)
            served = _from_files(made.cert_file, made.key_file)
        else:
            served = self._from_store()
        remember_server_name(served.context)
        return served

    def serve(self, served: Served) -> None:
        """Give this to connections from now on. Raises `CertificateProblem` if it won't do.

        What the store holds is not under our control alone: a version that is worse than what is
        being served is left where it is.
        """
        if self._certificate == "acme" and (fault := self._fault(served)):
            raise CertificateProblem(
                f"{fault}; {self._served} goes on being served. Run `exoproxy cert status` to see "
                "what is there."
            )
        if served.fingerprint != self._served.fingerprint:
            logger.info("New connections get %s", served)
        self._served = served

    def _fault(self, served: Served) -> str:
        """Return why this is worse than what is being served, empty if it isn't."""
        now = datetime.now(UTC)
        if served.merit(self._names, now) >= self._served.merit(self._names, now):
            return ""
        if served.temporary:
            return f"The store {self._store.folder} holds nothing more that could be served"
        return (
            f"The store {self._store.folder} offers {served} that is expired, not valid yet, or "
            f"not for {' and '.join(self._names)}"
        )

    def _from_store(self) -> Served:
        if (stored := self._store.newest(self._names[0])) is not None:
            try:
                context = server_context(stored.fullchain, stored.key)
            except CertificateProblem as problem:
                logger.error("The newest certificate in the store can't be served. %s", problem)
            else:
                return Served(context=context, certificate=stored.certificate, stored=stored)
        context, certificate = temporary(self._names, datetime.now(UTC))
        return Served(context=context, certificate=certificate, temporary=True)


def _from_files(cert_file: Path, key_file: Path) -> Served:
    return Served(
        context=server_context(cert_file, key_file), certificate=read_certificate(cert_file)
    )
