"""A host that gets a certificate by the real command, and what can be seen of it afterwards."""

import json
import signal
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import yaml
from cryptography import x509

from acme_world import World
from deployment import REGION, UAP_NAME
from exoproxy.certs.certbot.lineage import Stored
from exoproxy.certs.state import State, load
from exoproxy.certs.store import Store

COMMAND_SECONDS = 120
NAMES = (UAP_NAME, f"*.{UAP_NAME}")


@dataclass(frozen=True, slots=True, kw_only=True)
class IssuingHost:
    """A UAP host: its folder with the configuration, and the store below it.

    `prefix` are words before the command, such as those that set another clock.
    """

    world: World
    folder: Path
    prefix: tuple[str, ...] = ()

    @property
    def store(self) -> Store:
        return Store(self.folder / "state" / "acme")

    @property
    def config(self) -> Path:
        return self.folder / "exoproxy.yaml"

    def configure(
        self,
        *,
        provider: Literal["cloudflare", "rfc2136"] = "cloudflare",
        port: int = 443,
        **changes: Any,
    ) -> None:
        """Write the configuration, with changes to what the world's own settings are.

        Those of `dns` are merged, all others replace. `port` is where https would be served.
        """
        acme = self.world.settings(provider)
        dns = {**acme["dns"], **changes.pop("dns", {})}
        region = {
            "hostname": UAP_NAME,
            "subnets": ["127.0.0.2/32"],
            "listen": [f"127.0.0.1:{port}"],
            "redirect_listen": [],
            "admin_listen": None,
        }
        content = {
            "state_dir": str(self.folder / "state"),
            "acme": {**acme, **changes, "dns": dns},
            "uap": {"allowed_origins": [], "regions": {REGION: region}},
        }
        self.config.write_text(yaml.safe_dump(content), "utf-8")

    def start(self, *arguments: str) -> subprocess.Popen[str]:
        """Start `exoproxy cert …`; what it says comes by its stdout."""
        return subprocess.Popen(  # noqa: S603 - the project's own command
            [
                *(*self.prefix, sys.executable, "-m", "exoproxy"),
                *("cert", *arguments, "--config", str(self.config)),
            ],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    def run(self, *arguments: str) -> tuple[int, str]:
        """Run `exoproxy cert …` to its end; returns the exit code and what it said."""
        with self.start(*arguments) as process:
            try:
                said, _ = process.communicate(timeout=COMMAND_SECONDS)
            except subprocess.TimeoutExpired:
                process.kill()
                raise
        return process.returncode, said

    def cert(self, *arguments: str) -> list[str]:
        """Return the lines that `exoproxy cert …` says; it must not fail."""
        code, said = self.run(*arguments)

        assert code == 0, said
        return said.splitlines()

    def cert_fails(self, *arguments: str) -> list[str]:
        """Return the lines that `exoproxy cert …` says; it must fail."""
        code, said = self.run(*arguments)

        assert code == 1, said
        return said.splitlines()

    def kill(self, process: subprocess.Popen[str]) -> None:
        """End a command as a loss of power would."""
        process.send_signal(signal.SIGKILL)
        process.communicate()

    def state(self) -> State:
        """Return what is remembered of the certificate."""
        return load(self.store.state_file(UAP_NAME))

    def stored(self) -> Stored | None:
        """Return the certificate that would be served."""
        return self.store.newest(UAP_NAME)

    def chain(self) -> list[x509.Certificate]:
        """Return what is to be served: the leaf, and what vouches for it."""
        content = (self.store.folder / "live" / UAP_NAME / "fullchain.pem").read_bytes()
        return x509.load_pem_x509_certificates(content)

    def accounts(self) -> list[Path]:
        """Return the accounts in the store."""
        found = self.store.folder.glob("accounts/**/private_key.json")
        return sorted(path.parent for path in found)

    def versions(self) -> int:
        """Return how many certificates were stored."""
        return len(list(self.store.folder.glob(f"archive/{UAP_NAME}/fullchain*.pem")))

    def half_written(self) -> list[Path]:
        """Return files that were begun and left, and those that hold nothing."""
        files = [path for path in self.store.folder.rglob("*") if path.is_file()]
        return [
            path
            for path in files
            if path.name != ".certbot.lock"
            and (path.name.startswith(".") or not path.stat().st_size)
        ]

    def verifies(self) -> bool:
        """Tell whether the stored chain is for both names and ends in the world's root."""
        stored = self.stored()
        if stored is None:
            return False
        intermediates = stored.fullchain.with_name(f"chain{stored.version}.pem")
        checks = [
            subprocess.run(  # noqa: S603 - on files of this test
                [
                    *("openssl", "verify", "-CAfile", str(self.world.root_file)),
                    *("-untrusted", str(intermediates), "-verify_hostname", name),
                    str(stored.fullchain),
                ],
                capture_output=True,
                check=False,
            ).returncode
            for name in (UAP_NAME, f"any.{UAP_NAME}")
        ]
        return checks == [0, 0]


def logged(said: str, level: str) -> list[str]:
    """Return the messages of a level in what a renewal without a terminal said."""
    lines = [json.loads(line) for line in said.splitlines() if line.startswith("{")]
    return [line["message"] for line in lines if line["level"] == level]
