"""`exoproxy check --live` as an operator runs it, against a deployment and its surroundings.

Every name, authority and cloud is on loopback: the resolver is the world's, and the cloud's API is
called localhost.
"""

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import pytest
import yaml

from acme_world import NEEDS, World, acme_world
from authority import Authority
from deployment import INSTANCE, MAIN_NAME, REGION, UAP_NAME, Start
from name_servers import silent_server
from ports import free_port

pytestmark = pytest.mark.needs(*NEEDS)

Run = Callable[..., subprocess.CompletedProcess[str]]

CHALLENGE = f"_acme-challenge.{UAP_NAME}"
MEDIA = {"base": "application/json", "type": "application/vnd.openstack.identity-v3+json"}
KEYSTONE = {"versions": {"values": [{"id": "v3.14", "status": "stable", "media-types": [MEDIA]}]}}


@contextmanager
def api(
    content: object, *, status: int, address: str, authority: Authority | None
) -> Iterator[int]:
    """Answer every GET at an address; gives the port. Without an authority, in the clear."""
    body = json.dumps(content).encode()

    class Api(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: Any) -> None:
            """Say nothing."""

    class Server(ThreadingHTTPServer):
        def handle_error(self, *_: Any) -> None:
            """Say nothing of a handshake that a client ended."""

    with Server((address, free_port()), Api) as server:
        if authority is not None:
            context = authority.serve("localhost")
            server.socket = context.wrap_socket(
                server.socket, server_side=True, do_handshake_on_connect=False
            )
        thread = Thread(target=server.serve_forever)
        thread.start()
        try:
            yield server.server_port
        finally:
            server.shutdown()
            thread.join()


@dataclass(frozen=True, slots=True, kw_only=True)
class Host:
    """A host with both modes in its file; `main` and `uap` are the ports that they listen at."""

    folder: Path
    authority: Authority
    main: int
    uap: int

    @property
    def config(self) -> Path:
        return self.folder / "exoproxy.yaml"

    def configure(self, acme: dict[str, Any], allow: list[str], **region: Any) -> None:
        """Write the file, with keys of the region that are not as usual."""
        client = self.folder / "client"
        client.mkdir(exist_ok=True)
        (client / "index.html").write_text("<!doctype html><title>client</title>", "utf-8")
        file = self.authority.issue(MAIN_NAME)
        file.chmod(0o600)
        usual: dict[str, Any] = {"admin_listen": None}
        content = {
            "state_dir": str(self.folder / "state"),
            "acme": acme,
            "main": {
                **usual,
                "hostname": MAIN_NAME,
                "listen": [f"127.0.0.1:{self.main}"],
                "redirect_listen": [],
                "certificate": {"cert_file": str(file), "key_file": str(file)},
                "client": {"root": str(client), "overrides": str(self.folder / "overrides")},
                "proxy": {
                    "allow": allow,
                    "networks": ["127.0.0.0/8", "::1/128"],
                    "ca_file": str(self.authority.file),
                },
            },
            "uap": {
                "allowed_origins": [f"https://{MAIN_NAME}"],
                "regions": {
                    REGION: {
                        **usual,
                        "hostname": UAP_NAME,
                        "listen": [f"127.0.0.1:{self.uap}"],
                        "redirect_listen": [],
                        "subnets": [f"{INSTANCE}/31"],
                        **region,
                    }
                },
            },
        }
        self.config.write_text(yaml.safe_dump(content), "utf-8")


@pytest.fixture(name="host")
def host_with_both_modes(authority: Authority, tmp_path: Path) -> Host:
    return Host(folder=tmp_path, authority=authority, main=free_port(), uap=free_port())


def check(run: Run, host: Host, *arguments: str) -> tuple[int, dict[str, tuple[str, str]]]:
    """Return the exit code, and kind and sentence of what was found first about each subject."""
    done = run("check", "--live", "--json", *arguments, "--config", str(host.config))
    live = reversed(json.loads(done.stdout)["live"])
    return done.returncode, {each["subject"]: (each["kind"], each["sentence"]) for each in live}


def test_a_deployment_at_work(
    world: World, host: Host, start_exoproxy: Start, run_exoproxy: Run
) -> None:
    """What serves, what an order needs, the cloud and an instance are found well."""
    with (
        api(KEYSTONE, status=300, address="127.0.0.1", authority=host.authority) as keystone,
        api({}, status=200, address=INSTANCE, authority=None) as instance,
    ):
        host.configure(world.settings(), [f"localhost:{keystone}"])
        start_exoproxy("main", "--config", str(host.config), says="Serving")
        name = f"http-{INSTANCE.replace('.', '-')}-{instance}.{UAP_NAME}"
        arguments = ("--instance", name, "--instance", f"{INSTANCE}:{instance}")
        code, found = check(run_exoproxy, host, "--write", *arguments)
        text = run_exoproxy("check", "--live", *arguments, "--config", str(host.config)).stdout

    here = ("ok", "points here (127.0.0.1)")

    assert code == 0, text
    assert found[MAIN_NAME] == here
    assert found[f"*.{UAP_NAME}"] == ("ok", f"leads where {UAP_NAME} does")
    assert found[f"127.0.0.1:{host.main}"][1].startswith("is exoproxy's already (process ")
    assert found[f"127.0.0.1:{host.uap}"] == ("ok", "is free")
    assert f"\nserved\n  ok      {MAIN_NAME} is served with the stored certificate\n\n" in text
    assert found["acme.directory"][0] == "ok"
    assert found[CHALLENGE] == ("ok", "was written, seen at the zone's name servers, and removed")
    assert found[f"localhost:{keystone}"][1] == "is a Keystone (v3.14), TLSv1.3 from 127.0.0.1"
    assert found[name] == ("ok", f"answers 200 over plain HTTP at {INSTANCE}:{instance}")
    assert found[f"{INSTANCE}:{instance}"] == ("ok", f"takes connections to port {instance}")
    assert found["clock"][0] in ("ok", "note")
    assert world.name_server.left() == {}
    assert f"\nnames\n  ok      {MAIN_NAME} points here (127.0.0.1)\n" in text
    assert text.splitlines()[-1].endswith(", 0 FAILED")


