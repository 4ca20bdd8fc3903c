"""Reads the object that a configuration script of the client assigns to a variable.

`config.js` and `cloud_configs.js` are JavaScript: `var config = { … };` with comments, bare keys,
single quotes and trailing commas, sometimes with other statements around, such as a visitor
counter's. Nothing is run. What only running it would tell (an expression in the object, a later
change of it) makes the file unreadable, never a guess.

Called by `client.configuration`, and by whoever judges a build before it is installed.
"""

import re
from typing import Any, Final

import pyjson5

# Jetstream2's, the largest known, has 10 KB.
MOST_BYTES: Final = 256 * 1024
# They are six levels deep.
_DEEPEST: Final = 32

# What may hold anything: comments and strings. Unclosed ones match to where they must end, so that
# none is looked at twice.
_CLOSED: Final = re.compile(
    r"""//[^\n]*+
      | /\*.*?(?:\*/|\Z)
      | "(?:[^"\\\n]|\\.)*+"?
      | '(?:[^'\\\n]|\\.)*+'?
      | `(?:[^`\\]|\\.)*+`?""",
    re.DOTALL | re.VERBOSE,
)
# Each script can change the other's variable as well: they are global.
_VARIABLES: Final = re.compile(r"\b(?:config|cloud_configs)\b")
_BRACE: Final = re.compile(r"[{}]")
# The object ends the statement: no operator or call follows that would make another value of it.
_END_OF_STATEMENT: Final = re.compile(r"\s*(?:;|\Z|[\w$])")
_POSITION: Final = re.compile(r"near (\d+)")


class Unreadable(Exception):
    """The script's object can't be known; the text is a clause that says why: `it …`."""


def read_object(script: bytes, variable: str) -> dict[str, Any]:
    """Return the object that `script` assigns to `variable`, `config` or `cloud_configs`.

    Values are those of JSON. Raises `Unreadable` if there is no such object, if it isn't plain
    data, or if the script uses the variable elsewhere, so that the object might not be the last
    word. Time and memory are bounded by a multiple of `MOST_BYTES`.
    """
    if len(script) > MOST_BYTES:
        raise Unreadable(f"it is larger than {MOST_BYTES:,} bytes")
    try:
        text = script.decode("utf-8")
    except UnicodeDecodeError:
        raise Unreadable("it is not UTF-8") from None
    code = code_of(text)
    assignment = re.search(rf"\b{variable}\s*=\s*(?={{)", code)
    if assignment is None:
        raise Unreadable(f"it has no `{variable} = {{…}}`")
    start = assignment.end()
    end = _end_of_object(code, start)
    if _VARIABLES.search(code[: assignment.start()] + code[end:]):
        raise Unreadable("it works on its object elsewhere as well")
    if not _END_OF_STATEMENT.match(code, end):
        raise Unreadable("its object is part of an expression")
    try:
        value: dict[str, Any] = pyjson5.decode(text[start:end], _DEEPEST)
    except pyjson5.Json5NestingTooDeep:
        raise Unreadable(f"its object is more than {_DEEPEST} levels deep") from None
    except pyjson5.Json5DecoderException as error:
        raise Unreadable(_not_plain(text, start, error)) from None
    return value


def code_of(text: str) -> str:
    """Return a script with its comments blank and its strings empty of all but quotes.

    It is as long as the script. The time grows with the length alone, whatever is in it.
    """
    return _CLOSED.sub(_blank, text)


def _blank(found: re.Match[str]) -> str:
    """Return as many characters without a meaning of their own."""
    quote = found[0][0]
    return (" " if quote == "/" else quote) * len(found[0])


def _end_of_object(code: str, start: int) -> int:
    depth = 0
    for brace in _BRACE.finditer(code, start):
        depth += 1 if brace[0] == "{" else -1
        if depth == 0:
            return brace.end()
    raise Unreadable("its object has no end")


def _not_plain(text: str, start: int, error: Exception) -> str:
    """Return the clause for a mistake or an expression in the object, with its line if known."""
    position = _POSITION.search(str(error.args[0]))
    if position is None:
        return "it has a mistake, or an expression instead of a plain value"
    line = text.count("\n", 0, start + int(position[1])) + 1
    return f"line {line} has a mistake, or an expression instead of a plain value"
