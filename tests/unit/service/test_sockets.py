"""Where a mode's sockets come from."""

import contextlib
import socket

import pytest

from exoproxy.service import sockets
from exoproxy.service.mode import Mode, mode_of
from exoproxy.service.sockets import Sockets, sockets_of
from exoproxy.settings.model import Settings
from ports import free_port


def mode(port: int) -> Mode:
    region = {
        "hostname": "proxy.example.com",
        "subnets": ["192.168.0.0/24"],
        "listen": [f"127.0.0.1:{port}"],
        "redirect_listen": [],
    }
    uap = {"allowed_origins": [], "regions": {"X": region}}
    return mode_of(Settings.model_validate({"uap": uap}), "X")


def test_systemds_sockets_come_first(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where some were passed, none is opened beside them."""
    with contextlib.ExitStack() as opened:
        one, two = (opened.enter_context(socket.socket()) for _ in range(2))
        passed = [("https", one), ("http", two)]
        monkeypatch.setattr(sockets, "inherited_sockets", lambda *, options: passed)

        assert sockets_of(mode(free_port()), opened) == Sockets([one], [two])


def test_own_sockets() -> None:
    """Else they are opened as configured, and closed with the stack."""
    port = free_port()
    with contextlib.ExitStack() as opened:
        found = sockets_of(mode(port), opened)

        assert [sock.getsockname() for sock in found.https] == [("127.0.0.1", port)]
        assert found.http == []
    assert found.https[0].fileno() == -1
