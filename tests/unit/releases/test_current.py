"""The link to the active release, as the serving process reads it."""

from datetime import UTC, datetime
from pathlib import Path

import pytest

from exoproxy.releases.current import active, installed_at

NAME = "20261122T200540Z-master"


def test_follows_the_link(tmp_path: Path) -> None:
    """The release is what the link leads to, whether or not that is there."""
    (tmp_path / "current").symlink_to(f"releases/{NAME}")

    assert active(tmp_path / "current") == NAME


@pytest.mark.parametrize(
    "target", ["/srv/client", f"other/{NAME}", "releases/mine", f"releases/{NAME}/x", "releases/"]
)
def test_other_links_name_no_release(tmp_path: Path, target: str) -> None:
    """What an operator has linked there has no name that says anything."""
    (tmp_path / "current").symlink_to(target)

    assert active(tmp_path / "current") is None


def test_a_folder_is_no_release(tmp_path: Path) -> None:
    """Nor is what is not there."""
    assert active(tmp_path) is None
    assert active(tmp_path / "none") is None


def test_the_name_says_when() -> None:
    """A release's name begins with its time; made-up ones may hold nonsense."""
    assert installed_at(NAME) == datetime(2026, 11, 22, 20, 5, 40, tzinfo=UTC)
    assert installed_at("20269999T999999Z-x") is None
    assert installed_at("") is None
