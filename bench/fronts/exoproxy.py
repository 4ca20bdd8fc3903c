"""exoproxy with all that it does by default, on uvloop's transports and on aiofastnet's.

Two configurations, because a client of the benchmark takes the name of its handshake (SNI) from
the URL, which is `localhost` for both modes. The caps are raised to what is tried here.
"""

import sys
from functools import partial
from importlib.util import find_spec
from typing import Final

from bench.front import Front, Peer
from bench.processes import Processes
from bench.stage import ADDRESS, Stage
from exoproxy import __version__

_LIMITS: Final = """\
limits:
  connections_per_client: 10000
  connections_per_upstream: 4096
  idle_timeout: 600
"""
_MAIN: Final = """\
state_dir: {folder}/state-{name}
main:
  hostname: localhost
  listen: ["127.0.0.1:{main}"]
  redirect_listen: []
  admin_listen: null
  certificate: {{cert_file: {certificate}, key_file: {certificate}}}
  client: {{root: {files}, overrides: {folder}/none}}
  proxy: {{allow: ["{address}"], networks: [127.0.0.0/8], verify: false}}
log: {{format: json}}
{limits}"""
_UAP: Final = """\
state_dir: {folder}/state-{name}
uap:
  allowed_origins: ["https://localhost"]
  regions:
    bench:
      hostname: localhost
      listen: ["127.0.0.1:{uap}"]
      redirect_listen: []
      admin_listen: null
      certificate: {{cert_file: {certificate}, key_file: {certificate}}}
      subnets: [{subnets}]
log: {{format: json}}
{limits}"""


def _start(name: str, fast: bool, subnets: int, stage: Stage, processes: Processes) -> Front:
    main, uap = stage.ports.take(), stage.ports.take()
    # Several of the same name may run at once.
    file = f"{name}-{main}".replace(" ", "-")
    variant = "64 subnets" if subnets > 1 else ""
    # The subnet that is asked for comes last.
    others = [f"198.18.{n}.0/24" for n in range(1, subnets)]
    values = {
        "name": file,
        "folder": stage.folder,
        "files": stage.files,
        "certificate": stage.certificate,
        "address": ADDRESS,
        "main": main,
        "uap": uap,
        "subnets": ", ".join([*others, "127.0.0.0/8"]),
        "limits": _LIMITS,
    }
    (stage.folder / f"state-{file}").mkdir(mode=0o700)
    pids = []
    for text, mode, port in ((_MAIN, ["main"], main), (_UAP, ["uap", "--region", "bench"], uap)):
        config = stage.folder / f"{file}-{mode[0]}.yaml"
        config.write_text(text.format(**values), encoding="utf-8")
        pid = processes.start(
            f"{file}-{mode[0]}",
            [sys.executable, "-m", "exoproxy", *mode, "--config", str(config)],
            [("127.0.0.1", port)],
            {"EXOPROXY_FAST": "1" if fast else "0"},
        )
        pids.append(pid)
    return Front(
        name=name,
        version=__version__,
        main=main,
        uap=uap,
        roots=tuple(pids),
        python=True,
        variant=variant,
    )


PEERS: Final = (
    Peer(
        name="exoproxy",
        package="exoproxy",
        present=lambda: True,
        start=partial(_start, "exoproxy", False, 1),
    ),
    Peer(
        name="exoproxy fast",
        package="exoproxy[fast]",
        present=lambda: find_spec("aiofastnet") is not None,
        start=partial(_start, "exoproxy fast", True, 1),
    ),
    Peer(
        name="exoproxy",
        package="exoproxy",
        present=lambda: True,
        start=partial(_start, "exoproxy", False, 64),
        variant="64 subnets",
    ),
)
