"""A process's life as far as it needs no process: what it can not start with, and sockets."""

import contextlib
import socket
from pathlib import Path

import pytest

from exoproxy import service
from exoproxy.service import serve_uap
from exoproxy.settings.limits import Limits
from exoproxy.settings.model import Settings
from ports import free_port


def region(**keys: object) -> Settings:
    content = {"hostname": "proxy.example.com", "subnets": ["192.168.0.0/24"], **keys}
    return Settings.model_validate({"uap": {"allowed_origins": [], "regions": {"X": content}}})


@pytest.mark.parametrize(
    ("keys", "expected"),
    [
        ({"certificate": "acme"}, "acme is not there yet"),
        (
            {"certificate": {"cert_file": "/nonexistent/c", "key_file": "/nonexistent/k"}},
            "/nonexistent/c",
        ),
    ],
    ids=repr,
)
def test_a_service_that_can_not_start_says_why(
    keys: dict[str, object],
    expected: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Exit code 1 and one sentence; nothing was opened."""
    monkeypatch.setattr(service, "configure", lambda _: None)
    monkeypatch.setattr(service, "silence_broken_server_names", lambda: None)

    assert serve_uap(region(**keys), "X") == 1
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith("exoproxy: ")
    assert expected in err


def test_a_port_in_use_is_told(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """And the socket that was opened before it is closed again."""
    monkeypatch.setattr(service, "configure", lambda _: None)
    monkeypatch.setattr(service, "silence_broken_server_names", lambda: None)
    monkeypatch.setenv("STATE_DIRECTORY", str(tmp_path))
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        settings = region(certificate="local", listen=[f"127.0.0.1:{port}"], redirect_listen=[])

        assert serve_uap(settings, "X") == 1
    assert str(port) in capsys.readouterr().err


def test_systemds_sockets_come_first(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Those named http are for the redirect, all others serve; none is opened beside them."""
    port = free_port()
    part = region(listen=[f"127.0.0.1:{port}"], redirect_listen=[]).uap
    assert part is not None
    with contextlib.ExitStack() as opened:
        one, two, three = (opened.enter_context(socket.socket()) for _ in range(3))
        passed = [("https", one), ("http", two), ("exoproxy-uap.socket", three)]
        monkeypatch.setattr(service, "inherited_sockets", lambda *, options: passed)

        assert service._sockets(part.regions["X"], Limits(), opened) == ([one, three], [two])
        monkeypatch.setattr(service, "inherited_sockets", lambda *, options: [])
        https, http = service._sockets(part.regions["X"], Limits(), opened)
        assert [sock.getsockname() for sock in https] == [("127.0.0.1", port)]
        assert http == []
