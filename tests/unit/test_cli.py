"""The command line: arguments, exit codes, and what goes to which stream."""

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from exoproxy import __version__
from exoproxy.cli import main
from exoproxy.live import doctor
from exoproxy.live.finding import Finding, failed, note, ok
from exoproxy.settings.example import example, schema

BOTH = """\
main:
  hostname: my.example.org
  certificate: local
  client: {root: /nonexistent}
  proxy: {allow: [keystone.example.org]}
uap:
  allowed_origins: [https://my.example.org]
  regions:
    North: {hostname: north.example.com, subnets: [192.168.0.0/24], certificate: local}
    South: {hostname: south.example.com, subnets: [192.168.1.0/24], certificate: local}
"""
NO_CLIENT = (
    "main.client.root: there is no folder /nonexistent, so there is no client to serve; "
    "on the main host, `exoproxy client install` brings one"
)

Run = Callable[..., tuple[int, str, str]]


@pytest.fixture(name="run")
def run_command(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Run:
    """Return a function that runs a command and returns exit code, stdout and stderr."""
    monkeypatch.delenv("EXOPROXY_CONFIG", raising=False)

    def run(*arguments: str | Path) -> tuple[int, str, str]:
        try:
            code = main([str(each) for each in arguments])
        except SystemExit as end:
            code = int(end.code or 0)
        out, err = capsys.readouterr()
        return code, out, err

    return run


@pytest.fixture(name="config")
def config_file(tmp_path: Path) -> Path:
    path = tmp_path / "exoproxy.yaml"
    path.write_text(BOTH)
    return path


@pytest.fixture(name="called")
def stand_ins(monkeypatch: pytest.MonkeyPatch) -> list[tuple[Any, ...]]:
    """Put what the commands call out of the way; return the list of calls."""
    called: list[tuple[Any, ...]] = []

    def stand_in(name: str, **results: object) -> None:
        module = ModuleType(name)
        for function, result in results.items():

            def call(*arguments: Any, of: str = f"{name}.{function}", result: Any = result) -> Any:
                called.append((of, *arguments))
                return result

            setattr(module, function, call)
        monkeypatch.setitem(sys.modules, f"exoproxy.{name}", module)

    stand_in("service", serve_main=0, serve_uap=1)
    stand_in("demo", run=0)
    return called


@pytest.mark.parametrize(
    ("file", "told"), [("head.py", ""), ("head.cpython-311-x86_64-linux-gnu.so", ", compiled")]
)
def test_prints_the_version(
    run: Run, monkeypatch: pytest.MonkeyPatch, file: str, told: str
) -> None:
    """The version is a result, and so is whether its hot path is compiled."""
    monkeypatch.setattr("exoproxy.wire.head.__file__", f"/opt/exoproxy/wire/{file}")

    assert run("version") == (0, f"exoproxy {__version__}{told}\n", "")


def test_is_a_module_too(run: Run) -> None:
    """`python -m exoproxy` is the command, and small commands load nothing heavy."""
    script = (
        "import runpy, sys; sys.argv[1:] = ['version']\n"
        "try: runpy.run_module('exoproxy', run_name='__main__')\n"
        "except SystemExit as end: assert end.code == 0\n"
        "assert not {'pydantic', 'yaml', 'asyncio', 'cryptography'} & sys.modules.keys()"
    )
    done = subprocess.run(  # noqa: S603  fixed arguments
        [sys.executable, "-c", script], capture_output=True, text=True, check=False
    )

    assert (done.returncode, done.stdout, done.stderr) == run("version")


@pytest.mark.parametrize(("what", "expected"), [("example", example()), ("schema", schema())])
def test_prints_what_can_be_configured(run: Run, what: str, expected: str) -> None:
    """The output can go into a file as it is."""
    assert run("config", what) == (0, expected, "")


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["serve"],
        ["cert"],
        ["cert", "issue", "--if-due"],
        ["client"],
        ["client", "install"],
        ["client", "install", "x", "--builder", "make"],
        ["state"],
        ["uap"],
        ["uap", "--reg", "X"],
        ["config"],
        ["config", "exmaple"],
        ["explain"],
        ["explain", "a", "--method", "G T"],
        ["explain", "a", "--origin", "a\r\nb"],
        ["explain", "a", "--client", "localhost"],
        ["demo", "--port", "0"],
        ["demo", "--port", "99999"],
        ["demo", "--config", "x"],
        ["version", "x"],
    ],
    ids=" ".join,
)
def test_wrong_usage_exits_with_2(run: Run, arguments: list[str]) -> None:
    """Commands that are not there, abbreviations and wrong values are refused."""
    code, out, err = run(*arguments)

    assert (code, out) == (2, "")
    assert err.startswith("usage: exoproxy")


