"""A process's life as far as it needs no process: what it can not start with, and sockets."""

import contextlib
import socket
from pathlib import Path

import pytest

from exoproxy import service
from exoproxy.certs.context import CertificateProblem
from exoproxy.main import MainSite
from exoproxy.service import serve_main, serve_uap
from exoproxy.settings.acme import Acme, Dns
from exoproxy.settings.limits import Limits
from exoproxy.settings.model import Settings
from ports import free_port

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
    monkeypatch.setattr(service, "_run", fail)
    monkeypatch.setattr(MainSite, "close", lambda site: closed.append(site))
    main = {"hostname": "my.example.org", "listen": ["127.0.0.1:443"], "proxy": None}
    with pytest.raises(CertificateProblem):
        serve_main(Settings.model_validate({"main": main}), CONFIG)

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


async def test_certificates_are_got_where_the_configuration_says(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """The process is for this mode's name, reads the same file, and gets time for DNS."""
    started: list[tuple[str, Path]] = []

    async def start(name: str, config: Path) -> None:
        started.append((name, config))

    monkeypatch.setattr(service, "start_renewal", start)
    monkeypatch.setenv("STATE_DIRECTORY", str(tmp_path))
    settings = region().model_copy(update={"acme": Acme(dns=Dns(propagation_timeout=300))})
    issuing = service._issuing(settings, CONFIG, "proxy.example.com")
    assert issuing is not None
    await issuing.start()

    assert started == [("proxy.example.com", CONFIG)]
    assert issuing.limit == 1800
    assert issuing.wanted.names == ("proxy.example.com", "*.proxy.example.com")
    assert issuing.store.folder == tmp_path / "acme"


def test_other_certificates_are_got_by_others() -> None:
    """A local certificate, or one from files, starts no process."""
    settings = region(certificate="local")

    assert service._issuing(settings, CONFIG, "proxy.example.com") is None
