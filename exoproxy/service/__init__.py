"""A process's life, for the commands that serve: start, reload, drain, end.

`mode` makes what is served of the settings, `sockets` finds what it is served on, `reload` prepares
what takes its place meanwhile, `handover` starts a successor, `signals` are what tells all of them,
and `life` holds them together from the first to the last.
"""

import asyncio
import sys
from contextlib import ExitStack
from pathlib import Path

import uvloop

from exoproxy.certs.context import CertificateProblem
from exoproxy.net.sockets import ListenError
from exoproxy.net.tls import silence_broken_server_names
from exoproxy.ops.log import configure
from exoproxy.ops.systemd import Notifier
from exoproxy.service.life import Life
from exoproxy.service.mode import mode_of
from exoproxy.service.signals import held_back
from exoproxy.service.sockets import sockets_of
from exoproxy.settings.model import Settings


def serve_main(settings: Settings, config: Path) -> int:
    """Run `exoproxy main` until a signal ends it; returns the exit code.

    `config` is the file that the settings come from; it is read again at a reload, and by the
    process that gets certificates.
    """
    return _serve(settings, config, None)


def serve_uap(settings: Settings, config: Path, region: str) -> int:
    """Run `exoproxy uap` for a region until a signal ends it; returns the exit code."""
    return _serve(settings, config, region)


def _serve(settings: Settings, config: Path, region: str | None) -> int:
    with held_back():
        return _run(settings, config, region)


def _run(settings: Settings, config: Path, region: str | None) -> int:
    configure(settings.log.format)
    silence_broken_server_names()
    notifier = Notifier()
    mode = mode_of(settings, region)
    mode.warn()
    try:
        with ExitStack() as opened:
            opened.callback(mode.close)
            sockets = sockets_of(mode, opened)
            with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
                runner.run(Life(mode, config, sockets, notifier).live())
    except (CertificateProblem, ListenError) as problem:
        print(f"exoproxy: {problem}", file=sys.stderr)
        return 1
    return 0
