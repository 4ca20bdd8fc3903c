"""Owners and modes of what the service reads and writes."""

import errno
import stat
from pathlib import Path
from typing import Any

import pytest

from exoproxy.live.files import findings
from exoproxy.live.finding import Finding
from exoproxy.live.network import ServiceUser, Status
from exoproxy.settings.model import Settings
from pretended_network import Pretended

CONFIG = Path("/etc/exoproxy/exoproxy.yaml")
SERVICE = ServiceUser(uid=990, gids=frozenset({990}))
SYSTEMD: dict[str, Any] = {}


def status(path: str, mode: int, *, uid: int = 0, gid: int = 0, folder: bool = False) -> Status:
    kind = stat.S_IFDIR if folder else stat.S_IFREG
    user = {0: "root", 990: "exoproxy"}.get(uid, f"user{uid}")
    return Status(real=Path(path), user=user, uid=uid, gid=gid, mode=kind | mode)


def host(*statuses: Status, **keys: Any) -> Pretended:
    """Return a host with these files, in folders that everyone may enter."""
    files: dict[str, Any] = {str(each.real): each for each in statuses}
    for each in statuses:
        for parent in each.real.parents:
            files.setdefault(str(parent), status(str(parent), 0o755, folder=True))
    return Pretended(files=files, units=SYSTEMD, **keys)


def told(network: Pretended, **main: Any) -> dict[str, Finding]:
    content = {"hostname": "my.example.org", "proxy": None, "certificate": "local", **main}
    found = findings(Settings.model_validate({"main": content}), CONFIG, network)
    return {each.subject: each for each in found}


def of(path: Path | str, network: Pretended, **main: Any) -> Finding:
    return told(network, **main)[str(path)]


def test_a_program_that_the_service_cannot_start() -> None:
    """An environment of a strict umask, or of a Python in somebody's home, is found."""
    script, python = "/opt/exoproxy/bin/exoproxy", "/opt/exoproxy/bin/python3"
    shut = told(host(status(script, 0o755), status("/opt/exoproxy", 0o700, folder=True)))
    linked = status("/root/.pyenv/bin/python3", 0o755)
    usual = host(status(script, 0o755), linked)
    at_home = told(Pretended(files={**usual.files, python: linked}, units=SYSTEMD))

    assert shut[script].sentence.startswith("can't be run by the service: `chmod -R go+rX /opt/ex")
    assert "/usr/bin/python3 -m venv --clear /opt/exoproxy" in at_home[python].sentence
    assert script not in at_home


@pytest.mark.parametrize("service", [None, SERVICE])
def test_a_sound_configuration(service: ServiceUser | None) -> None:
    """Everyone may read it, root alone may change it."""
    finding = of(CONFIG, host(status(str(CONFIG), 0o644), service=service))

    assert (finding.kind, finding.sentence) == (
        "ok",
        "can be read by the service, and changed by root alone",
    )


@pytest.mark.parametrize(
    ("service", "found", "kind", "expected"),
    [
        (SERVICE, {"mode": 0o640}, "failed", "can't be read by the user exoproxy: `chmod o+r "),
        (None, {"mode": 0o640}, "failed", "can't be read by the service, whose user is made when"),
        (SERVICE, {"mode": 0o640, "gid": 990}, "ok", "can be read by the service"),
        (None, {"mode": 0o640, "gid": 990}, "failed", "can't be read by the service"),
        (SERVICE, {"mode": 0o400, "uid": 990}, "ok", "can be read by the service"),
        # The first class that fits decides, as for the kernel.
        (SERVICE, {"mode": 0o004, "uid": 990}, "failed", "can't be read by the user exoproxy"),
        (SERVICE, {"mode": 0o646}, "failed", "can be changed by others than its owner (mode 646)"),
        (SERVICE, {"mode": 0o664, "gid": 990}, "failed", "can be changed by others than its owner"),
        (SERVICE, {"mode": 0o664}, "ok", "can be read by the service"),
    ],
)
def test_judges_a_mode(
    service: ServiceUser | None, found: dict[str, Any], kind: str, expected: str
) -> None:
    """By the class of bits that counts for the service's user."""
    finding = of(CONFIG, host(status(str(CONFIG), **found), service=service))

    assert finding.kind == kind
    assert finding.sentence.startswith(expected)


