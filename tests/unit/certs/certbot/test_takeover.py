"""`exoproxy cert import`: what is taken, what is refused, and what is left alone."""

import os
import shutil
from datetime import datetime
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa

from chains import DAY, DIRECTORY, NOW, Key, chain_for, pem_of
from exoproxy.certs import state
from exoproxy.certs.certbot import takeover
from exoproxy.certs.certbot.accounts import Account, Accounts
from exoproxy.certs.certbot.renewal_conf import Renewal, parameters
from exoproxy.certs.certbot.takeover import TakenOver, take_over
from exoproxy.certs.problem import IssuanceProblem
from exoproxy.certs.store import Store

NAME = "proxy.example.org"
NAMES = (NAME, f"*.{NAME}")


class Certbot:
    """A tree as certbot keeps it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.account = Account.of(
            key=pem_of(ec.generate_private_key(ec.SECP256R1())),
            uri="https://acme.example/account/7",
        )
        Accounts(folder, DIRECTORY).save(self.account, None)

    def add(
        self,
        *names: str,
        lineage: str = NAME,
        start: datetime = NOW - DAY,
        end: datetime = NOW + 60 * DAY,
        server: str = DIRECTORY,
        authenticator: str = "dns-cloudflare",
        options: dict[str, str] | None = None,
        key: Key | None = None,
    ) -> None:
        """Add a version to a lineage."""
        chain = chain_for(*names, start=start, end=end, key=key)
        renewal = Renewal(
            server=server,
            account=self.account.id,
            key_type="ecdsa-p256",
            authenticator=authenticator,
            options=options or {"dns_cloudflare_credentials": "/root/cloudflare.ini"},
        )
        Store(self.folder).save(lineage, key=chain.key, fullchain=chain.fullchain, renewal=renewal)

    def conf(self, lineage: str = NAME) -> Path:
        return self.folder / "renewal" / f"{lineage}.conf"

    def content(self) -> dict[str, tuple[int, bytes]]:
        return {
            str(path): (path.lstat().st_mode, path.read_bytes() if path.is_file() else b"")
            for path in [self.folder, *self.folder.rglob("*")]
        }


@pytest.fixture
def certbot(tmp_path: Path) -> Certbot:
    return Certbot(tmp_path / "letsencrypt")


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "acme")


def take(store: Store, certbot: Certbot, *names: str) -> TakenOver:
    with store.lock(timeout=0, waiting=pytest.fail):
        return take_over(store, NAME, names or NAMES, DIRECTORY, tree=certbot.folder)


def refusal(store: Store, tree: Path) -> str:
    with pytest.raises(IssuanceProblem) as problem:
        take_over(store, NAME, NAMES, DIRECTORY, tree=tree)

    assert not store.folder.exists()
    return str(problem.value)


class TestCopy:
    """From a tree of its own."""

    def test_certificate_and_account(self, store: Store, certbot: Certbot) -> None:
        """The newest version, the account and how it was renewed are in the store afterwards."""
        certbot.add(*NAMES)
        certbot.add(*NAMES)
        taken = take(store, certbot)
        theirs, ours = Store(certbot.folder).newest(NAME), store.newest(NAME)

        assert theirs is not None
        assert ours is not None
        assert (theirs.version, ours.version) == (2, 1)
        assert ours.certificate == theirs.certificate
        assert Accounts(store.folder, DIRECTORY).load() == certbot.account
        assert taken == TakenOver(
            lineage=NAME,
            names=NAMES,
            expires=NOW + 60 * DAY,
            directory=DIRECTORY,
            account=certbot.account.id,
            copied=True,
            advice=taken.advice,
        )
        conf = (store.folder / "renewal" / f"{NAME}.conf").read_text(encoding="utf-8")
        assert parameters(conf) == {
            "server": DIRECTORY,
            "account": certbot.account.id,
            "key_type": "ecdsa",
            "elliptic_curve": "secp256r1",
            "authenticator": "dns-cloudflare",
            "dns_cloudflare_credentials": "/root/cloudflare.ini",
        }
        assert str(certbot.folder) not in conf
        assert state.load(store.state_file(NAME)).directory == DIRECTORY

    def test_source_is_left_alone(self, store: Store, certbot: Certbot) -> None:
        """Not a byte, not a file, not a mode of certbot's tree changes."""
        certbot.add(*NAMES)
        before = certbot.content()
        take(store, certbot)

        assert certbot.content() == before

    def test_again(self, store: Store, certbot: Certbot) -> None:
        """A second import finds all there, and forgets nothing that has been remembered since."""
        certbot.add(*NAMES)
        take(store, certbot)
        remembered = state.State(directory=DIRECTORY, window_of="x")
        state.save(store.state_file(NAME), remembered)
        taken = take(store, certbot)
        ours = store.newest(NAME)

        assert not taken.copied
        assert taken.account == certbot.account.id
        assert ours is not None
        assert ours.version == 1
        assert state.load(store.state_file(NAME)) == remembered

    def test_later_certificate_of_ours_stays(self, store: Store, certbot: Certbot) -> None:
        """What the store has from later on is not replaced; what covers less is."""
        certbot.add(*NAMES)
        ours = Certbot(store.folder)
        ours.add(NAME, start=NOW)

        assert take(store, certbot).copied
        ours.add(*NAMES, start=NOW)

        assert not take(store, certbot).copied

    def test_own_account_stays(self, store: Store, certbot: Certbot) -> None:
        """An account that the store has at the authority is gone on with."""
        certbot.add(*NAMES)
        own = Certbot(store.folder).account
        taken = take(store, certbot)

        assert taken.account == own.id
        assert Accounts(store.folder, DIRECTORY).load(certbot.account.id) == own

    def test_no_account(self, store: Store, certbot: Certbot) -> None:
        """Without an account at the authority the certificate is taken all the same."""
        certbot.add(*NAMES, server="https://other.example/directory")
        shutil.rmtree(certbot.folder / "accounts")
        taken = take(store, certbot)

        assert (taken.account, taken.directory) == ("", "https://other.example/directory")
        assert state.load(store.state_file(NAME)).directory == "https://other.example/directory"
        assert any("the next renewal registers one" in sentence for sentence in taken.advice)
        assert any("comes from https://other.example" in sentence for sentence in taken.advice)

    def test_lineage_of_any_name(self, store: Store, certbot: Certbot) -> None:
        """The latest certificate that covers all names is taken, whatever certbot calls it."""
        certbot.add(NAME)
        certbot.add(*NAMES, "more.example.org", lineage="everything", start=NOW)
        certbot.add(*NAMES, lineage=f"{NAME}-0001", start=NOW - 2 * DAY)
        taken = take(store, certbot)
        ours = store.newest(NAME)

        assert taken.lineage == "everything"
        assert ours is not None
        assert ours.lineage == NAME

    def test_without_renewal_conf(self, store: Store, certbot: Certbot) -> None:
        """A lineage that certbot does not renew any more is taken, its authority unknown."""
        certbot.add(*NAMES)
        certbot.conf().unlink()
        taken = take(store, certbot)

        assert taken.directory == ""
        assert not any("autorenew" in sentence for sentence in taken.advice)

    def test_rsa_key_and_lists(self, store: Store, certbot: Certbot) -> None:
        """The key's own type is noted; options that are lists, which only webroot has, are not."""
        key = rsa.generate_private_key(65537, 3072)
        options = {"webroot_path": "/var/www,", "webroot_imply": "x"}
        certbot.add(*NAMES, authenticator="webroot", options=options, key=key)
        take(store, certbot)
        conf = (store.folder / "renewal" / f"{NAME}.conf").read_text(encoding="utf-8")

        assert parameters(conf) == {
            "server": DIRECTORY,
            "account": certbot.account.id,
            "key_type": "rsa",
            "rsa_key_size": "3072",
            "authenticator": "webroot",
            "webroot_imply": "x",
        }


