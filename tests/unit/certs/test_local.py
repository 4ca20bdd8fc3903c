"""The local CA: what it issues, when it is used again, and what it may vouch for."""

import multiprocessing
import os
import ssl
import stat
import subprocess
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.x509.oid import ExtendedKeyUsageOID

from exoproxy.certs import local
from exoproxy.certs.context import CertificateProblem, read_certificate, server_context
from exoproxy.certs.local import LocalCertificate, local_certificate

NAMES = ["a.example.org", "*.p.example.org", "127.0.0.1", "::1"]
# Whole seconds, as certificates have them; the present, as OpenSSL asks the clock.
NOW = datetime.now(UTC).replace(microsecond=0)
DAY = timedelta(days=1)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "state" / "local"


def issue(folder: Path, names: Sequence[str] = NAMES, now: datetime = NOW) -> LocalCertificate:
    return local_certificate(folder, names, now)


def verify(ca_file: Path, cert_file: Path) -> str:
    """Return what `openssl verify` says of a server's certificate."""
    command = ["openssl", "verify", "-x509_strict", "-purpose", "sslserver"]
    done = subprocess.run(  # noqa: S603 - fixed words and paths of this test
        [*command, "-CAfile", ca_file, cert_file], capture_output=True, text=True, check=False
    )
    return (done.stdout + done.stderr).strip()


class TestIssued:
    """What is in the certificates."""

    def test_openssl_accepts_it(self, folder: Path) -> None:
        """`openssl verify` accepts the leaf as a server's, strictly."""
        made = issue(folder)

        assert verify(made.ca_file, made.cert_file) == f"{made.cert_file}: OK"

    @pytest.mark.parametrize("host", ["a.example.org", "x.p.example.org", "127.0.0.1", "::1"])
    def test_client_accepts_it(self, folder: Path, host: str) -> None:
        """A client that trusts the CA alone shakes hands for each of the names."""
        made = issue(folder)

        assert handshake(made, host) == "http/1.1"

    @pytest.mark.parametrize("host", ["b.example.org", "y.x.p.example.org", "127.0.0.2"])
    def test_client_refuses_other_names(self, folder: Path, host: str) -> None:
        """A client refuses the certificate for another name."""
        with pytest.raises(ssl.SSLCertVerificationError, match="not valid for"):
            handshake(issue(folder), host)

    def test_leaf(self, folder: Path) -> None:
        """The leaf has what browsers ask for: SAN, usages, key identifiers, a short life."""
        made = issue(folder)
        leaf, ca = read_certificate(made.cert_file), read_certificate(made.ca_file)
        critical = {type(extension.value): extension.critical for extension in leaf.extensions}
        usages = leaf.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
        own = ca.extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value
        authority = leaf.extensions.get_extension_for_class(x509.AuthorityKeyIdentifier).value

        assert critical == {
            x509.BasicConstraints: True,
            x509.KeyUsage: True,
            x509.ExtendedKeyUsage: False,
            x509.SubjectAlternativeName: False,
            x509.SubjectKeyIdentifier: False,
            x509.AuthorityKeyIdentifier: False,
        }
        assert list(usages) == [ExtendedKeyUsageOID.SERVER_AUTH]
        assert authority.key_identifier == own.digest
        assert leaf.not_valid_after_utc - leaf.not_valid_before_utc == timedelta(days=90)
        assert leaf.not_valid_before_utc <= NOW

    def test_ca_is_constrained(self, folder: Path) -> None:
        """The CA may vouch for the names alone, for servers alone, and for no further CA."""
        ca = read_certificate(issue(folder).ca_file)
        constraints = ca.extensions.get_extension_for_class(x509.NameConstraints)
        basic = ca.extensions.get_extension_for_class(x509.BasicConstraints)

        assert constraints.critical
        assert [str(name.value) for name in constraints.value.permitted_subtrees or []] == [
            "a.example.org",
            "p.example.org",
            "127.0.0.1/32",
            "::1/128",
        ]
        assert basic.value == x509.BasicConstraints(ca=True, path_length=0)

    @pytest.mark.parametrize(
        ("names", "foreign"),
        [
            (["a.example.org"], "b.example.org"),
            (["a.example.org"], "192.0.2.1"),
            (["a.example.org"], "2001:db8::1"),
            (["127.0.0.1"], "127.0.0.2"),
            (["127.0.0.1"], "::1"),
            (["127.0.0.1"], "a.example.org"),
            (["*.p.example.org"], "example.org"),
        ],
    )
    def test_foreign_name_is_worthless(
        self,
        folder: Path,
        names: list[str],
        foreign: str,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        """What a thief of the CA's key signs for another name or address is not accepted."""
        issue(folder, names)
        monkeypatch.setattr(local, "_serves", lambda *_: True)
        made = issue(folder, [foreign])

        assert not made.new_ca
        assert "permitted subtree violation" in verify(made.ca_file, made.cert_file) or (
            "excluded subtree violation" in verify(made.ca_file, made.cert_file)
        )

    def test_files_are_private(self, folder: Path) -> None:
        """Keys are for their owner alone, the folder too, and only the CA's certificate is not."""
        folder.mkdir(parents=True, mode=0o755)
        issue(folder)
        modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in folder.iterdir()}

        assert stat.S_IMODE(folder.stat().st_mode) == 0o700
        assert modes == {".lock": 0o600, "ca-key.pem": 0o600, "ca.pem": 0o644, "leaf.pem": 0o600}

    def test_ca_file_holds_no_key(self, folder: Path) -> None:
        """The file to import has nothing secret in it."""
        assert b"PRIVATE" not in issue(folder).ca_file.read_bytes()


