"""The client from a git repository and real npm: installed, updated, rolled back while served."""

import asyncio
import contextlib
import os
import random
import ssl
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
import yaml

import exoproxy
from authority import Authority
from deployment import MAIN_NAME, Site, Start
from peers import request, status_of
from ports import free_port
from repositories import PAGE, Repository

pytestmark = pytest.mark.needs("git", "npm", "node")

KILLS = 50
# Of them while npm builds; the others hit what comes after, in installations that are short.
KILLS_OF_BUILDS = 10
SEED = 20261122

# The code under test is what the commands run, wherever it was installed from.
SOURCE = Path(exoproxy.__file__).parent.parent

Run = Callable[..., "subprocess.CompletedProcess[str]"]


class Host:
    """A main host's configuration, and its commands for the client."""

    def __init__(
        self, folder: Path, authority: Authority, run: Run, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        self.port = free_port()
        self.client = folder / "state" / "client"
        self.file = folder / "exoproxy.yaml"
        self.trust = ssl.create_default_context(cafile=authority.file)
        self._run = run
        # Where builds happen: nothing may be left there in the end.
        self.place = folder / "tmp"
        self.place.mkdir()
        monkeypatch.setenv("TMPDIR", str(self.place))
        certificate = str(authority.issue(MAIN_NAME))
        main: dict[str, Any] = {
            "hostname": MAIN_NAME,
            "listen": [f"127.0.0.1:{self.port}"],
            "redirect_listen": [],
            "admin_listen": None,
            "certificate": {"cert_file": certificate, "key_file": certificate},
            "proxy": None,
            "client": {
                "root": str(self.client / "current"),
                "overrides": str(folder / "overrides"),
            },
        }
        self.file.write_text(
            yaml.safe_dump({"state_dir": str(folder / "state"), "main": main}), "utf-8"
        )

    def run(self, *arguments: str) -> "subprocess.CompletedProcess[str]":
        """Run `exoproxy client …` to its end."""
        return self._run("client", *arguments, "--config", str(self.file))

    async def runs(self, *arguments: str) -> "subprocess.CompletedProcess[str]":
        """Do the same beside requests."""
        return await asyncio.to_thread(self.run, *arguments)

    def serve(self, start: Start) -> Site:
        """Start the main host."""
        process, output = start("main", "--config", str(self.file), says="Serving")
        return Site(
            process=process,
            output=output,
            configuration=self.file,
            port=self.port,
            hostname=MAIN_NAME,
            trust=self.trust,
        )

    def builds(self) -> list[str]:
        """Return what builds have left; the serving process has a folder there as well."""
        return [name for name in os.listdir(self.place) if name.startswith("exoproxy-")]

    def word(self) -> str:
        """Return the word of the active release, all of whose files must have it."""
        current = self.client / "current"
        lines = set((current / "elm-web.js").read_text("utf-8").splitlines())
        [word] = {line.removeprefix("// ") for line in lines}
        assert f"<title>{word}</title>" in (current / "index.html").read_text("utf-8")
        assert word in (current / "config.js").read_text("utf-8")
        return word


@pytest.fixture(name="host")
def main_host(
    tmp_path: Path, authority: Authority, run_exoproxy: Run, monkeypatch: pytest.MonkeyPatch
) -> Host:
    return Host(tmp_path, authority, run_exoproxy, monkeypatch)


@pytest.fixture(name="repository")
def source(tmp_path: Path) -> Repository:
    return Repository(tmp_path / "repository")


async def script(site: Site) -> str:
    """Return the word of the client's script as it is served, whole and of one release."""
    client = await site.connect(MAIN_NAME)
    try:
        client.send(request(MAIN_NAME, line=b"GET /elm-web.js HTTP/1.1"))
        answer = await client.message()
    finally:
        client.close()

    assert status_of(answer) == 200
    lines = answer.content.decode().splitlines()
    assert len(lines) == 20_000
    [word] = set(lines)
    return word.removeprefix("// ")


@asynccontextmanager
async def visitors(site: Site) -> AsyncIterator[list[str]]:
    """Ask again and again; the list grows by the words that came, each time that they change."""
    seen: list[str] = []

    async def visit() -> None:
        while True:
            word = await script(site)
            if seen[-1:] != [word]:
                seen.append(word)

    task = asyncio.create_task(visit())
    try:
        yield seen
    finally:
        task.cancel()
        [ended] = await asyncio.gather(task, return_exceptions=True)

    assert isinstance(ended, asyncio.CancelledError), ended


async def test_life_of_a_client(host: Host, repository: Repository, start_exoproxy: Start) -> None:
    """Install, update, a failing build and a roll-back; whoever asks meanwhile gets one release."""
    first = repository.commit("one")
    installed = host.run("install", repository.url, "--ref", "main")

    assert installed.returncode == 0, installed.stderr
    assert "> node build.js" in installed.stderr
    site = host.serve(start_exoproxy)
    async with visitors(site) as seen:
        assert await script(site) == "one"

        same = await host.runs("update")
        assert (same.returncode, same.stdout) == (0, "")

        repository.commit("broken", build="echo no such module; exit 3")
        failed = await host.runs("update")
        assert failed.returncode == 1
        assert "npm run build:prod ended with code 3" in failed.stderr
        assert "    no such module" in failed.stderr

        repository.commit("incomplete", build="rm -f config.js")
        incomplete = await host.runs("update")
        assert incomplete.returncode == 1
        assert "which is missing or empty" in incomplete.stderr
        assert await script(site) == "one"

        repository.commit("two")
        updated = await host.runs("update")
        assert updated.returncode == 0, updated.stderr
        assert await script(site) == "two"

        back = await host.runs("rollback")
        assert back.stdout == installed.stdout
        assert await script(site) == "one"

    assert seen == ["one", "two", "one"]
    listed = host.run("list").stdout.splitlines()
    assert len(listed) == 3
    assert listed[2].split()[:2] == ["*", installed.stdout.strip()]
    assert first[:12] in listed[2]
    assert sorted(os.listdir(host.client)) == [".installing", ".switching", "current", "releases"]
    assert host.builds() == []


def test_two_at_once(host: Host, repository: Repository) -> None:
    """The second waits with a word, and both are there at the end."""
    repository.commit("one", build="sleep 1; node build.js")
    both = [start_install(host, repository.url, subprocess.PIPE) for _ in range(2)]
    said = [process.communicate(timeout=60)[1] for process in both]

    assert [process.returncode for process in both] == [0, 0]
    assert sum("Waiting for another installation" in each for each in said) == 1
    assert len(host.run("list").stdout.splitlines()) == 3


def test_sigterm_leaves_nothing(host: Host, repository: Repository) -> None:
    """An installation that is told to stop ends its build and removes its files."""
    repository.commit("one", build="echo started; sleep 60")
    process = start_install(host, repository.url, subprocess.PIPE)
    assert process.stdout is not None
    assert process.stderr is not None
    for line in process.stderr:
        if line == "started\n":
            process.terminate()
            break
    before = time.monotonic()
    rest = process.stderr.read()
    process.wait()
    process.stdout.close()
    process.stderr.close()

    assert process.returncode == 143
    assert "Told to stop; what was not finished has been removed." in rest
    assert time.monotonic() - before < 10
    assert os.listdir(host.client) == [".installing"]
    assert host.builds() == []


def test_killed_at_any_moment(host: Host, repository: Repository, tmp_path: Path) -> None:
    """SIGKILL at 50 moments leaves `current` at a release that is whole, and no waste for long."""
    chance = random.Random(SEED)
    built = tmp_path / "built"
    built.mkdir()
    repository.commit("first")
    write(built, "second")
    known = {"first", "second"}
    # How long an installation takes when nobody kills it.
    seconds = {source: timed(host, source) for source in (repository.url, str(built))}
    active = set()
    for number in range(KILLS):
        word = f"word{number}"
        known.add(word)
        if number < KILLS_OF_BUILDS:
            repository.commit(word)
            source = repository.url
        else:
            write(built, word)
            source = str(built)
        process = start_install(host, source, subprocess.DEVNULL)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(chance.uniform(0.2, 1.3) * seconds[source])
        # The machine may be busier than it was, or less.
        seconds[source] *= 1.1 if process.poll() is None else 0.9
        process.kill()
        process.wait()

        assert host.word() in known
        active.add(host.word())
    write(built, "last")

    assert host.run("install", str(built)).returncode == 0
    assert host.word() == "last"
    assert sorted(os.listdir(host.client)) == [".installing", ".switching", "current", "releases"]
    assert host.builds() == []
    # Some came through, others didn't: the moments were on both sides of the switch.
    assert 1 < len(active) < KILLS


def start_install(host: Host, source: str, output: int) -> "subprocess.Popen[str]":
    """Start an installation that the test doesn't wait for."""
    command = [sys.executable, "-m", "exoproxy", "client", "install", source]
    return subprocess.Popen(  # noqa: S603 - the project's own command
        [*command, "--config", str(host.file)],
        env={**os.environ, "PYTHONPATH": str(SOURCE)},
        stdout=output,
        stderr=output,
        text=True,
    )


def timed(host: Host, source: str) -> float:
    before = time.monotonic()
    assert host.run("install", source).returncode == 0
    return time.monotonic() - before


def write(folder: Path, word: str) -> None:
    """Write a built client."""
    (folder / "index.html").write_text(PAGE.format(word=word), "utf-8")
    (folder / "elm-web.js").write_text(f"// {word}\n" * 20_000, "utf-8")
    (folder / "config.js").write_text(f"var config = {{ word: {word!r}, }};\n", "utf-8")
    for number in range(40):
        (folder / f"{number}.svg").write_text(word, "utf-8")
