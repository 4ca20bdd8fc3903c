"""The build hook: compiles the hot path with mypyc where `EXOPROXY_COMPILE=1` asks for it.

hatchling calls it for each wheel. Without the variable the wheel is pure Python; with it, it fits
one version of Python on one platform, and holds an extension module beside each of the modules that
`compile` names in pyproject.toml. Python prefers those, and the source stays for tracebacks.
"""

import contextlib
import os
import shutil
import sysconfig
import tempfile
from pathlib import Path
from typing import Any

from hatchling.builders.config import BuilderConfig
from hatchling.builders.hooks.plugin.interface import BuildHookInterface

ASKED = os.environ.get("EXOPROXY_COMPILE") == "1"


class CompileHook(BuildHookInterface[BuilderConfig]):
    """What hatchling finds here as the hook `custom`."""

    def dependencies(self) -> list[str]:
        """Return what has to be installed for the build: the compiler of types, where asked for."""
        return ["mypy[mypyc]>=2.4"] if ASKED else []

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Compile, and add what came of it to the wheel; `version` is "standard" or "editable"."""
        if not ASKED:
            return
        if version == "editable":
            self.app.abort(
                "EXOPROXY_COMPILE=1: an editable installation runs the source itself, so there is "
                "nothing to compile; leave out --editable, or the variable."
            )
        if missing := _missing():
            self.app.abort(
                f"EXOPROXY_COMPILE=1: compiling needs {' and '.join(missing)}, not found here; "
                "install a C compiler and Python's headers (as root: apt-get install gcc "
                "python3-dev), or leave the variable out for the same program in plain Python."
            )
        self._folder = tempfile.TemporaryDirectory(prefix="exoproxy-compile-")
        library = Path(self._folder.name, "lib")
        _compile(Path(self.root), self.config["compile"], library)
        for built in library.rglob("*.so"):
            build_data["force_include"][str(built)] = str(built.relative_to(library))
        build_data["pure_python"] = False
        build_data["infer_tag"] = True

    def finalize(self, version: str, build_data: dict[str, Any], artifact_path: str) -> None:
        """Remove what was compiled: the wheel has it now."""
        if ASKED:
            self._folder.cleanup()


def _missing() -> list[str]:
    """Return what a compilation lacks on this machine."""
    compiler = (os.environ.get("CC") or sysconfig.get_config_var("CC") or "cc").split()[0]
    header = Path(sysconfig.get_path("include"), "Python.h")
    lacks = {f"the C compiler {compiler}": shutil.which(compiler), str(header): header.exists()}
    return [thing for thing, there in lacks.items() if not there]


def _compile(root: Path, patterns: list[str], library: Path) -> None:
    """Compile the modules below `root` that the patterns name.

    The extension modules lie in the folder `library` then, as they shall in the wheel; what else
    comes about lies beside it.
    """
    # Installed only where `dependencies` has asked for them.
    from mypyc.build import mypycify
    from setuptools import Distribution
    from setuptools.command.build_ext import build_ext

    # mypyc tells a module's name from its path, relative to where it runs.
    with contextlib.chdir(root):
        extensions = mypycify(
            # Types are judged by the project's own settings for mypy, and not here, where little of
            # what is imported is installed: what comes from elsewhere is taken for any object.
            [
                "--config-file=",
                f"--cache-dir={library.parent / 'types'}",
                "--follow-imports=silent",
                "--ignore-missing-imports",
                *_sources(root, patterns),
            ],
            debug_level="0",
            group_name="exoproxy",
            target_dir=str(library.parent / "c"),
        )
        command = build_ext(Distribution({"name": "exoproxy", "ext_modules": extensions}))
        command.build_lib = str(library)
        command.build_temp = str(library.parent / "objects")
        command.ensure_finalized()
        command.run()


def _sources(root: Path, patterns: list[str]) -> list[str]:
    """Return the modules that the patterns name, relative to `root`; packages stay as they are."""
    found = [path.relative_to(root) for pattern in patterns for path in root.glob(pattern)]
    return sorted(str(path) for path in found if path.name != "__init__.py")
