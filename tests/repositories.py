"""Git repositories of a small client, made by the real git."""

import json
import os
import subprocess
from collections.abc import Mapping
from pathlib import Path

PAGE = """<!doctype html><html><head><base href="/" /><title>{word}</title>
<script src="./elm-web.js"></script><script src="config.js"></script></head></html>
"""
# Each commit's script is large enough to be served in pieces, and says on each line whose it is.
BUILD = (
    "const fs = require('fs'); const word = fs.readFileSync('word.txt', 'utf8').trim();"
    "fs.writeFileSync('elm-web.js', ('// ' + word + '\\n').repeat(20000));"
)


class Repository:
    """A repository with a client's source; each commit's client has a word in its files."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.mkdir()
        self.git("init", "--quiet", "--initial-branch=main", ".")

    @property
    def url(self) -> str:
        """Return the repository's URL."""
        return f"file://{self.folder}"

    def write(self, word: str, *, build: str = "node build.js") -> None:
        """Write a client's source, which is built by the script `build`."""
        manifest = {"name": "client", "version": "1.0.0", "scripts": {"build:prod": build}}
        files: Mapping[str, str] = {
            "package.json": json.dumps(manifest),
            "build.js": BUILD,
            "word.txt": word,
            "index.html": PAGE.format(word=word),
            "config.js": f"var config = {{ word: {word!r}, }};\n",
        }
        for name, content in files.items():
            (self.folder / name).write_text(content, "utf-8")

    def commit(self, word: str, *, build: str = "node build.js") -> str:
        """Commit such a source, and return the commit's name."""
        self.write(word, build=build)
        self.git("add", ".")
        self.git("commit", "--quiet", "--allow-empty", "--message", word)
        return self.git("rev-parse", "HEAD")

    def git(self, *arguments: str) -> str:
        """Run git in the repository, and return what it prints."""
        identity = ["-c", "user.name=Test", "-c", "user.email=test@example.org"]
        done = subprocess.run(  # noqa: S603 - arguments of the tests' own
            ["git", *identity, *arguments],  # noqa: S607 - the machine's
            cwd=self.folder,
            env={**os.environ, "GIT_CONFIG_GLOBAL": "/dev/null", "GIT_CONFIG_NOSYSTEM": "1"},
            capture_output=True,
            text=True,
            check=True,
        )
        return done.stdout.strip()
