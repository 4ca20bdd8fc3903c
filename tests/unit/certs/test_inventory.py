"""What is read for each configured certificate, and from the store."""

import os
from pathlib import Path
from typing import Any

import pytest

from authority import DAY, NOW, Authority
from exoproxy.certs import state
from exoproxy.certs.certbot.renewal_conf import Renewal
from exoproxy.certs.inventory import closed, inventory
from exoproxy.certs.state import State
from exoproxy.certs.status import Known, rows
from exoproxy.certs.store import Store
from exoproxy.rules.renewal import History
from exoproxy.settings.model import Settings

MAIN = "my.example.net"
HOST = "proxy.example.org"
DIRECTORY = "https://acme-v02.api.letsencrypt.org/directory"
RENEWAL = Renewal(
    server=DIRECTORY, account="a" * 32, key_type="ecdsa-p256", authenticator="dns-cloudflare"
)


def settings(certificate: Any = "acme", main: Any = "acme") -> Settings:
    region = {"hostname": HOST, "subnets": ["192.168.0.0/24"], "certificate": certificate}
    return Settings.model_validate(
        {
            "main": {"hostname": MAIN, "proxy": None, "certificate": main},
            "uap": {"allowed_origins": [], "regions": {"X": region}},
        }
    )


@pytest.fixture(autouse=True)
def _no_state_directory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("STATE_DIRECTORY", raising=False)


@pytest.fixture(name="authority")
def issuer(tmp_path: Path) -> Authority:
    folder = tmp_path / "authority"
    folder.mkdir()
    return Authority(folder)


@pytest.fixture(name="store")
def empty_store(tmp_path: Path) -> Store:
    return Store(tmp_path / "acme")


def put(store: Store, authority: Authority, *names: str) -> bytes:
    """Store a certificate for names; returns it with its key."""
    pem = authority.issue(*names).read_bytes()
    mark = pem.index(b"-----BEGIN PRIVATE KEY-----")
    store.prepare(names[0])
    store.save(names[0], key=pem[mark:], fullchain=pem[:mark], renewal=RENEWAL)
    return pem


def look(store: Store, content: Settings) -> list[Known]:
    content = content.model_copy(update={"state_dir": store.folder.parent})
    return inventory(content)


def test_nothing_is_there_at_first(store: Store) -> None:
    """An empty disk has a line for each name, and nothing is made by looking."""
    found = look(store, settings())

    assert [(each.name, each.certificate, each.trouble) for each in found] == [
        (MAIN, None, ""),
        (HOST, None, ""),
    ]
    assert not store.folder.exists()


def test_reads_the_store(store: Store, authority: Authority) -> None:
    """Certificate, state and the path that stays the same over renewals."""
    put(store, authority, HOST, f"*.{HOST}")
    put(store, authority, HOST, f"*.{HOST}")
    remembered = State(directory=DIRECTORY, history=History(failures=1, sentence="No."))
    state.save(store.state_file(HOST), remembered)
    [_, found] = look(store, settings())
    newest = store.newest(HOST)

    assert newest is not None
    assert found.certificate is not None
    assert found.certificate.serial_number == newest.certificate.serial_number
    assert found.path == store.folder / "live" / HOST / "fullchain.pem"
    assert found.state == remembered
    assert found.life is not None
    [_, row] = rows(look(store, settings()), NOW)
    assert (row.covers, row.errors) == ((HOST, f"*.{HOST}"), ("No.",))


def test_one_that_will_not_do_has_no_life(store: Store, authority: Authority) -> None:
    """Whether a certificate will do is decided as for its renewal."""
    put(store, authority, HOST)
    [_, found] = look(store, settings())

    assert found.certificate is not None
    assert found.life is None


def test_names_the_file_itself_where_the_link_lags(store: Store, authority: Authority) -> None:
    """What is served is the newest version, whatever the links say."""
    put(store, authority, HOST)
    put(store, authority, HOST)
    link = store.folder / "live" / HOST / "fullchain.pem"
    link.unlink()
    link.symlink_to(f"../../archive/{HOST}/fullchain1.pem")
    [_, found] = look(store, settings())

    assert found.path == store.folder / "archive" / HOST / "fullchain2.pem"


def test_lists_what_is_stored_and_not_configured(store: Store, authority: Authority) -> None:
    """Also for a configured name that gets its certificate otherwise."""
    put(store, authority, "old.example.org")
    put(store, authority, MAIN)
    found = look(store, settings(main="local"))

    assert [(each.key, each.name, each.origin) for each in found] == [
        ("main", MAIN, "local"),
        ("uap.regions.X", HOST, "acme"),
        ("", MAIN, "acme"),
        ("", "old.example.org", "acme"),
    ]


def test_reads_files_and_local_ones(store: Store, authority: Authority, tmp_path: Path) -> None:
    """The certificates of an own authority, and those that others put there."""
    pem = authority.issue(HOST)
    files = {"cert_file": str(pem), "key_file": str(pem)}
    leaf = tmp_path / "local" / MAIN / "leaf.pem"
    leaf.parent.mkdir(parents=True)
    leaf.write_bytes(authority.issue(MAIN).read_bytes())
    [local, own] = look(store, settings(certificate=files, main="local"))

    assert (local.origin, local.path) == ("local", leaf)
    assert (own.origin, own.path) == ("files", pem)
    assert local.certificate is not None
    assert own.certificate is not None


def test_missing_files_are_another_hosts(store: Store) -> None:
    """One file configures all hosts, and each has its own certificate only."""
    files = {"cert_file": "/nonexistent/c.pem", "key_file": "/nonexistent/k.pem"}
    found = look(store, settings(certificate=files, main="local"))

    assert [each.trouble for each in found] == ["", ""]
    assert all("not on this host" in row.next_step for row in rows(found, NOW + DAY))


def test_files_that_are_no_certificate_are_told(store: Store, tmp_path: Path) -> None:
    """Whatever else is in the file's place is a trouble with what to do."""
    path = tmp_path / "c.pem"
    path.write_bytes(b"no certificate")
    files = {"cert_file": str(path), "key_file": str(path)}
    [_, found] = look(store, settings(certificate=files))

    assert f"The file {path} holds no certificate" in found.trouble


def test_a_closed_store_is_told(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """Who may not look is told so, for every name, instead of `there is none`."""

    scan = os.scandir

    def denied(path: Path) -> Any:
        if path == store.folder / "archive":
            raise PermissionError(13, "Permission denied")
        return scan(path)

    (store.folder / "archive").mkdir(parents=True)
    assert closed(store) == ""
    monkeypatch.setattr(os, "scandir", denied)

    assert "(Permission denied): run this with sudo" in closed(store)
    assert {each.trouble for each in look(store, settings())} == {closed(store)}


def test_a_damaged_store_stops_nobody(store: Store, authority: Authority) -> None:
    """Half a version and a damaged state count as none."""
    put(store, authority, HOST)
    (store.folder / "archive" / HOST / "privkey1.pem").write_bytes(b"")
    store.state_file(HOST).parent.mkdir(exist_ok=True)
    store.state_file(HOST).write_bytes(b"{")
    [_, found] = look(store, settings())

    assert (found.certificate, found.state, found.trouble) == (None, State(), "")


def test_a_lineage_that_is_no_hosts_is_left_alone(store: Store) -> None:
    """certbot takes any text for the name of a certificate, and a folder may be called anything."""
    (store.folder / "archive" / "mail \x1b[2J").mkdir(parents=True)
    [*_, found] = look(store, settings())

    assert (found.key, found.name, found.certificate) == ("", "mail \x1b[2J", None)
    assert "leaves it alone" in found.trouble
