"""Which process listens on a port, by a /proc of our own and the real one."""

import os
import socket
from pathlib import Path

import pytest

from exoproxy.net.port_holder import Holder, holders, is_listened_on, port_holder

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


@pytest.mark.parametrize(
    ("command", "ours"),
    [
        ("/opt/exoproxy/bin/python\0/opt/exoproxy/bin/exoproxy\0main\0", True),
        ("python3\0-m\0exoproxy\0uap\0", True),
        ("nginx: master process exoproxy\0", False),
        ("vi\0notes\0exoproxy\0", False),
    ],
)
def test_knows_our_own(tmp_path: Path, command: str, ours: bool) -> None:
    """A command line that runs exoproxy is ours, one that only speaks of it is not."""
    process = make_proc(tmp_path) / "812"
    (process / "cmdline").write_text(command, encoding="ascii")
    (process / "cgroup").write_text("0::/system.slice/nginx.service\n", encoding="ascii")

    assert list(holders(8080, proc=tmp_path)) == [
        Holder(name="nginx", process=812, service="nginx.service", ours=ours)
    ]


def test_everyone_sees_that_a_port_is_taken(tmp_path: Path) -> None:
    """The tables of sockets are open to all users, unlike other users' descriptors."""
    proc = make_proc(tmp_path)

    assert is_listened_on(8080, proc=proc)
    assert not is_listened_on(8081, proc=proc)
