"""What is measured: exoproxy in both modes, nginx in the same roles, and an upstream for all.

Every front is one process on one core with the same certificate and the same upstream, an nginx
that serves files from memory on 127.0.0.2. Everything lives in one temporary folder.
"""

import json
import os
import random
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from exoproxy.certs.local import local_certificate
from exoproxy.net.port_holder import port_holder

INSTANCE = "127.0.0.2"

NGINX = """\
daemon off;
worker_processes 1;
error_log {folder}/{name}.log warn;
pid {folder}/{name}.pid;
events {{ worker_connections 4096; }}
http {{
  client_body_temp_path {folder}; proxy_temp_path {folder}; fastcgi_temp_path {folder};
  uwsgi_temp_path {folder}; scgi_temp_path {folder};
  types {{ application/json json; application/javascript js; text/html html; }}
  ssl_certificate {cert}; ssl_certificate_key {cert};
  sendfile on; tcp_nopush on; keepalive_requests 1000000;
{servers}
}}
"""

UPSTREAM = """\
  access_log off;
  server {{ listen {instance}:{plain}; listen {instance}:{tls} ssl; root {files}; }}
"""

# The roles of the deployment that exoproxy replaces: what its configuration does, not its text.
DEPLOYED = """\
  access_log {folder}/nginx-access.log;
  gzip on; gzip_types application/json application/javascript;
  server {{
    listen 127.0.0.1:{main} ssl; root {files};
    location / {{ try_files $uri $uri/ /index.html; }}
    location ~* ^/proxy/(.*) {{
      proxy_ssl_verify off;
      proxy_set_header Host $http_exo_proxy_orig_host:$http_exo_proxy_orig_port;
      proxy_pass https://{instance}:$http_exo_proxy_orig_port/$1$is_args$args;
    }}
  }}
  server {{
    listen 127.0.0.1:{uap} ssl;
    location / {{
      proxy_http_version 1.1; proxy_buffering off; proxy_request_buffering off;
      proxy_set_header Host $http_host; proxy_set_header X-Forwarded-Proto https;
      proxy_set_header Upgrade $http_upgrade; proxy_set_header Connection upgrade;
      client_max_body_size 0; proxy_ssl_verify off;
      set $target http://{instance}:{plain};
      if ($host ~ ^https-) {{ set $target https://{instance}:{tls}; }}
      proxy_pass $target;
    }}
  }}
"""