class TestInPlace:
    """The store is certbot's tree."""

    @pytest.fixture
    def store(self, certbot: Certbot, tmp_path: Path) -> Store:
        (tmp_path / "link").symlink_to(certbot.folder)
        return Store(tmp_path / "link")

    def test_nothing_moves(self, store: Store, certbot: Certbot) -> None:
        """Nothing is changed, and what is remembered is written beside."""
        certbot.add(*NAMES)
        before = certbot.content()
        taken = take(store, certbot)
        after = certbot.content()

        assert not taken.copied
        assert taken.account == certbot.account.id
        assert {path: after[path] for path in before} == before
        assert {Path(path).name for path in set(after) - set(before)} == {
            "exoproxy",
            f"{NAME}.json",
        }
        assert state.load(store.state_file(NAME)).directory == DIRECTORY

    def test_another_lineage(self, store: Store, certbot: Certbot) -> None:
        """A lineage that covers more becomes the next version of NAME, and stays itself."""
        certbot.add(NAME)
        certbot.add(*NAMES, lineage=f"{NAME}-0001", start=NOW - 2 * DAY)
        taken = take(store, certbot)
        newest = store.newest(NAME)

        assert taken.copied
        assert newest is not None
        assert (newest.lineage, newest.version) == (NAME, 2)
        assert os.listdir(certbot.folder / "live" / f"{NAME}-0001") != []


