"""Which processes listen on a port, as far as /proc tells.

Only for the sentence that a taken port gets: the answer is a courtesy, and no answer is no error.
Called by `sockets` and by `exoproxy check --live`.
"""

from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

_LISTEN: Final = "0A"  # TCP_LISTEN of the kernel's include/net/tcp_states.h
_PROC: Final = Path("/proc")


@dataclass(frozen=True, slots=True, kw_only=True)
class Holder:
    """A process that has a listening socket open.

    `name` is what the kernel calls it (proc(5), comm), `service` the systemd unit that it belongs
    to, "" for none. `ours`: it runs exoproxy, by its own name or as a module of Python.
    """

    name: str
    process: int
    service: str = ""
    ours: bool = False

    def __str__(self) -> str:
        return f"{self.name} (process {self.process})"


def port_holder(port: int, *, proc: Path = _PROC) -> str | None:
    """Return "nginx (process 812)" for the process that listens on the TCP port.

    None when no process is found, which is the rule for those of another user.
    """
    return next(map(str, holders(port, proc=proc)), None)


def holders(port: int, *, proc: Path = _PROC) -> Iterator[Holder]:
    """Yield the processes that listen on the TCP port: with a socket unit, systemd and a service.

    Only root sees those of other users.
    """
    links = {f"socket:[{inode}]" for inode in _listening_inodes(port, proc)}
    if not links:
        return
    for process in proc.glob("[0-9]*"):
        with suppress(OSError):
            if any(str(each.readlink()) in links for each in (process / "fd").iterdir()):
                yield _holder(process)


def is_listened_on(port: int, *, proc: Path = _PROC) -> bool:
    """Tell whether any process listens on the TCP port; every user may know that."""
    return any(_listening_inodes(port, proc))


def _holder(process: Path) -> Holder:
    name = (process / "comm").read_text(encoding="utf-8", errors="replace").strip()
    command, service = [], ""
    with suppress(OSError):
        content = (process / "cmdline").read_text(encoding="utf-8", errors="replace")
        command = content.split("\0")
    with suppress(OSError):
        # cgroups(7): 0::/system.slice/nginx.service
        path = (process / "cgroup").read_text(encoding="utf-8", errors="replace").strip()
        service = next(
            (part for part in reversed(path.split("/")) if part.endswith(".service")), ""
        )
    ours = any(Path(word).name == "exoproxy" for word in command[:2]) or (
        command[1:3] == ["-m", "exoproxy"]
    )
    return Holder(name=name, process=int(process.name), service=service, ours=ours)


def _listening_inodes(port: int, proc: Path) -> Iterator[str]:
    """Yield the inodes of the sockets that listen on the port (proc(5), /proc/net/tcp)."""
    local = f":{port:04X}"
    for table in ("tcp", "tcp6"):
        with suppress(OSError):
            for line in (proc / "net" / table).read_text(encoding="ascii").splitlines()[1:]:
                columns = line.split()
                if columns[1].endswith(local) and columns[3] == _LISTEN:
                    yield columns[9]
