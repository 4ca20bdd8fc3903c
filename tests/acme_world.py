"""What a deployment with certificates by ACME lives among, on loopback and real wherever it can be.

    with acme_world(folder) as world:
        configuration = {"acme": world.settings(), …}

An authority (pebble, strict, behind a front that adds what it lacks), whose only resolver (unbound)
asks the name server (knot) that holds the zones; and the API of Cloudflare (a stand-in), whose
records appear in that name server. The hosts of `deployment` are 127.0.0.1 there. Nothing here is
faulty: a test makes a world of its own for that, or tells `cloudflare` or `front` what to do wrong.
"""

import os
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from acme_front import AcmeFront
from authority import Authority
from certbot import certbot
from cloudflare_api import TOKEN, CloudflareApi, Updates
from deployment import MAIN_NAME, UAP_NAME
from name_servers import KEY_NAME, NameServer, free_address, name_server, recursor
from pebble import Pebble

ZONE = "example.org"
# Empty: where a CNAME can send a challenge to.
CHALLENGES_ZONE = "challenges.example.net"
RECORDS = {
    ZONE: [f"{name}. A 127.0.0.1" for name in (MAIN_NAME, UAP_NAME, f"*.{UAP_NAME}")],
    CHALLENGES_ZONE: [],
}
# What a test has to mark itself with; certbot is asked for where it is used.
NEEDS = ("knotd", "unbound", "pebble", "port 53")

CERTBOT_SECONDS = 60
# What certbot says, and ends, where somebody else has the lock of the store.
HELD = "Another instance of Certbot is already running."


@dataclass(frozen=True, slots=True, kw_only=True)
class World:
    """The servers at work. `resolver` is unbound's HOST:PORT.

    `authority` signs what servers here speak TLS with; issued chains end in `root_file`. Clients
    are given the directory of `front`.
    `token_file` holds Cloudflare's token as certbot wants it, so that both can be given the same;
    `name_server.key_file` is for rfc2136.
    """

    authority: Authority
    name_server: NameServer
    resolver: str
    pebble: Pebble
    front: AcmeFront
    cloudflare: CloudflareApi
    root_file: Path
    token_file: Path

    def settings(
        self, provider: Literal["cloudflare", "rfc2136"] = "cloudflare", **changes: Any
    ) -> dict[str, Any]:
        """Return the part `acme` of a configuration, with changes to its top keys."""
        dns: dict[str, Any] = {
            "provider": provider,
            "resolvers": [self.resolver],
            "propagation_timeout": 10,
        }
        if provider == "cloudflare":
            dns |= {"token_file": str(self.token_file), "api_url": self.cloudflare.url}
        else:
            dns |= {
                "token_file": str(self.name_server.key_file),
                "server": self.name_server.address,
            }
        return {
            "email": f"hostmaster@{ZONE}",
            "directory": self.front.directory,
            "ca_file": str(self.authority.file),
            "dns": dns,
            **changes,
        }

    def certbot(self, store: Path, *arguments: str) -> str:
        """Run the real certbot on a store, with pebble and the stand-in in place of the real ones.

        Returns what it said; the test fails if certbot does.
        """
        program = certbot()
        assert program is not None, "mark the test with needs('certbot')"
        elsewhere = store.parent / f"{store.name}-certbot"
        command = [
            program,
            *arguments,
            *("--config-dir", str(store)),
            *("--work-dir", str(elsewhere), "--logs-dir", str(elsewhere / "logs")),
            # Without a terminal a renewal waits up to eight minutes, to spread the load.
            *("--non-interactive", "--no-random-sleep-on-renew"),
        ]
        environment = {
            **os.environ,
            "CLOUDFLARE_BASE_URL": self.cloudflare.url,
            "REQUESTS_CA_BUNDLE": str(self.authority.file),
        }
        while True:
            run = subprocess.run(  # noqa: S603 - certbot, which the test asks for
                command,
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
                timeout=CERTBOT_SECONDS,
                check=False,
            )
            # An exoproxy that serves from the store has it for a moment, when it asks for news.
            if HELD not in run.stdout:
                break

        assert run.returncode == 0, run.stdout
        return run.stdout

    def certbot_issues(self, store: Path, *names: str) -> None:
        """Have certbot make an account and a lineage, named as exoproxy would."""
        self.certbot(
            store,
            "certonly",
            *("--server", self.front.directory),
            *("--agree-tos", "--register-unsafely-without-email"),
            *("--cert-name", names[0].removeprefix("*.")),
            *(argument for name in names for argument in ("-d", name)),
            *("--dns-cloudflare", "--dns-cloudflare-credentials", str(self.token_file)),
            # What the stand-in has answered, the name server has.
            *("--dns-cloudflare-propagation-seconds", "0"),
        )


@contextmanager
def acme_world(
    folder: Path,
    *,
    other_name_servers: Sequence[str] = (),
    hidden: bool = False,
    **behaviour: Any,
) -> Iterator[World]:
    """Start the servers, with their files in a new folder; they go at the end.

    The zones name the addresses of `other_name_servers` beside their real one, or in its place if
    it is `hidden`. `behaviour` is pebble's: its keywords.
    """
    with ExitStack() as started:
        authority = Authority(_made(folder, "authority"))
        address = free_address()
        zones = started.enter_context(
            name_server(
                _made(folder, "knot"),
                RECORDS,
                address=address,
                listed=[*([] if hidden else [address]), *other_name_servers],
            )
        )
        resolver = started.enter_context(
            recursor(_made(folder, "unbound"), dict.fromkeys(RECORDS, address))
        )
        pebble = Pebble(_made(folder, "pebble"), authority, dns=resolver, **behaviour)
        started.enter_context(pebble.running())
        front = started.enter_context(AcmeFront(pebble, authority).running())
        cloudflare = started.enter_context(
            CloudflareApi(
                {zone: f"{number:032x}" for number, zone in enumerate(RECORDS, 1)},
                backend=Updates(address, 53, key=KEY_NAME, secret=zones.secret),
            )
        )
        root_file = folder / "root.pem"
        root_file.write_bytes(pebble.root())
        token_file = folder / "cloudflare.ini"
        token_file.touch(0o600)
        token_file.write_text(f"dns_cloudflare_api_token = {TOKEN}\n", "ascii")
        yield World(
            authority=authority,
            name_server=zones,
            resolver=resolver,
            pebble=pebble,
            front=front,
            cloudflare=cloudflare,
            root_file=root_file,
            token_file=token_file,
        )


def _made(folder: Path, name: str) -> Path:
    made = folder / name
    made.mkdir(parents=True)
    return made
