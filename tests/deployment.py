"""Both modes as processes on loopback: their configuration, their clients, and what can be seen.

`Deployment` starts them; a `Site` is one process at work, and a `Way` a site with an upstream
behind it that the test plays itself.
"""

import asyncio
import contextlib
import json
import os
import ssl
import subprocess
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import MappingProxyType
from typing import Any

import yaml

from authority import Authority
from peers import BUFFER, End, Upstream, request, until, upstream
from ports import free_port

MAIN_NAME = "exosphere.example.org"
UAP_NAME = "proxy.example.org"
REGION = "Here"
INSTANCE = "127.0.0.2"
CLOUD = "localhost"

UPGRADE = (
    (b"Connection", b"Upgrade"),
    (b"Upgrade", b"websocket"),
    (b"Sec-WebSocket-Key", b"dGhlIHNhbXBsZSBub25jZQ=="),
    (b"Sec-WebSocket-Version", b"13"),
)
AGREED = b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n"
# RFC 6455 sections 5.5.1 and 7.4.1: a Close frame with code 1001, "going away".
GOING_AWAY = b"\x88\x02\x03\xe9"

# Seconds for the last socket to go once both ends have left; TLS waits that long for a goodbye.
LEFT_WITHIN = 8

Start = Callable[..., tuple[subprocess.Popen[bytes], Path]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Site:
    """A mode at work on 127.0.0.1. `output` is where both its logs go, as JSON lines.

    `configuration` is its file. `since` is how much of the output there was before the test.
    """

    process: subprocess.Popen[bytes]
    output: Path
    configuration: Path
    port: int
    hostname: str
    trust: ssl.SSLContext
    since: int = 0

    def host(self, port: int, address: str = INSTANCE) -> str:
        """Return the Host by which an upstream at this port is reached."""
        if self.hostname == MAIN_NAME:
            return MAIN_NAME
        return f"http-{address.replace('.', '-')}-{port}.{UAP_NAME}"

    def request(
        self,
        port: int,
        *fields: tuple[bytes, bytes],
        line: bytes = b"GET / HTTP/1.1",
        content: bytes = b"",
    ) -> bytes:
        """Return a request to the upstream at this port."""
        if self.hostname == MAIN_NAME:
            method, target, version = line.split(b" ")
            line = b"%b /proxy%b %b" % (method, target, version)
            fields = (
                (b"exo-proxy-orig-host", CLOUD.encode()),
                (b"exo-proxy-orig-port", b"%d" % port),
                *fields,
            )
        return request(self.host(port), *fields, line=line, content=content)

    async def connect(self, name: str) -> End:
        """Return a connection over TLS, for a name that is served here."""
        return End(
            *await asyncio.open_connection(
                "127.0.0.1", self.port, ssl=self.trust, server_hostname=name, limit=BUFFER
            )
        )

    def log(self) -> list[dict[str, Any]]:
        """Return the lines of both logs; what a command says before it serves is prose."""
        # What is being written has no end yet.
        text = self.output.read_bytes()[self.since :].rpartition(b"\n")[0]
        return [json.loads(line) for line in text.splitlines() if line.startswith(b"{")]

    def served(self) -> list[dict[str, Any]]:
        """Return the lines of the access log."""
        return [line for line in self.log() if "status" in line]

    async def logged(self, count: int = 1) -> list[tuple[int, str]]:
        """Return status and code of the first `count` requests, once they are in the log."""
        await until(lambda: len(self.served()) >= count)
        return [(line["status"], line["code"]) for line in self.served()]

    def files(self) -> list[int]:
        """Return the numbers of the files and sockets that the process has open."""
        return [int(number) for number in os.listdir(f"/proc/{self.process.pid}/fd")]

    def sockets(self) -> int:
        """Return how many sockets the process has open."""
        count = 0
        for number in self.files():
            with contextlib.suppress(FileNotFoundError):  # closed since
                link = os.readlink(f"/proc/{self.process.pid}/fd/{number}")
                count += link.startswith("socket:")
        return count

    def memory(self) -> int:
        """Return the bytes of the process's memory now."""
        return self._status("VmRSS")

    def peak(self) -> int:
        """Return the largest number of bytes of memory since `forget_peak`."""
        return self._status("VmHWM")

    def forget_peak(self) -> None:
        """Let the largest begin anew (proc(5), clear_refs)."""
        Path(f"/proc/{self.process.pid}/clear_refs").write_text("5", "ascii")

    def cpu(self) -> float:
        """Return the seconds of CPU that the process has spent."""
        stat = Path(f"/proc/{self.process.pid}/stat").read_text("ascii").rpartition(")")[2].split()
        return (int(stat[11]) + int(stat[12])) / os.sysconf("SC_CLK_TCK")

    def _status(self, key: str) -> int:
        text = Path(f"/proc/{self.process.pid}/status").read_text("ascii")
        (line,) = [line for line in text.splitlines() if line.startswith(f"{key}:")]
        return int(line.split()[1]) * 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class Way:
    """From a client through a site to an upstream."""

    site: Site
    upstream: Upstream
    _clients: list[End] = field(default_factory=list)

    def request(self, *fields: tuple[bytes, bytes], **options: Any) -> bytes:
        """Return a request that reaches the upstream."""
        return self.site.request(self.upstream.port, *fields, **options)

    async def connect(self, port: int = 0) -> End:
        """Return a connection, to ask for this upstream or another port; it ends with the test."""
        client = await self.site.connect(self.site.host(port or self.upstream.port))
        self._clients.append(client)
        return client

    async def asked(self, request: bytes = b"") -> tuple[End, End]:
        """Return both ends of a request whose head the upstream has."""
        client = await self.connect()
        client.send(request or self.request())
        there = await self.upstream.accepted()
        await there.head()
        return client, there

    async def tunnel(self) -> tuple[End, End]:
        """Return both ends of a new websocket's connection."""
        client, there = await self.asked(self.request(*UPGRADE))
        there.send(AGREED)
        await client.head()
        return client, there

    def close(self) -> None:
        """End the clients' connections."""
        for client in self._clients:
            client.close()


class Deployment:
    """The configuration of both modes; starts either, with settings of a test's own.

    With `acme`, that part of the configuration, their certificates come from there. Clients trust
    what `trusted` holds, else the authority's certificate.
    """

    def __init__(
        self,
        authority: Authority,
        folder: Path,
        start: Start,
        *,
        acme: Mapping[str, Any] | None = None,
        trusted: Path | None = None,
    ) -> None:
        self._authority = authority
        self._folder = folder
        self._start = start
        self._acme = acme
        self._trusted = trusted or authority.file

    @asynccontextmanager
    async def way(self, mode: str, **settings: Any) -> AsyncIterator[Way]:
        """Start `main` with a cloud's API over TLS behind it, or `uap` with a plain instance."""
        site = self.main(**settings) if mode == "main" else self.uap(**settings)
        async with self.through(site) as way:
            yield way

    @asynccontextmanager
    async def through(self, site: Site, *, complaint: str = "") -> AsyncIterator[Way]:
        """Put an upstream behind a site that serves already; nothing may be left in it at the end.

        Fails when a socket is still open a while after all clients and the upstream have left, or
        the process has logged an error that does not hold the `complaint` expected.
        """
        before = site.sockets()
        site = replace(site, since=site.output.stat().st_size)
        is_main = site.hostname == MAIN_NAME
        async with upstream(
            "127.0.0.1" if is_main else INSTANCE,
            context=self._authority.serve(CLOUD) if is_main else None,
        ) as behind:
            way = Way(site=site, upstream=behind)
            try:
                yield way
            finally:
                way.close()
        if site.process.poll() is None:
            await until(lambda: site.sockets() <= before, within=LEFT_WITHIN)

        errors = [line["message"] for line in site.log() if line.get("level") == "ERROR"]

        assert [error for error in errors if not complaint or complaint not in error] == []

    def main(
        self,
        *,
        client: Path | None = None,
        redirect_listen: Sequence[str] = (),
        part: Mapping[str, Any] = MappingProxyType({}),
        **settings: Any,
    ) -> Site:
        """Start the main host; settings are keys of the file's top, such as `limits`.

        `client` is its document root, else there is nothing but a page. The folder `overrides`
        beside the configuration is not made. `part` are keys of `main` that are not as usual.
        """
        port = free_port()
        root = client or self._folder / "client"
        if client is None:
            root.mkdir(exist_ok=True)
            (root / "index.html").write_text("<!doctype html><title>client</title>", "utf-8")
        content = {
            **self._part(MAIN_NAME, port, MAIN_NAME),
            "redirect_listen": list(redirect_listen),
            "client": {"root": str(root), "overrides": str(self._folder / "overrides")},
            "proxy": {
                "allow": [CLOUD],
                "networks": ["127.0.0.0/8", "::1/128"],
                "ca_file": str(self._authority.file),
            },
            **part,
        }
        return self._run(["main"], {"main": content, **settings}, port, MAIN_NAME)

    def uap(self, *, part: Mapping[str, Any] = MappingProxyType({}), **settings: Any) -> Site:
        """Start the UAP, which reaches the instances 127.0.0.2 and 127.0.0.3.

        `part` are keys of the region that are not as usual.
        """
        port = free_port()
        region = {
            **self._part(UAP_NAME, port, UAP_NAME, f"*.{UAP_NAME}"),
            "subnets": [f"{INSTANCE}/31"],
            **part,
        }
        uap = {"allowed_origins": [f"https://{MAIN_NAME}"], "regions": {REGION: region}}
        return self._run(["uap", "--region", REGION], {"uap": uap, **settings}, port, UAP_NAME)

    def _part(self, hostname: str, port: int, *names: str) -> dict[str, Any]:
        certificate: object = "acme"
        if self._acme is None:
            file = str(self._authority.issue(*names))
            certificate = {"cert_file": file, "key_file": file}
        return {
            "hostname": hostname,
            "listen": [f"127.0.0.1:{port}"],
            "redirect_listen": [],
            "certificate": certificate,
            "admin_listen": None,
        }

    def _run(self, command: list[str], content: dict[str, Any], port: int, name: str) -> Site:
        file = self._folder / f"{command[0]}.yaml"
        content = {"state_dir": str(self._folder / "state"), **content}
        if self._acme is not None:
            content["acme"] = dict(self._acme)
        file.write_text(yaml.safe_dump(content), "utf-8")
        process, output = self._start(*command, "--config", str(file), says="Serving")
        trust = ssl.create_default_context(cafile=self._trusted)
        return Site(
            process=process,
            output=output,
            configuration=file,
            port=port,
            hostname=name,
            trust=trust,
        )
