"""What stands behind every front: an nginx with the files, and the stand-ins of `stand_ins`.

Neither is measured; they only have to be quicker than the fronts.
"""

import sys
from typing import Final

from bench.processes import Processes, program
from bench.stage import ADDRESS, INSTANCES, Stage

# `/sink` reads a content to its end before it answers, which nginx does only for an upstream.
_NGINX: Final = """\
daemon off;
worker_processes 1;
error_log {folder}/upstream.log warn;
pid {folder}/upstream.pid;
events {{ worker_connections 8192; }}
http {{
  client_body_temp_path {folder}; proxy_temp_path {folder}; fastcgi_temp_path {folder};
  uwsgi_temp_path {folder}; scgi_temp_path {folder};
  types {{ application/json json; application/javascript js; text/html html; }}
  ssl_certificate {certificate}; ssl_certificate_key {certificate};
  sendfile on; tcp_nopush on; keepalive_requests 1000000; keepalive_timeout 600;
  access_log off;
  server {{
    listen {address}:{plain} backlog=4096;
    listen {address}:{tls} ssl backlog=4096;
{instances}
    root {files};
    location /sink {{
      client_max_body_size 0; client_body_buffer_size 17m;
      proxy_method GET; proxy_pass_request_body off; proxy_set_header Content-Length "";
      proxy_pass http://{address}:{plain}/small.json;
    }}
  }}
}}
"""


def start_upstreams(stage: Stage, processes: Processes) -> None:
    """Start them all; raises RuntimeError when one does not start, or nginx is missing."""
    nginx = program("nginx")
    if nginx is None:
        raise RuntimeError(
            "nginx, the upstream of every front, is missing: apt-get install nginx-light"
        )
    config = stage.folder / "upstream.conf"
    config.write_text(
        _NGINX.format(
            folder=stage.folder,
            files=stage.files,
            certificate=stage.certificate,
            address=ADDRESS,
            plain=stage.plain,
            tls=stage.tls,
            instances="\n".join(f"    listen {each}:{stage.plain};" for each in INSTANCES),
        ),
        encoding="utf-8",
    )
    processes.start(
        "upstream", [nginx, "-c", str(config)], [(ADDRESS, stage.plain), (ADDRESS, stage.tls)]
    )
    processes.start(
        "stand-ins",
        [
            *(sys.executable, "-m", "bench.stand_ins"),
            *(ADDRESS, str(stage.certificate), str(stage.echo)),
            *map(str, stage.cloud.values()),
        ],
        [(ADDRESS, port) for port in (stage.echo, *stage.cloud.values())],
    )
