"""Where a mode's sockets come from."""

import contextlib
import socket

import pytest

from exoproxy.service import sockets
from exoproxy.service.mode import Mode, mode_of
from exoproxy.service.sockets import Sockets, sockets_of
from exoproxy.settings.model import Settings
from ports import free_port


def mode(port: int, admin: int | None = None) -> Mode:
    region = {
        "hostname": "proxy.example.com",
        "subnets": ["192.168.0.0/24"],
        "listen": [f"127.0.0.1:{port}"],
        "redirect_listen": [],
        "admin_listen": None if admin is None else f"127.0.0.1:{admin}",
    }
    uap = {"allowed_origins": [], "regions": {"X": region}}
    return mode_of(Settings.model_validate({"uap": uap}), "X")


def test_systemds_sockets_come_first(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where some were passed, none is opened beside them."""
    with contextlib.ExitStack() as opened:
        one, two = (opened.enter_context(socket.socket()) for _ in range(2))
        passed = [("https", one), ("http", two)]
        monkeypatch.setattr(sockets, "inherited_sockets", lambda *, options: passed)

        assert sockets_of(mode(free_port()), opened) == Sockets([one], [two], None)


def test_own_sockets() -> None:
    """Else they are opened as configured, and closed with the stack."""
    port = free_port()
    with contextlib.ExitStack() as opened:
        found = sockets_of(mode(port), opened)

        assert [sock.getsockname() for sock in found.https] == [("127.0.0.1", port)]
        assert found.http == []
    assert found.https[0].fileno() == -1


@pytest.mark.parametrize("passed", [["admin"], []], ids=["handed over", "opened"])
def test_admin_site_has_a_socket(monkeypatch: pytest.MonkeyPatch, passed: list[str]) -> None:
    """A predecessor's where there is one, since its port is taken; systemd passes none."""
    with contextlib.ExitStack() as opened:
        handed = opened.enter_context(socket.create_server(("127.0.0.1", 0)))
        port = handed.getsockname()[1] if passed else free_port()
        given = [(name, handed) for name in passed]
        monkeypatch.setattr(sockets, "inherited_sockets", lambda *, options: given)
        found = sockets_of(mode(free_port(), port), opened)
        assert found.admin is not None

        assert found.admin.getsockname() == ("127.0.0.1", port)
        assert (found.admin is handed) is bool(passed)
        assert [name for name, _ in found.named()] == ["https", "admin"]
