"""The systemd units in systemd/, as systemd itself reads them."""

import shutil
import subprocess
from pathlib import Path

import pytest

UNITS = Path(__file__).parents[2] / "systemd"
PROGRAM = "/opt/exoproxy/bin/exoproxy"


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