def test_shows_certificates(run: Run, config: Path, tmp_path: Path) -> None:
    """The table has a line for each host of the file, and is a result; so is its JSON."""
    config.write_text(f"state_dir: {tmp_path}\n{BOTH}")
    code, out, err = run("cert", "status", "--config", config)
    _, as_json, _ = run("cert", "status", "--json", "--config", config)

    assert (code, err) == (0, "")
    names = ["my.example.org", "north.example.com", "south.example.com"]
    assert [line.split()[0] for line in out.splitlines()[1:] if line[:1].isalpha()] == names
    assert [each["name"] for each in json.loads(as_json)] == names


@pytest.mark.parametrize("command", ["issue", "renew", "import"])
def test_certificates_that_are_not_wanted(run: Run, config: Path, command: str) -> None:
    """A name without `certificate: acme` is wrong usage, with the file in front."""
    code, out, err = run("cert", command, "my.example.org", "--config", config)

    assert (code, out) == (2, "")
    assert err == (
        f"{config}: no `certificate:` is acme, so there is none to get from an authority\n"
    )
    assert run("cert", command, "--config", config) == (code, out, err)


def test_serves_the_main_host(run: Run, config: Path, called: list[tuple[Any, ...]]) -> None:
    """The settings are loaded and handed on, the exit code comes back."""
    assert run("main", "--config", config) == (0, "", "")

    [(name, settings, path)] = called
    assert (name, path) == ("service.serve_main", config)
    assert settings.main.hostname == "my.example.org"


def test_serves_a_region(run: Run, config: Path, called: list[tuple[Any, ...]]) -> None:
    """A service that fails makes the command fail."""
    assert run("uap", "--region", "South", "--config", config) == (1, "", "")

    [(name, settings, path, region)] = called
    assert (name, path, region) == ("service.serve_uap", config, "South")
    assert list(settings.uap.regions) == ["North", "South"]


@pytest.mark.parametrize(
    ("region", "expected"),
    [
        ("north", "there is no region 'north'; did you mean North? the file has North, South"),
        ("Souht", "there is no region 'Souht'; did you mean South? the file has North, South"),
        ("X\x1b", r"there is no region 'X\x1b'; the file has North, South"),
    ],
)
def test_tells_the_regions_there_are(
    run: Run, config: Path, called: list[tuple[Any, ...]], region: str, expected: str
) -> None:
    """A wrong region starts nothing."""
    assert run("uap", "--region", region, "--config", config) == (
        2,
        "",
        f"{config}: uap.regions: {expected}\n",
    )
    assert called == []


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["main"], "main: is missing, so there is no main host to serve"),
        (["uap", "--region", "X"], "uap: is missing, so there is no region to serve"),
    ],
    ids=repr,
)
def test_tells_a_missing_part(
    run: Run, tmp_path: Path, called: list[tuple[Any, ...]], arguments: list[str], expected: str
) -> None:
    """A host whose mode has no part in the file serves nothing."""
    path = tmp_path / "x.yaml"
    path.write_text("log:\n  format: json\n")
    code, out, err = run(*arguments, "--config", path)

    assert (code, out, called) == (2, "", [])
    assert err.startswith(f"{path}: {expected}")


@pytest.mark.parametrize(
    "arguments",
    [["main"], ["uap", "--region", "North"], ["check"], ["explain", "my.example.org"]],
    ids=" ".join,
)
def test_a_wrong_configuration_starts_nothing(
    run: Run, tmp_path: Path, called: list[tuple[Any, ...]], arguments: list[str]
) -> None:
    """Every mistake is named on stderr, and the exit code is 2."""
    path = tmp_path / "x.yaml"
    path.write_text("mian:\n  hostname: x\nlimits:\n  drain: soon\n")

    assert run(*arguments, "--config", path) == (
        2,
        "",
        f"{path}:1: mian: is not known; did you mean `main`?\n"
        f"{path}:4: limits.drain: 'soon' should be a whole number of seconds, e.g. 75\n",
    )
    assert called == []


