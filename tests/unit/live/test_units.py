"""What systemd says of the service."""

from typing import Any

import pytest

from exoproxy.live.finding import Finding
from exoproxy.live.units import findings, names, of_this_host
from exoproxy.settings.model import Settings
from pretended_network import Pretended

SETTINGS = Settings.model_validate({"main": {"hostname": "my.example.org", "proxy": None}})
RUNNING = {
    "LoadState": "loaded",
    "ActiveState": "active",
    "UnitFileState": "enabled",
    "NeedDaemonReload": "no",
    "FragmentPath": "/etc/systemd/system/exoproxy-main.service",
    "LimitNOFILE": "65536",
}


def told(
    shown: dict[str, str], *, shipped: bool = True, **sockets: dict[str, str]
) -> list[Finding]:
    units: dict[str, Any] = {"exoproxy-main.service": shown}
    units |= {f"exoproxy-main.{kind}": value for kind, value in sockets.items()}
    return list(findings(SETTINGS, Pretended(units=units, shipped=shipped)))


def test_all_is_well() -> None:
    """A service that runs and will after a reboot, as this version ships it."""
    [finding] = told(RUNNING)

    assert (finding.subject, finding.kind) == ("exoproxy-main.service", "ok")
    assert told({**RUNNING, "LimitNOFILE": "infinity"}) == [finding]
    # The socket is what starts it.
    disabled = {**RUNNING, "UnitFileState": "disabled"}
    assert told(disabled, socket={"UnitFileState": "enabled"}) == [finding]


@pytest.mark.parametrize(
    ("change", "kind", "expected"),
    [
        ({"LoadState": "not-found"}, "note", "is not installed here; if this host shall serve it"),
        (
            {"ActiveState": "failed", "Result": "exit-code"},
            "failed",
            "has failed (exit-code): `",
        ),
        (
            {"ActiveState": "activating", "SubState": "auto-restart", "Result": "exit-code"},
            "failed",
            "ends again and again (exit-code): `journalctl -e -u exoproxy-main.service` tells why",
        ),
        ({"UnitFileState": "disabled"}, "failed", "runs, and will not after a reboot: `systemctl "),
        ({"ActiveState": "activating"}, "note", "is activating; `systemctl status exoproxy-main"),
        (
            {"ActiveState": "inactive"},
            "failed",
            "does not run, though it is enabled: ",
        ),
        (
            {"ActiveState": "inactive", "UnitFileState": "disabled"},
            "note",
            "does not run; `systemctl enable --now exoproxy-main.service` starts it",
        ),
        (
            {"NeedDaemonReload": "yes"},
            "failed",
            "was changed after systemd read it: run ",
        ),
        (
            {"LimitNOFILE": "1024"},
            "failed",
            "may open 1024 files, and limits.connections of 10000 needs 20200: write `",
        ),
    ],
)
def test_tells_what_to_do(change: dict[str, str], kind: str, expected: str) -> None:
    """Each state has its command."""
    *_, finding = told({**RUNNING, **change})

    assert finding.kind == kind
    assert finding.sentence.startswith(expected)


def test_a_listening_socket_starts_it() -> None:
    """A service that waits for its first request is not broken."""
    [finding] = told({**RUNNING, "ActiveState": "inactive"}, socket={"ActiveState": "active"})

    assert finding.kind == "note"
    assert "its socket listens" in finding.sentence


def test_tells_of_an_old_unit() -> None:
    """One that an earlier version shipped, or that was edited in its place."""
    [_, finding] = told(RUNNING, shipped=False)

    assert finding.kind == "note"
    assert "(/etc/systemd/system/exoproxy-main.service)" in finding.sentence


def test_without_systemd_there_is_one_note() -> None:
    """However many units there would be."""
    [finding] = findings(SETTINGS, Pretended())

    assert (finding.subject, finding.kind) == ("systemd", "note")


def test_names_the_units_of_each_mode() -> None:
    """A region's is an instance of the template."""
    region = {"hostname": "p.example.org", "subnets": ["192.168.0.0/24"]}
    uap = {"allowed_origins": [], "regions": {"X": region}}
    settings = Settings.model_validate(
        {"main": {"hostname": "m.example.org", "proxy": None}, "uap": uap}
    )

    assert names(settings, "socket") == ["exoproxy-main.socket", "exoproxy-uap@X.socket"]


@pytest.mark.parametrize(
    ("enabled", "expected"),
    [
        ([], ["exoproxy-main.service", "exoproxy-uap@X.service", "exoproxy-uap@Y.service"]),
        (["exoproxy-main.service"], ["exoproxy-main.service"]),
        (["exoproxy-uap@Y.socket"], ["exoproxy-uap@Y.service"]),
    ],
)
def test_knows_which_modes_are_this_hosts(enabled: list[str], expected: list[str]) -> None:
    """By what is enabled; before that any may be."""
    regions = {
        name: {"hostname": f"{name}.example.net".lower(), "subnets": ["192.168.0.0/24"]}
        for name in ("X", "Y")
    }
    uap = {"allowed_origins": [], "regions": regions}
    main = {"hostname": "m.example.org", "proxy": None}
    settings = Settings.model_validate({"main": main, "uap": uap})
    network = Pretended(units={unit: {"UnitFileState": "enabled"} for unit in enabled})

    assert names(of_this_host(settings, network), "service") == expected
