"""Lineages and versions, as they are found on disk."""

import os
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import ed25519, rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from chains import Chain, chain_for
from exoproxy.certs.certbot.lineage import lineage_name, lineages, name_of, newest_version, versions

BEGIN = b"-----BEGIN CERTIFICATE-----"


def write(tree: Path, lineage: str, version: int, chain: Chain) -> Path:
    """Write a version as certbot does."""
    folder = tree / "archive" / lineage
    folder.mkdir(parents=True, exist_ok=True)
    cert, *rest = (BEGIN + part for part in chain.fullchain.split(BEGIN)[1:])
    (folder / f"privkey{version}.pem").write_bytes(chain.key)
    (folder / f"cert{version}.pem").write_bytes(cert)
    (folder / f"chain{version}.pem").write_bytes(b"".join(rest))
    (folder / f"fullchain{version}.pem").write_bytes(chain.fullchain)
    return folder


def test_newest_version(tmp_path: Path) -> None:
    """The version with the highest number counts, as a number."""
    for version in (2, 9, 10):
        folder = write(tmp_path, "a.example", version, chain_for("a.example"))
    stored = newest_version(tmp_path, "a.example", pytest.fail)

    assert stored is not None
    assert (stored.name, stored.lineage, stored.version) == ("a.example", "a.example", 10)
    assert stored.fullchain == folder / "fullchain10.pem"
    assert stored.key == folder / "privkey10.pem"


def test_key_that_is_used_again(tmp_path: Path) -> None:
    """certbot links a key that it uses again to the one before."""
    key = rsa.generate_private_key(65537, 2048)
    for version in (1, 2):
        folder = write(tmp_path, "a.example", version, chain_for("a.example", key=key))
    (folder / "privkey2.pem").unlink()
    (folder / "privkey2.pem").symlink_to("privkey1.pem")
    stored = newest_version(tmp_path, "a.example", pytest.fail)

    assert stored is not None
    assert stored.version == 2


def test_chain_without_intermediates(tmp_path: Path) -> None:
    """A root that issues by itself leaves chain.pem empty."""
    chain = chain_for("a.example")
    leaf = BEGIN + chain.fullchain.split(BEGIN)[1]
    write(tmp_path, "a.example", 1, Chain(key=chain.key, fullchain=leaf))

    assert newest_version(tmp_path, "a.example", pytest.fail) is not None


@pytest.mark.parametrize("kind", ["privkey", "cert", "chain", "fullchain"])
def test_incomplete_version(tmp_path: Path, kind: str) -> None:
    """A version that lacks a file is not there yet, which nobody has to be told."""
    write(tmp_path, "a.example", 1, chain_for("a.example"))
    folder = write(tmp_path, "a.example", 2, chain_for("a.example"))
    (folder / f"{kind}2.pem").unlink()
    stored = newest_version(tmp_path, "a.example", pytest.fail)

    assert stored is not None
    assert stored.version == 1


@pytest.mark.parametrize("kind", ["privkey", "cert", "chain", "fullchain"])
@pytest.mark.parametrize(
    "damage", ["empty", "cut", "other", "text", "huge", "fifo", "folder", "dangling"]
)
def test_bad_version(tmp_path: Path, kind: str, damage: str) -> None:
    """A version of which any file is bad is skipped with one sentence, which names the file."""
    write(tmp_path, "a.example", 1, chain_for("a.example"))
    folder = write(tmp_path, "a.example", 2, chain_for("a.example"))
    path = folder / f"{kind}2.pem"
    content = path.read_bytes()
    path.unlink()
    match damage:
        case "empty":
            path.touch()
        case "cut":
            path.write_bytes(content[:-40])
        case "other":
            path.write_bytes(
                (write(tmp_path, "b", 1, chain_for("b")) / f"{kind}1.pem").read_bytes()
            )
            if kind == "chain":
                # All chains of one authority are alike.
                path.write_bytes(content * 2)
        case "text":
            path.write_bytes(b"\xff\x00 text")
        case "huge":
            path.write_bytes(content + b"\n" * (1 << 20))
        case "fifo":
            os.mkfifo(path)
        case "folder":
            path.mkdir()
        case "dangling":
            path.symlink_to("nowhere")
    said: list[str] = []
    stored = newest_version(tmp_path, "a.example", said.append)

    assert stored is not None
    assert stored.version == 1
    (sentence,) = said
    assert sentence.startswith("Version 2 of a.example is skipped: The ")
    assert str(folder) in sentence


def test_key_of_another_kind(tmp_path: Path) -> None:
    """A key of another kind than the certificate's does not fit."""
    folder = write(tmp_path, "a.example", 1, chain_for("a.example"))
    key = ed25519.Ed25519PrivateKey.generate()
    (folder / "privkey1.pem").write_bytes(
        key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    )
    said: list[str] = []

    assert newest_version(tmp_path, "a.example", said.append) is None
    assert "does not belong" in said[0]


def test_versions_are_files_that_are_called_so(tmp_path: Path) -> None:
    """Temporary files, backups and numbers without end are no versions."""
    for name in (
        "cert1.pem",
        "cert1.pem.bak",
        "xcert2.pem",
        "cert.pem",
        "cert-1.pem",
        "cert٣.pem",  # a digit, but none of ASCII's
        f"cert{'9' * 5000}.pem"[:200],
        ".cert3.pem.0123456789abcdef",
        "cert4.pem\n",
    ):
        (tmp_path / name).touch()

    assert versions(tmp_path) == {1: {"cert"}}
    assert versions(tmp_path / "nowhere") == {}


def test_lineages_are_folders(tmp_path: Path) -> None:
    """Files and links below archive/ are no lineages, and no archive/ has none."""
    assert lineages(tmp_path) == []
    for name in ("b.example", "a.example"):
        (tmp_path / "archive" / name).mkdir(parents=True)
    (tmp_path / "archive" / "README").touch()
    (tmp_path / "archive" / "link").symlink_to("a.example")

    assert lineages(tmp_path) == ["a.example", "b.example"]


@pytest.mark.parametrize(
    ("name", "expected"),
    [("a.example", "a.example"), ("*.A.Example", "a.example"), ("localhost", "localhost")],
)
def test_lineage_name(name: str, expected: str) -> None:
    """A lineage is called as its name, without the wildcard."""

    assert lineage_name(name) == expected
    assert name_of(f"{expected}-0001") == expected
    assert name_of(expected) == expected


@pytest.mark.parametrize(
    "name",
    ["", "*.", ".", "..", "../a", "a/b", "/a", ".a", "a.", "a..b", "a\n", "a b", "ä.example"],
)
def test_no_lineage_name(name: str) -> None:
    """What is no DNS name names no folder."""
    with pytest.raises(ValueError, match="is no DNS name"):
        lineage_name(name)
