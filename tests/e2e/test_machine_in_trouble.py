"""Certificates on a machine whose clock is wrong, or whose disk is full."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from acme_world import NEEDS, World
from deployment import UAP_NAME
from issuing_host import IssuingHost
from root import small_disk

pytestmark = pytest.mark.needs(*NEEDS)

KILOBYTES = 1024


@pytest.mark.needs("faketime")
@pytest.mark.parametrize(("clock", "says"), [("-2d", "behind"), ("+2d", "ahead")])
def test_a_clock_that_is_two_days_off(world: World, tmp_path: Path, clock: str, says: str) -> None:
    """There is a certificate all the same, and a sentence on the clock; nothing goes in circles."""
    host = IssuingHost(world=world, folder=tmp_path, prefix=("faketime", "-f", clock))
    host.configure()
    code, said = host.run("renew", "--if-due", UAP_NAME)

    assert code == 0, said
    assert host.verifies()
    assert f"minutes {says} of the authority's: set it" in said
    again, said = host.run("renew", "--if-due", UAP_NAME)

    assert again == 0, said
    assert host.versions() == 1


@pytest.mark.needs("faketime")
def test_a_clock_that_ran_away_does_not_order_without_end(world: World, tmp_path: Path) -> None:
    """A new certificate that has expired by this clock is a failure with a back-off."""
    host = IssuingHost(world=world, folder=tmp_path, prefix=("faketime", "-f", "+2000d"))
    host.configure()
    host.run("renew", "--if-due", UAP_NAME)
    again, said = host.run("renew", "--if-due", UAP_NAME)

    assert again in (0, 1), said
    assert host.versions() <= 1
    assert "clock" in host.state().history.sentence


@contextmanager
def full(disk: Path) -> Iterator[None]:
    """Leave no room on a small disk."""
    ballast = disk / "ballast"
    with suppress(OSError), ballast.open("wb", buffering=0) as file:
        for _ in range(4 * KILOBYTES):
            file.write(bytes(1024))
    assert shutil.disk_usage(disk).free == 0
    try:
        yield
    finally:
        ballast.unlink()


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    """A small disk, on which the host keeps its state."""
    mounted_at = tmp_path / "disk"
    mounted_at.mkdir()
    with small_disk(mounted_at, KILOBYTES) as found:
        (tmp_path / "state").symlink_to(found)
        yield found


def test_a_full_disk(world: World, tmp_path: Path, disk: Path) -> None:
    """Nothing is ordered that could not be stored, and the old certificate stays as it was."""
    host = IssuingHost(world=world, folder=tmp_path)
    host.configure()
    host.cert("issue")
    before = host.stored()
    orders = len(world.front.new_orders)
    with full(disk):
        said = host.cert_fails("renew", UAP_NAME)

        assert "There is no room left" in said[-1]
        assert host.stored() == before
        assert host.half_written() == []
        assert len(world.front.new_orders) == orders
    host.cert("renew", UAP_NAME)

    assert host.verifies()
    assert host.versions() == 2
    assert world.name_server.left() == {}


def test_a_disk_that_is_full_at_first(world: World, tmp_path: Path, disk: Path) -> None:
    """Without room for the store there is one sentence, and no request to the authority."""
    host = IssuingHost(world=world, folder=tmp_path)
    host.configure()
    requests = len(world.front.requests)
    with full(disk):
        [said] = host.cert_fails("issue")

    assert "There is no room left" in said
    assert len(world.front.requests) == requests
