"""Where a client comes from: what SOURCE on the command line can mean.

A value only: nothing is fetched here. Called by the command, and for what the metadata of a release
says, which is the same text again.
"""

import re
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from exoproxy.releases.archive import is_archive
from exoproxy.releases.problem import ReleaseProblem

MANIFEST: Final = "package.json"
INDEX: Final = "index.html"

_URL: Final = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*)://")
# user@host:path, as ssh's own programs write it; git's remote helpers (ext::…) have two colons.
_SSH: Final = re.compile(r"(?:[A-Za-z0-9_][A-Za-z0-9_.-]*@)?[A-Za-z0-9][A-Za-z0-9.-]*:(?!:)[^:\s]+")
_SCHEMES: Final = ("https", "ssh", "file")
# Less than git allows (git-check-ref-format(1)), and nothing that a refspec gives a meaning to.
_REF: Final = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_./+-]{0,199}")
_EXAMPLES: Final = "https://gitlab.com/exosphere/exosphere.git, or a folder or an archive here"


class Kind(Enum):
    """The kinds of sources."""

    GIT = "a git repository"
    TREE = "a folder with the client's source, taken as it is"
    BUILT = "a folder with a built client"
    ARCHIVE = "an archive of a built client"


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """A source. `text` is its URL, or its absolute path; `ref` is for git alone."""

    kind: Kind
    text: str
    ref: str | None = None

    @property
    def label(self) -> str:
        """Return the last part of the source's name."""
        name = self.text.rstrip("/").rpartition("/")[2]
        return name.rpartition(":")[2].removesuffix(".git") or "client"


def parse_source(text: str, ref: str | None = None) -> Source:
    """Return what SOURCE and --ref mean. Raises `ReleaseProblem`.

    A folder with a `package.json` is source; with a ref it is taken as the git repository that it
    must be, and else as it lies there, with edits that aren't committed.
    """
    if not text or text.startswith("-") or any(not each.isprintable() for each in text):
        raise ReleaseProblem(f"The source {text!a} is no source: name {_EXAMPLES}.")
    if ref is not None:
        _check_ref(ref)
    if scheme := _URL.match(text):
        _check_url(text, scheme[1].lower())
        return Source(kind=Kind.GIT, text=text, ref=ref)
    if "::" in text:
        raise ReleaseProblem(
            f"The source {text!a} names a helper program of git's, which is not run: use a URL "
            "with https://, ssh:// or file://."
        )
    path = Path(text)
    if not path.exists() and _SSH.fullmatch(text):
        return Source(kind=Kind.GIT, text=text, ref=ref)
    return _local(path.absolute(), ref)


def _local(path: Path, ref: str | None) -> Source:
    try:
        path = path.resolve(strict=True)
        kind = _kind_of_folder(path) if path.is_dir() else _kind_of_file(path)
    except OSError as error:
        raise ReleaseProblem(
            f"The source {path} can't be read ({error.strerror}): name {_EXAMPLES}."
        ) from error
    if ref is None:
        return Source(kind=kind, text=str(path))
    if kind is Kind.TREE or kind is Kind.GIT:
        return Source(kind=Kind.GIT, text=str(path), ref=ref)
    raise ReleaseProblem(
        f"--ref is for git repositories, and {path} is {kind.value}: leave it out."
    )


def _kind_of_folder(path: Path) -> Kind:
    # A client's source has an index.html as well.
    if (path / MANIFEST).is_file():
        return Kind.TREE
    if (path / INDEX).is_file():
        return Kind.BUILT
    if (path / "HEAD").is_file() and (path / "objects").is_dir():
        return Kind.GIT
    raise ReleaseProblem(
        f"The folder {path} holds neither a client's source ({MANIFEST}) nor a built client "
        f"({INDEX}): name the folder that does."
    )


def _kind_of_file(path: Path) -> Kind:
    if path.is_file() and is_archive(path):
        return Kind.ARCHIVE
    raise ReleaseProblem(
        f"The file {path} is no tar, tar.gz, tar.xz or zip archive: name one of a built client."
    )


def _check_url(text: str, scheme: str) -> None:
    if scheme not in _SCHEMES:
        raise ReleaseProblem(
            f"The source is a URL with {scheme}://, which proves nothing about what arrives or is "
            "not git's: use https://, ssh:// or file://."
        )
    try:
        parts = urlsplit(text)
    except ValueError:
        raise ReleaseProblem(f"The source is no URL: name {_EXAMPLES}.") from None
    # A token in a user's place is as secret as a password.
    if parts.password is not None or (scheme == "https" and parts.username is not None):
        raise ReleaseProblem(
            "The source holds a user name or a password, which would be kept and shown: leave "
            "them out, and let git's credential.helper or an ssh key bring them."
        )
    if (parts.hostname or "").startswith("-"):
        raise ReleaseProblem("The source's host begins with a dash: name a host.")


def _check_ref(ref: str) -> None:
    if not _REF.fullmatch(ref) or ".." in ref or "//" in ref or ref.endswith((".", "/", ".lock")):
        raise ReleaseProblem(
            f"The ref {ref!a} is no name of a branch, a tag or a commit, such as master, v1.2 or "
            "0a07992d: name one."
        )
