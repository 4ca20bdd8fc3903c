"""nginx, twice: as an Exosphere deployment configures it, and as well as its language allows.

What the deployment's configuration does, not its text. The tuned one keeps connections to the
cloud, whose services an operator can list; instances come and go, and nginx keeps connections only
to upstreams that its configuration names.
"""

import subprocess
from functools import partial
from typing import Final

from bench.front import Front, Peer
from bench.processes import Processes, program
from bench.stage import ADDRESS, Stage

_HTTP: Final = """\
daemon off;
worker_processes 1;
error_log {folder}/{name}-error.log warn;
pid {folder}/{name}.pid;
events {{ worker_connections 16384; }}
http {{
  client_body_temp_path {folder}; proxy_temp_path {folder}; fastcgi_temp_path {folder};
  uwsgi_temp_path {folder}; scgi_temp_path {folder};
  types {{ application/json json; application/javascript js; text/html html; }}
  ssl_certificate {certificate}; ssl_certificate_key {certificate};
  sendfile on; tcp_nopush on; keepalive_requests 1000000;
{servers}
}}
"""

_DEPLOYED: Final = """\
  access_log {folder}/{name}-access.log;
  gzip on; gzip_types application/json application/javascript;
  server {{
    listen 127.0.0.1:{main} ssl backlog=4096; root {files};
    location / {{ try_files $uri $uri/ /index.html; }}
    location ~* ^/proxy/(.*) {{
      proxy_ssl_verify off;
      proxy_set_header Host $http_exo_proxy_orig_host:$http_exo_proxy_orig_port;
      proxy_pass https://$http_exo_proxy_orig_host:$http_exo_proxy_orig_port/$1$is_args$args;
    }}
  }}
  server {{
    listen 127.0.0.1:{uap} ssl backlog=4096;
    server_name
{names};
    location / {{
      proxy_http_version 1.1; proxy_buffering off; proxy_request_buffering off;
      proxy_set_header Host $http_host; proxy_set_header X-Forwarded-Proto https;
      proxy_set_header Upgrade $http_upgrade; proxy_set_header Connection upgrade;
      client_max_body_size 0; proxy_ssl_verify off;
      proxy_pass $proto://$a.$b.$c.$d:$port;
    }}
  }}
"""

_TUNED: Final = """\
  access_log {folder}/{name}-access.log combined buffer=64k flush=1s;
  gzip on; gzip_static on; gzip_comp_level 1; gzip_types application/json application/javascript;
  open_file_cache max=1000 inactive=60s;
  ssl_session_cache shared:sessions:10m;
  proxy_http_version 1.1; proxy_ssl_verify off;
  proxy_buffers 16 64k; proxy_buffer_size 16k; proxy_busy_buffers_size 128k;
  proxy_max_temp_file_size 0; proxy_request_buffering off; client_max_body_size 0;
  map $http_upgrade $hop {{ default upgrade; "" ""; }}
  map $http_exo_proxy_orig_port $cloud {{
{services}
  }}
{groups}
  server {{
    listen 127.0.0.1:{main} ssl backlog=4096; root {packed};
    location / {{ try_files $uri $uri/ /index.html; }}
    location ~* ^/proxy/(.*) {{
      proxy_set_header Host $http_exo_proxy_orig_host:$http_exo_proxy_orig_port;
      proxy_set_header Connection "";
      proxy_pass https://$cloud/$1$is_args$args;
    }}
  }}
  server {{
    listen 127.0.0.1:{uap} ssl backlog=4096;
    server_name
{names};
    location / {{
      proxy_set_header Host $http_host; proxy_set_header X-Forwarded-Proto https;
      proxy_set_header Upgrade $http_upgrade; proxy_set_header Connection $hop;
      proxy_pass $proto://$a.$b.$c.$d:$port;
    }}
  }}
"""


def _name(first: str) -> str:
    pattern = r"(?<b>\d+)-(?<c>\d+)-(?<d>\d+)-(?<port>\d+)\.localhost$"
    return f'      "~^(?<proto>https?)-(?<a>{first})-{pattern}"'


def _start(name: str, servers: str, subnets: int, stage: Stage, processes: Processes) -> Front:
    # The subnet that is asked for comes last, behind others that don't match.
    names = [_name(str(n)) for n in range(10, 9 + subnets)] + [_name("127")]
    main, uap = stage.ports.take(), stage.ports.take()
    # Several of the same name may run at once.
    file = f"{name}-{main}".replace(" ", "-")
    variant = "64 subnets" if subnets > 1 else ""
    cloud = [stage.tls, *stage.cloud.values()]
    values = {
        "name": file,
        "folder": stage.folder,
        "files": stage.files,
        "packed": stage.packed,
        "certificate": stage.certificate,
        "main": main,
        "uap": uap,
        "names": "\n".join(names),
        "services": "\n".join(f"    {port} cloud{port};" for port in cloud),
        "groups": "\n".join(
            f"  upstream cloud{port} {{ server {ADDRESS}:{port}; keepalive 64; "
            "keepalive_requests 1000000; }"
            for port in cloud
        ),
    }
    config = stage.folder / f"{file}.conf"
    text = _HTTP.format(**values, servers=servers.format(**values))
    config.write_text(text, encoding="utf-8")
    pid = processes.start(
        file,
        [program("nginx") or "nginx", "-c", str(config)],
        [("127.0.0.1", main), ("127.0.0.1", uap)],
    )
    return Front(
        name=name,
        version=_version(),
        main=main,
        uap=uap,
        roots=(pid,),
        variant=variant,
    )


def _version() -> str:
    told = subprocess.run(  # noqa: S603 - fixed words
        [program("nginx") or "nginx", "-v"], capture_output=True, text=True, check=True
    )
    return told.stderr.rpartition("/")[2].strip()


def _peer(name: str, servers: str, subnets: int = 1) -> Peer:
    return Peer(
        name=name,
        package="nginx-light",
        present=lambda: program("nginx") is not None,
        start=partial(_start, name, servers, subnets),
        variant="64 subnets" if subnets > 1 else "",
    )


PEERS: Final = (
    _peer("nginx", _DEPLOYED),
    _peer("nginx tuned", _TUNED),
    _peer("nginx", _DEPLOYED, 64),
)
