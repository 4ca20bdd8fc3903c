"""The house of exoproxy: a module imports from lower floors and from its own room only."""

import ast
import os
import subprocess
import sys
from pathlib import Path

import pytest

import exoproxy

PACKAGE = Path(exoproxy.__file__).parent

# From the ground up. A room is a folder, or a module at the top of the package.
HOUSE = (
    {"__init__", "errors"},
    {"wire"},
    {"rules"},
    {"settings"},
    {"net"},
    {"proxy"},
    # What gives the engine files, pages and contexts, and what observes it.
    {"client", "pages", "certs", "ops"},
    {"learned"},
    {"main", "uap", "redirect", "releases"},
    {"sites", "server"},
    {"explain"},
    {"admin"},
    {"service"},
    {"demo", "check", "live", "cert", "installing", "status"},
    {"cli"},
    {"__main__"},
)
FLOORS = {room: floor for floor, rooms in enumerate(HOUSE) for room in rooms}

# Rooms that decide and never act: no event loop, no sockets, no logging.
PURE = {"errors", "wire", "rules"}
BANNED_IN_PURE = {"asyncio", "socket", "ssl", "logging", "uvloop", "threading", "subprocess"}

# The serving process never loads these: they are heavy, and what talks to an authority and to a DNS
# provider has its own process, which holds the DNS token.
OUTSIDE_SERVING = {"acme", "josepy", "cloudflare", "requests", "dns"}
# Where the serving commands begin.
SERVING = {"exoproxy.service", "exoproxy.demo"}

# Net takes plain values: what was configured is read further up.
NO_SETTINGS = {"net", "wire", "rules"}


def room(path: Path) -> str:
    relative = path.relative_to(PACKAGE)
    return relative.parts[0].removesuffix(".py")


def imports(path: Path) -> set[str]:
    """Return the dotted names that a module imports, wherever in it the import stands."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative imports hide the floor"
            assert node.module is not None
            names.update(f"{node.module}.{alias.name}" for alias in node.names)
    return names


MODULES = sorted(PACKAGE.rglob("*.py"))


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_module_imports_from_lower_floors_only(path: Path) -> None:
    """Each module imports from lower floors and from its own room only."""
    here = room(path)
    inner = {name.split(".")[1] for name in imports(path) if name.startswith("exoproxy.")}
    # `from exoproxy import __version__` names a value of the package, not a room.
    wrong = {
        other
        for other in inner - {here, "__version__"}
        if FLOORS[other] >= FLOORS[here] or (here in NO_SETTINGS and other == "settings")
    }

    assert wrong == set()


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_pure_rooms_do_no_io(path: Path) -> None:
    """The rooms that decide import neither an event loop nor sockets nor logging."""
    if room(path) not in PURE:
        return
    tops = {name.split(".")[0] for name in imports(path)}

    assert tops & BANNED_IN_PURE == set()


def reached(*roots: str) -> dict[str, Path]:
    """Return all modules of the package that these import, directly or not, at whatever moment."""
    found: dict[str, Path] = {}
    waiting = list(roots)
    while waiting:
        name = waiting.pop()
        # `exoproxy.errors.BadRequest` is a value; to import its module is to import its packages.
        parts = name.split(".")
        for length in range(1, len(parts) + 1):
            module = ".".join(parts[:length])
            path = file_of(module)
            if path is not None and module not in found:
                found[module] = path
                waiting += [each for each in imports(path) if each.startswith("exoproxy.")]
    return found


def file_of(module: str) -> Path | None:
    path = PACKAGE.parent.joinpath(*module.split("."))
    candidates = (path / "__init__.py", path.with_suffix(".py"))
    return next((candidate for candidate in candidates if candidate.is_file()), None)


@pytest.mark.parametrize("root", sorted(SERVING))
def test_serving_process_stays_light(root: str) -> None:
    """Nothing that a serving command reaches imports what gets certificates, even within a call."""
    modules = reached(root)
    heavy = {
        (module, name)
        for module, path in modules.items()
        for name in imports(path)
        if name.split(".")[0] in OUTSIDE_SERVING
    }

    assert heavy == set()


def test_what_is_reached_is_followed() -> None:
    """The walk above goes from module to module, and into what functions import."""
    modules = reached("exoproxy.service")

    assert {"exoproxy", "exoproxy.certs.keeper", "exoproxy.certs.store"} <= set(modules)
    assert "exoproxy.cli" not in modules
    assert "exoproxy.demo.life" in reached("exoproxy.cli")
    assert "exoproxy.certs.acme.session" in reached("exoproxy.certs.issue")


def test_serving_process_loads_nothing_heavy() -> None:
    """What the serving modules bring into memory, by other packages' imports too, is light."""
    script = "import sys, exoproxy.service; print(*(name.split('.')[0] for name in sys.modules))"
    process = subprocess.run(  # noqa: S603 - this Python
        [sys.executable, "-c", script],
        env={**os.environ, "PYTHONPATH": str(PACKAGE.parent)},
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    loaded = set(process.stdout.split())

    assert "exoproxy" in loaded
    assert loaded & OUTSIDE_SERVING == set()
