"""A process's life as far as it needs no process: what it can not start with, and sockets."""

import socket
from pathlib import Path

import pytest

from exoproxy import service
from exoproxy.certs.context import CertificateProblem
from exoproxy.main import MainSite
from exoproxy.service import serve_main, serve_uap
from exoproxy.settings.model import Settings

CONFIG = Path("/etc/exoproxy/exoproxy.yaml")


def region(**keys: object) -> Settings:
    content = {"hostname": "proxy.example.com", "subnets": ["192.168.0.0/24"], **keys}
    return Settings.model_validate({"uap": {"allowed_origins": [], "regions": {"X": content}}})


@pytest.mark.parametrize(
    ("keys", "expected"),
    [
        (
            {"certificate": {"cert_file": "/nonexistent/c", "key_file": "/nonexistent/k"}},
            "/nonexistent/c",
        ),
        ({"certificate": "local", "hostname": "proxy.example.com"}, "can't be kept in /dev/null/"),
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
    monkeypatch.setenv("STATE_DIRECTORY", "/dev/null/state")

    assert serve_uap(region(**keys), CONFIG, "X") == 1
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith("exoproxy: ")
    assert expected in err


def test_nothing_works_on_after_the_service(monkeypatch: pytest.MonkeyPatch) -> None:
    """However it ends, the main host's site is closed: its files are encoded beside the loop."""
    closed: list[MainSite] = []

    def fail(*_: object) -> int:
        raise CertificateProblem("on the way")

    monkeypatch.setattr(service, "configure", lambda _: None)
    monkeypatch.setattr(service, "sockets_of", fail)
    monkeypatch.setattr(MainSite, "close", lambda site: closed.append(site))
    main = {"hostname": "my.example.org", "listen": ["127.0.0.1:443"], "proxy": None}

    assert serve_main(Settings.model_validate({"main": main}), CONFIG) == 1
    assert len(closed) == 1


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

        assert serve_uap(settings, CONFIG, "X") == 1
    assert str(port) in capsys.readouterr().err