def test_a_deployment_in_trouble(world: World, host: Host, run_exoproxy: Run) -> None:
    """Each fault is told where it is, with what to do, and the others are looked for still."""
    silent = free_port()
    with (
        api({}, status=200, address="127.0.0.1", authority=None) as plain,
        api({}, status=200, address=INSTANCE, authority=None) as instance,
        socket.create_server(("127.0.0.1", host.main)),
    ):
        allow = [f"localhost:{plain}", f"localhost:{silent}", "10.0.0.1:443"]
        host.configure(
            world.settings(),
            allow,
            hostname="elsewhere.example.org",
            subnets=[f"{INSTANCE}/31", "2001:db8::/64"],
        )
        # With TLS, as the name says, where there is none; and where nobody listens.
        names = [
            f"{scheme}{INSTANCE.replace('.', '-')}-{port}.elsewhere.example.org"
            for scheme, port in (("", instance), ("http-", silent))
        ]
        outside = "http-127-0-0-9-80.elsewhere.example.org"
        arguments = [word for name in (*names, outside) for word in ("--instance", name)]
        code, found = check(run_exoproxy, host, *arguments)

    expected = {
        "elsewhere.example.org": "has no address in the DNS; add an A record",
        "*.elsewhere.example.org": "has no address in the DNS, so that no instance can be reached",
        f"127.0.0.1:{host.main}": "is taken by ",
        f"localhost:{plain}": f"speaks plain HTTP on port {plain}: ",
        f"localhost:{silent}": "does not answer at 127.0.0.1 (Connection refused): ",
        "10.0.0.1:443": "has 10.0.0.1, which /proxy refuses: The address lies in 10.0.0.0/8",
        names[0]: f"is reached at {INSTANCE}:{instance}, and completes no TLS handshake: ",
        names[1]: f"is reached, and {INSTANCE} refuses connections to port {silent}: ",
        outside: f"is refused by the region {REGION}: The address lies in 127.0.0.0/8",
    }

    assert code == 1
    for subject, sentence in expected.items():
        assert found[subject][0] == "failed", subject
        assert found[subject][1].startswith(sentence)


def test_the_provider_of_signed_updates(world: World, host: Host, run_exoproxy: Run) -> None:
    """A probe is written by RFC 2136, too."""
    host.configure(world.settings("rfc2136"), ["localhost"])
    _, found = check(run_exoproxy, host, "--write")

    assert found[CHALLENGE] == ("ok", "was written, seen at the zone's name servers, and removed")
    assert world.name_server.left() == {}


def test_a_token_that_may_only_look(world: World, host: Host, run_exoproxy: Run) -> None:
    """It sees the zone, and only --write finds that it can't change it."""
    host.configure(world.settings(), ["localhost"])
    _, seen = check(run_exoproxy, host)
    world.cloudflare.fail("POST", 403, 10000, "Authentication error", times=2)
    try:
        code, written = check(run_exoproxy, host, "--write")
    finally:
        world.cloudflare.forget_troubles()

    assert (seen[CHALLENGE][0], written[CHALLENGE][0], code) == ("ok", "failed", 1)
    assert "Zone / DNS / Edit" in written[CHALLENGE][1]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_probe_that_is_interrupted_goes(
    host: Host, tmp_path: Path, number: signal.Signals
) -> None:
    """Ctrl-C while the name servers are waited for leaves no record in the zone."""
    folder = tmp_path / "world"
    folder.mkdir()
    with (
        silent_server() as silent,
        acme_world(folder, other_name_servers=[silent]) as slow,
    ):
        host.configure(slow.settings(), ["localhost"])
        process = subprocess.Popen(  # noqa: S603 - the project's own command
            [
                # A shell's background job, such as these tests may be, has Ctrl-C ignored.
                *("env", "--default-signal=INT"),
                *(sys.executable, "-m", "exoproxy", "check", "--live", "--write"),
                *("--config", str(host.config)),
            ],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            env={**os.environ, "PYTHONUNBUFFERED": "1"},
        )
        deadline = time.monotonic() + 30
        while not slow.name_server.left():
            assert process.poll() is None
            assert time.monotonic() < deadline
            time.sleep(0.01)
        process.send_signal(number)
        said, _ = process.communicate(timeout=30)

        assert process.returncode in (1, 128 + number), said
        assert "Traceback" not in said
        assert slow.name_server.left() == {}
