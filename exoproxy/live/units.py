"""Does systemd start and keep the service, with enough files to open, as this version means it?"""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Final

from exoproxy.live.finding import Finding, failed, note, ok
from exoproxy.live.network import Network
from exoproxy.settings.limits import Limits
from exoproxy.settings.model import Settings

# Beside two for each proxied connection: listeners, logs, files of the client, look-ups.
_OTHER_FILES: Final = 200
_ENABLED: Final = frozenset({"enabled", "enabled-runtime"})
_GONE: Final = frozenset({"not-found", ""})


def names(settings: Settings, kind: str) -> list[str]:
    """Return the units of one kind, `service` or `socket`, for the modes in the file."""
    regions = settings.uap.regions if settings.uap else ()
    main = [f"exoproxy-main.{kind}"] if settings.main else []
    return main + [f"exoproxy-uap@{region}.{kind}" for region in regions]


def of_this_host(settings: Settings, network: Network) -> Settings:
    """Return the part of the configuration that systemd runs, or starts, on this host.

    One file may be for several hosts. Where none of its units is enabled yet, it is the whole.
    """
    meant = {unit for unit in names(settings, "service") if _is_meant(unit, network)}
    if not meant:
        return settings
    uap = settings.uap
    regions = {
        name: region
        for name, region in (uap.regions.items() if uap else ())
        if f"exoproxy-uap@{name}.service" in meant
    }
    return settings.model_copy(
        update={
            "main": settings.main if "exoproxy-main.service" in meant else None,
            "uap": uap.model_copy(update={"regions": regions}) if uap and regions else None,
        }
    )


def are_for_one(settings: Settings) -> bool:
    """Tell whether there is but one mode, which then must be this host's."""
    return len(names(settings, "service")) == 1


def _is_meant(unit: str, network: Network) -> bool:
    for each in (unit, unit.replace(".service", ".socket")):
        shown = network.unit(each) or {}
        if shown.get("UnitFileState") in _ENABLED or shown.get("ActiveState") == "active":
            return True
    return False


def findings(settings: Settings, network: Network) -> Iterator[Finding]:
    """Yield a finding for the service of each mode in the file; it is for several hosts."""
    for unit in names(settings, "service"):
        shown = network.unit(unit)
        if shown is None:
            yield note(
                "systemd",
                "doesn't run this host, or can't be asked; see that something starts exoproxy "
                "after a reboot and when it fails",
            )
            return
        yield from _of_unit(unit, shown, settings.limits, network)


def _of_unit(
    unit: str, shown: Mapping[str, str], limits: Limits, network: Network
) -> Iterator[Finding]:
    if shown.get("LoadState", "") in _GONE:
        yield note(
            unit,
            "is not installed here; if this host shall serve it, copy exoproxy's units to "
            f"/etc/systemd/system and run `systemctl enable --now {unit}`",
        )
        return
    socket = network.unit(unit.replace(".service", ".socket")) or {}
    yield _of_state(unit, shown, socket)
    if shown.get("NeedDaemonReload") == "yes":
        yield failed(
            unit,
            "was changed after systemd read it: run `systemctl daemon-reload`, then `systemctl "
            f"restart {unit}`",
        )
    fragment = shown.get("FragmentPath", "")
    if fragment and network.is_as_shipped(Path(fragment)) is False:
        yield note(
            unit,
            f"is another file ({fragment}) than the one that came with this version: copy that, "
            "and keep changes of your own by `systemctl edit`",
        )
    needed = 2 * limits.connections + _OTHER_FILES
    allowed = shown.get("LimitNOFILE", "")
    if allowed.isdecimal() and int(allowed) < needed:
        yield failed(
            unit,
            f"may open {allowed} files, and limits.connections of {limits.connections} needs "
            f"{needed}: write `LimitNOFILE={needed}` below [Service] by `systemctl edit {unit}`, "
            "or lower limits.connections",
        )


def _of_state(unit: str, shown: Mapping[str, str], socket: Mapping[str, str]) -> Finding:
    state = shown.get("ActiveState", "")
    listens = socket.get("ActiveState") == "active"
    enabled = not _ENABLED.isdisjoint(
        {shown.get("UnitFileState", ""), socket.get("UnitFileState", "")}
    )
    if state == "failed":
        return failed(
            unit,
            f"has failed ({shown.get('Result') or 'no reason given'}): `journalctl -e -u {unit}` "
            f"tells why, `systemctl restart {unit}` tries again",
        )
    if shown.get("SubState") == "auto-restart":
        return failed(
            unit,
            f"ends again and again ({shown.get('Result') or 'no reason given'}): `journalctl -e -u "
            f"{unit}` tells why",
        )
    if state == "active" and not enabled:
        return failed(unit, f"runs, and will not after a reboot: `systemctl enable {unit}`")
    if state == "active":
        return ok(unit, "runs, and will after a reboot")
    if state in {"activating", "reloading", "deactivating"}:
        return note(unit, f"is {state}; `systemctl status {unit}` shows how far it is")
    if listens:
        return note(unit, "does not run yet; its socket listens, and the first request starts it")
    if enabled:
        return failed(
            unit,
            f"does not run, though it is enabled: `systemctl start {unit}`, and `journalctl -e -u "
            f"{unit}` if it does not stay",
        )
    return note(unit, f"does not run; `systemctl enable --now {unit}` starts it now and at boot")
