"""What a life keeps while its settings change; the rest is tried on real processes."""

from pathlib import Path

import pytest
import yaml

from exoproxy.certs.context import CertificateProblem
from exoproxy.certs.serving import Served, ServingCertificate
from exoproxy.ops.systemd import Notifier
from exoproxy.service.life import Life
from exoproxy.service.mode import mode_of
from exoproxy.service.sockets import Sockets
from exoproxy.settings.load import load

REGION = {"hostname": "proxy.example.com", "subnets": ["192.0.2.0/24"], "certificate": "local"}


@pytest.fixture
def life(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Life:
    """A UAP's, without sockets."""
    monkeypatch.setenv("STATE_DIRECTORY", str(tmp_path))
    file = tmp_path / "exoproxy.yaml"
    content = {"uap": {"allowed_origins": [], "regions": {"X": REGION}}}
    file.write_text(yaml.safe_dump(content), "utf-8")
    return Life(mode_of(load(file), "X"), file, Sockets([], [], None), Notifier({}))


async def test_certificate_that_is_refused_at_last(
    life: Life, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It loads, and is worse than what is served: the settings beside it are not in use either."""

    def refuse(self: ServingCertificate, served: Served) -> None:
        raise CertificateProblem("it expired yesterday")

    monkeypatch.setattr(ServingCertificate, "serve", refuse)
    before = life.settings, life.site
    with pytest.raises(CertificateProblem):
        await life._reload()

    assert (life.settings, life.site) == before


async def test_runs_are_counted_over_keepers(life: Life) -> None:
    """Another certificate has another keeper, and the count goes on."""
    found = []
    for _ in range(2):
        life._keep()
        assert life.keeper is not None
        found.append(life.keeper.runs)
        await life.keeper.stop()

    assert found[0] is found[1]
