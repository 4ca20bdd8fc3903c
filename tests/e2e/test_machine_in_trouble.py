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


@pytest.mark.needs("faketime")
@pytest.mark.parametrize(("clock", "says"), [("-2d", "behind"), ("+2d", "ahead")])
def test_a_clock_that_is_two_days_off(world: World, tmp_path: Path, clock: str, says: str) -> None:
    """There is a certificate all the same, and a sentence on the clock; nothing goes in circles."""
    host = IssuingHost(world=world, folder=tmp_path, prefix=("faketime", "-f", clock))
    host.configure()
    code, said = host.cert("renew", "--if-due", UAP_NAME)

    assert code == 0, said
    assert host.verifies()
    assert f"minutes {says} of the authority's: set it" in said
    again, said = host.cert("renew", "--if-due", UAP_NAME)

    assert again == 0, said
    assert host.versions() == 1


@pytest.mark.needs("faketime")
def test_a_clock_that_ran_away_does_not_order_without_end(world: World, tmp_path: Path) -> None:
    """A new certificate that has expired by this clock is a failure with a back-off."""
    host = IssuingHost(world=world, folder=tmp_path, prefix=("faketime", "-f", "+2000d"))
    host.configure()
    host.cert("renew", "--if-due", UAP_NAME)
    again, said = host.cert("renew", "--if-due", UAP_NAME)

    assert again in (0, 1), said
    assert host.versions() <= 1
    assert "clock" in host.state().history.sentence


@contextmanager
def full(folder: Path) -> Iterator[None]:
    """Leave no room on the disk that a folder is on."""
    ballast = folder / "ballast"
    with suppress(OSError), ballast.open("wb", buffering=0) as file:
        while file.write(bytes(1024)):
            pass
    assert shutil.disk_usage(folder).free == 0
    try:
        yield
    finally:
        ballast.unlink()


def test_a_full_disk(world: World, tmp_path: Path) -> None:
    """Nothing is ordered that could not be stored, and the old certificate stays as it was."""
    state = tmp_path / "state"
    state.mkdir()
    host = IssuingHost(world=world, folder=tmp_path)
    host.configure()
    with small_disk(state, 1024):
        assert host.cert("issue")[0] == 0
        before = host.stored()
        orders = len(world.front.new_orders)
        with full(state):
            code, said = host.cert("renew", UAP_NAME)

            assert code == 1
            assert "There is no room left" in said
            assert host.stored() == before
            assert host.half_written() == []
            assert len(world.front.new_orders) == orders
        code, said = host.cert("renew", UAP_NAME)

        assert code == 0, said
        assert host.verifies()
        assert host.versions() == 2
    assert world.name_server.left() == {}


def test_a_disk_that_is_full_at_first(world: World, tmp_path: Path) -> None:
    """Without room for the store there is one sentence, and no request to the authority."""
    state = tmp_path / "state"
    state.mkdir()
    host = IssuingHost(world=world, folder=tmp_path)
    host.configure()
    with small_disk(state, 256), full(state):
        code, said = host.cert("issue")

    assert code == 1
    assert "There is no room left" in said
    assert "Traceback" not in said
