"""What certbot's tree holds for a name: lineages, and in each the versions of four files.

    archive/LINEAGE/{cert,chain,fullchain,privkey}N.pem

A lineage is called as the first name that its certificates are for, without `*.`; another one for
the same name gets -0001. Nothing is written here. Used by the serving process through `Store`, and
by `takeover` on trees of certbot's.
"""

import errno
import os
import re
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm

from exoproxy.certs.context import CertificateProblem, is_key_of, read_key
from exoproxy.certs.folder import read_regular

# In the order in which they are written.
KINDS: Final = ("privkey", "cert", "chain", "fullchain")
_FILE: Final = re.compile(rf"({'|'.join(KINDS)})([0-9]{{1,9}})\.pem", re.ASCII)
_NAME: Final = re.compile(r"[a-z0-9_]([a-z0-9_.-]*[a-z0-9_])?", re.ASCII | re.IGNORECASE)
_NUMBERED: Final = re.compile(r"(.+)-[0-9]{4}", re.ASCII)
# Of these a process suffers, whatever lies in the tree.
_OUR_OWN_TROUBLE: Final = {errno.EMFILE, errno.ENFILE, errno.ENOMEM}
# Long chains of large RSA certificates are 20 KB.
_LIMIT: Final = 1 << 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Stored:
    """A version that can be served: all four files are there, and the key fits.

    `fullchain` and `key` are files that don't change any more, other than live/NAME/*.pem.
    `certificate` is the first of the chain.
    """

    name: str
    lineage: str
    version: int
    fullchain: Path
    key: Path
    certificate: x509.Certificate


def lineage_name(name: str) -> str:
    """Return what a lineage for a DNS name is called. Raises `ValueError` if it isn't one."""
    name = name.removeprefix("*.").lower()
    if not _NAME.fullmatch(name) or ".." in name:
        raise ValueError(f"{name!a} is no DNS name")
    return name


def name_of(lineage: str) -> str:
    """Return the name that a lineage is for: its own without certbot's number."""
    numbered = _NUMBERED.fullmatch(lineage)
    return numbered[1] if numbered else lineage


def lineages(tree: Path) -> list[str]:
    """Return all lineages of a tree, sorted. Raises `OSError` if the tree may not be read."""
    try:
        with os.scandir(tree / "archive") as entries:
            return sorted(entry.name for entry in entries if entry.is_dir(follow_symlinks=False))
    except FileNotFoundError:
        return []


def versions(folder: Path) -> dict[int, set[str]]:
    """Return which kinds of files there are of each version in a folder below archive/.

    Raises `OSError`.
    """
    found: defaultdict[int, set[str]] = defaultdict(set)
    try:
        names = os.listdir(folder)
    except FileNotFoundError:
        return {}
    for name in names:
        if match := _FILE.fullmatch(name):
            found[int(match[2])].add(match[1])
    return dict(found)


def newest_version(tree: Path, lineage: str, skipped: Callable[[str], None]) -> Stored | None:
    """Return the newest version of a lineage that can be served, if there is one.

    `skipped` is called with a sentence for each later one that is complete and bad. Raises
    `OSError` if this process lacks what it takes to look: nothing is known then.
    """
    try:
        there = versions(tree / "archive" / lineage)
    except OSError as error:
        if error.errno in _OUR_OWN_TROUBLE:
            raise
        skipped(f"The folder {tree / 'archive' / lineage} can't be read ({error.strerror}).")
        return None
    for version in sorted(there, reverse=True):
        if there[version].issuperset(KINDS):
            try:
                return read_version(tree, lineage, version)
            except CertificateProblem as problem:
                skipped(f"Version {version} of {lineage} is skipped: {problem}")
    return None


def read_version(tree: Path, lineage: str, version: int) -> Stored:
    """Return a version of which all files are there. Raises `CertificateProblem` if it is bad."""
    folder = tree / "archive" / lineage
    files = {kind: folder / f"{kind}{version}.pem" for kind in KINDS}
    fullchain = _certificates(files["fullchain"])
    # certbot writes in place: a crash may have cut the last file short.
    if fullchain != _certificates(files["cert"]) + _certificates(files["chain"]):
        raise CertificateProblem(
            f"The file {files['fullchain']} is not made of those beside it, so it may have been "
            "cut short."
        )
    if not fullchain:
        raise CertificateProblem(f"The file {files['fullchain']} is empty.")
    _content(files["privkey"])
    try:
        fits = is_key_of(read_key(files["privkey"]), fullchain[0])
    except (ValueError, UnsupportedAlgorithm) as error:
        raise CertificateProblem(
            f"The certificate in {files['cert']} has a key of an unknown kind."
        ) from error
    if not fits:
        raise CertificateProblem(
            f"The key in {files['privkey']} does not belong to the certificate beside it."
        )
    return Stored(
        name=name_of(lineage),
        lineage=lineage,
        version=version,
        fullchain=files["fullchain"],
        key=files["privkey"],
        certificate=fullchain[0],
    )


def _certificates(path: Path) -> list[x509.Certificate]:
    content = _content(path)
    if not content.strip():
        # The chain of a certificate that a root has signed itself.
        return []
    try:
        return x509.load_pem_x509_certificates(content)
    except ValueError as error:
        raise CertificateProblem(f"The file {path} holds no certificates in PEM form.") from error


def _content(path: Path) -> bytes:
    """Return the content of a regular file of a sensible size; certbot links keys it uses again."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        return read_regular(descriptor, _LIMIT)
    except OSError as error:
        if error.errno in _OUR_OWN_TROUBLE:
            raise
        raise CertificateProblem(f"The file {path} can't be read ({error.strerror}).") from error