class TestUsedAgain:
    """What is kept from one start to the next."""

    def test_next_start(self, folder: Path) -> None:
        """The next start finds the same certificates."""
        first = issue(folder)
        leaf, ca = first.cert_file.read_bytes(), first.ca_file.read_bytes()
        second = issue(folder, now=NOW + DAY)

        assert (first.new_ca, second.new_ca) == (True, False)
        assert second.cert_file.read_bytes() == leaf
        assert second.ca_file.read_bytes() == ca

    # Ninety days that began a day before: 59 pass until a third is left.
    @pytest.mark.parametrize(
        ("days", "kept"), [(0, True), (58, True), (59, False), (91, False), (-2, False)]
    )
    def test_age_of_the_leaf(self, folder: Path, days: int, kept: bool) -> None:
        """A leaf with less than a third of its life left, or of the future, is replaced."""
        before = issue(folder).cert_file.read_bytes()
        later = NOW + days * DAY + timedelta(seconds=days and 1)
        after = issue(folder, now=later).cert_file.read_bytes()

        assert (before == after) is kept

    def test_fewer_names(self, folder: Path) -> None:
        """A leaf that covers more than is asked for is used again."""
        before = issue(folder).cert_file.read_bytes()

        assert issue(folder, ["x.p.example.org"]).cert_file.read_bytes() == before

    def test_name_within_the_constraints(self, folder: Path) -> None:
        """A further name below the old ones needs another leaf, but no other CA."""
        before = issue(folder).cert_file.read_bytes()
        made = issue(folder, [*NAMES, "b.a.example.org"])

        assert not made.new_ca
        assert made.cert_file.read_bytes() != before
        assert verify(made.ca_file, made.cert_file).endswith("OK")

    @pytest.mark.parametrize(
        "name", ["b.example.org", "ba.example.org", "example.org", "127.0.0.2"]
    )
    def test_name_beyond_the_constraints(self, folder: Path, name: str) -> None:
        """A name that the CA may not vouch for needs another CA, and says so."""
        issue(folder)
        made = issue(folder, [name])

        assert made.new_ca
        assert verify(made.ca_file, made.cert_file).endswith("OK")

    def test_ca_near_its_end(self, folder: Path) -> None:
        """A CA that would expire before its leaf is replaced."""
        issue(folder)

        assert not issue(folder, now=NOW + 3558 * DAY).new_ca
        assert issue(folder, now=NOW + 3560 * DAY).new_ca

    def test_lost_ca_file(self, folder: Path) -> None:
        """The copy to import is made again from the CA itself."""
        ca = issue(folder).ca_file.read_bytes()
        (folder / "ca.pem").write_bytes(b"half")
        made = issue(folder)

        assert not made.new_ca
        assert made.ca_file.read_bytes() == ca

    def test_ca_of_the_operator(self, folder: Path) -> None:
        """A CA without constraints that was put in place is used for any name."""
        issue(folder)
        pair = local._stored(folder / "ca-key.pem", "")
        assert pair is not None
        name = pair.certificate.subject
        builder = (
            local._builder(name, name, pair.key, 1, NOW, 400 * DAY)
            .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
            .add_extension(local._usage(signs_certificates=True), critical=True)
        )
        theirs = local._Pair(key=pair.key, certificate=builder.sign(pair.key, SHA256()))
        (folder / "ca-key.pem").write_bytes(theirs.pem())
        made = issue(folder, ["other.example.net"])

        assert not made.new_ca
        assert verify(made.ca_file, made.cert_file).endswith("OK")