def test_a_folder_on_the_way_may_be_closed() -> None:
    """The first one is named, with what opens it."""
    folder = status("/etc/exoproxy", 0o700, folder=True)
    finding = of(CONFIG, host(status(str(CONFIG), 0o644), folder, service=SERVICE))

    assert (
        finding.sentence
        == "can't be read by the user exoproxy: `chmod o+x /etc/exoproxy` lets it in"
    )


def test_the_private_state_is_let_in_by_systemd() -> None:
    """What lies below /var/lib/private is mounted for the service."""
    root = "/var/lib/private/exoproxy/client"
    private = status("/var/lib/private", 0o700, folder=True)
    network = host(status(root, 0o755, folder=True), private, service=SERVICE)

    assert of(root, network, client={"root": root}).kind == "ok"


def test_a_key_is_never_opened_to_everyone() -> None:
    """Its owner's group is the way."""
    files = {"cert_file": "/etc/c.pem", "key_file": "/etc/my key.pem"}
    network = host(status("/etc/c.pem", 0o600), status("/etc/my key.pem", 0o600), service=SERVICE)
    found = told(network, certificate=files)

    assert "`chmod o+r /etc/c.pem`" in found["/etc/c.pem"].sentence
    key = found["/etc/my key.pem"].sentence
    assert "chmod o" not in key
    assert key.endswith("`chgrp exoproxy '/etc/my key.pem' && chmod g+r '/etc/my key.pem'`")


@pytest.mark.parametrize(
    ("found", "kind", "expected"),
    [
        ({"mode": 0o600}, "ok", "can be read by root alone"),
        ({"mode": 0o600, "uid": 1000}, "failed", "belongs to user1000, who can read the key to"),
        ({"mode": 0o640}, "note", "is open to more than its owner (mode 640); `chmod 600 /etc"),
    ],
)
def test_judges_the_zones_secret(found: dict[str, Any], kind: str, expected: str) -> None:
    """Root's alone; systemd hands it on."""
    main = {"hostname": "my.example.org", "proxy": None}
    settings = Settings.model_validate({"main": main})
    file = "/etc/exoproxy/cloudflare.token"
    network = host(status(file, **found), service=SERVICE)
    [secret] = [each for each in findings(settings, CONFIG, network) if each.subject == file]

    assert secret.kind == kind
    assert secret.sentence.startswith(expected)


def test_tells_of_a_secret_that_nobody_hands_over() -> None:
    """Root's file is of no use to the service where the units don't name it."""
    main = {"hostname": "my.example.org", "proxy": None}
    acme = {"dns": {"token_file": "/etc/x"}}
    settings = Settings.model_validate({"main": main, "acme": acme})
    network = host(status("/etc/x", 0o600), service=SERVICE)
    [secret] = [each for each in findings(settings, CONFIG, network) if each.subject == "/etc/x"]

    assert secret.kind == "note"
    assert "`install -m 600 /etc/x /etc/exoproxy/cloudflare.token`" in secret.sentence


@pytest.mark.parametrize(
    ("service", "found", "kind", "expected"),
    [
        (SERVICE, {"mode": 0o700, "uid": 990}, "ok", "belongs to exoproxy"),
        (SERVICE, {"mode": 0o700}, "failed", "belongs to root, so that the service can't keep its"),
        (None, {"mode": 0o700}, "ok", "belongs to root"),
        (SERVICE, {"mode": 0o777, "uid": 990}, "failed", "can be written by every user of this "),
    ],
)
def test_judges_the_state(
    service: ServiceUser | None, found: dict[str, Any], kind: str, expected: str
) -> None:
    """It is the service's own, and nobody else's."""
    state = "/var/lib/exoproxy"
    finding = of(state, host(status(state, folder=True, **found), service=service))

    assert finding.kind == kind
    assert finding.sentence.startswith(expected)


def test_state_that_is_not_there_yet() -> None:
    """A new host has none."""
    assert of("/var/lib/exoproxy", host()).kind == "note"


def test_says_what_could_not_be_looked_at() -> None:
    """Without root's rights, folders are closed."""
    closed = PermissionError(errno.EACCES, "Permission denied")
    network = Pretended(files={str(CONFIG): closed, "/var/lib/exoproxy": closed}, units=SYSTEMD)

    assert [each.kind for each in told(network).values()] == ["note", "note"]


def test_without_systemd_who_asks_is_who_serves() -> None:
    """There is no dynamic user then."""
    network = host(status(str(CONFIG), 0o600))
    network.units = None

    assert of(CONFIG, network).kind == "ok"
