"""The commands that change the store: what they tell, their exit codes, and how they end."""

import os
import signal
from collections.abc import Callable
from pathlib import Path

import pytest

from chains import RENEWAL, chain_for
from exoproxy import cert
from exoproxy.certs.attempt import Outcome, When
from exoproxy.certs.problem import IssuanceProblem
from exoproxy.certs.store import Store
from exoproxy.certs.wanted import Wanted, wanted
from exoproxy.settings.model import Settings

MAIN, UAP = "my.example.org", "proxy.example.com"


@pytest.fixture(name="settings")
def configured(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Settings:
    # This process stays as nice as it is, and the log stays pytest's.
    monkeypatch.setattr(os, "nice", lambda _: 0)
    monkeypatch.setattr(cert, "configure", lambda _: None)
    region = {"hostname": UAP, "subnets": ["192.0.2.0/24"]}
    return Settings.model_validate(
        {
            "state_dir": str(tmp_path / "state"),
            "main": {"hostname": MAIN, "proxy": None},
            "uap": {"allowed_origins": [], "regions": {"X": region}},
        }
    )


@pytest.fixture(name="attempts")
def scripted(monkeypatch: pytest.MonkeyPatch) -> dict[str, object]:
    """What an attempt for a name does: a sentence, an exception, or something to call."""
    script: dict[str, object] = {}

    class Attempt:
        def __init__(self, asked: Wanted, *_: object) -> None:
            self._does = script[asked.name]

        def run(self, when: When) -> Outcome:
            if isinstance(self._does, BaseException):
                raise self._does
            if callable(self._does):
                self._does()
            return Outcome(issued=True, sentence=f"{when.name} {self._does}")

        def rehearse(self) -> Outcome:
            return Outcome(issued=False, sentence=f"rehearsed {self._does}")

    monkeypatch.setattr(cert, "Attempt", Attempt)
    return script


def certbot(folder: Path) -> Store:
    """Return a tree as certbot leaves it, with a certificate for the main host."""
    tree, chain = Store(folder), chain_for(MAIN)
    tree.prepare(MAIN)
    tree.save(MAIN, key=chain.key, fullchain=chain.fullchain, renewal=RENEWAL)
    return tree


@pytest.mark.parametrize(
    ("command", "says"),
    [
        (lambda s, a: cert.issue(s, a, staging=False, force=False), "MISSING well"),
        (lambda s, a: cert.issue(s, a, staging=False, force=True), "NOW well"),
        (lambda s, a: cert.issue(s, a, staging=True, force=False), "rehearsed well"),
        (lambda s, a: cert.renew(s, a, if_due=False), "NOW well"),
    ],
    ids=["issue", "issue --force", "issue --staging", "renew"],
)
def test_each_command_has_its_reason_to_order(
    settings: Settings,
    attempts: dict[str, object],
    capsys: pytest.CaptureFixture[str],
    command: Callable[[Settings, list[Wanted]], int],
    says: str,
) -> None:
    """What a person asks for is told on stderr, with the name in front."""
    attempts[MAIN] = "well"
    code = command(settings, wanted(settings)[:1])

    assert code == 0
    assert capsys.readouterr() == ("", f"{MAIN}: {says}\n")


def test_what_the_keeper_starts_writes_to_the_log(
    settings: Settings, attempts: dict[str, object], caplog: pytest.LogCaptureFixture
) -> None:
    """`--if-due` looks whether it is due, and tells it as the serving process tells things."""
    attempts[MAIN] = "well"
    with caplog.at_level("INFO"):
        code = cert.renew(settings, wanted(settings)[:1], if_due=True)

    assert code == 0
    assert caplog.messages == [f"{MAIN}: DUE well"]


@pytest.mark.parametrize(("if_due", "form"), [(True, "json"), (False, "console")])
def test_the_log_is_for_who_reads_it(
    settings: Settings,
    attempts: dict[str, object],
    monkeypatch: pytest.MonkeyPatch,
    if_due: bool,
    form: str,
) -> None:
    """The keeper's process logs as configured, a person's in prose; whoever is served is first."""
    called: list[object] = []
    monkeypatch.setattr(os, "nice", called.append)
    monkeypatch.setattr(cert, "configure", called.append)
    attempts[MAIN] = "well"
    log = settings.log.model_copy(update={"format": "json"})
    cert.renew(settings.model_copy(update={"log": log}), wanted(settings)[:1], if_due=if_due)

    assert called == [form, 10]


def test_a_priority_that_may_not_change_stays(
    settings: Settings, attempts: dict[str, object], monkeypatch: pytest.MonkeyPatch
) -> None:
    """In systemd's sandbox the process gets certificates at the priority that it has."""

    def denied(_: int) -> int:
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr(os, "nice", denied)
    attempts[MAIN] = "well"

    assert cert.renew(settings, wanted(settings)[:1], if_due=True) == 0


def test_a_failure_keeps_none_of_the_others(
    settings: Settings,
    attempts: dict[str, object],
    capsys: pytest.CaptureFixture[str],
) -> None:
    """The sentence is told, the next name has its turn, and the exit code says that one failed."""
    attempts[MAIN] = IssuanceProblem("The token is wrong.")
    attempts[UAP] = "well"
    code = cert.issue(settings, wanted(settings), staging=False, force=False)

    assert code == 1
    assert capsys.readouterr().err == f"{MAIN}: The token is wrong.\n{UAP}: MISSING well\n"


def test_a_fault_of_our_own_keeps_none_of_the_others(
    settings: Settings, attempts: dict[str, object], caplog: pytest.LogCaptureFixture
) -> None:
    """What nobody thought of is logged with where it happened, and is a failure like any other."""
    attempts[MAIN] = ZeroDivisionError("nobody thought of it")
    attempts[UAP] = "well"
    with caplog.at_level("INFO"):
        code = cert.renew(settings, wanted(settings), if_due=True)

    assert code == 1
    assert "ZeroDivisionError: nobody thought of it" in caplog.text
    assert caplog.messages[-1] == f"{UAP}: DUE well"


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_a_signal_ends_it(
    settings: Settings,
    attempts: dict[str, object],
    capsys: pytest.CaptureFixture[str],
    number: signal.Signals,
) -> None:
    """It raises where the process is, the next ones don't, and no other name is begun."""
    before = signal.getsignal(signal.SIGTERM)

    def stopped() -> None:
        try:
            os.kill(os.getpid(), number)
        finally:
            os.kill(os.getpid(), signal.SIGHUP)
            os.kill(os.getpid(), signal.SIGTERM)

    attempts[MAIN] = stopped
    attempts[UAP] = "well"
    code = cert.renew(settings, wanted(settings), if_due=False)

    assert code == 128 + number
    assert UAP not in capsys.readouterr().err
    assert signal.getsignal(signal.SIGTERM) is before


def test_a_signal_that_is_switched_off_stays_so(
    settings: Settings, attempts: dict[str, object], capsys: pytest.CaptureFixture[str]
) -> None:
    """With nohup a connection that breaks is nothing to be heard of."""
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    attempts[MAIN] = lambda: os.kill(os.getpid(), signal.SIGHUP)
    try:
        code = cert.renew(settings, wanted(settings)[:1], if_due=False)
    finally:
        signal.signal(signal.SIGHUP, before)

    assert code == 0
    assert f"{MAIN}: NOW" in capsys.readouterr().err


def test_takes_over_what_is_there(
    settings: Settings, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The file is for all hosts: that another host's certificate is not here is no failure."""
    tree = certbot(tmp_path / "letsencrypt")
    code = cert.take_over(settings, None, tree.folder)
    said = capsys.readouterr().err

    assert code == 0
    assert f"{MAIN}: Took over certbot's {MAIN}, valid until" in said
    assert UAP not in said
    assert Store(settings.state_dir / "acme").newest(MAIN) is not None
    # Those that are named have to be there, each of them.
    assert cert.take_over(settings, wanted(settings), tree.folder) == 1


def test_names_of_folders_move_no_cursor(
    settings: Settings, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """What a tree calls its lineages is shown, and does nothing to the terminal."""
    tree = certbot(tmp_path / "\x1b[2J")
    cert.take_over(settings, None, tree.folder)
    said = capsys.readouterr().err

    assert "?[2J/live" in said
    assert "\x1b" not in said


def test_what_was_named_must_be_there(
    settings: Settings, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A name, or nothing at all, that can't be taken over is a failure with its reason."""
    named = cert.take_over(settings, wanted(settings)[:1], tmp_path / "missing")
    all_of_them = cert.take_over(settings, None, tmp_path / "missing")

    assert (named, all_of_them) == (1, 1)
    said = capsys.readouterr().err.splitlines()
    assert len(said) == 3
    assert said[0].startswith(f"{MAIN}: There is no certificate of certbot's in {tmp_path}")
