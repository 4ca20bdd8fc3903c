"""The certificate that a mode serves: made, swapped, and kept when its successor is worse."""

import logging
import os
import shutil
import ssl
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.hashes import SHA256

from authority import Authority
from chains import DAY, NOW, RENEWAL, Chain, chain_for
from exoproxy.certs import serving
from exoproxy.certs.context import CertificateProblem
from exoproxy.certs.serving import ServingCertificate
from exoproxy.certs.store import Store
from exoproxy.settings.sites import Certificate, CertificateFiles

NAME = "proxy.example.org"
NAMES = (NAME, f"*.{NAME}")


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "acme")


@pytest.fixture
def serve(tmp_path: Path, store: Store) -> "Serve":
    return Serve(tmp_path, store)


class Serve:
    """Makes what serves a certificate of a kind, with folders of this test's own."""

    def __init__(self, folder: Path, store: Store) -> None:
        self.local = folder / "local"
        self.store = store

    def __call__(self, certificate: Certificate) -> ServingCertificate:
        return ServingCertificate(certificate, NAMES, local=self.local, store=self.store)


def put(store: Store, chain: Chain) -> str:
    """Store a certificate and return its fingerprint."""
    stored = store.save(NAME, key=chain.key, fullchain=chain.fullchain, renewal=RENEWAL)
    return stored.certificate.fingerprint(SHA256()).hex()


class TestOthers:
    """Certificates that need no authority."""

    def test_a_local_certificate_is_made(self, serve: Serve) -> None:
        """`certificate: local` needs nothing but a folder."""
        certificate = serve("local")

        assert isinstance(certificate(), ssl.SSLContext)
        # Which name the client asked for is remembered.
        assert certificate().sni_callback is not None
        assert any(serve.local.iterdir())

    def test_a_certificate_is_swapped(self, serve: Serve) -> None:
        """After a reload, connections get another context; until then, the one there was."""
        certificate = serve("local")
        before = certificate()
        assert certificate() is before
        certificate.serve(certificate.load())

        assert certificate() is not before

    def test_a_broken_reload_changes_nothing(self, tmp_path: Path, serve: Serve) -> None:
        """The old certificate goes on being served."""
        pem = Authority(tmp_path).issue(NAME)
        served = serve(CertificateFiles(cert_file=pem, key_file=pem))
        before = served()
        pem.write_text("broken")
        with pytest.raises(CertificateProblem):
            served.serve(served.load())

        assert served() is before

    def test_files_are_the_operators_business(self, tmp_path: Path, serve: Serve) -> None:
        """Whatever the files hold is served, if it can be: who put them there knows why."""
        authority, pem = Authority(tmp_path), tmp_path / "both.pem"
        shutil.copy(authority.issue(*NAMES), pem)
        served = serve(CertificateFiles(cert_file=pem, key_file=pem))
        shutil.copy(authority.issue("other.example.org", ends=NOW - DAY), pem)
        served.serve(served.load())

        assert served.served.not_after < NOW


class TestStore:
    """Certificates by an authority, whoever gets them."""

    def test_an_empty_store_is_no_obstacle(self, serve: Serve) -> None:
        """A temporary certificate is served, and nothing is written."""
        certificate = serve("acme")

        assert certificate.served.temporary
        assert certificate() is certificate.served.context
        assert not serve.store.folder.exists()
        assert str(certificate.served) == (
            "a temporary self-signed certificate until the authority has issued one"
        )

    def test_the_newest_version_is_served(self, serve: Serve, store: Store) -> None:
        """What the store holds is served, and its successor after a reload."""
        first = put(store, chain_for(*NAMES))
        certificate = serve("acme")
        assert (certificate.served.fingerprint, certificate.served.temporary) == (first, False)
        second = put(store, chain_for(*NAMES))
        certificate.serve(certificate.load())

        assert certificate.served.fingerprint == second
        assert certificate.served.issuer == "CN=Intermediate of the tests"
        assert certificate.served.stored is not None
        assert certificate.served.stored.version == 2

    @pytest.mark.parametrize(
        "chain",
        [
            chain_for(*NAMES, start=NOW - 9 * DAY, end=NOW - DAY),
            chain_for(*NAMES, start=NOW + DAY),
            chain_for("other.example.org"),
            chain_for(NAME),
        ],
        ids=["expired", "not valid yet", "for another name", "without the wildcard"],
    )
    def test_a_bad_certificate_never_replaces_a_good_one(
        self, serve: Serve, store: Store, chain: Chain
    ) -> None:
        """And the sentence says what is there, and what is served."""
        good = put(store, chain_for(*NAMES))
        certificate = serve("acme")
        bad = put(store, chain)
        with pytest.raises(CertificateProblem, match="expired, not valid yet, or not for") as told:
            certificate.serve(certificate.load())

        assert certificate.served.fingerprint == good
        assert "goes on being served. Run `exoproxy cert status`" in str(told.value)

        # With nothing better at hand, it is better than a self-signed one.
        assert serve("acme").served.fingerprint == bad

    def test_a_version_whose_key_does_not_fit_is_passed_over(
        self, serve: Serve, store: Store
    ) -> None:
        """The one before it is served instead."""
        good = put(store, chain_for(*NAMES))
        put(store, chain_for(*NAMES))
        archive = store.folder / "archive" / NAME
        shutil.copy(archive / "privkey1.pem", archive / "privkey2.pem")

        assert serve("acme").served.fingerprint == good

    def test_an_expired_one_gives_way(self, serve: Serve, store: Store) -> None:
        """A good certificate replaces an expired one, and an expired one a temporary one."""
        certificate = serve("acme")
        expired = put(store, chain_for(*NAMES, start=NOW - 9 * DAY, end=NOW - DAY))
        certificate.serve(certificate.load())
        assert certificate.served.fingerprint == expired
        good = put(store, chain_for(*NAMES))
        certificate.serve(certificate.load())

        assert certificate.served.fingerprint == good

    def test_a_store_that_is_gone_changes_nothing(self, serve: Serve, store: Store) -> None:
        """What was served is served on; a temporary certificate is for the beginning."""
        good = put(store, chain_for(*NAMES))
        certificate = serve("acme")
        shutil.rmtree(store.folder)
        with pytest.raises(CertificateProblem, match="holds nothing more that could be served"):
            certificate.serve(certificate.load())

        assert certificate.served.fingerprint == good

    def test_what_openssl_refuses_is_no_obstacle_to_start(
        self,
        serve: Serve,
        store: Store,
        monkeypatch: pytest.MonkeyPatch,
        caplog: pytest.LogCaptureFixture,
    ) -> None:
        """A certificate in the store that can't be loaded means a temporary one, and an error."""

        def refuse(*_: Path) -> ssl.SSLContext:
            raise CertificateProblem("OpenSSL refuses it.")

        put(store, chain_for(*NAMES))
        monkeypatch.setattr(serving, "server_context", refuse)

        assert serve("acme").served.temporary
        [error] = [record for record in caplog.records if record.levelno == logging.ERROR]
        assert error.getMessage().endswith("can't be served. OpenSSL refuses it.")

    def test_no_descriptor_is_left(self, serve: Serve, store: Store) -> None:
        """Loading time and again costs no descriptors."""
        put(store, chain_for(*NAMES))
        certificate = serve("acme")
        before = len(os.listdir("/proc/self/fd"))
        for _ in range(3):
            certificate.serve(certificate.load())

        assert len(os.listdir("/proc/self/fd")) == before