# Two files, because wrk takes the name of the handshake (SNI) from its URL: both are `localhost`.
MAIN = """\
state_dir: {folder}
main:
  hostname: localhost
  listen: ["127.0.0.1:{main}"]
  redirect_listen: []
  admin_listen: null
  certificate: {{cert_file: {cert}, key_file: {cert}}}
  client: {{root: {files}, overrides: {folder}/none}}
  proxy: {{allow: ["{instance}"], networks: [127.0.0.0/8], verify: false}}
log: {{format: json}}
"""
UAP = """\
state_dir: {folder}
uap:
  allowed_origins: ["https://localhost"]
  regions:
    bench:
      hostname: localhost
      listen: ["127.0.0.1:{uap}"]
      redirect_listen: []
      admin_listen: null
      certificate: {{cert_file: {cert}, key_file: {cert}}}
      subnets: [127.0.0.0/8]
log: {{format: json}}
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Front:
    """A front under test: where it answers, and the processes whose CPU counts."""

    name: str
    main: int
    uap: int
    pids: tuple[int, ...]

    def cpu(self) -> float:
        """Return the CPU seconds (user and system) that its processes have used so far."""
        tick = os.sysconf("SC_CLK_TCK")
        total = 0
        for pid in self.pids:
            stat = Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()
            total += int(stat[11]) + int(stat[12])
        return total / tick


class Fronts:
    """The upstream and the fronts; `plain` and `tls` are the upstream's ports."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._running: list[subprocess.Popen[bytes]] = []
        self._taken: set[int] = set()
        self.plain, self.tls = self._port(INSTANCE), self._port(INSTANCE)
        self._files = _write_files(folder / "files")
        self._cert = _certificate(folder / "certificate")
        try:
            self._nginx("upstream", UPSTREAM, {})
            self.all = [self._start_nginx(), self._start_exoproxy()]
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """End every process that was started here."""
        for process in self._running:
            process.terminate()
        for process in self._running:
            process.wait(timeout=30)

    def _start_nginx(self) -> Front:
        ports = {"main": self._port("127.0.0.1"), "uap": self._port("127.0.0.1")}
        workers = self._nginx("nginx", DEPLOYED, ports)
        return Front(name="nginx", pids=workers, **ports)

    def _start_exoproxy(self) -> Front:
        ports = {"main": self._port("127.0.0.1"), "uap": self._port("127.0.0.1")}
        pids = []
        for text, mode in ((MAIN, ["main"]), (UAP, ["uap", "--region", "bench"])):
            config = self._folder / f"{mode[0]}.yaml"
            config.write_text(text.format(**self._values(), **ports), encoding="utf-8")
            command = [sys.executable, "-m", "exoproxy", *mode, "--config", str(config)]
            pids.append(self._start(command, mode[0]))
        for port in ports.values():
            _wait_for("127.0.0.1", port)
        return Front(name="exoproxy", pids=tuple(pids), **ports)

    def _nginx(self, name: str, servers: str, ports: dict[str, int]) -> tuple[int, ...]:
        """Start an nginx; return the pids of its workers."""
        values = self._values()
        config = self._folder / f"{name}.conf"
        text = NGINX.format(name=name, servers=servers.format(**values, **ports), **values)
        config.write_text(text, encoding="utf-8")
        program = shutil.which("nginx") or "/usr/sbin/nginx"
        master = self._start([program, "-c", str(config)], name)
        host, port = ("127.0.0.1", ports["main"]) if ports else (INSTANCE, self.plain)
        _wait_for(host, port)
        children = Path(f"/proc/{master}/task/{master}/children").read_text(encoding="ascii")
        return tuple(int(pid) for pid in children.split())

    def _start(self, command: Sequence[str], name: str) -> int:
        with (self._folder / f"{name}.out").open("wb") as out:
            process = subprocess.Popen(command, stdout=out, stderr=out)  # noqa: S603 - our own
        self._running.append(process)
        return process.pid

    def _values(self) -> dict[str, object]:
        return {
            "folder": self._folder,
            "files": self._files,
            "cert": self._cert,
            "instance": INSTANCE,
            "plain": self.plain,
            "tls": self.tls,
        }

    def _port(self, address: str) -> int:
        while True:
            with socket.socket() as probe:
                probe.bind((address, 0))
                port: int = probe.getsockname()[1]
            if port not in self._taken and port_holder(port) is None:
                self._taken.add(port)
                return port


def _write_files(folder: Path) -> Path:
    folder.mkdir()
    servers = [
        {"id": f"{n:032x}", "name": f"server-{n}", "status": "ACTIVE", "flavor": f"m1.{n % 7}"}
        for n in range(256)
    ]
    text = json.dumps({"servers": servers})
    (folder / "small.json").write_text(text[:2048], encoding="ascii")
    (folder / "servers.json").write_text(text[:23_000], encoding="ascii")
    (folder / "index.html").write_text(f"<!doctype html>{'x' * 2000}", encoding="ascii")
    (folder / "elm-web.js").write_text(_script(665_093), encoding="ascii")
    (folder / "16m.bin").write_bytes(os.urandom(1024) * 16 * 1024)
    return folder


def _script(size: int) -> str:
    """Return the same script each time; it shrinks as the client's own does."""
    source = random.Random(size)  # noqa: S311 - the same words each time are what is wanted
    letters = "abcdefghijklmnopqrstuvwxyz"
    words = ["".join(source.choices(letters, k=source.randint(2, 9))) for _ in range(4000)]
    lines = ("A2({},{{a:{}}});".format(*source.choices(words, k=2)) for _ in range(size // 10))
    return "".join(lines)[:size]


def _certificate(folder: Path) -> Path:
    names = ["localhost", "*.localhost"]
    return local_certificate(folder, names, datetime.now(UTC)).cert_file


def _wait_for(host: str, port: int) -> None:
    for _ in range(100):
        with socket.socket() as probe:
            if probe.connect_ex((host, port)) == 0:
                return
        time.sleep(0.1)
    raise TimeoutError(f"nothing listens on {host}:{port}")
