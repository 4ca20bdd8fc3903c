"""Which process listens on a port, as far as /proc tells.

Only for the sentence that a taken port gets: the answer is a courtesy, and no answer is no error.
Called by `sockets`.
"""

from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

_LISTEN = "0A"  # TCP_LISTEN of the kernel's include/net/tcp_states.h


def port_holder(port: int, *, proc: Path = Path("/proc")) -> str | None:
    """Return "nginx (process 812)" for the process that listens on the TCP port.

    None when no process is found, which is the rule for those of another user.
    """
    links = {f"socket:[{inode}]" for inode in _listening_inodes(port, proc)}
    if not links:
        return None
    for process in proc.glob("[0-9]*"):
        with suppress(OSError):
            for descriptor in (process / "fd").iterdir():
                if str(descriptor.readlink()) in links:
                    name = (process / "comm").read_text(encoding="utf-8").strip()
                    return f"{name} (process {process.name})"
    return None


def _listening_inodes(port: int, proc: Path) -> Iterator[str]:
    """Yield the inodes of the sockets that listen on the port (proc(5), /proc/net/tcp)."""
    local = f":{port:04X}"
    for table in ("tcp", "tcp6"):
        with suppress(OSError):
            for line in (proc / "net" / table).read_text(encoding="ascii").splitlines()[1:]:
                columns = line.split()
                if columns[1].endswith(local) and columns[3] == _LISTEN:
                    yield columns[9]
