"""HAProxy: any upstream by `set-dst`, connections to it kept and shared (`http-reuse always`).

It serves no files. A page that it has in memory stands for them where connections are what counts.
"""

import subprocess
from typing import Final

from bench.front import Front, Peer
from bench.processes import Processes, program
from bench.stage import Stage

_CONFIG: Final = """\
global
  nbthread 1
  maxconn 8000
  log stdout format raw local0 info
  ssl-server-verify none
defaults
  mode http
  log global
  option httplog
  http-reuse always
  timeout client 300s
  timeout server 300s
  timeout connect 10s
  timeout tunnel 1h
frontend main
  bind 127.0.0.1:{main} ssl crt {certificate} alpn http/1.1 backlog 4096
  http-request return content-type text/html file {files}/index.html if {{ path /index.html }}
  # Without the field the destination would be this very front.
  http-request deny unless {{ req.hdr(exo-proxy-orig-host) -m found }}
  default_backend cloud
frontend uap
  bind 127.0.0.1:{uap} ssl crt {certificate} alpn http/1.1 backlog 4096
  http-request deny unless {{ hdr_beg(host) http- https- }}
  http-request set-header X-Forwarded-Proto https
  use_backend instances_tls if {{ hdr_beg(host) https- }}
  default_backend instances
backend cloud
  compression algo gzip
  compression type application/json application/javascript
  http-request set-dst req.hdr(exo-proxy-orig-host)
  http-request set-dst-port req.hdr(exo-proxy-orig-port)
  http-request set-header Host %[req.hdr(exo-proxy-orig-host)]:%[req.hdr(exo-proxy-orig-port)]
  http-request replace-path ^/proxy(/.*)$ \\1
  server any 0.0.0.0:0 ssl verify none
backend instances
  http-request set-dst hdr(host),field(2,-,4),regsub(-,.,g)
  http-request set-dst-port hdr(host),field(6,-),field(1,.)
  server any 0.0.0.0:0
backend instances_tls
  http-request set-dst hdr(host),field(2,-,4),regsub(-,.,g)
  http-request set-dst-port hdr(host),field(6,-),field(1,.)
  server any 0.0.0.0:0 ssl verify none
"""


def _start(stage: Stage, processes: Processes) -> Front:
    haproxy = program("haproxy") or "haproxy"
    main, uap = stage.ports.take(), stage.ports.take()
    config = stage.folder / "haproxy.cfg"
    text = _CONFIG.format(main=main, uap=uap, files=stage.files, certificate=stage.certificate)
    config.write_text(text, encoding="utf-8")
    pid = processes.start(
        "haproxy",
        [haproxy, "-db", "-f", str(config)],
        [("127.0.0.1", main), ("127.0.0.1", uap)],
    )
    told = subprocess.run(  # noqa: S603 - fixed words
        [haproxy, "-v"], capture_output=True, text=True, check=True
    )
    version = told.stdout.split()[2]
    return Front(name="HAProxy", version=version, main=main, uap=uap, roots=(pid,))


PEERS: Final = (
    Peer(
        name="HAProxy",
        package="haproxy",
        present=lambda: program("haproxy") is not None,
        start=_start,
    ),
)
