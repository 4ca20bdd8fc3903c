"""The store: what is written, in which order, and what remains when it is cut off."""

import errno
import os
import stat
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from chains import DAY, NOW, RENEWAL, Chain, chain_for
from exoproxy.certs.certbot.lineage import KINDS, Stored
from exoproxy.certs.problem import IssuanceProblem
from exoproxy.certs.store import Store
from root import require_root, small_disk

NAME = "proxy.example.org"
NAMES = (NAME, f"*.{NAME}")
SOMEBODY = 4242

# Lets a child save again and again and kills it at random moments: after each there must be a good
# version, links that lead to files, and a lock that is free.
KILLER = """
import os, random, signal, sys, time
from pathlib import Path
from chains import RENEWAL, chain_for
from exoproxy.certs.certbot.lineage import KINDS
from exoproxy.certs.store import Store

store, name = Store(Path(sys.argv[1])), sys.argv[2]
chain = chain_for(name)

def save():
    with store.lock(timeout=9, waiting=print):
        store.prepare(name)
        return store.save(name, key=chain.key, fullchain=chain.fullchain, renewal=RENEWAL)

first = save()
seeded = random.Random(2550)
for _ in range(25):
    child = os.fork()
    while not child:
        save()
    time.sleep(seeded.uniform(0, 0.1))
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    newest = store.newest(name)
    assert newest is not None
    assert all((store.folder / "live" / name / f"{kind}.pem").exists() for kind in KINDS)
assert save().version > newest.version > first.version
"""


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "acme")


def save(store: Store, chain: Chain | None = None, name: str = NAME) -> Stored:
    chain = chain or chain_for(*NAMES)
    return store.save(name, key=chain.key, fullchain=chain.fullchain, renewal=RENEWAL)


