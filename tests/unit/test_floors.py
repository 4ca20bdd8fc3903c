"""The house of exoproxy: a module imports from lower floors and from its own room only."""

import ast
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
    # What gives the engine files and contexts, and what observes it.
    {"client", "certs", "ops"},
    {"main", "uap", "redirect"},
    {"sites", "server"},
    {"service", "explain"},
    {"demo", "check", "live", "cert"},
    {"cli"},
    {"__main__"},
)
FLOORS = {room: floor for floor, rooms in enumerate(HOUSE) for room in rooms}

# Rooms that decide and never act: no event loop, no sockets, no logging.
PURE = {"errors", "wire", "rules"}
BANNED_IN_PURE = {"asyncio", "socket", "ssl", "logging", "uvloop", "threading", "subprocess"}

# The serving process never loads these: they are heavy, and they hold the DNS token.
OUTSIDE_SERVING = {"acme", "josepy", "cloudflare"}
# What the short-lived process that gets certificates is made of.
ISSUING = {
    "certs/accounts.py",
    "certs/authority.py",
    "certs/dns/cloudflare.py",
    "certs/session.py",
}

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


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_serving_process_stays_light(path: Path) -> None:
    """No module of the serving process imports the ACME client or the DNS provider's SDK."""
    if path.relative_to(PACKAGE).as_posix() in ISSUING:
        return
    tops = {name.split(".")[0] for name in imports(path)}

    assert tops & OUTSIDE_SERVING == set()
