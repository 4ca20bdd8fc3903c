"""The systemd units in systemd/, as systemd itself reads them."""

import shutil
import subprocess
from pathlib import Path

import pytest

from exoproxy.settings.limits import Limits

UNITS = Path(__file__).parents[2] / "systemd"
PROGRAM = "/opt/exoproxy/bin/exoproxy"
# A provider answers within 20 s or is asked once more, and a record is looked up before it goes.
CLEAN_UP_SECONDS = 80


def values(unit: Path, key: str) -> list[str]:
    """Return what a unit sets a key to, in its order."""
    lines = unit.read_text(encoding="utf-8").splitlines()
    return [line.removeprefix(f"{key}=") for line in lines if line.startswith(f"{key}=")]


@pytest.mark.needs("systemd-analyze")
@pytest.mark.parametrize("unit", ["exoproxy-main.service", "exoproxy-uap@RegionOne.service"])
def test_systemd_has_nothing_to_say_about_a_unit(unit: str, tmp_path: Path) -> None:
    """`systemd-analyze verify` accepts each unit without a remark."""
    program = shutil.which("true")
    assert program is not None
    for source in UNITS.glob("*.service"):
        text = source.read_text(encoding="utf-8")
        # Verify wants the program to be there; where it is installed is the operator's choice.
        (tmp_path / source.name).write_text(text.replace(PROGRAM, program), encoding="utf-8")
    template = tmp_path / "exoproxy-uap@.service"
    template.with_name("exoproxy-uap@RegionOne.service").symlink_to(template)

    verdict = subprocess.run(  # noqa: S603 - systemd's own tool on our own files
        ["systemd-analyze", "verify", "--man=no", tmp_path / unit],  # noqa: S607 - from PATH
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )

    assert (verdict.returncode, verdict.stdout + verdict.stderr) == (0, "")


@pytest.mark.parametrize("unit", sorted(UNITS.glob("*.service")), ids=lambda unit: unit.name)
def test_a_host_without_a_token_starts(unit: Path) -> None:
    """Every credential that is loaded from a file has a blank one to fall back to.

    systemd ignores a line without any value, and starts no service whose credential is missing.
    """
    loaded = [value.partition(":")[0] for value in values(unit, "LoadCredential")]

    assert loaded == ["cloudflare.token", "tsig.key"]
    assert values(unit, "SetCredential") == [rf"{name}:\n" for name in loaded]


@pytest.mark.parametrize("unit", sorted(UNITS.glob("*.service")), ids=lambda unit: unit.name)
def test_a_service_has_time_to_end(unit: Path) -> None:
    """Requests are drained and challenges' records removed before systemd kills."""
    [seconds] = values(unit, "TimeoutStopSec")

    assert int(seconds) >= max(Limits().drain, CLEAN_UP_SECONDS) + 10
