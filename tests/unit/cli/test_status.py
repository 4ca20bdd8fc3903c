"""`exoproxy status`: whom it asks, what it prints where, and with which code it exits."""

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import status_sample
from exoproxy import status
from exoproxy.cli import main
from exoproxy.status import Silent, Target, Unusable

REGION = "{{hostname: {name}.example.net, subnets: [192.168.0.0/24], admin_listen: {listen}}}"
MAIN = """\
main:
  hostname: my.example.org
  proxy: {{allow: [keystone.example.org]}}
  admin_listen: {listen}
"""
UAP = "uap:\n  allowed_origins: [https://my.example.org]\n  regions:\n"

Configure = Callable[..., None]


class Processes:
    """What answers at each port; whoever is not there is silent."""

    def __init__(self) -> None:
        self.answers: dict[int, Any] = {}
        self.asked: list[Target] = []

    def ask(self, target: Target) -> tuple[bytes, Any]:
        self.asked.append(target)
        found = self.answers.get(target.listen.port, Silent(f"{target.name} is silent"))
        if isinstance(found, Exception):
            raise found
        return json.dumps(found).encode(), found


@pytest.fixture(name="processes")
def answering(monkeypatch: pytest.MonkeyPatch) -> Processes:
    """Stand-ins of the processes."""
    processes = Processes()
    monkeypatch.setattr(status, "ask", processes.ask)
    return processes