class TestRefusals:
    """One sentence each, and the store stays as it was."""

    def test_no_tree(self, store: Store, tmp_path: Path) -> None:
        """A folder without certificates is no tree of certbot's."""
        assert refusal(store, tmp_path / "nowhere") == (
            f"There is no certificate of certbot's in {tmp_path / 'nowhere'}: name the folder that "
            "has archive/, live/ and renewal/, usually /etc/letsencrypt."
        )

    def test_no_folder(self, store: Store, tmp_path: Path) -> None:
        """A file is no tree."""
        (tmp_path / "file").touch()
        assert refusal(store, tmp_path / "file") == (
            f"The folder {tmp_path / 'file'} can't be read (Not a directory): name the one that "
            "certbot keeps its files in, usually /etc/letsencrypt."
        )

    def test_unreadable(
        self, store: Store, certbot: Certbot, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Who may not read certbot's files is told to be root."""

        def refuse(*_: object) -> None:
            raise PermissionError(13, "Permission denied")

        monkeypatch.setattr(takeover, "lineages", refuse)
        monkeypatch.setattr(takeover, "process_user", lambda: "user exoproxy")
        assert refusal(store, certbot.folder) == (
            f"The folder {certbot.folder} may not be read by user exoproxy: run this as root."
        )

    def test_no_such_lineage(self, store: Store, certbot: Certbot) -> None:
        """Where only other names have certificates, those are named."""
        certbot.add("a.example.org", lineage="a.example.org")
        certbot.add("b.example.org", lineage="b.example.org")
        assert refusal(store, certbot.folder) == (
            f"No certificate in {certbot.folder} covers {NAME}, *.{NAME}; there are a.example.org, "
            "b.example.org: get a new one with `exoproxy cert issue`."
        )

    def test_uncovered_names(self, store: Store, certbot: Certbot) -> None:
        """Where the certificate lacks a name, that name is told."""
        certbot.add(NAME)
        assert refusal(store, certbot.folder) == (
            f"The certificate for {NAME} in {certbot.folder} can't be taken over ({NAME} does not "
            f"cover *.{NAME}): get a new one with `exoproxy cert issue`."
        )

    def test_key_that_does_not_fit(self, store: Store, certbot: Certbot) -> None:
        """Where no version has a key that fits, the file is named."""
        certbot.add(*NAMES)
        key = certbot.folder / "archive" / NAME / "privkey1.pem"
        key.write_bytes(chain_for(NAME).key)
        assert refusal(store, certbot.folder) == (
            f"The certificate for {NAME} in {certbot.folder} can't be taken over (Version 1 of "
            f"{NAME} is skipped: The key in {key} does not belong to the certificate beside it): "
            "get a new one with `exoproxy cert issue`."
        )

    def test_nothing_complete(self, store: Store, certbot: Certbot) -> None:
        """Where no version is complete, that is told."""
        certbot.add(*NAMES)
        (certbot.folder / "archive" / NAME / "chain1.pem").unlink()
        assert f"({NAME} has no version with all four files)" in refusal(store, certbot.folder)


class TestAdvice:
    """What is left for the operator to do."""

    def test_timer_and_links(self, store: Store, certbot: Certbot) -> None:
        """How to keep certbot from renewing too, and where renewed files are."""
        certbot.add(*NAMES)
        timer, links = take(store, certbot).advice

        assert timer == (
            "certbot would renew the certificate, too: write `autorenew = False` below "
            f"[renewalparams] in {certbot.conf()}, or, if it has nothing else to renew, stop it "
            "with `systemctl disable --now certbot.timer` (of the snap: snap.certbot.renew.timer)."
        )
        assert links == (
            f"Programs that use {certbot.folder / 'live' / NAME} keep what is there, but what "
            f"exoproxy renews is in {store.folder / 'live' / NAME}: point them there."
        )

    def test_hooks_and_expiry(self, store: Store, certbot: Certbot) -> None:
        """Hooks are named, an expired certificate is told, and a stopped renewal is not."""
        certbot.add(*NAMES, start=NOW - 9 * DAY, end=NOW - DAY)
        with certbot.conf().open("a", encoding="utf-8") as conf:
            conf.write("renew_hook = systemctl reload postfix\nautorenew = False\n")
        hook = certbot.folder / "renewal-hooks" / "deploy" / "reload-nginx.sh"
        hook.parent.mkdir(parents=True)
        hook.touch()
        expired, hooks, _ = take(store, certbot).advice

        assert expired == "The certificate has expired: run `exoproxy cert renew` to replace it."
        assert hooks == (
            "exoproxy does not run certbot's hooks (renew_hook, "
            "renewal-hooks/deploy/reload-nginx.sh): programs other than exoproxy must read renewed "
            "files by themselves."
        )
