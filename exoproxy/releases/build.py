"""A client's source, built with npm: this host's, or that of a container.

A build runs whatever its source says, so it is given little: its own folder, a home of its own in
the same bench, the fields of the environment that a network needs, and for root's installations
another user than root, if the state folder has one. A container keeps it from this host's files.
"""

import json
import os
import secrets
from collections.abc import Sequence
from contextlib import suppress
from enum import StrEnum
from pathlib import Path
from typing import Final

from exoproxy.certs.folder import opened, read_regular
from exoproxy.releases.problem import ReleaseProblem
from exoproxy.releases.process import Account, ProgramFailed, Tell, run
from exoproxy.releases.recipes import Recipe, recipe_for
from exoproxy.releases.source import INDEX, MANIFEST

IMAGE: Final = "docker.io/library/node:lts"

_BUILD_SECONDS: Final = 1800.0
_REMOVE_SECONDS: Final = 60.0
_LARGEST_MANIFEST: Final = 1024 * 1024
_LOCKS: Final = ("package-lock.json", "npm-shrinkwrap.json")
_INSIDE: Final = "/usr/src/app"
_READ: Final = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
# What a network may need; nothing else of this process's environment, which may hold secrets.
_PASSED: Final = ("PATH", "LANG", "LC_ALL", "TZ", "SSL_CERT_FILE", "NODE_EXTRA_CA_CERTS")
_PASSED_AS_WELL: Final = ("http_proxy", "https_proxy", "no_proxy")
_OWN: Final = {"CI": "1", "npm_config_audit": "false", "npm_config_fund": "false"}


class Builder(StrEnum):
    """Whose npm builds."""

    NPM = "npm"
    DOCKER = "docker"


def build(
    tree: Path, bench: Path, builder: Builder, account: Account | None, tell: Tell
) -> tuple[tuple[str, ...], frozenset[str] | None]:
    """Build the source in `tree`, which lies in `bench`; both may be written by `account`.

    Returns the folder of the client, as names below `tree`, and what of it is meant (None: all).
    Raises `ReleaseProblem`, with the last lines of a build that failed.
    """
    scripts = _scripts(tree)
    recipe = recipe_for(scripts)
    locked = any((tree / name).is_file() for name in _LOCKS)
    steps = [["npm", "ci" if locked else "install"]]
    steps += [["npm", "run", name] for name in recipe.scripts if name in scripts]
    for step in steps:
        tell(f"Running {' '.join(step)}" + (f" in {IMAGE}" if builder is Builder.DOCKER else ""))
        try:
            if builder is Builder.DOCKER:
                _in_container(step, tree, account, tell)
            else:
                _on_host(step, tree, bench, account, tell)
        except ProgramFailed as failed:
            raise ReleaseProblem(_sentence(step, failed)) from failed
    return _result(tree, recipe)


def _on_host(
    step: Sequence[str], tree: Path, bench: Path, account: Account | None, tell: Tell
) -> None:
    environment = {**_environment(), **_OWN, "HOME": str(bench / "home")}
    run(
        step,
        folder=tree,
        environment=environment,
        seconds=_BUILD_SECONDS,
        tell=tell,
        account=account,
    )


def _in_container(step: Sequence[str], tree: Path, account: Account | None, tell: Tell) -> None:
    name = f"exoproxy-build-{secrets.token_hex(8)}"
    # The files that it makes must be removable here.
    user = account or Account(user=os.geteuid(), group=os.getegid())
    own = {**_OWN, "HOME": "/tmp"}  # noqa: S108 - the container's
    command = ["docker", "run", "--rm", "--init", "--name", name]
    command += ["--cap-drop", "ALL", "--security-opt", "no-new-privileges"]
    command += ["--user", f"{user.user}:{user.group}"]
    command += ["--volume", f"{tree}:{_INSIDE}", "--workdir", _INSIDE]
    for variable, value in own.items():
        command += ["--env", f"{variable}={value}"]
    for variable in sorted(_network(os.environ)):
        command += ["--env", variable]
    try:
        run(
            [*command, IMAGE, *step],
            folder=tree,
            environment=os.environ,
            seconds=_BUILD_SECONDS,
            tell=tell,
        )
    except BaseException:
        # The container is no child of the command that started it, and would go on.
        with suppress(ProgramFailed, ReleaseProblem):
            run(
                ["docker", "rm", "--force", name],
                folder=tree,
                environment=os.environ,
                seconds=_REMOVE_SECONDS,
                tell=lambda _: None,
            )
        raise


def _environment() -> dict[str, str]:
    return {
        name: os.environ[name] for name in (*_PASSED, *_network(os.environ)) if name in os.environ
    }


def _network(names: "os._Environ[str]") -> list[str]:
    return [
        name
        for name in names
        if name.lower() in _PASSED_AS_WELL or name.lower() == "npm_config_registry"
    ]


def _scripts(tree: Path) -> frozenset[str]:
    """Return the names of the scripts in a source's package.json, which is no link elsewhere."""
    try:
        with opened(tree, make=False) as folder:
            descriptor = os.open(MANIFEST, _READ, dir_fd=folder.descriptor)
            content = json.loads(read_regular(descriptor, _LARGEST_MANIFEST))
    except FileNotFoundError:
        raise ReleaseProblem(
            f"The source has no {MANIFEST} at its top, so it is no client's: name the client's "
            "repository."
        ) from None
    except (OSError, ValueError, RecursionError) as error:
        raise ReleaseProblem(
            f"The source's {MANIFEST} can't be read as JSON: is it a client's, and complete?"
        ) from error
    scripts = content.get("scripts") if isinstance(content, dict) else None
    return frozenset(scripts) if isinstance(scripts, dict) else frozenset()


def _result(tree: Path, recipe: Recipe) -> tuple[tuple[str, ...], frozenset[str] | None]:
    if recipe.files:
        return (), frozenset(recipe.files)
    for name in recipe.folders:
        if (tree / name / INDEX).is_file():
            return (name,), None
    raise ReleaseProblem(
        f"The build ended well, but none of {', '.join(recipe.folders)} has an {INDEX}: see what "
        "the source's build script does."
    )


def _sentence(step: Sequence[str], failed: ProgramFailed) -> str:
    what = " ".join(step)
    if not failed.lines:
        return f"The build failed: {what} {failed.reason} and printed nothing."
    lines = "".join(f"\n    {line}" for line in failed.lines)
    return f"The build failed: {what} {failed.reason}. Its last lines:{lines}"