def mode_of(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def tree(folder: Path) -> dict[str, str | bytes]:
    """Return the content of all files and links."""
    return {
        str(path.relative_to(folder)): os.readlink(path) if path.is_symlink() else path.read_bytes()
        for path in folder.rglob("*")
        if path.is_symlink() or path.is_file()
    }


class TestSave:
    """The next version of a lineage, as certbot would write it."""

    def test_first_version(self, store: Store) -> None:
        """All files of the tree are there, and hold what was given."""
        chain = chain_for(*NAMES)
        stored = save(store, chain, f"*.{NAME}")
        there = tree(store.folder)

        assert set(there) == {
            *(f"archive/{NAME}/{kind}1.pem" for kind in KINDS),
            *(f"live/{NAME}/{kind}.pem" for kind in KINDS),
            f"renewal/{NAME}.conf",
        }
        assert all(
            there[f"live/{NAME}/{kind}.pem"] == f"../../archive/{NAME}/{kind}1.pem"
            for kind in KINDS
        )
        assert (store.folder / "live" / NAME / "privkey.pem").read_bytes() == chain.key
        assert stored.fullchain.read_bytes() == chain.fullchain
        assert stored.certificate == chain.certificate
        parts = [(stored.fullchain.parent / f"{kind}1.pem").read_bytes() for kind in KINDS[1:3]]
        assert b"".join(parts) == chain.fullchain

    def test_modes(self, store: Store) -> None:
        """Keys are their owner's alone, and so are all folders."""
        stored = save(store)
        folders = [path for path in store.folder.rglob("*") if path.is_dir()]

        assert mode_of(stored.key) == 0o600
        assert mode_of(stored.fullchain) == 0o644
        assert {mode_of(folder) for folder in [store.folder, *folders]} == {0o700}

    def test_next_version(self, store: Store) -> None:
        """The next version stands beside the one before, and the links lead to it."""
        first, second = save(store), save(store)

        assert (first.version, second.version) == (1, 2)
        assert store.newest(NAME) == second
        assert first.key.exists()
        live = store.folder / "live" / NAME
        assert {(live / f"{kind}.pem").resolve().name for kind in KINDS} == {
            f"{kind}2.pem" for kind in KINDS
        }

    def test_number_of_a_version_that_was_cut_off(self, store: Store) -> None:
        """What is left of a version that was cut off is not added to."""
        archive = save(store).key.parent
        (archive / "privkey7.pem").write_bytes(b"x")

        assert save(store).version == 8

    def test_older_certificate_of_the_next_version(self, store: Store) -> None:
        """What was saved last counts, whenever the authority says that it begins."""
        save(store)
        later = save(store, chain_for(*NAMES, start=NOW - 9 * DAY))

        assert store.newest(NAME) == later

    def test_conf_of_certbot(self, store: Store) -> None:
        """What certbot and its users wrote into renewal/NAME.conf stays, as does its mode."""
        conf = store.folder / "renewal" / f"{NAME}.conf"
        conf.parent.mkdir(parents=True)
        conf.write_bytes("# möglich \xff\nx = 1\n".encode("latin-1"))
        conf.chmod(0o640)
        save(store)

        assert conf.read_bytes().startswith("# möglich \xff\nx = 1\narchive_dir".encode("latin-1"))
        assert mode_of(conf) == 0o640

    @pytest.mark.parametrize("kind", ["link", "huge", "fifo"])
    def test_conf_that_cant_be_one(self, store: Store, tmp_path: Path, kind: str) -> None:
        """What a link in the place of renewal/NAME.conf leads to is neither read nor written."""
        secret = tmp_path / "shadow"
        secret.write_bytes(b"secret = 1\n")
        conf = store.folder / "renewal" / f"{NAME}.conf"
        conf.parent.mkdir(parents=True)
        match kind:
            case "link":
                conf.symlink_to(secret)
            case "huge":
                conf.write_bytes(b"secret = 1\n" * 10_000)
            case "fifo":
                os.mkfifo(conf)
        save(store)

        assert secret.read_bytes() == b"secret = 1\n"
        assert not conf.is_symlink()
        assert "secret" not in conf.read_text(encoding="utf-8")

    def test_group_that_reads_the_key(self, store: Store) -> None:
        """Who could read the last version can read the next, and nobody can write it."""
        require_root()
        first = save(store)
        for path in (first.key, first.fullchain):
            path.chmod(0o664)
            os.chown(path, -1, SOMEBODY)
        (first.key.parent / "cert1.pem").chmod(0o600)
        second = save(store)

        assert [(path.stat().st_gid, mode_of(path)) for path in (second.key, second.fullchain)] == [
            (SOMEBODY, 0o644)
        ] * 2
        assert mode_of(second.key.parent / "cert2.pem") == 0o600

    def test_store_of_another_user(self, store: Store) -> None:
        """What root writes into the service's store, the service can read."""
        require_root()
        store.folder.mkdir()
        os.chown(store.folder, SOMEBODY, SOMEBODY)
        with store.lock(timeout=0, waiting=pytest.fail):
            store.prepare(NAME)
            save(store)

        owners = {path.stat().st_uid for path in store.folder.rglob("*")}
        assert owners == {SOMEBODY}

    @pytest.mark.parametrize("place", ["archive", f"archive/{NAME}", f"live/{NAME}", "renewal"])
    def test_folder_that_is_a_link(self, store: Store, tmp_path: Path, place: str) -> None:
        """A link in the place of a folder is refused, and what it leads to is left alone."""
        elsewhere = tmp_path / "elsewhere"
        elsewhere.mkdir()
        path = store.folder / place
        path.parent.mkdir(parents=True)
        path.symlink_to(elsewhere)
        with pytest.raises(IssuanceProblem, match="stands a link"):
            save(store)

        assert os.listdir(elsewhere) == []

    @pytest.mark.parametrize("kind", KINDS)
    def test_links_in_the_way(self, store: Store, tmp_path: Path, kind: str) -> None:
        """Links in the place of files are replaced, and what they lead to is left alone."""
        target = tmp_path / "target"
        target.write_bytes(b"x")
        for place in (f"archive/{NAME}/{kind}1.pem.tmp", f"live/{NAME}/{kind}.pem"):
            path = store.folder / place
            path.parent.mkdir(parents=True)
            path.symlink_to(target)
        save(store)

        assert target.read_bytes() == b"x"
        assert store.newest(NAME) is not None

    def test_key_that_does_not_fit(self, store: Store) -> None:
        """A certificate for another key is refused before anything is written."""
        chain = replace(chain_for(*NAMES), key=chain_for(NAME).key)
        with pytest.raises(IssuanceProblem, match="for another key than ours"):
            save(store, chain)

        assert not store.folder.exists()

    @pytest.mark.parametrize(
        "changes", [{"fullchain": b""}, {"fullchain": b"<html>"}, {"key": b"x"}]
    )
    def test_no_certificate(self, store: Store, changes: dict[str, bytes]) -> None:
        """What is no certificate is refused before anything is written."""
        with pytest.raises(IssuanceProblem, match="is no certificate in PEM form"):
            save(store, replace(chain_for(*NAMES), **changes))

        assert not store.folder.exists()


class TestNewest:
    """What the serving process reads."""

    def test_nothing_there(self, store: Store, caplog: pytest.LogCaptureFixture) -> None:
        """An empty store holds nothing, which is no reason for a word in the log."""
        assert store.newest(NAME) is None
        assert store.names() == []
        assert caplog.messages == []

    def test_bad_version_is_skipped(self, store: Store, caplog: pytest.LogCaptureFixture) -> None:
        """A bad version is named in the log once, and the one before is served."""
        first, second = save(store), save(store)
        second.key.write_bytes(first.key.read_bytes())
        for _ in range(3):
            assert store.newest(NAME) == first

        assert caplog.messages == [
            f"Version 2 of {NAME} is skipped: The key in {second.key} does not belong to the "
            "certificate beside it."
        ]

    def test_own_lineage_before_numbered_ones(self, store: Store) -> None:
        """The lineage NAME counts before NAME-0001, which counts where NAME has nothing good."""
        own = save(store)
        archive = store.folder / "archive"
        for number in ("0001", "0002"):
            (archive / f"{NAME}-{number}").mkdir()
            for kind in KINDS:
                content = (archive / NAME / f"{kind}1.pem").read_bytes()
                (archive / f"{NAME}-{number}" / f"{kind}1.pem").write_bytes(content)
        assert store.newest(NAME) == own
        own.key.unlink()
        numbered = store.newest(NAME)

        assert numbered is not None
        assert (numbered.name, numbered.lineage) == (NAME, f"{NAME}-0002")
        assert save(store).lineage == f"{NAME}-0002"
        assert store.names() == [NAME]

    def test_other_names(self, store: Store) -> None:
        """Each name has its own lineage; similar ones don't count."""
        save(store)
        save(store, chain_for("x.example"), "x.example")

        assert store.names() == [NAME, "x.example"]
        assert store.newest("example.org") is None
        assert store.newest(f"a.{NAME}") is None

    def test_store_that_may_not_be_read(
        self, store: Store, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
    ) -> None:
        """Without the permission to read there is nothing, and the log says so."""
        save(store)

        def refuse(*_: object) -> None:
            raise PermissionError(errno.EACCES, "Permission denied")

        monkeypatch.setattr(os, "listdir", refuse)
        monkeypatch.setattr(os, "scandir", refuse)
        assert store.newest(NAME) is None
        assert store.names() == []

        assert len(caplog.messages) == 2
        assert all("can't be read (Permission denied)" in message for message in caplog.messages)

    def test_state_file(self, store: Store) -> None:
        """What is remembered of a name is in one file, whatever it covers."""
        assert store.state_file(f"*.{NAME}") == store.folder / "exoproxy" / f"{NAME}.json"
        with pytest.raises(ValueError, match="no DNS name"):
            store.state_file("../../etc/passwd")


class TestPrepare:
    """Before the authority is asked, it is certain that its certificate could be stored."""

    def test_folders_are_made(self, store: Store) -> None:
        """The folders are there afterwards, for their owner alone, and empty."""
        store.prepare(f"*.{NAME}")
        folders = [f"archive/{NAME}", f"live/{NAME}", "renewal", "exoproxy"]

        assert [mode_of(store.folder / folder) for folder in folders] == [0o700] * 4
        assert tree(store.folder) == {}

    def test_leftovers_go(self, store: Store) -> None:
        """What a killed process left half-written is removed, and nothing else."""
        archive = save(store).key.parent
        before = tree(store.folder)
        (archive / ".privkey2.pem.0123456789abcdef").write_bytes(b"half a key")
        (store.folder / "live" / NAME / ".cert.pem.0123456789abcdef").symlink_to("nowhere")
        store.prepare(NAME)

        assert tree(store.folder) == before

    @pytest.mark.parametrize(
        ("place", "number", "sentence"),
        [
            (f"archive/{NAME}", errno.ENOSPC, "There is no room left to write in {}"),
            (f"live/{NAME}", errno.EROFS, "The folder {} lies on a file system"),
            ("renewal", errno.EACCES, "The folder {} may not be written by"),
            ("exoproxy", errno.EIO, "The folder {} can't be used (Input/output error)"),
        ],
    )
    def test_problems(
        self,
        store: Store,
        monkeypatch: pytest.MonkeyPatch,
        place: str,
        number: int,
        sentence: str,
    ) -> None:
        """Whichever folder can't be written is named, with what to do."""
        store.prepare(NAME)
        folder = os.stat(store.folder / place)
        fsync = os.fsync

        def fail(descriptor: int) -> None:
            if os.path.samestat(folder, os.fstat(descriptor)):
                raise OSError(number, os.strerror(number))
            fsync(descriptor)

        monkeypatch.setattr(os, "fsync", fail)
        with pytest.raises(IssuanceProblem) as problem:
            store.prepare(NAME)

        assert str(problem.value).startswith(sentence.format(store.folder / place))


class TestDisk:
    """A disk without room leaves what was there."""

    @pytest.fixture
    def disk(self, tmp_path: Path) -> Iterator[Path]:
        folder = tmp_path / "disk"
        folder.mkdir()
        with small_disk(folder, 512) as mounted:
            yield mounted

    def fill(self, disk: Path, leave: int) -> None:
        """Fill the disk but for some pages of 4 KiB."""
        status = os.statvfs(disk)
        (disk / "filling").write_bytes(b"x" * (status.f_bavail - leave) * status.f_bsize)

    def test_full_disk_is_noticed_before(self, disk: Path) -> None:
        """A full disk is a sentence before the authority is asked."""
        store = Store(disk / "acme")
        store.prepare(NAME)
        self.fill(disk, 1)
        with pytest.raises(IssuanceProblem, match="There is no room left to write in"):
            store.prepare(NAME)

        assert tree(store.folder) == {}

    @pytest.mark.parametrize("pages", range(5))
    def test_full_disk_leaves_the_old_version(self, disk: Path, pages: int) -> None:
        """Wherever the room ends, the old version and its links stay, and nothing half-written."""
        store = Store(disk / "acme")
        first = save(store)
        before = tree(store.folder)
        self.fill(disk, pages)
        with pytest.raises(IssuanceProblem, match="There is no room left to write in"):
            save(store)
        after = tree(store.folder)

        if pages < 4:
            assert store.newest(NAME) == first
            assert after == before
        else:
            # All four files are there, and the sentence is about renewal/NAME.conf.
            assert store.newest(NAME) != first
            assert {name: after[name] for name in before} == before

        (disk / "filling").unlink()
        assert store.newest(NAME) != save(store)


def test_25_kills(store: Store) -> None:
    """A process that is killed while it writes leaves a store that can be used and gone on with."""
    path = os.pathsep.join([str(Path(__file__).parents[2]), *sys.path])
    ended = subprocess.run(  # noqa: S603 - the code above
        [sys.executable, "-c", KILLER, str(store.folder), NAME],
        env={**os.environ, "PYTHONPATH": path},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )

    assert (ended.returncode, ended.stdout, ended.stderr) == (0, "", "")
    assert list(store.folder.rglob(".*")) == []
