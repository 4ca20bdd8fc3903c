"""The systemd units in systemd/, as systemd itself reads them."""

import shutil
import subprocess
from ipaddress import IPv4Address, IPv6Address
from pathlib import Path

import pytest

from exoproxy.net.sockets import BACKLOG
from exoproxy.settings.addresses import ListenAddress
from exoproxy.settings.limits import Limits
from exoproxy.settings.sites import Main, Region

UNITS = Path(__file__).parents[2] / "systemd"
SERVICES = sorted(UNITS.glob("*.service"))
SOCKETS = sorted(UNITS.glob("*.socket"))
PROGRAM = "/opt/exoproxy/bin/exoproxy"
# A provider answers within 20 s or is asked once more, and a record is looked up before it goes.
CLEAN_UP_SECONDS = 80
# In tenths; a service without any sandbox has 96.
EXPOSURE = 15
# What systemd passes, the loop's own, logs, the page's socket, threads, the client's files.
OTHER_FILES = 512


def values(unit: Path, key: str) -> list[str]:
    """Return what a unit sets a key to, in its order."""
    lines = unit.read_text(encoding="utf-8").splitlines()
    return [line.removeprefix(f"{key}=") for line in lines if line.startswith(f"{key}=")]


@pytest.fixture
def installed(tmp_path: Path) -> Path:
    """The units in a folder, for a program that is there, with one region."""
    program = shutil.which("true")
    assert program is not None
    for source in [*SERVICES, *SOCKETS]:
        text = source.read_text(encoding="utf-8")
        # Verify wants the program to be there; where it is installed is the operator's choice.
        file = tmp_path / source.name
        file.write_text(text.replace(PROGRAM, program), encoding="utf-8")
        if "@" in source.name:
            file.with_name(source.name.replace("@", "@RegionOne")).symlink_to(file)
    return tmp_path


def analyze(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(  # noqa: S603 - systemd's own tool on our own files
        ["systemd-analyze", *arguments],  # noqa: S607 - from PATH
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


@pytest.mark.needs("systemd-analyze")
@pytest.mark.parametrize("name", ["exoproxy-main", "exoproxy-uap@RegionOne"])
@pytest.mark.parametrize("kind", ["service", "socket"])
def test_systemd_has_nothing_to_say_about_a_unit(name: str, kind: str, installed: Path) -> None:
    """`systemd-analyze verify` accepts each unit without a remark."""
    verdict = analyze("verify", "--man=no", installed / f"{name}.{kind}")

    assert (verdict.returncode, verdict.stdout + verdict.stderr) == (0, "")


@pytest.mark.needs("systemd-analyze")
@pytest.mark.parametrize("name", ["exoproxy-main", "exoproxy-uap@RegionOne"])
def test_a_service_is_in_a_sandbox(name: str, installed: Path) -> None:
    """What systemd counts as the exposure of each service is no more than is promised."""
    unit = installed / f"{name}.service"
    verdict = analyze("security", "--offline=true", "--no-pager", f"--threshold={EXPOSURE}", unit)

    assert verdict.returncode == 0, verdict.stdout


def test_both_services_are_in_the_same_sandbox() -> None:
    """The services differ in what they serve, and in nothing that protects."""
    own = ("#", "Description=", "Wants=", "After=", "ExecStart=", "RuntimeDirectory", "Also=")
    main, uap = (
        [line for line in unit.read_text(encoding="utf-8").splitlines() if not line.startswith(own)]
        for unit in SERVICES
    )

    assert main == uap


@pytest.mark.parametrize("unit", SOCKETS, ids=lambda unit: unit.name)
@pytest.mark.parametrize("part", [Main, Region])
def test_sockets_listen_where_the_settings_do(unit: Path, part: type[Main | Region]) -> None:
    """Each port of the defaults is taken, for both families, and no other."""
    wanted = {
        address
        for key in ("listen", "redirect_listen")
        for address in part.model_fields[key].default
    }
    taken = {
        ListenAddress(address, int(port))
        for port in values(unit, "ListenStream")
        for address in (IPv4Address(0), IPv6Address(0))
    }

    assert taken == wanted
    assert values(unit, "BindIPv6Only") == ["both"]
    assert values(unit, "Backlog") == [str(BACKLOG)]


@pytest.mark.parametrize("unit", SERVICES, ids=lambda unit: unit.name)
def test_a_service_may_open_what_its_limits_allow(unit: Path) -> None:
    """Every connection that the limits allow has a file, and its upstream's another."""
    [files] = values(unit, "LimitNOFILE")
    limits = Limits()

    assert int(files) >= 2 * limits.connections + limits.upstream_idle_total + OTHER_FILES


@pytest.mark.parametrize("unit", SERVICES, ids=lambda unit: unit.name)
def test_a_host_without_a_token_starts(unit: Path) -> None:
    """Every credential that is loaded from a file has a blank one to fall back to.

    systemd ignores a line without any value, and starts no service whose credential is missing.
    """
    loaded = [value.partition(":")[0] for value in values(unit, "LoadCredential")]

    assert loaded == ["cloudflare.token", "tsig.key"]
    assert values(unit, "SetCredential") == [rf"{name}:\n" for name in loaded]


@pytest.mark.parametrize("unit", SERVICES, ids=lambda unit: unit.name)
def test_a_service_has_time_to_end(unit: Path) -> None:
    """Requests are drained and challenges' records removed before systemd kills."""
    [seconds] = values(unit, "TimeoutStopSec")

    assert int(seconds) >= max(Limits().drain, CLEAN_UP_SECONDS) + 10
