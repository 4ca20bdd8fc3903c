"""Caddy, with one thread of Go (GOMAXPROCS=1), its own pool of upstream connections, and gzip."""

import subprocess
from typing import Final

from bench.front import Front, Peer
from bench.processes import Processes, program
from bench.stage import Stage

_CONFIG: Final = """\
{{
  admin off
  auto_https off
  servers {{
    protocols h1
  }}
}}
https://:{main} {{
  bind 127.0.0.1
  tls {certificate} {certificate}
  log {{
    output file {folder}/caddy-main.log
  }}
  encode gzip
  handle_path /proxy/* {{
    reverse_proxy {{header.exo-proxy-orig-host}}:{{header.exo-proxy-orig-port}} {{
      header_up Host {{header.exo-proxy-orig-host}}:{{header.exo-proxy-orig-port}}
      transport http {{
        tls
        tls_insecure_skip_verify
        versions 1.1
        keepalive_idle_conns_per_host 64
      }}
    }}
  }}
  handle {{
    root * {files}
    try_files {{path}} /index.html
    file_server
  }}
}}
https://:{uap} {{
  bind 127.0.0.1
  tls {certificate} {certificate}
  log {{
    output file {folder}/caddy-uap.log
  }}
  @plain header_regexp to Host ^http-(\\d+)-(\\d+)-(\\d+)-(\\d+)-(\\d+)\\.
  handle @plain {{
    reverse_proxy {{re.to.1}}.{{re.to.2}}.{{re.to.3}}.{{re.to.4}}:{{re.to.5}} {{
      transport http {{
        versions 1.1
        keepalive_idle_conns_per_host 64
      }}
    }}
  }}
  @tls header_regexp to Host ^https-(\\d+)-(\\d+)-(\\d+)-(\\d+)-(\\d+)\\.
  handle @tls {{
    reverse_proxy {{re.to.1}}.{{re.to.2}}.{{re.to.3}}.{{re.to.4}}:{{re.to.5}} {{
      transport http {{
        tls
        tls_insecure_skip_verify
        versions 1.1
        keepalive_idle_conns_per_host 64
      }}
    }}
  }}
}}
"""


def _start(stage: Stage, processes: Processes) -> Front:
    caddy = program("caddy") or "caddy"
    main, uap = stage.ports.take(), stage.ports.take()
    config = stage.folder / "Caddyfile"
    text = _CONFIG.format(
        main=main,
        uap=uap,
        certificate=stage.certificate,
        folder=stage.folder,
        files=stage.files,
    )
    config.write_text(text, encoding="utf-8")
    pid = processes.start(
        "caddy",
        [caddy, "run", "--config", str(config), "--adapter", "caddyfile"],
        [("127.0.0.1", main), ("127.0.0.1", uap)],
        {
            "GOMAXPROCS": "1",
            "HOME": str(stage.folder),
            "XDG_CONFIG_HOME": str(stage.folder),
            "XDG_DATA_HOME": str(stage.folder),
        },
    )
    told = subprocess.run(  # noqa: S603 - fixed words
        [caddy, "version"], capture_output=True, text=True, check=True
    )
    version = told.stdout.split()[0].removeprefix("v")
    return Front(name="Caddy", version=version, main=main, uap=uap, roots=(pid,))


PEERS: Final = (
    Peer(
        name="Caddy",
        package="caddy",
        present=lambda: program("caddy") is not None,
        start=_start,
    ),
)