def test_finds_the_configuration(
    run: Run, config: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The option wins over the environment, which wins over the usual place."""
    assert "/etc/exoproxy/exoproxy.yaml" in run("check")[2]
    monkeypatch.setenv("EXOPROXY_CONFIG", "")
    assert "/etc/exoproxy/exoproxy.yaml" in run("check")[2]
    monkeypatch.setenv("EXOPROXY_CONFIG", str(config))
    assert run("check")[0] == 0
    assert str(tmp_path / "other") in run("check", "--config", tmp_path / "other")[2]


def test_demo_needs_no_configuration(run: Run, called: list[tuple[Any, ...]]) -> None:
    """The port is optional."""
    assert run("demo") == (0, "", "")
    assert run("demo", "--port", "8443") == (0, "", "")
    assert called == [("demo.run", None), ("demo.run", 8443)]


def test_check_tells_what_is_doubtful(run: Run, config: Path) -> None:
    """Warnings are results, and a configuration with warnings is valid."""
    assert run("check", "--config", config) == (
        0,
        f"{config} is valid: main host my.example.org, regions North, South\n"
        f"warning: {NO_CLIENT}\n",
        "",
    )


def test_check_prints_json(run: Run, config: Path) -> None:
    """Programs get the same facts."""
    code, out, err = run("check", "--config", config, "--json")

    assert (code, err) == (0, "")
    assert json.loads(out) == {
        "file": str(config),
        "valid": True,
        "main": "my.example.org",
        "regions": ["North", "South"],
        "warnings": [NO_CLIENT],
        "live": [],
    }


def test_check_prints_mistakes_as_json(run: Run, tmp_path: Path) -> None:
    """A program learns what is wrong, and a person still sees it."""
    path = tmp_path / "none.yaml"
    code, out, err = run("check", "--config", path, "--json")
    content = json.loads(out)

    assert (code, content["valid"]) == (2, False)
    assert content["errors"] == err.splitlines()


@pytest.mark.parametrize(("last", "code"), [(ok, 0), (failed, 1)])
def test_check_tries_the_world(
    run: Run,
    config: Path,
    monkeypatch: pytest.MonkeyPatch,
    last: Callable[[str, str], Finding],
    code: int,
) -> None:
    """One failure makes the command fail, a note does not; nothing is tried without --live."""
    kind = "ok    " if code == 0 else "FAILED"

    def pretend(_settings: object, asked: doctor.Asked, *_: object) -> Iterator[doctor.Group]:
        assert asked == doctor.Asked(configuration=config)
        yield "names", iter([ok("a.example.org", "points here"), note("b\x1b[m", "was not tried")])
        yield "cloud", iter([])
        yield "listeners", iter([last("127.0.0.1:443", "says so")])

    monkeypatch.setattr(doctor, "groups", pretend)
    found_code, out, _ = run("check", "--live", "--config", config)
    json_code, json_out, _ = run("check", "--live", "--json", "--config", config)

    assert found_code == json_code == code
    assert out.splitlines()[2:] == [
        "",
        "names",
        "  ok      a.example.org points here",
        "  note    b?[m was not tried",
        "",
        "listeners",
        f"  {kind}  127.0.0.1:443 says so",
        "",
        f"{2 - code} ok, 1 note, {code} FAILED",
    ]
    assert json.loads(json_out)["live"][2] == {
        "ok": code == 0,
        "group": "listeners",
        "kind": kind.strip().lower(),
        "subject": "127.0.0.1:443",
        "sentence": "says so",
    }


def test_check_asks_for_what_it_is_told(
    run: Run, config: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Options reach the doctor, and mean nothing without --live."""
    seen: list[doctor.Asked] = []

    def pretend(_settings: object, asked: doctor.Asked, *_: object) -> Iterator[doctor.Group]:
        seen.append(asked)
        yield from ()

    monkeypatch.setattr(doctor, "groups", pretend)
    options = ["--write", "--instance", "a", "--instance", "b:1", "--config", config]

    assert run("check", "--live", *options)[0] == 0
    assert seen == [doctor.Asked(configuration=config, write=True, instances=("a", "b:1"))]
    assert run("check", *options) == (
        2,
        "",
        "--write is for --live: write `exoproxy check --live --write`\n",
    )
    assert run("check", "--instance", "a", "--config", config)[0] == 2


def test_explains(run: Run, config: Path) -> None:
    """One line for each decision; a refusal makes the command fail."""
    served = run("explain", "http-192-168-0-5-80.north.example.com", "--config", config)
    refused = run("explain", "192-168-0-5-0.north.example.com", "--config", config)

    assert served == (
        0,
        "host      http-192-168-0-5-80.north.example.com lies below north.example.com, which "
        "`exoproxy uap --region North` serves\n"
        "name      http, address 192.168.0.5, port 80\n"
        "policy    the subnet 192.168.0.0/24 holds that address, which is not this host's own; "
        "ports 1-65535 hold that port\n"
        "decision  goes to http://192.168.0.5:80/\n"
        "request   sent with X-Forwarded-For: 192.0.2.1; X-Forwarded-Host: "
        "http-192-168-0-5-80.north.example.com; X-Forwarded-Port: 443; X-Forwarded-Proto: https; "
        "Via: 1.1 exoproxy-06f6784af776\n"
        "answer    comes back with Set-Cookie: name=value (instead of name=value; "
        "Domain=example.org); Vary: Origin\n"
        "log       as route instance: GET http-192-168-0-5-80.north.example.com /\n",
        "",
    )
    assert (refused[0], refused[2]) == (1, "")
    assert "\ndecision  refused, 404 no-instance-name: The port is not" in refused[1]


def test_explains_a_request_in_its_circumstances(run: Run, config: Path) -> None:
    """Method, origin and client are those that were given; --resolve asks the system."""
    options = ["--method", "PUT", "--origin", "https://a.example", "--client", "8.8.8.8"]
    name = "http-192-168-0-5-80.north.example.com"
    code, out, _ = run("explain", name, *options, "--config", config)
    config.write_text(config.read_text().replace("keystone.example.org", "localhost"))
    resolved = run("explain", "localhost", "--resolve", "--config", config)

    assert code == 0
    assert "\nclient    8.8.8.8 is not in trusted_proxies" in out
    assert "\ncors      https://a.example is not in allowed_origins" in out
    assert out.endswith(f"\nlog       as route instance: PUT {name} /\n")
    assert "\naddress   refused, 127.0.0.1, and with it the name: " in resolved[1]


def test_explains_in_json(run: Run, config: Path) -> None:
    """Programs get the same facts."""
    code, out, err = run("explain", "evil.example", "--config", config, "--json")
    content = json.loads(out)

    assert (code, err) == (1, "")
    assert content.keys() == {"target", "mode", "region", "steps", "served"}
    assert (content["mode"], content["region"], content["served"]) == ("main", None, False)
    assert [step["ok"] for step in content["steps"]] == [True, False]


def test_ends_quietly_when_nobody_reads_on(config: Path) -> None:
    """`exoproxy config example | head -1` prints no traceback."""
    script = f"{sys.executable} -m exoproxy config schema | head -c 1"
    done = subprocess.run(  # noqa: S602  a fixed pipeline
        script, shell=True, capture_output=True, text=True, check=False
    )

    assert (done.stdout, done.stderr) == ("{", "")


def test_prints_on_any_terminal(config: Path) -> None:
    """A path that the terminal's encoding lacks is written with escapes."""
    path = config.rename(config.with_name("\u00fc.yaml"))
    done = subprocess.run(  # noqa: S603  fixed arguments
        [sys.executable, "-m", "exoproxy", "check", "--config", str(path)],
        env={**os.environ, "PYTHONIOENCODING": "ascii"},
        capture_output=True,
        text=True,
        check=False,
    )

    assert (done.returncode, done.stderr) == (0, "")
    assert r"\xfc.yaml is valid" in done.stdout


def test_ends_quietly_when_interrupted(
    run: Run, config: Path, called: list[tuple[Any, ...]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Ctrl-C during a slow check is no defect."""

    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(doctor, "groups", interrupt)

    assert run("check", "--live", "--config", config)[0] == 1


def test_client_config_prints_lines_to_paste(run: Run, config: Path) -> None:
    """The lines go to stdout, and as JSON below the names of their files."""
    code, out, err = run("client", "config", "--config", config)

    assert (code, err) == (0, "")
    assert '  cloudCorsProxyUrl: "/proxy",\n' in out
    assert '          region: "South",\n          hostname: "south.example.com",\n' in out

    code, out, _ = run("client", "config", "--json", "--config", config)

    assert code == 0
    assert json.loads(out) == {
        "config.js": {"cloudCorsProxyUrl": "/proxy"},
        "cloud_configs.js": {
            "userAppProxy": [
                {"region": "North", "hostname": "north.example.com"},
                {"region": "South", "hostname": "south.example.com"},
            ]
        },
    }


def test_client_config_without_proxies_is_wrong(run: Run, tmp_path: Path) -> None:
    """Where there is nothing to tell the client, that is said."""
    path = tmp_path / "none.yaml"
    path.write_text("main: {hostname: my.example.org, certificate: local, proxy: null}")
    code, out, err = run("client", "config", "--config", path)

    assert (code, out) == (2, "")
    assert err.endswith(
        "there is neither main.proxy nor uap, so the client needs no lines for them\n"
    )