@pytest.fixture(name="configure")
def configuration(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Configure:
    """Return a function that writes the configuration: admin_listen of main, and of regions."""
    path = tmp_path / "exoproxy.yaml"
    monkeypatch.setenv("EXOPROXY_CONFIG", str(path))

    def write(listen: str = "", **regions: str) -> None:
        lines = [
            f"    {name}: {REGION.format(name=name.lower(), listen=listen)}\n"
            for name, listen in regions.items()
        ]
        path.write_text(
            (MAIN.format(listen=listen) if listen else "")
            + (UAP + "".join(lines) if regions else "")
        )

    return write


def test_shows_main(
    processes: Processes, configure: Configure, capsys: pytest.CaptureFixture[str]
) -> None:
    """Where main alone is configured, it is asked, and shown on stdout."""
    configure("127.0.0.1:9180")
    processes.answers[9180] = status_sample.busy()

    assert main(["status"]) == 0
    out, err = capsys.readouterr()

    assert out.startswith("my-example.exosphere.app (main)")
    assert err == ""
    assert [(str(each.listen), each.sites) for each in processes.asked] == [
        ("127.0.0.1:9180", (None,))
    ]


@pytest.mark.parametrize("sample", [status_sample.troubled, status_sample.draining])
def test_problems_are_a_failure(
    processes: Processes,
    configure: Configure,
    capsys: pytest.CaptureFixture[str],
    sample: Callable[[], dict[str, Any]],
) -> None:
    """What is wrong is shown all the same, and the exit code lets a script know."""
    configure("127.0.0.1:9180")
    processes.answers[9180] = sample()

    assert main(["status"]) == 1
    assert capsys.readouterr().out.startswith("my-example.exosphere.app")


def test_json_is_as_it_came(
    processes: Processes, configure: Configure, capsys: pytest.CaptureFixture[str]
) -> None:
    """What this version does not know is there, too."""
    configure("127.0.0.1:9180")
    processes.answers[9180] = {**status_sample.busy(), "unknown": "\x1b[2J"}

    assert main(["status", "--json"]) == 0
    out = capsys.readouterr().out

    assert json.loads(out) == processes.answers[9180]
    assert "\x1b" not in out


def test_regions_that_share_an_address_are_asked_once(
    processes: Processes, configure: Configure
) -> None:
    """The file is for all hosts, and each of them runs one region at the same address."""
    configure("127.0.0.1:9180", IU="127.0.0.1:9181", TACC="127.0.0.1:9181")
    main(["status"])

    assert [each.sites for each in processes.asked] == [(None,), ("IU", "TACC")]


def test_who_runs_elsewhere_is_not_missed(
    processes: Processes, configure: Configure, capsys: pytest.CaptureFixture[str]
) -> None:
    """As long as one of the file's processes answers, the silence of others is no news."""
    configure("127.0.0.1:9180", IU="127.0.0.1:9181")
    processes.answers[9181] = status_sample.fresh()

    assert main(["status"]) == 0
    out, err = capsys.readouterr()

    assert out.startswith("proxy-example.exosphere.app (uap, region IU)")
    assert err == ""


def test_several_on_one_host(
    processes: Processes, configure: Configure, capsys: pytest.CaptureFixture[str]
) -> None:
    """All that answer are shown, and one that is in trouble decides the code."""
    configure("127.0.0.1:9180", IU="127.0.0.1:9181")
    processes.answers |= {9180: status_sample.troubled(), 9181: status_sample.fresh()}

    assert main(["status"]) == 1
    out = capsys.readouterr().out

    assert out.index("(main)") < out.index("\n\nproxy-example.exosphere.app (uap, region IU)")


def test_nobody_answers(
    processes: Processes, configure: Configure, capsys: pytest.CaptureFixture[str]
) -> None:
    """Each silence has its sentence."""
    configure("127.0.0.1:9180", IU="127.0.0.1:9181")

    assert main(["status"]) == 1
    assert capsys.readouterr() == ("", "main is silent\nregion IU is silent\n")


def test_what_is_wrong_is_told_beside_what_is_right(
    processes: Processes, configure: Configure, capsys: pytest.CaptureFixture[str]
) -> None:
    """A stranger at one address is a failure, though another process answers well."""
    configure("127.0.0.1:9180", IU="127.0.0.1:9181")
    processes.answers |= {9180: Unusable("a stranger"), 9181: status_sample.fresh()}

    assert main(["status"]) == 1
    out, err = capsys.readouterr()

    assert "region IU" in out
    assert err == "a stranger\n"


def test_region_by_name(processes: Processes, configure: Configure) -> None:
    """Only the region named is asked."""
    configure("127.0.0.1:9180", IU="127.0.0.1:9181", TACC="127.0.0.1:9181")
    main(["status", "--region", "TACC"])

    assert [each.sites for each in processes.asked] == [("TACC",)]


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--region", "tacc"], "there is no region 'tacc'; did you mean TACC? the file has TACC"),
        (["--region", "TACC"], "uap.regions.TACC.admin_listen: is null, so there is nobody to ask"),
        ([], "main.admin_listen: is null, so there is nobody to ask; write an address, e.g."),
    ],
)
def test_nobody_to_ask(
    configure: Configure, capsys: pytest.CaptureFixture[str], arguments: list[str], says: str
) -> None:
    """A region that is not there, and processes that listen nowhere, are the configuration's."""
    configure("null", TACC="null")

    assert main(["status", *arguments]) == 2
    out, err = capsys.readouterr()

    assert out == ""
    assert says in err


def test_what_listens_nowhere_is_left_out(processes: Processes, configure: Configure) -> None:
    """If one process can be asked, that others can't is no mistake."""
    configure("null", TACC="127.0.0.1:9181")
    main(["status"])

    assert [each.sites for each in processes.asked] == [("TACC",)]


def test_terminal_of_ascii(
    processes: Processes,
    configure: Configure,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Where the locale has no bars, there are none, and no escapes in their place."""
    configure("127.0.0.1:9180")
    processes.answers[9180] = status_sample.busy()
    monkeypatch.setattr(type(sys.stdout), "encoding", "ascii", raising=False)
    main(["status"])

    assert capsys.readouterr().out.isascii()


def test_help_has_the_codes(capsys: pytest.CaptureFixture[str]) -> None:
    """A script's author finds there what the exit codes mean."""
    with pytest.raises(SystemExit):
        main(["status", "--help"])

    assert "Exit codes: 0 it answers and all is well" in capsys.readouterr().out
