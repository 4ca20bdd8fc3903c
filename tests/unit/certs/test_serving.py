"""The certificate that a mode serves: made, swapped, and kept when its successor is broken."""

import ssl
from pathlib import Path

import pytest

from authority import Authority
from exoproxy.certs.context import CertificateProblem
from exoproxy.certs.serving import ServingCertificate
from exoproxy.settings.sites import CertificateFiles


def test_a_local_certificate_is_made(tmp_path: Path) -> None:
    """`certificate: local` needs nothing but a folder."""
    certificate = ServingCertificate("local", ["my.example.org"], tmp_path / "local")

    assert isinstance(certificate(), ssl.SSLContext)
    assert any((tmp_path / "local").iterdir())


def test_a_certificate_is_swapped(tmp_path: Path) -> None:
    """After a reload, connections get another context; until then, the one there was."""
    certificate = ServingCertificate("local", ["my.example.org"], tmp_path / "local")
    before = certificate()
    assert certificate() is before
    certificate.reload()

    assert certificate() is not before


def test_a_broken_reload_changes_nothing(tmp_path: Path) -> None:
    """The old certificate goes on being served."""
    pem = Authority(tmp_path).issue("my.example.org")
    files = CertificateFiles(cert_file=pem, key_file=pem)
    served = ServingCertificate(files, ["my.example.org"], tmp_path)
    before = served()
    pem.write_text("broken")
    with pytest.raises(CertificateProblem):
        served.reload()

    assert served() is before
