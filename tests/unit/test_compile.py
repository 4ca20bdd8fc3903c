"""The build hook, without compiling: when it does its work, and what it says where it can't."""

import importlib.util
import tomllib
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from hatchling.builders.wheel import WheelBuilder

ROOT = Path(__file__).parents[2]
BUILD = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["hatch"]
BUILD_HOOK = BUILD["build"]["targets"]["wheel"]["hooks"]["custom"]
PATTERNS = BUILD_HOOK["compile"]


def loaded(monkeypatch: pytest.MonkeyPatch, asked: str) -> ModuleType:
    """Load the hook as a build does, with `EXOPROXY_COMPILE` set to `asked`."""
    monkeypatch.setenv("EXOPROXY_COMPILE", asked)
    spec = importlib.util.spec_from_file_location("hook", ROOT / BUILD_HOOK["path"])
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def hook_of(module: ModuleType) -> Any:
    builder = WheelBuilder(str(ROOT))
    return module.CompileHook(
        str(ROOT), {"compile": PATTERNS}, builder.config, builder.metadata, "", "wheel", builder.app
    )


@pytest.mark.parametrize("asked", ["", "0"])
def test_wheel_is_pure_python_unless_asked(monkeypatch: pytest.MonkeyPatch, asked: str) -> None:
    """Without the variable nothing is installed for the build, and nothing changes in the wheel."""
    hook, data = hook_of(loaded(monkeypatch, asked)), dict[str, Any]()
    hook.initialize("standard", data)
    hook.finalize("standard", data, "")

    assert (hook.dependencies(), data) == ([], {})


def test_compiler_comes_where_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    """With the variable mypyc is installed for the build, at the version that mypy judges with."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    (wanted,) = hook_of(loaded(monkeypatch, "1")).dependencies()

    assert wanted.replace("[mypyc]", "") in project["optional-dependencies"]["dev"]


@pytest.mark.parametrize(
    ("version", "compiler", "says"),
    [
        ("editable", "cc", "an editable installation runs the source itself"),
        ("standard", "no-such-compiler -O2", "the C compiler no-such-compiler"),
    ],
)
def test_says_why_it_cannot_compile(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    version: str,
    compiler: str,
    says: str,
) -> None:
    """An installation that can't be had ends the build with one sentence."""
    monkeypatch.setenv("CC", compiler)
    hook = hook_of(loaded(monkeypatch, "1"))
    with pytest.raises(SystemExit):
        hook.initialize(version, {})
    (sentence,) = capsys.readouterr().err.splitlines()

    assert sentence.startswith("EXOPROXY_COMPILE=1: ")
    assert says in sentence


def test_headers_of_python_are_looked_for(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Debian has a compiler without python3-dev: the missing header is named."""
    module = loaded(monkeypatch, "1")
    monkeypatch.setattr(module.sysconfig, "get_path", lambda _: str(tmp_path))

    assert f"{tmp_path}/Python.h" in module._missing()


@pytest.mark.parametrize("pattern", PATTERNS)
def test_every_pattern_names_modules(monkeypatch: pytest.MonkeyPatch, pattern: str) -> None:
    """No line of the list is left over from a module that has moved."""
    assert loaded(monkeypatch, "1")._sources(ROOT, [pattern])
