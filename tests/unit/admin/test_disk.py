"""What of the status lies on the disk."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.serialization import Encoding

from exoproxy.admin.disk import OnDisk, look, part_of
from process import NAME, certificate, process


def main(root: Path, **values: Any) -> dict[str, Any]:
    site = {"hostname": "my.example.org", "proxy": None, "client": {"root": str(root)}}
    return {"main": {**site, **values}}


def test_the_active_client(tmp_path: Path) -> None:
    """The release's name says when it was installed."""
    (tmp_path / "current").symlink_to("releases/20261122T200540Z-master")
    found = look(process(main(tmp_path / "current"), mode="main", region=None))

    assert found == OnDisk(
        release="20261122T200540Z-master", installed=datetime(2026, 11, 22, 20, 5, 40, tzinfo=UTC)
    )


def test_a_client_that_was_put_there_by_hand(tmp_path: Path) -> None:
    """A folder has no release; nor has what is not there."""
    for root in (tmp_path, tmp_path / "none"):
        assert look(process(main(root), mode="main", region=None)) == OnDisk()


def test_certificate_files(tmp_path: Path) -> None:
    """The file is read anew; one that is missing or damaged is the reload's business to tell."""
    path, here = tmp_path / "cert.pem", certificate()
    files = {"cert_file": str(path), "key_file": str(path)}
    running = process(main(tmp_path, certificate=files), mode="main", region=None)

    assert look(running).files is None
    path.write_bytes(here.public_bytes(Encoding.PEM))
    assert look(running).files == here
    path.write_text("no certificate")
    assert look(running).files is None


def test_a_uap_has_no_client() -> None:
    """Its part of the settings is its region's."""
    running = process()

    assert look(running) == OnDisk()
    assert part_of(running).hostname == NAME
