"""The world of this host, as far as it is the same on all: loopback, files, programs of a test."""

import json
import os
import socket
import stat
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from ipaddress import ip_address
from pathlib import Path
from threading import Thread
from typing import Any

import pytest

from authority import Authority as Signer
from cloudflare_api import TOKEN, CloudflareApi
from exoproxy.certs.problem import IssuanceProblem
from exoproxy.live import system
from exoproxy.live.network import Question
from exoproxy.live.system import System
from exoproxy.net.sockets import ListenError
from exoproxy.settings.acme import Dns
from exoproxy.settings.addresses import ListenAddress
from exoproxy.settings.names import DnsServer
from name_server import START, NameServer
from ports import free_port

REGION = "proxy.example.org"
CHALLENGE = f"_acme-challenge.{REGION}"


@pytest.fixture(name="port")
def listening_port() -> Iterator[int]:
    """Yield a port on loopback where something listens that speaks no TLS."""
    with socket.create_server(("127.0.0.1", 0)) as server:

        def answer() -> None:
            try:
                peer, _ = server.accept()
            except OSError:
                return
            with peer:
                peer.recv(1024)
                peer.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")

        thread = Thread(target=answer)
        thread.start()
        yield server.getsockname()[1]
        server.shutdown(socket.SHUT_RDWR)
        thread.join()


def test_the_system_listens(port: int) -> None:
    """A taken port is told with its holder; a free one is left free."""
    with pytest.raises(ListenError, match=f"127.0.0.1:{port}"):
        System().listen(ListenAddress.parse(f"127.0.0.1:{port}"))
    with socket.create_server(("127.0.0.1", 0)) as server:
        free = server.getsockname()[1]
    listener = ListenAddress.parse(f"127.0.0.1:{free}")
    System().listen(listener)
    System().listen(listener)


def test_the_system_resolves() -> None:
    """An address is its own answer, once."""
    assert System().resolve("127.0.0.1") == [ip_address("127.0.0.1")]


def test_the_system_connects(port: int) -> None:
    """And says so if it can't."""
    System().connect(ip_address("127.0.0.1"), port)
    with pytest.raises(ConnectionRefusedError):
        System().connect(ip_address("127.0.0.1"), free_port())


def test_the_system_asks(port: int) -> None:
    """As `conversation` does."""
    question = Question(
        address=ip_address("127.0.0.1"), port=port, name="a", authority="a", context=None
    )

    assert System().get(question).status == 400


def test_the_system_knows_routes() -> None:
    """The kernel is asked for the source address; a network without a route is an error."""
    assert System().route(ip_address("127.0.0.2")) == ip_address("127.0.0.1")
    with pytest.raises(OSError, match=r"."):
        System().route(ip_address("255.255.255.255"))


def test_the_system_sees_who_listens(port: int) -> None:
    """This very process does."""
    assert [each.process for each in System().holders(port)] == [os.getpid()]
    assert System().is_listened_on(port)


def test_the_system_looks_at_files(tmp_path: Path) -> None:
    """What a link leads to, with its owner's name."""
    (tmp_path / "file").touch(0o640)
    (tmp_path / "link").symlink_to("file")
    status = System().status(tmp_path / "link")

    assert (status.real, status.uid) == ((tmp_path / "file").resolve(), System().user())
    assert stat.S_IMODE(status.mode) == 0o640
    with pytest.raises(FileNotFoundError):
        System().status(tmp_path / "none")


def test_the_system_reads_what_systemd_says(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Properties that come twice are lines of one; without systemd nothing is run."""
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    for name, says in (
        ("systemctl", "LoadState=loaded\nListen=0.0.0.0:80 (Stream)\nListen=[::]:80 (Stream)"),
        ("timedatectl", "yes"),
    ):
        (tmp_path / name).write_text(f"#!/bin/sh\nprintf '%s\\n' '{says}'\n")
        (tmp_path / name).chmod(0o755)
    monkeypatch.setattr(system, "_BOOTED", tmp_path)

    assert System().unit("exoproxy-main.socket") == {
        "LoadState": "loaded",
        "Listen": "0.0.0.0:80 (Stream)\n[::]:80 (Stream)",
    }
    assert System().synchronized() is True

    monkeypatch.setattr(system, "_BOOTED", tmp_path / "none")

    assert System().unit("exoproxy-main.socket") is None
    assert System().synchronized() is None


def test_the_system_compares_units(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With the file of the same name that came with this version, if one did."""
    shipped, installed = tmp_path / "shipped", tmp_path / "installed"
    for folder in (shipped, installed):
        folder.mkdir()
        (folder / "a.service").write_text("[Unit]")
    monkeypatch.setattr(system, "_SHIPPED", (tmp_path / "none", shipped))

    assert System().is_as_shipped(installed / "a.service") is True
    (installed / "a.service").write_text("[Unit]\n# mine")
    assert System().is_as_shipped(installed / "a.service") is False
    assert System().is_as_shipped(installed / "b.service") is None


def test_the_system_reads_a_directory(tmp_path: Path) -> None:
    """What the authority says of itself, and a sentence where nothing answers."""
    directory = {
        "newNonce": "https://127.0.0.1/nonce",
        "newAccount": "https://127.0.0.1/account",
        "newOrder": "https://127.0.0.1/order",
        "meta": {
            "profiles": {"classic": "Ninety days"},
            "caaIdentities": ["authority.example"],
            "externalAccountRequired": True,
        },
    }

    class Directory(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            content = json.dumps(directory).encode()
            self.send_response(200)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *_: Any) -> None:
            """Say nothing."""

    signer = Signer(tmp_path)
    with HTTPServer(("127.0.0.1", free_port()), Directory) as server:
        context = signer.serve("127.0.0.1")
        server.socket = context.wrap_socket(server.socket, server_side=True)
        server.timeout = 5
        url = f"https://127.0.0.1:{server.server_port}/directory"
        thread = Thread(target=server.handle_request)
        thread.start()
        try:
            found = System().authority(url, signer.file)
        finally:
            thread.join()

    assert (found.profiles, found.caa_identities) == (("classic",), ("authority.example",))
    assert found.needs_binding
    assert abs(found.clock_skew) < 5
    with pytest.raises(IssuanceProblem):
        System().authority(url, signer.file)


def test_the_system_tries_a_zone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With the token that the configuration names, at the API that it names."""
    monkeypatch.delenv("CREDENTIALS_DIRECTORY", raising=False)
    token = tmp_path / "token"
    token.write_text(TOKEN)
    with CloudflareApi({"example.org": "0" * 32}) as api:
        dns = Dns(token_file=token, api_url=api.url)
        System().try_zone("example.org", dns)
        with pytest.raises(IssuanceProblem, match=r"other\.example"):
            System().try_zone("other.example", dns)


def test_the_system_asks_the_configured_resolvers() -> None:
    """For the place of a challenge, and for CAA records."""
    server = NameServer({"example.org": START}, recurses=True)
    try:
        dns = Dns(resolvers=(DnsServer("127.0.0.1", server.port),))

        assert System().place_of(CHALLENGE, dns) == ("example.org", CHALLENGE)
        assert System().published(REGION, dns) == []
        assert System().forbidden(f"*.{REGION}", ("a.example",), "dns-01", dns) is None
    finally:
        server.close()
