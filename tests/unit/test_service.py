"""A process's life as far as it needs no process: certificates, sockets, values handed on."""

import asyncio
import contextlib
import socket
import ssl
from collections.abc import Callable
from ipaddress import ip_address
from pathlib import Path

import pytest

from authority import Authority
from exoproxy import service
from exoproxy.certs.context import CertificateProblem
from exoproxy.errors import TargetNotAllowed
from exoproxy.net.dial import Address, Upstream
from exoproxy.rules.egress import Policy
from exoproxy.service import ServingCertificate, caps_of, dialer_for, serve_uap, tcp_options
from exoproxy.settings.limits import Limits
from exoproxy.settings.model import Settings
from exoproxy.settings.sites import CertificateFiles


def test_limits_reach_the_sockets() -> None:
    """Caps and keep-alive are those configured."""
    limits = Limits(
        connections=7,
        connections_per_client=3,
        keepalive_idle=61,
        keepalive_interval=16,
        keepalive_probes=5,
        user_timeout=121,
    )
    options, caps = tcp_options(limits), caps_of(limits)

    assert (options.idle, options.interval, options.count) == (61, 16, 5)
    assert options.user_timeout == 121
    assert (caps.total, caps.per_client) == (7, 3)


async def test_nothing_is_dialled_unjudged() -> None:
    """The dialler has the site's policy, whatever the resolver says."""

    class Resolver:
        async def resolve(self, host: str) -> tuple[Address, ...]:
            return (ip_address("127.0.0.1"),)

        def forget(self, host: str) -> None:
            pass

    policy = Policy(networks=(), public=True)
    dialer = dialer_for(policy, Limits(), resolver=Resolver())
    for host in ("rebound.example", "127.0.0.1"):
        with pytest.raises(TargetNotAllowed):
            await dialer.dial(Upstream("https", host, 443, verify=True), asyncio.Protocol)


def test_a_local_certificate_is_made(tmp_path: Path) -> None:
    """`certificate: local` needs nothing but a folder."""
    certificate = ServingCertificate("local", ["my.example.org"], tmp_path / "local")

    assert isinstance(certificate(), ssl.SSLContext)
    assert any((tmp_path / "local").iterdir())


def test_a_certificate_is_swapped(tmp_path: Path) -> None:
    """After a reload, connections get another context; until then, the one there was."""
    certificate = ServingCertificate("local", ["my.example.org"], tmp_path / "local")
    before = certificate()
    assert certificate() is before
    certificate.reload()

    assert certificate() is not before


def test_a_broken_reload_changes_nothing(tmp_path: Path) -> None:
    """The old certificate goes on being served."""
    pem = Authority(tmp_path).issue("my.example.org")
    files = CertificateFiles(cert_file=pem, key_file=pem)
    served = ServingCertificate(files, ["my.example.org"], tmp_path)
    before = served()
    pem.write_text("broken")
    with pytest.raises(CertificateProblem):
        served.reload()

    assert served() is before


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
    monkeypatch: pytest.MonkeyPatch, free_port: Callable[[], int]
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
