"""The store of certificates: certbot's tree, so that certbot and we can follow one another.

    archive/LINEAGE/{cert,chain,fullchain,privkey}N.pem    what was issued, never changed
    live/LINEAGE/{cert,chain,fullchain,privkey}.pem        relative links to the newest version
    renewal/LINEAGE.conf                                   how certbot renews it
    accounts/                                              see `accounts`
    exoproxy/NAME.json                                     see `state`

Key, cert, chain and fullchain are written in this order, each in one step, and the links last; a
version counts once all four are there. A write that is cut off anywhere leaves the version before.
Reading needs no lock and is what the serving process does; writing needs it.
"""

import os
import stat
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, suppress
from pathlib import Path
from typing import Final

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.serialization import Encoding, load_pem_private_key

from exoproxy.certs.certbot.lineage import (
    KINDS,
    Stored,
    lineage_name,
    lineages,
    name_of,
    newest_version,
    read_version,
    versions,
)
from exoproxy.certs.certbot.lock import locked_tree
from exoproxy.certs.certbot.renewal_conf import Renewal, updated
from exoproxy.certs.context import is_key_of
from exoproxy.certs.folder import Folder, explained, opened, warn_once
from exoproxy.certs.problem import IssuanceProblem

_STATE: Final = "exoproxy"
_MODES: Final = {"privkey": 0o600, "cert": 0o644, "chain": 0o644, "fullchain": 0o644}
# Who may read a version may read the next; nobody has to write one.
_KEPT_MODES: Final = stat.S_IRGRP | stat.S_IROTH
_CONF_LIMIT: Final = 1 << 16


class Store:
    """Certificates and keys below one folder, which need not exist yet."""

    def __init__(self, folder: Path) -> None:
        # certbot wants absolute paths in renewal/NAME.conf.
        self.folder = folder.absolute()

    def state_file(self, name: str) -> Path:
        """Return where `state` keeps what is remembered of a name's certificate."""
        return self.folder / _STATE / f"{lineage_name(name)}.json"

    @property
    def answers(self) -> Path:
        """Return the folder of answers to http-01 challenges; see `http_01`."""
        return self.folder / _STATE / "http-01"

    def names(self) -> list[str]:
        """Return the names that there are lineages for, sorted."""
        try:
            return sorted({name_of(lineage) for lineage in lineages(self.folder)})
        except OSError as error:
            warn_once(f"The store {self.folder} can't be read ({error.strerror}).")
            return []

    def newest(self, name: str) -> Stored | None:
        """Return the newest version for a name that can be served, if there is one.

        That is one of the lineage NAME, or else of the latest lineage NAME-0001 and so on. Bad
        versions are skipped with a word in the log; nothing is raised for what the store holds, but
        `OSError` if this process has no descriptors or memory left to look.
        """
        for lineage in self.lineages(name):
            if stored := newest_version(self.folder, lineage, warn_once):
                return stored
        return None

    def lineages(self, name: str) -> Iterator[str]:
        """Yield the lineages that there may be for a name, the one that counts most first."""
        own = lineage_name(name)
        yield own
        with suppress(OSError):
            for lineage in reversed(lineages(self.folder)):
                if lineage != own and name_of(lineage) == own:
                    yield lineage

    def prepare(self, name: str) -> None:
        """Prove that a certificate for a name could be stored; the caller holds the lock.

        Makes the folders, removes what killed processes left half-written, and writes for trial.
        Raises `IssuanceProblem`.
        """
        lineage = self._lineage(name)
        for below in (("archive", lineage), ("live", lineage), ("renewal",), (_STATE,)):
            with explained(self.folder.joinpath(*below)), opened(self.folder, *below) as folder:
                folder.sweep()
                folder.try_out()

    def save(self, name: str, *, key: bytes, fullchain: bytes, renewal: Renewal) -> Stored:
        """Store a certificate as the next version of a name's lineage; the caller holds the lock.

        `key` and `fullchain` are PEM, the latter with the name's certificate first. Raises
        `IssuanceProblem`; what was there can then be used as before.
        """
        contents = _contents(key, fullchain)
        lineage = self._lineage(name)
        archive = self.folder / "archive" / lineage
        with explained(archive), opened(self.folder, "archive", lineage) as folder:
            there = versions(archive)
            version = max(there, default=0) + 1
            _write_version(folder, version, contents, there)
        live = self.folder / "live" / lineage
        with explained(self.folder / "renewal"), opened(self.folder, "renewal") as folder:
            paths = {"archive_dir": str(archive)}
            paths |= {kind: str(live / f"{kind}.pem") for kind in KINDS}
            _write_conf(folder, f"{lineage}.conf", renewal, paths)
        with explained(live), opened(self.folder, "live", lineage) as folder:
            for kind in KINDS:
                folder.link(f"{kind}.pem", f"../../archive/{lineage}/{kind}{version}.pem")
        return read_version(self.folder, lineage, version)

    def lock(
        self, *, timeout: float, waiting: Callable[[str], None]
    ) -> AbstractContextManager[None]:
        """Hold certbot's own lock on the store, alone among processes; see `locked_tree`."""
        return locked_tree(self.folder, timeout=timeout, waiting=waiting)

    def _lineage(self, name: str) -> str:
        """Return the lineage that a name's certificates go on with."""
        stored = self.newest(name)
        return stored.lineage if stored else lineage_name(name)


