"""What of the status lies on the disk. Read in a thread: a disk may take its time."""

from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime

from cryptography import x509

from exoproxy.admin.running import Running
from exoproxy.certs.context import CertificateProblem, read_certificate
from exoproxy.releases.current import active, installed_at
from exoproxy.settings.sites import CertificateFiles, Main, Region
from exoproxy.sites import region_of


@dataclass(frozen=True, slots=True, kw_only=True)
class OnDisk:
    """What a look at the disk found.

    `release` and `installed` are the active client's, None where it was put there by hand. `files`
    is the certificate in the files of `certificate: {cert_file: …}`, None with other certificates
    and where they can't be read.
    """

    release: str | None = None
    installed: datetime | None = None
    files: x509.Certificate | None = None


def look(running: Running) -> OnDisk:
    """Return what is there now."""
    part, release, files = part_of(running), None, None
    if isinstance(part, Main):
        release = active(part.client.root)
    if isinstance(part.certificate, CertificateFiles):
        with suppress(CertificateProblem):
            files = read_certificate(part.certificate.cert_file)
    installed = None if release is None else installed_at(release)
    return OnDisk(release=release, installed=installed, files=files)


def part_of(running: Running) -> Main | Region:
    """Return the part of the settings that is served."""
    if running.region is not None:
        return region_of(running.settings, running.region)
    if running.settings.main is None:
        raise ValueError("what is served is not configured")
    return running.settings.main