class TestTrouble:
    """What can be wrong with the folder."""

    @pytest.mark.parametrize("content", [b"", b"junk", b"\x00" * 100])
    @pytest.mark.parametrize(
        ("name", "successor"),
        [
            ("ca-key.pem", "another CA, to be imported into browsers again"),
            ("leaf.pem", "another certificate by the same CA"),
        ],
    )
    def test_damaged_file(self, folder: Path, name: str, successor: str, content: bytes) -> None:
        """A damaged file is named, with what deleting it leads to; deleting it helps."""
        issue(folder)
        (folder / name).write_bytes(content)
        with pytest.raises(CertificateProblem) as problem:
            issue(folder)
        (folder / name).unlink()
        made = issue(folder)

        assert str(problem.value).startswith(
            f"The file {folder / name} is damaged: delete it, and the next start makes {successor}."
        )
        assert verify(made.ca_file, made.cert_file).endswith("OK")

    def test_key_of_another_certificate(self, folder: Path, tmp_path: Path) -> None:
        """A key that was mixed up with another certificate's is noticed."""
        issue(folder)
        issue(tmp_path / "other")
        mixed = (tmp_path / "other" / "ca-key.pem").read_text().split("-----BEGIN CERT")[0]
        (folder / "ca-key.pem").write_text(mixed + (folder / "ca.pem").read_text())

        with pytest.raises(CertificateProblem, match="does not belong"):
            issue(folder)

    def test_folder_that_is_a_file(self, tmp_path: Path) -> None:
        """A folder that can't be made is told in a sentence."""
        (tmp_path / "file").write_bytes(b"")
        with pytest.raises(CertificateProblem) as problem:
            issue(tmp_path / "file" / "local")

        assert str(problem.value).startswith(
            f"The local certificate can't be kept in {tmp_path}/file/local (Not a directory): "
        )

    def test_full_disk(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """A full disk is told in a sentence, and leaves nothing half done."""

        def full(descriptor: int) -> None:
            raise OSError(28, "No space left on device")

        with monkeypatch.context() as patch:
            patch.setattr(os, "fsync", full)
            with pytest.raises(CertificateProblem, match="No space left on device"):
                issue(folder)

        assert issue(folder).new_ca

    @pytest.mark.parametrize("name", ["bücher.example", "\u2028"])
    def test_name_that_is_not_ascii(self, folder: Path, name: str) -> None:
        """A name in another script is refused before anything is made."""
        with pytest.raises(CertificateProblem, match="write the name in ASCII"):
            issue(folder, [name])

        assert not folder.exists()

    def test_processes_at_once(self, folder: Path) -> None:
        """Processes that start together make one CA and one leaf."""
        context = multiprocessing.get_context("fork")
        with context.Pool(4) as pool:
            made = pool.starmap(local_certificate, [(folder, NAMES, NOW)] * 8)

        assert sorted(one.new_ca for one in made) == [False] * 7 + [True]
        assert verify(folder / "ca.pem", folder / "leaf.pem").endswith("OK")


def handshake(made: LocalCertificate, host: str) -> str | None:
    """Let a client that trusts the CA alone shake hands for a host, in memory."""
    client = ssl.create_default_context(cafile=made.ca_file)
    client.verify_flags |= ssl.VERIFY_X509_STRICT
    client.set_alpn_protocols(["http/1.1"])
    server = server_context(made.cert_file, made.key_file)
    to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
    near = client.wrap_bio(to_client, to_server, server_hostname=host)
    far = server.wrap_bio(to_server, to_client, server_side=True)
    for _ in range(4):
        for end in (near, far):
            try:
                end.do_handshake()
            except ssl.SSLWantReadError:
                continue
    return near.selected_alpn_protocol()
