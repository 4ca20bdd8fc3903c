"""What every front gets: the files, the certificate, and where the upstreams answer.

Made once for each run in one temporary folder; the processes on it are started elsewhere.
"""

import gzip
import json
import os
import random
import socket
import ssl
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from ipaddress import IPv4Address
from pathlib import Path
from typing import Final

from exoproxy.certs.local import local_certificate
from exoproxy.net.port_holder import port_holder

# The upstream's address; fronts listen on 127.0.0.1.
ADDRESS: Final = "127.0.0.2"
# The cloud's API: each service has a port of its own there, as usual.
SERVICES: Final = (
    "keystone",
    "nova",
    "glance",
    "neutron",
    "cinder",
    "manila",
    "designate",
    "placement",
)
# Addresses at which the plain upstream listens as well, for whom many instances matter.
INSTANCES: Final = tuple(str(IPv4Address("127.1.0.0") + n) for n in range(1, 1001))
LARGE: Final = 16 * 1024 * 1024
SCRIPT: Final = 665_093


class Ports:
    """Free ports; none is given out twice."""

    def __init__(self) -> None:
        self._taken: set[int] = set()

    def take(self, address: str = "127.0.0.1") -> int:
        """Return a port that nothing listens on, on any address."""
        while True:
            with socket.socket() as probe:
                probe.bind((address, 0))
                port: int = probe.getsockname()[1]
            if port not in self._taken and port_holder(port) is None:
                self._taken.add(port)
                return port


@dataclass(frozen=True, slots=True, kw_only=True)
class Stage:
    """Paths, and ports at `ADDRESS`.

    `files` are what is served; `packed` are the same, each with a .gz beside it. `certificate`
    holds the key as well. `plain` and `tls` serve `files`; `echo` speaks the websocket protocol
    without TLS; `cloud` has each of `SERVICES`.
    """

    folder: Path
    files: Path
    packed: Path
    certificate: Path
    authority: Path
    ports: Ports
    plain: int
    tls: int
    echo: int
    cloud: Mapping[str, int]

    def trust(self) -> ssl.SSLContext:
        """Return a client's context that trusts the fronts' certificate and nothing else."""
        return ssl.create_default_context(cafile=self.authority)

    def instance(self, scheme: str, port: int, address: str = ADDRESS) -> str:
        """Return the name under which the UAP knows a port of an instance."""
        return f"{scheme}-{address.replace('.', '-')}-{port}.localhost"


def set_stage(folder: Path) -> Stage:
    """Write files and certificate into the folder, and choose the ports."""
    files = folder / "files"
    _write_files(files)
    certificate = local_certificate(
        folder / "certificate", ["localhost", "*.localhost"], datetime.now(UTC)
    )
    ports = Ports()
    return Stage(
        folder=folder,
        files=files,
        packed=_pack(files, folder / "packed"),
        certificate=certificate.cert_file,
        authority=certificate.ca_file,
        ports=ports,
        plain=ports.take(ADDRESS),
        tls=ports.take(ADDRESS),
        echo=ports.take(ADDRESS),
        cloud={service: ports.take(ADDRESS) for service in SERVICES},
    )


def json_text(size: int) -> str:
    """Return so many characters of what Nova's list of servers looks like."""
    count = size // 80 + 1
    servers = [
        {"id": f"{n:032x}", "name": f"server-{n}", "status": "ACTIVE", "flavor": f"m1.{n % 7}"}
        for n in range(count)
    ]
    return json.dumps({"servers": servers})[:size]


def _write_files(folder: Path) -> None:
    folder.mkdir()
    for name, size in (("small", 2_048), ("servers", 23_000), ("images", 78_000)):
        (folder / f"{name}.json").write_text(json_text(size), encoding="ascii")
    (folder / "index.html").write_text(f"<!doctype html>{'x' * 2000}", encoding="ascii")
    (folder / "elm-web.js").write_text(_script(SCRIPT), encoding="ascii")
    (folder / "16m.bin").write_bytes(os.urandom(1024) * (LARGE // 1024))


def _pack(files: Path, packed: Path) -> Path:
    packed.mkdir()
    for file in files.iterdir():
        (packed / file.name).symlink_to(file)
        if file.suffix != ".bin":
            (packed / f"{file.name}.gz").write_bytes(gzip.compress(file.read_bytes(), 9))
    return packed


def _script(size: int) -> str:
    """Return the same script each time; it shrinks as the client's own does."""
    source = random.Random(size)  # noqa: S311 - the same words each time are what is wanted
    letters = "abcdefghijklmnopqrstuvwxyz"
    words = ["".join(source.choices(letters, k=source.randint(2, 9))) for _ in range(4000)]
    lines = ("A2({},{{a:{}}});".format(*source.choices(words, k=2)) for _ in range(size // 10))
    return "".join(lines)[:size]