def _contents(key: bytes, fullchain: bytes) -> dict[str, bytes]:
    """Return what the four files will hold. Raises `IssuanceProblem`."""
    try:
        certificates = x509.load_pem_x509_certificates(fullchain)
        fits = is_key_of(load_pem_private_key(key, password=None), certificates[0])
    except (ValueError, TypeError, UnsupportedAlgorithm) as error:
        raise IssuanceProblem(
            "What the authority sent is no certificate in PEM form, or not one that can be used "
            "here: ask another authority."
        ) from error
    if not fits:
        raise IssuanceProblem(
            "The authority sent a certificate for another key than ours, which can't be served: "
            "ask another authority."
        )
    cert, *chain = (certificate.public_bytes(Encoding.PEM) for certificate in certificates)
    return {
        "privkey": key,
        "cert": cert,
        "chain": b"".join(chain),
        "fullchain": cert + b"".join(chain),
    }


def _write_version(
    folder: Folder, version: int, contents: dict[str, bytes], there: dict[int, set[str]]
) -> None:
    """Write the four files, each readable by whom the last one of its kind is readable by."""
    written = []
    try:
        for kind in KINDS:
            mode, group = _MODES[kind], None
            last = max((number for number, kinds in there.items() if kind in kinds), default=None)
            if last is not None:
                mode, group = _access(folder, f"{kind}{last}.pem")
            name = f"{kind}{version}.pem"
            written.append(name)
            folder.write(name, contents[kind], mode=mode, group=group)
    except BaseException:
        # Keys that nobody will use are not left lying about.
        for name in written:
            with suppress(OSError):
                folder.remove(name)
        raise


def _access(folder: Folder, name: str) -> tuple[int, int | None]:
    """Return the mode, and the group if it may read, for what comes after a file."""
    try:
        status = os.stat(name, dir_fd=folder.descriptor)
    except OSError:
        return 0o600, None
    mode = 0o600 | status.st_mode & _KEPT_MODES
    return mode, status.st_gid if mode & stat.S_IRGRP else None


def _write_conf(folder: Folder, name: str, renewal: Renewal, paths: dict[str, str]) -> None:
    """Write renewal/LINEAGE.conf, keeping what stands there and needs no change."""
    conf, mode = "", 0o644
    # A link, or whatever else can't be such a file, is replaced as if nothing were there.
    with suppress(OSError):
        conf = folder.read(name, limit=_CONF_LIMIT).decode(errors="surrogateescape")
        status = os.stat(name, dir_fd=folder.descriptor, follow_symlinks=False)
        mode = stat.S_IMODE(status.st_mode)
    content = updated(conf, renewal, paths)
    folder.write(name, content.encode(errors="surrogateescape"), mode=mode)
