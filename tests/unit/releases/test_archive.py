"""Archives of a built client, kind and hostile ones."""

import gzip
import io
import stat
import tarfile
import zipfile
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from exoproxy.releases import bounds
from exoproxy.releases.archive import unpack
from exoproxy.releases.problem import ReleaseProblem

FILES = {"index.html": b"<!doctype html>", "assets/css/a.css": b"a{}", "./b.js": b"b"}
MEBIBYTE = 1024 * 1024


def member(
    name: str, *, kind: bytes = tarfile.REGTYPE, target: str = "", size: int = 0
) -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.type, info.linkname, info.size = kind, target, size
    return info


def tar_of(path: Path, *members: tarfile.TarInfo, mode: Any = "w") -> Path:
    with tarfile.open(path, mode) as tar:
        for each in members:
            tar.addfile(each, io.BytesIO(bytes(each.size)))
    return path


def zip_of(path: Path, *members: zipfile.ZipInfo) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as file:
        for each in members:
            file.writestr(each, b"x")
    return path


@pytest.fixture(name="target")
def empty_folder(tmp_path: Path) -> Path:
    folder = tmp_path / "inner" / "target"
    folder.mkdir(parents=True)
    return folder


def below(folder: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file()
    }


@pytest.mark.parametrize("mode", ["w", "w:gz", "w:xz"])
def test_unpacks_tar(tmp_path: Path, target: Path, mode: Any) -> None:
    """The three kinds of tar give the same files, told apart by content and not by name."""
    with tarfile.open(tmp_path / "a", mode) as tar:
        for name, content in FILES.items():
            tar.addfile(member(name, size=len(content)), io.BytesIO(content))
    unpack(tmp_path / "a", target)

    assert below(target) == {name.removeprefix("./"): text for name, text in FILES.items()}


def test_unpacks_zip(tmp_path: Path, target: Path) -> None:
    """A zip archive, with entries for its folders, gives the same."""
    with zipfile.ZipFile(tmp_path / "a", "w", zipfile.ZIP_DEFLATED) as file:
        file.mkdir("assets")
        for name, content in FILES.items():
            file.writestr(name, content)
    unpack(tmp_path / "a", target)

    assert below(target) == {name.removeprefix("./"): text for name, text in FILES.items()}


@pytest.mark.parametrize(
    "name", ["/etc/x", "../x", "a/../../x", "a//x", "..", "a\\..\\x", "a\nb", "a\x1b[2J", "."]
)
def test_names_that_lead_out(tmp_path: Path, target: Path, name: str) -> None:
    """Absolute names, dots, backslashes and control characters end it, in tar and in zip."""
    for path in (
        tar_of(tmp_path / "t", member(name)),
        zip_of(tmp_path / "z", zipfile.ZipInfo(name)),
    ):
        with pytest.raises(ReleaseProblem, match="may lead out of it") as problem:
            unpack(path, target)

        assert "\x1b" not in str(problem.value)
    assert below(tmp_path / "inner") == {}


@pytest.mark.parametrize(
    ("kind", "linked"),
    [
        (tarfile.SYMTYPE, "/etc/passwd"),
        (tarfile.SYMTYPE, "index.html"),
        (tarfile.LNKTYPE, "/etc/passwd"),
        (tarfile.LNKTYPE, "index.html"),
        (tarfile.CHRTYPE, ""),
        (tarfile.BLKTYPE, ""),
        (tarfile.FIFOTYPE, ""),
    ],
)
def test_links_and_devices(tmp_path: Path, target: Path, kind: bytes, linked: str) -> None:
    """What is no regular file ends it, and a later file can't be written through a link."""
    path = tar_of(tmp_path / "t", member("a", kind=kind, target=linked), member("a", size=3))
    with pytest.raises(ReleaseProblem, match="link or a device"):
        unpack(path, target)

    assert list(target.iterdir()) == []


def test_links_in_zip(tmp_path: Path, target: Path) -> None:
    """zip says in the file's mode that it is a link."""
    info = zipfile.ZipInfo("a")
    info.external_attr = (stat.S_IFLNK | 0o777) << 16
    with pytest.raises(ReleaseProblem, match="link or a device"):
        unpack(zip_of(tmp_path / "z", info), target)


