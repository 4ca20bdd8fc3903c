"""In what order the world is tried: from what users meet first to what only operators see.

Called by `exoproxy check --live`.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from exoproxy.live import clock, cloud, files, instances, issuance, listeners, names, served, units
from exoproxy.live.finding import Finding, note, ok
from exoproxy.live.network import Network
from exoproxy.settings.model import Settings


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """What the operator asked for.

    `configuration` is the file, `write` whether DNS records may be written, and `instances` what
    shall be reached, each HOST or HOST:PORT.
    """

    configuration: Path
    write: bool = False
    instances: tuple[str, ...] = ()


Group = tuple[str, Iterator[Finding]]


def groups(
    settings: Settings, asked: Asked, network: Network, say: Callable[[str], None]
) -> Iterator[Group]:
    """Yield titles with findings that are made while they are read; it goes on after a failure.

    `say` tells how far what takes long is. Groups have to be read in their order.
    """
    everywhere, settings = settings, units.of_this_host(settings, network)
    if settings is not everywhere:
        yield "host", iter([_left_out(everywhere, settings)])
    skews: clock.Skews = {}
    yield "names", names.findings(settings, network)
    yield "listeners", listeners.findings(settings, network)
    yield "served", served.findings(settings, network)
    yield "issuance", issuance.findings(settings, network, skews, write=asked.write, say=say)
    yield "cloud", cloud.findings(settings, network, skews)
    yield "instances", instances.findings(settings, asked.instances, network)
    yield "clock", clock.findings(skews, network)
    yield "files", files.findings(settings, asked.configuration, network)
    yield "service", units.findings(settings, network)


def _left_out(everywhere: Settings, here: Settings) -> Finding:
    mine = units.names(here, "service")
    others = [unit for unit in units.names(everywhere, "service") if unit not in mine]
    if not others:
        return ok("all units", "of the file are this host's")
    return note(
        ", ".join(others),
        f"not tried: enabled here is {', '.join(mine)} alone; try the others on their own hosts",
    )
