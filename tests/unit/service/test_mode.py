"""What is served, made of the settings: certificates, the way out, the plain port."""

from pathlib import Path

import pytest

from exoproxy.certs.context import CertificateProblem
from exoproxy.service import mode
from exoproxy.service.mode import Mode, mode_of
from exoproxy.settings.model import Settings
from exoproxy.uap import UapSite

CONFIG = Path("/etc/exoproxy/exoproxy.yaml")


@pytest.fixture(autouse=True)
def state(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """Let what is kept lie in a folder of the test's own."""
    monkeypatch.setenv("STATE_DIRECTORY", str(tmp_path))
    return tmp_path


def region(acme: dict[str, object] | None = None, **keys: object) -> Mode:
    content = {"hostname": "proxy.example.com", "subnets": ["192.168.0.0/24"], **keys}
    uap = {"allowed_origins": [], "regions": {"X": content}}
    return mode_of(Settings.model_validate({"uap": uap, "acme": acme or {}}), "X")


def main(**keys: object) -> Mode:
    content = {"hostname": "my.example.org", "proxy": {"allow": ["api.example.org"], **keys}}
    return mode_of(Settings.model_validate({"main": content}), None)


async def test_certificates_are_got_where_the_configuration_says(
    monkeypatch: pytest.MonkeyPatch, state: Path
) -> None:
    """The process is for this mode's name, reads the same file, and gets time for DNS."""
    started: list[tuple[str, Path]] = []

    async def start(name: str, config: Path) -> None:
        started.append((name, config))

    monkeypatch.setattr(mode, "start_renewal", start)
    issuing = region({"dns": {"propagation_timeout": 300}}).issuing(CONFIG)
    assert issuing is not None
    await issuing.start()

    assert started == [("proxy.example.com", CONFIG)]
    assert issuing.limit == 1800
    assert issuing.wanted.names == ("proxy.example.com", "*.proxy.example.com")
    assert issuing.store.folder == state / "acme"


def test_other_certificates_are_got_by_others() -> None:
    """A local certificate, or one from files, starts no process."""
    assert region(certificate="local").issuing(CONFIG) is None


@pytest.mark.parametrize(
    ("acme", "keys", "same"),
    [
        ({}, {"ports": [8888]}, True),
        ({"email": "ops@example.org"}, {}, True),
        ({}, {"certificate": "local"}, False),
        ({}, {"hostname": "other.example.com"}, False),
        ({"directory": "letsencrypt-staging"}, {}, False),
        ({"store": "/srv/acme"}, {}, False),
        ({"dns": {"propagation_timeout": 300}}, {}, False),
    ],
)
def test_same_certificate(acme: dict[str, object], keys: dict[str, object], same: bool) -> None:
    """A reload leaves the certificate's keeper alone, unless what it works by has changed."""
    assert region(acme, **keys).certificate_is_as_in(region()) is same


def test_authorities_that_can_not_be_read(tmp_path: Path) -> None:
    """The sentence names the key."""
    served = main(ca_file=str(tmp_path / "none.pem"))
    with pytest.raises(CertificateProblem, match=r"^main\.proxy\.ca_file: can't be used \(.*PEM"):
        served.dialer({})
    served.close()


def test_names() -> None:
    """Sentences name the part of the settings and the systemd unit."""
    served = main()
    served.close()

    assert (served.key, served.unit) == ("main", "exoproxy-main")
    assert (region().key, region().unit) == ("uap.regions.X", "exoproxy-uap@X")


def test_what_is_not_there() -> None:
    """A region or a main host that the settings lack is a KeyError."""
    for name in ("Y", None):
        with pytest.raises(KeyError):
            mode_of(region().settings, name)


def test_cookies_are_counted_over_reloads() -> None:
    """Answers of the site before may still be under way: both count in one place."""
    before = region()
    after = mode_of(before.settings, "X", before)

    assert isinstance(before.site, UapSite)
    assert isinstance(after.site, UapSite)
    assert after.site.cookies is before.site.cookies
