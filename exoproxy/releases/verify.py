"""Whether a folder holds a client that a browser could load, before anybody's browser does.

Looks at what is most likely to be wrong after a build: a page that isn't one, scripts that it names
and that aren't there, configuration files that a browser could not read.
"""

import os
import re
from html.parser import HTMLParser
from pathlib import Path
from typing import BinaryIO, Final
from urllib.parse import unquote, urljoin, urlsplit

from exoproxy.client.script import MOST_BYTES, Unreadable, code_of, read_object
from exoproxy.releases.problem import ReleaseProblem
from exoproxy.releases.process import Tell
from exoproxy.releases.source import INDEX

# File -> the variable that it assigns.
CONFIGURATION: Final = {"config.js": "config", "cloud_configs.js": "cloud_configs"}

_LARGEST_PAGE: Final = 1024 * 1024
# Templates, calls, functions, spreads and operators: right or wrong, it takes running to tell.
_COMPUTES: Final = re.compile(r"[`()+?|&*%]|=>|\.\.\.|\b(?:new|undefined)\b")
_HERE: Final = "https://client.invalid/"


def check(client: Path, overrides: Path, tell: Tell) -> None:
    """Judge a client, whose page may name files that are in `overrides` alone.

    `tell` gets a sentence on what could not be judged. Raises `ReleaseProblem`.
    """
    page = _Page()
    page.feed(_text(client / INDEX, f"The client's {INDEX}", _LARGEST_PAGE))
    page.close()
    if not page.is_html:
        raise ReleaseProblem(
            f"The client's {INDEX} is no HTML page: name the folder or the archive of a built "
            "client."
        )
    for url in page.loads:
        name = _local_name(url, page.base)
        if name is not None and not any(_has_content(top / name) for top in (overrides, client)):
            raise ReleaseProblem(
                f"The client's {INDEX} loads {name!a}, which is missing or empty: the build is not "
                "complete, or the source is one that was never built."
            )
    for name, variable in CONFIGURATION.items():
        if (client / name).is_file():
            _check_configuration(client / name, variable, tell)


class _Page(HTMLParser):
    """What a page loads; `base` is what its addresses are relative to."""

    def __init__(self) -> None:
        super().__init__()
        self.is_html = False
        self.base = ""
        self.loads: list[str] = []

    def handle_decl(self, decl: str) -> None:
        self.is_html |= decl.lower().split() == ["doctype", "html"]

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        fields = {name: value or "" for name, value in reversed(attrs)}
        if tag in ("html", "head", "body"):
            self.is_html = True
        elif tag == "base" and not self.base:
            self.base = fields.get("href", "")
        elif tag == "script" and "src" in fields:
            self.loads.append(fields["src"])
        elif tag == "link" and "stylesheet" in fields.get("rel", "").lower().split():
            self.loads.append(fields.get("href", ""))


def _local_name(url: str, base: str) -> str | None:
    """Return the file that an address means; None for one of another host."""
    try:
        parts = urlsplit(urljoin(urljoin(_HERE, base.strip()), url.strip()))
    except ValueError:
        raise ReleaseProblem(
            f"The client's {INDEX} loads {url[:100]!a}, which is no address: mend the source."
        ) from None
    if f"{parts.scheme}://{parts.netloc}/" != _HERE:
        return None
    segments = unquote(parts.path).split("/")
    if any(segment == ".." or "\0" in segment for segment in segments):
        raise ReleaseProblem(
            f"The client's {INDEX} loads {url[:100]!a}, which leads out of it: mend the source."
        )
    return "/".join(segment for segment in segments if segment) or INDEX


def _has_content(path: Path) -> bool:
    try:
        return path.is_file() and path.stat().st_size > 0
    except OSError:
        return False


def _opened(path: Path) -> BinaryIO:
    """Open a file; a named pipe in its place must not make the command wait."""
    return open(os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC), "rb")


def _check_configuration(path: Path, variable: str, tell: Tell) -> None:
    with _opened(path) as file:
        script = file.read(MOST_BYTES + 1)
    try:
        read_object(script, variable)
    except Unreadable as reason:
        if _COMPUTES.search(code_of(script.decode("utf-8", "replace"))):
            tell(f"Could not judge the client's {path.name}: {reason}")
            return
        raise ReleaseProblem(
            f"The client's {path.name} is no configuration that a browser can be sure to read: "
            f"{reason}. Mend it in the source."
        ) from reason


def _text(path: Path, subject: str, largest: int) -> str:
    try:
        with _opened(path) as file:
            content = file.read(largest + 1)
    except OSError as error:
        raise ReleaseProblem(
            f"{subject} can't be read ({error.strerror}): name the folder or the archive of a "
            "built client."
        ) from error
    if len(content) > largest:
        raise ReleaseProblem(
            f"{subject} is larger than {largest // 1024} KiB: is it the right one?"
        )
    return content.decode("utf-8", "replace")
