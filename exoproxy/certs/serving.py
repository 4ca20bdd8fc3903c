"""The certificate that a mode serves, and the TLS context of the moment that is made of it."""

import logging
import ssl
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from exoproxy.certs.context import CertificateProblem, server_context
from exoproxy.certs.local import local_certificate
from exoproxy.net.tls import remember_server_name
from exoproxy.settings.sites import Certificate, CertificateFiles

logger: Final = logging.getLogger("exoproxy")


class ServingCertificate:
    """The certificate of a mode, and the TLS context made of it at the last (re)load."""

    def __init__(self, certificate: Certificate, names: Sequence[str], folder: Path) -> None:
        self._certificate = certificate
        self._names = names
        self._folder = folder
        self._context = self._load()

    def __call__(self) -> ssl.SSLContext:
        """Return the context of the moment."""
        return self._context

    def reload(self) -> None:
        """Load the files again for connections from now on. Raises `CertificateProblem`."""
        self._context = self._load()

    def _load(self) -> ssl.SSLContext:
        certificate = self._certificate
        if isinstance(certificate, CertificateFiles):
            context = server_context(certificate.cert_file, certificate.key_file)
        elif certificate == "local":
            made = local_certificate(self._folder, self._names, datetime.now(UTC))
            if made.new_ca:
                logger.info("A local CA was made; clients must trust it: %s", made.ca_file)
            context = server_context(made.cert_file, made.key_file)
        else:
            raise CertificateProblem(
                "certificate: acme is not there yet in this version; write `certificate: local` "
                "for a private CA, or name files: {cert_file: …, key_file: …}."
            )
        remember_server_name(context)
        return context
