"""Archives of a built client, unpacked as if whoever made them meant harm.

The archive says which files there are; where they go is decided here. Only regular files are taken,
each under a name that was judged, and all are counted while they are written, because what an
archive says of sizes need not be so. tarfile and zipfile never write to the disk themselves.
"""

import gzip
import io
import lzma
import os
import stat
import struct
import tarfile
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Final, NamedTuple, Protocol

from exoproxy.releases.bounds import Bounds
from exoproxy.releases.problem import ReleaseProblem

_CHUNK: Final = 65_536
_GZIP: Final = b"\x1f\x8b"
_XZ: Final = b"\xfd7zXZ\x00"
_ZIP: Final = b"PK"
# POSIX's and GNU's tar have it there.
_TAR: Final = b"ustar"
_TAR_OFFSET: Final = 257
_ENCRYPTED: Final = 0x1
_BROKEN: Final = (
    tarfile.TarError,
    zipfile.BadZipFile,
    lzma.LZMAError,
    zlib.error,
    EOFError,
    # Of headers that hold nonsense.
    ValueError,
    OverflowError,
    struct.error,
)


class _Readable(Protocol):
    """What can be read: a file, or what decompresses one."""

    def read(self, size: int, /) -> bytes: ...


class _Member(NamedTuple):
    """A file of an archive; `content` is read before the next one is asked for."""

    name: str
    content: IO[bytes]


def is_archive(path: Path) -> bool:
    """Tell by a file's first bytes whether `unpack` is to judge it. Raises `OSError`."""
    with path.open("rb") as file:
        start = file.read(_TAR_OFFSET + len(_TAR))
    return start.startswith((_ZIP, _GZIP, _XZ)) or start.endswith(_TAR, _TAR_OFFSET)


def unpack(archive: Path, folder: Path) -> None:
    """Write an archive's files into an empty folder. Raises `ReleaseProblem`."""
    bounds = Bounds(f"The archive {archive}")
    try:
        with archive.open("rb") as file:
            for member in _members(file, bounds):
                _write(member, folder, bounds)
    except _BROKEN as error:
        raise ReleaseProblem(
            f"The archive {archive} is damaged or of another kind than it seems: make it anew, as "
            "tar, tar.gz, tar.xz or zip."
        ) from error
    except (NotImplementedError, RuntimeError) as error:
        raise ReleaseProblem(
            f"The archive {archive} is packed in a way that is not read here: make it anew, as "
            "tar, tar.gz, tar.xz or zip."
        ) from error
    except OSError as error:
        raise ReleaseProblem(
            f"The archive {archive} can't be unpacked ({error.strerror or error}): see that its "
            "names don't clash and that there is room in the state folder."
        ) from error


def _members(file: IO[bytes], bounds: Bounds) -> Iterator[_Member]:
    bounds.check_size(os.fstat(file.fileno()).st_size)
    start = file.read(len(_XZ))
    file.seek(0)
    if start.startswith(_ZIP):
        return _of_zip(file, bounds)
    if start.startswith(_GZIP):
        return _of_tar(gzip.GzipFile(fileobj=file), bounds)
    if start.startswith(_XZ):
        return _of_tar(lzma.LZMAFile(file), bounds)
    return _of_tar(file, bounds)


def _of_tar(content: _Readable, bounds: Bounds) -> Iterator[_Member]:
    # A stream, so that a header which claims to be huge is read no further than the bounds go.
    bounded = io.BufferedReader(_Bounded(content, bounds), _CHUNK)
    with tarfile.open(fileobj=bounded, mode="r|") as tar:
        for info in tar:
            bounds.count()
            if info.isdir():
                continue
            file = tar.extractfile(info) if info.isreg() and not info.issparse() else None
            if file is None:
                raise _no_file(bounds.subject, info.name)
            yield _Member(info.name, file)


def _of_zip(file: IO[bytes], bounds: Bounds) -> Iterator[_Member]:
    with zipfile.ZipFile(file) as archive:
        for info in archive.infolist():
            bounds.count()
            if info.is_dir():
                continue
            kind = stat.S_IFMT(info.external_attr >> 16)
            if kind not in (0, stat.S_IFREG):
                raise _no_file(bounds.subject, info.filename)
            if info.flag_bits & _ENCRYPTED:
                raise ReleaseProblem(f"{bounds.subject} is encrypted: make it anew without.")
            with archive.open(info) as content:
                yield _Member(info.filename, content)


class _Bounded(io.RawIOBase):
    """A decompressed stream that ends the unpacking where it grows beyond the bounds."""

    def __init__(self, content: _Readable, bounds: Bounds) -> None:
        self._content = content
        self._bounds = bounds
        self._total = 0

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: "memoryview[int]") -> int:  # type: ignore[override]
        chunk = self._content.read(min(len(buffer), _CHUNK))
        self._total += len(chunk)
        self._bounds.check_stream(self._total)
        buffer[: len(chunk)] = chunk
        return len(chunk)


def _write(member: _Member, folder: Path, bounds: Bounds) -> None:
    path = folder.joinpath(*_segments(member.name, bounds.subject))
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("xb") as file:
        while chunk := member.content.read(_CHUNK):
            bounds.add(len(chunk))
            file.write(chunk)


def _segments(name: str, subject: str) -> list[str]:
    """Return a name's parts. Raises `ReleaseProblem` for one that may lead out of the folder."""
    segments = [segment for segment in name.split("/") if segment != "."]
    if (
        not segments
        or any(segment in ("", "..") for segment in segments)
        or "\\" in name
        or not all(each.isprintable() for each in name)
    ):
        raise ReleaseProblem(
            f"{subject} has a file named {name[:100]!a}, which may lead out of it: make it anew "
            "with relative names."
        )
    return segments


def _no_file(subject: str, name: str) -> ReleaseProblem:
    return ReleaseProblem(
        f"{subject} has {name[:100]!a}, which is a link or a device: make it anew with regular "
        "files alone (tar --dereference)."
    )
