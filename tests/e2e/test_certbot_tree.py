"""certbot itself on a tree of ours, and we on one of certbot's."""

import json
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa

from certbot import certbot
from chains import DIRECTORY, RENEWAL, Key, chain_for, pem_of
from exoproxy.certs.certbot.accounts import Account, Accounts
from exoproxy.certs.certbot.lineage import KINDS
from exoproxy.certs.problem import IssuanceProblem
from exoproxy.certs.store import Store

pytestmark = pytest.mark.needs("certbot")

NAME = "proxy.example.org"
NAMES = (NAME, f"*.{NAME}")
SECONDS = 60
Certbot = Callable[..., subprocess.CompletedProcess[str]]

# What follows runs in certbot's own Python, with a tree and a directory's URL as arguments.
CONFIG = """
import sys, json
from certbot._internal import account, cli
from certbot._internal.plugins import disco
from certbot._internal.renewal import reconstitute

def configured(*arguments):
    return cli.prepare_and_parse_args(disco.PluginsRegistry.find_all(), [
        "renew", "--config-dir", sys.argv[1], "--work-dir", sys.argv[1] + "/work", "--logs-dir",
        sys.argv[1] + "/logs", *arguments])
"""
READ_ACCOUNTS = """
found = account.AccountFileStorage(configured("--server", sys.argv[2])).find_all()
print(json.dumps([[each.id, each.key.typ, each.regr.uri] for each in found]))
"""
MAKE_ACCOUNT = """
import josepy
from acme import messages
from cryptography.hazmat.primitives.asymmetric import ec, rsa
keys = {
    "EC": lambda: josepy.JWKEC(key=ec.generate_private_key(ec.SECP256R1())),
    "RSA": lambda: josepy.JWKRSA(key=rsa.generate_private_key(65537, 2048)),
}
registration = messages.RegistrationResource(uri="https://acme.example/account/9", body={})
made = account.Account(registration, keys[sys.argv[3]]())
account.AccountFileStorage(configured("--server", sys.argv[2])).save(made, None)
print(json.dumps([made.id, made.regr.uri]))
"""
READ_RENEWAL = """
config = configured()
lineage = reconstitute(config, sys.argv[3])
print(json.dumps([
    config.server, config.account, config.authenticator, config.key_type, config.elliptic_curve,
    config.dns_cloudflare_credentials, [str(name) for name in lineage.names()],
    lineage.latest_common_version(), lineage.has_pending_deployment(), lineage._consistent(),
]))
"""
SAVE_SUCCESSOR = """
from pathlib import Path
config = configured()
lineage = reconstitute(config, sys.argv[3])
new = Path(sys.argv[4])
parts = [(new / name).read_bytes() for name in ("cert.pem", "privkey.pem", "chain.pem")]
version = lineage.save_successor(lineage.latest_common_version(), *parts, config)
lineage.update_all_links_to(version)
print(version)
"""
HOLD_LOCK = """
import sys
from certbot._internal import lock
held = lock.lock_dir(sys.argv[1])
print("locked", flush=True)
sys.stdin.read()
held.release()
"""


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "acme")


@pytest.fixture
def run_certbot(store: Store, tmp_path: Path) -> Certbot:
    """`run_certbot("certificates")`: certbot to its end, on the store as its tree."""

    def run(*arguments: str) -> subprocess.CompletedProcess[str]:
        program = certbot()
        assert program is not None
        folders = ("--config-dir", store.folder, "--work-dir", tmp_path, "--logs-dir", tmp_path)
        return subprocess.run(  # noqa: S603 - certbot, on the test's own folders
            [program, *arguments, *map(str, folders)],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=SECONDS,
            check=False,
        )

    return run


def python() -> Path:
    """Return the Python that certbot runs in."""
    program = certbot()
    assert program is not None
    return Path(program).resolve().parent / "python3"


def in_certbot(code: str, store: Store, *arguments: str) -> list[object]:
    """Run code with certbot's modules, and return what it prints as JSON."""
    ended = subprocess.run(  # noqa: S603 - the code above
        [python(), "-c", CONFIG + code, store.folder, DIRECTORY, *arguments],
        capture_output=True,
        text=True,
        timeout=SECONDS,
        check=False,
    )

    assert ended.returncode == 0, ended.stderr
    answer = json.loads(ended.stdout)
    return answer if isinstance(answer, list) else [answer]


def save(store: Store, *names: str) -> None:
    chain = chain_for(*(names or NAMES))
    with store.lock(timeout=0, waiting=pytest.fail):
        store.prepare(NAME)
        store.save(NAME, key=chain.key, fullchain=chain.fullchain, renewal=RENEWAL)