def test_names_that_clash(tmp_path: Path, target: Path) -> None:
    """The second file of a name, or a file where a folder is, replaces nothing."""
    with pytest.raises(ReleaseProblem, match="names don't clash"):
        unpack(tar_of(tmp_path / "t", member("a"), member("a")), target)
    with pytest.raises(ReleaseProblem, match="names don't clash"):
        unpack(tar_of(tmp_path / "t", member("b"), member("b/c")), target)


@pytest.fixture(name="_small")
def small_bounds(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bounds, "MOST_BYTES", MEBIBYTE)
    monkeypatch.setattr(bounds, "MOST_FILES", 50)
    monkeypatch.setattr(bounds, "MOST_STREAM", MEBIBYTE + 100 * 1024)


@pytest.mark.usefixtures("_small")
@pytest.mark.parametrize("kind", ["zip", "w:gz", "w:xz", "w"])
def test_too_much(tmp_path: Path, target: Path, kind: Any) -> None:
    """What unpacks to more than the bounds ends where it passes them, whatever its own size."""
    path = tmp_path / "bomb"
    if kind == "zip":
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as file:
            file.writestr("a", bytes(8 * MEBIBYTE))
    else:
        tar_of(path, member("a", size=8 * MEBIBYTE), mode=kind)
    with pytest.raises(ReleaseProblem, match="holds more than"):
        unpack(path, target)

    assert sum(len(each) for each in below(target).values()) <= MEBIBYTE


@pytest.mark.usefixtures("_small")
def test_a_zip_that_lies_about_sizes(tmp_path: Path, target: Path) -> None:
    """The size that a zip's directory names is not believed."""
    path = tmp_path / "z"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as file:
        file.writestr("a", bytes(8 * MEBIBYTE))
    real = (8 * MEBIBYTE).to_bytes(4, "little")
    path.write_bytes(path.read_bytes().replace(real, (10).to_bytes(4, "little")))
    with pytest.raises(ReleaseProblem):
        unpack(path, target)

    assert sum(len(each) for each in below(target).values()) <= MEBIBYTE


@pytest.mark.usefixtures("_small")
def test_too_many(tmp_path: Path, target: Path) -> None:
    """Empty files count as well, and so do folders."""
    many = [member(f"d{n}", kind=tarfile.DIRTYPE) for n in range(60)]
    with pytest.raises(ReleaseProblem, match="more than 50 files"):
        unpack(tar_of(tmp_path / "t", *many), target)
    with pytest.raises(ReleaseProblem, match="more than 50 files"):
        unpack(zip_of(tmp_path / "z", *(zipfile.ZipInfo(f"{n}") for n in range(60))), target)


@pytest.mark.usefixtures("_small")
def test_a_header_that_is_huge(tmp_path: Path, target: Path) -> None:
    """A name of gigabytes, which tarfile would read into memory, is read no further than bounds."""
    header = member("././@LongLink", kind=tarfile.GNUTYPE_LONGNAME, size=1 << 33)
    path = tmp_path / "t"
    with gzip.open(path, "wb") as file:
        file.write(header.tobuf(tarfile.GNU_FORMAT))
        file.write(bytes(8 * MEBIBYTE))
    with pytest.raises(ReleaseProblem, match="holds more than"):
        unpack(path, target)


@pytest.mark.parametrize("kind", ["zip", "w:gz", "w:xz", "w"])
def test_damage(tmp_path: Path, target: Path, kind: Any) -> None:
    """An archive cut short, or with bytes changed, is refused or unpacked, never a crash."""
    path = tmp_path / "a"
    if kind == "zip":
        zip_of(path, *(zipfile.ZipInfo(f"{n}") for n in range(3)))
    else:
        tar_of(path, member("a", size=600), member("b"), mode=kind)
    whole = path.read_bytes()[:3000]
    for at in range(0, len(whole), 7):
        changed = whole[:at] + bytes([whole[at] ^ 0x55]) + whole[at + 1 :]
        for content in (whole[:at], changed):
            path.write_bytes(content)
            with suppress(ReleaseProblem):
                unpack(path, target)
            for file in target.iterdir():
                file.unlink()


def test_encrypted_zip(tmp_path: Path, target: Path) -> None:
    """Nobody is there to type its password."""
    path = zip_of(tmp_path / "z", zipfile.ZipInfo("a"))
    content = bytearray(path.read_bytes())
    content[content.index(b"PK\x01\x02") + 8] |= 1
    path.write_bytes(content)
    with pytest.raises(ReleaseProblem, match="is encrypted"):
        unpack(path, target)
