"""Where a client is fetched and built."""

import os
import stat
from pathlib import Path

import pytest

from exoproxy.releases.process import Account
from exoproxy.releases.workshop import hand_over, workshop
from root import require_root


@pytest.fixture(name="place", autouse=True)
def own_place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    place = tmp_path / "place"
    place.mkdir()
    monkeypatch.setenv("TMPDIR", str(place))
    return place


def test_is_gone_at_the_end(place: Path, tmp_path: Path) -> None:
    """It is this user's alone while it is there."""
    with workshop(tmp_path / "client") as bench:
        (bench / "half").mkdir()

        assert bench.parent == place
        assert stat.S_IMODE(bench.stat().st_mode) == 0o700
    assert os.listdir(place) == []


def test_sweeps_what_was_left(place: Path, tmp_path: Path) -> None:
    """The next one into the same folder removes it, but nothing else and nothing behind links."""
    with workshop(tmp_path / "client") as bench:
        prefix = bench.name.rpartition("-")[0]
    mine, other = place / f"{prefix}-left", place / "exoproxy-0123456789abcdef-other"
    for folder in (mine, other, tmp_path / "precious"):
        folder.mkdir()
    (tmp_path / "precious" / "file").touch()
    (mine / "link").symlink_to(tmp_path / "precious")
    (place / f"{prefix}-link").symlink_to(tmp_path / "precious")
    with workshop(tmp_path / "client"):
        pass

    assert not mine.exists()
    assert other.exists()
    assert (tmp_path / "precious" / "file").exists()


def test_hands_over_without_following_links(tmp_path: Path) -> None:
    """All in the folder gets another owner, and nothing that links in it lead to."""
    require_root()
    bench, outside = tmp_path / "bench", tmp_path / "outside"
    (bench / "inner").mkdir(parents=True)
    outside.mkdir()
    (outside / "file").touch()
    (bench / "inner" / "file").touch()
    (bench / "folder").symlink_to(outside)
    (bench / "inner" / "link").symlink_to(outside / "file")
    hand_over(bench, Account(user=65534, group=65533))

    assert {path.lstat().st_uid for path in (bench, *bench.rglob("*"))} == {65534}
    assert {path.stat().st_uid for path in (outside, outside / "file")} == {os.geteuid()}
