"""Let's Encrypt's own test authority, pebble, as a process on loopback.

    with Pebble(folder, authority, always_valid=True).running() as pebble:
        ...  # pebble.directory, pebble.ca_file, pebble.root()

Each `running()` is a new authority: it has another root, and knows no account and no order of the
one before, at the same ports.
"""

import json
import os
import shutil
import socket
import ssl
import subprocess
import time
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Self

from authority import Authority
from ports import free_port

ADDRESS = "127.0.0.1"
START_SECONDS = 20
DAY_SECONDS = 86_400


class Pebble:
    """What a pebble is started with, and where it is while it runs.

    `directory` is the URL that clients are given; `ca_file` what they trust for its own TLS.
    """

    def __init__(
        self,
        folder: Path,
        authority: Authority,
        *,
        dns: str = "127.0.0.1:9",
        http_port: int | None = None,
        life: int = 90 * DAY_SECONDS,
        binding_keys: Mapping[str, str] | None = None,
        blocked: Sequence[str] = (),
        always_valid: bool = False,
        nonces_rejected: int = 0,
        authorizations_reused: int = 0,
    ) -> None:
        """Choose how it behaves.

        `dns` is the one name server that it asks, `http_port` where it dials for http-01. `life`
        is in seconds. `binding_keys` (id to base64url) make it ask for an account binding.
        `always_valid` believes every challenge. The last two are percentages.
        """
        self.ca_file = authority.file
        self.http_port = free_port() if http_port is None else http_port
        self._port, self._management = free_port(), free_port()
        self._folder = folder
        self._dns = dns
        certificate = str(authority.issue(ADDRESS, "localhost"))
        self._configuration = {
            "listenAddress": f"{ADDRESS}:{self._port}",
            "managementListenAddress": f"{ADDRESS}:{self._management}",
            "certificate": certificate,
            "privateKey": certificate,
            "httpPort": self.http_port,
            "tlsPort": free_port(),
            "ocspResponderURL": "",
            "externalAccountBindingRequired": binding_keys is not None,
            "externalAccountMACKeys": dict(binding_keys or {}),
            "domainBlocklist": list(blocked),
            "certificateValidityPeriod": life,
        }
        self._environment = {
            "PEBBLE_VA_NOSLEEP": "1",
            "PEBBLE_VA_ALWAYS_VALID": str(int(always_valid)),
            "PEBBLE_WFE_NONCEREJECT": str(nonces_rejected),
            "PEBBLE_AUTHZREUSE": str(authorizations_reused),
        }
        self.log = folder / "pebble.log"

    @property
    def address(self) -> tuple[str, int]:
        """Where it listens."""
        return ADDRESS, self._port

    @property
    def directory(self) -> str:
        """The URL of its directory."""
        return f"https://{ADDRESS}:{self._port}/dir"

    def root(self) -> bytes:
        """Return the root certificate (PEM) that the issued chains end in."""
        trust = ssl.create_default_context(cafile=self.ca_file)
        url = f"https://{ADDRESS}:{self._management}/roots/0"
        with urllib.request.urlopen(url, timeout=10, context=trust) as answer:
            content: bytes = answer.read()
        return content

    @contextmanager
    def running(self) -> Iterator[Self]:
        """Start it, wait until it answers, and end it by its process id."""
        program = shutil.which("pebble")
        assert program is not None, "mark the test with needs('pebble')"
        file = self._folder / "pebble.json"
        file.write_text(json.dumps({"pebble": self._configuration}), "utf-8")
        with self.log.open("ab") as log:
            process = subprocess.Popen(  # noqa: S603 - Debian's
                [program, "-strict", "-config", str(file), "-dnsserver", self._dns],
                env={**os.environ, **self._environment},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
            )
        try:
            for port in (self._port, self._management):
                self._wait_for(port, process)
            yield self
        finally:
            process.terminate()
            process.wait(10)

    def _wait_for(self, port: int, process: subprocess.Popen[bytes]) -> None:
        deadline = time.monotonic() + START_SECONDS
        while True:
            with socket.socket() as probe:
                if probe.connect_ex((ADDRESS, port)) == 0:
                    return
            if process.poll() is not None or time.monotonic() > deadline:
                raise AssertionError(f"pebble does not serve:\n{self.log.read_text('utf-8')}")
            time.sleep(0.02)