def test_certbot_reads_our_tree(store: Store, run_certbot: Certbot) -> None:
    """`certbot certificates` shows the version that was saved last, and finds nothing wrong."""
    for _ in range(2):
        save(store)
    newest = store.newest(NAME)
    shown = run_certbot("certificates")

    assert newest is not None
    assert shown.returncode == 0
    assert "Found the following certs" in shown.stdout
    assert "invalid" not in shown.stdout
    lines = dict(line.strip().split(": ", 1) for line in shown.stdout.splitlines() if ": " in line)
    assert lines["Certificate Name"] == NAME
    assert lines["Serial Number"] == f"{newest.certificate.serial_number:x}"
    assert lines["Identifiers"] == " ".join(NAMES)
    assert lines["Private Key Path"] == str(store.folder / "live" / NAME / "privkey.pem")


def test_certbot_knows_how_to_renew(store: Store) -> None:
    """From renewal/NAME.conf certbot takes the authority, the account, the plugin and the key."""
    save(store)
    conf = store.folder / "renewal" / f"{NAME}.conf"

    assert in_certbot(READ_RENEWAL, store, str(conf)) == [
        DIRECTORY,
        RENEWAL.account,
        "dns-cloudflare",
        "ecdsa",
        "secp256r1",
        RENEWAL.options["dns_cloudflare_credentials"],
        list(NAMES),
        1,
        False,
        True,
    ]


def test_certbot_goes_on_and_so_do_we(store: Store, tmp_path: Path) -> None:
    """A version by certbot is the newest for us, and ours after it is the newest for certbot."""
    save(store)
    conf = store.folder / "renewal" / f"{NAME}.conf"
    chain = chain_for(*NAMES)
    cert, rest = chain.fullchain.split(b"-----END CERTIFICATE-----\n", 1)
    (tmp_path / "cert.pem").write_bytes(cert + b"-----END CERTIFICATE-----\n")
    (tmp_path / "chain.pem").write_bytes(rest)
    (tmp_path / "privkey.pem").write_bytes(chain.key)
    assert in_certbot(SAVE_SUCCESSOR, store, str(conf), str(tmp_path)) == [2]
    certbots = store.newest(NAME)
    save(store)

    assert certbots is not None
    assert certbots.certificate == chain.certificate
    live = store.folder / "live" / NAME
    assert {(live / f"{kind}.pem").resolve().name for kind in KINDS} == {
        f"{kind}3.pem" for kind in KINDS
    }
    assert in_certbot(READ_RENEWAL, store, str(conf))[-3:] == [3, False, True]


@pytest.mark.parametrize(
    ("key", "kind"),
    [
        (ec.generate_private_key(ec.SECP256R1()), "EC"),
        (rsa.generate_private_key(65537, 2048), "RSA"),
    ],
    ids=["EC", "RSA"],
)
def test_certbot_reads_our_account(store: Store, key: Key, kind: str) -> None:
    """certbot finds an account that we saved, and calls it the same."""
    account = Account.of(key=pem_of(key), uri="https://acme.example/account/7")
    Accounts(store.folder, DIRECTORY).save(account, "you@example.org")

    assert in_certbot(READ_ACCOUNTS, store) == [[account.id, kind, account.uri]]


@pytest.mark.parametrize("kind", ["EC", "RSA"])
def test_certbots_account_is_read(store: Store, kind: str) -> None:
    """We find an account that certbot saved, and call it the same."""
    made = in_certbot(MAKE_ACCOUNT, store, kind)
    account = Accounts(store.folder, DIRECTORY).load()

    assert account is not None
    assert [account.id, account.uri] == made


def test_our_lock_keeps_certbot_out(store: Store, run_certbot: Certbot) -> None:
    """While we hold the lock certbot does nothing; afterwards it works."""
    save(store)
    with store.lock(timeout=0, waiting=pytest.fail):
        refused = run_certbot("certificates")

    assert refused.returncode == 1
    assert "Another instance of Certbot is already running" in refused.stderr
    assert run_certbot("certificates").returncode == 0


def test_certbots_lock_keeps_us_out(store: Store) -> None:
    """While certbot has its lock we wait, and go on once it lets go."""
    save(store)
    said: list[str] = []
    with subprocess.Popen(  # noqa: S603 - the code above
        [python(), "-c", HOLD_LOCK, store.folder], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"locked\n"

        def waiting(sentence: str) -> None:
            said.append(sentence)
            assert process.stdin is not None
            process.stdin.close()

        with (
            pytest.raises(IssuanceProblem, match=rf"still locked by \S+ \(process {process.pid}\)"),
            store.lock(timeout=0, waiting=pytest.fail),
        ):
            pass
        with store.lock(timeout=SECONDS, waiting=waiting):
            assert process.wait(SECONDS) == 0

    assert len(said) == 1
