"""Which certificates a configuration wants from an authority."""

from pathlib import Path
from typing import Any

import pytest

from authority import Authority
from exoproxy.certs.certbot.lineage import Stored
from exoproxy.certs.context import ari_id, read_certificate
from exoproxy.certs.state import State
from exoproxy.certs.wanted import (
    Unknown,
    Wanted,
    chosen,
    directory_url,
    store_of,
    wanted,
)
from exoproxy.rules.renewal import NoWindow
from exoproxy.settings.model import Settings

MAIN = {"hostname": "my.example.org", "proxy": None}
UAP = {
    "allowed_origins": [],
    "regions": {
        "X": {"hostname": "proxy.example.org", "subnets": ["192.0.2.0/24"]},
        "Y": {"hostname": "y.example.org", "subnets": ["192.0.2.0/24"], "certificate": "local"},
    },
}
DIRECTORY = "https://ca.example.org/directory"
WANTED = Wanted(
    key="uap.regions.X.certificate",
    names=("proxy.example.org", "*.proxy.example.org"),
    directory=DIRECTORY,
)


def settings(**content: Any) -> Settings:
    return Settings.model_validate({"main": MAIN, "uap": UAP, **content})


def stored(folder: Path, *names: str) -> Stored:
    pem = Authority(folder).issue(*names)
    return Stored(
        name=names[0],
        lineage=names[0],
        version=1,
        fullchain=pem,
        key=pem,
        certificate=read_certificate(pem),
    )


def test_each_mode_with_acme_wants_one() -> None:
    """The main host wants its name, a UAP its name and the wildcard; local ones want none."""
    found = wanted(settings(acme={"directory": DIRECTORY}))

    assert [(each.key, each.name, each.names) for each in found] == [
        ("main.certificate", "my.example.org", ("my.example.org",)),
        (WANTED.key, "proxy.example.org", WANTED.names),
    ]
    assert {each.directory for each in found} == {DIRECTORY}


@pytest.mark.parametrize(
    ("directory", "host"),
    [
        ("letsencrypt", "acme-v02.api.letsencrypt.org"),
        ("letsencrypt-staging", "acme-staging-v02.api.letsencrypt.org"),
    ],
)
def test_names_of_authorities_are_known(directory: str, host: str) -> None:
    """The two names that the configuration knows lead to Let's Encrypt's directories."""
    assert directory_url(directory) == f"https://{host}/directory"


def test_the_store_lies_in_the_state_unless_it_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """systemd's folder wins over state_dir, and acme.store over both."""
    monkeypatch.setenv("STATE_DIRECTORY", str(tmp_path))

    assert store_of(settings()).folder == tmp_path / "acme"
    assert store_of(settings(acme={"store": "/etc/letsencrypt"})).folder == Path("/etc/letsencrypt")


@pytest.mark.parametrize("directory", ["", DIRECTORY])
def test_what_is_wanted_has_a_life(tmp_path: Path, directory: str) -> None:
    """A stored certificate counts if the authority is the wanted one, or is not known."""
    there = stored(tmp_path, *WANTED.names)
    life = WANTED.life(there, State(directory=directory))

    assert life is not None
    assert life.not_after == there.certificate.not_valid_after_utc


def test_what_is_not_wanted_counts_as_none(tmp_path: Path) -> None:
    """No certificate, one for other names, and one by another authority are as good as none."""
    assert WANTED.life(None, State()) is None
    assert WANTED.life(stored(tmp_path, "proxy.example.org"), State()) is None
    elsewhere = State(directory="https://staging.example.org/directory")
    assert WANTED.life(stored(tmp_path, *WANTED.names), elsewhere) is None


def test_a_window_is_that_of_the_certificate_it_was_told_for(tmp_path: Path) -> None:
    """What the authority said about a predecessor says nothing about the one there is."""
    there = stored(tmp_path, *WANTED.names)
    window = NoWindow(ask_at=there.certificate.not_valid_after_utc)
    state = State(window=window, window_of=ari_id(there.certificate))

    assert WANTED.window(there, state) == window
    assert WANTED.window(there, State(window=window, window_of="another")) is None
    assert WANTED.window(None, state) is None


def test_the_only_one_need_not_be_named() -> None:
    """Of several the one is taken that was named, and once."""
    [only] = chosen(settings(main=None), [])
    found = chosen(settings(), ["my.example.org", "my.example.org"])

    assert only.name == "proxy.example.org"
    assert [each.name for each in found] == ["my.example.org"]


@pytest.mark.parametrize(
    ("content", "names", "sentence"),
    [
        (settings(), [], "name this host's: my.example.org, proxy.example.org"),
        (
            settings(),
            ["y.example.org"],
            "is called 'y.example.org'; there is my",
        ),
        (settings(main=None, uap=None), [], "no `certificate:` is acme"),
    ],
)
def test_what_is_not_wanted_is_told(content: Settings, names: list[str], sentence: str) -> None:
    """The message has the names to choose from."""
    with pytest.raises(Unknown, match=sentence):
        chosen(content, names)
