"""Which process listens on a port, by a /proc of our own and the real one."""

import os
import socket
from pathlib import Path

from exoproxy.net.port_holder import port_holder

TABLE = """\
  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode
   0: 0100007F:1F90 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 4242 1
   1: 0100007F:1F91 0100007F:1F90 01 00000000:00000000 00:00000000 00000000     0        0 4243 1
"""


def make_proc(folder: Path) -> Path:
    (folder / "net").mkdir()
    (folder / "net" / "tcp").write_text(TABLE, encoding="ascii")
    for process, inode in (("12", 1), ("812", 4242), ("813", 4243)):
        (folder / process / "fd").mkdir(parents=True)
        (folder / process / "comm").write_text("nginx\n", encoding="ascii")
        (folder / process / "fd" / "6").symlink_to(f"socket:[{inode}]")
    return folder


def test_holder_is_found(tmp_path: Path) -> None:
    """The process whose descriptor is the listening socket is named."""
    assert port_holder(8080, proc=make_proc(tmp_path)) == "nginx (process 812)"


def test_connection_is_no_holder(tmp_path: Path) -> None:
    """A process that merely has a connection from that port is not named."""
    assert port_holder(8081, proc=make_proc(tmp_path)) is None


def test_no_proc_is_no_error(tmp_path: Path) -> None:
    """Without /proc there is no answer."""
    assert port_holder(8080, proc=tmp_path) is None


def test_own_socket_is_found() -> None:
    """The real /proc tells that this process listens."""
    with socket.create_server(("127.0.0.1", 0)) as sock:
        holder = port_holder(sock.getsockname()[1])

    assert holder is not None
    assert holder.endswith(f"(process {os.getpid()})")
