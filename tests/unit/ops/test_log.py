"""The process's own log: its two forms, what is too much for it, and what it must not quote."""

import asyncio
import json
import logging
import os
import ssl
from collections.abc import Iterator
from typing import Any

import pytest

from exoproxy.errors import Internal
from exoproxy.ops.log import configure, describe, is_console
from exoproxy.ops.sink import Sink
from paper import Paper

CANARY = "k4n4rie-5d1f"


@pytest.fixture(autouse=True)
def as_before() -> Iterator[None]:
    """Give the root logger back to pytest."""
    root, of_asyncio = logging.getLogger(), logging.getLogger("asyncio")
    handlers, level, other = root.handlers[:], root.level, of_asyncio.level
    yield
    root.handlers[:] = handlers
    root.setLevel(level)
    of_asyncio.setLevel(other)


def failing(error: BaseException) -> BaseException:
    """Return the error with a traceback, raised while another was handled."""
    try:
        try:
            int(CANARY)
        finally:
            raise error
    except BaseException:
        return error


@pytest.mark.parametrize(
    ("form", "terminal", "expected"),
    [
        ("auto", True, True),
        ("auto", False, False),
        ("console", False, True),
        ("json", True, False),
    ],
)
def test_the_form_follows_the_reader(
    paper: Paper, form: str, terminal: bool, expected: bool
) -> None:
    """`auto` is for people on a terminal, and for machines elsewhere."""
    paper.sink.is_terminal = terminal

    assert is_console(form, paper.sink) is expected


def test_a_terminal_is_known() -> None:
    """By its descriptor."""
    here, there = os.openpty()
    sink = Sink(there, name="It", tell=print)
    sink.close()
    os.close(here)
    os.close(there)

    assert sink.is_terminal


def test_prose_is_one_line_and_moves_no_cursor(paper: Paper) -> None:
    """What a message quotes from elsewhere is shown; the lines of a traceback stay lines."""
    configure("console", paper.sink)
    try:
        raise RuntimeError("two\nlines\x1b")
    except RuntimeError:
        logging.getLogger("exoproxy.x").exception("It \x1b[2Jfailed:\n%s", "\u00fc\u202e")
    [first, *others] = paper.text().splitlines()

    assert first.endswith(" ERROR It ?[2Jfailed: \u00fc?")
    assert others[0] == "Traceback (most recent call last):"
    assert others[-2:] == ["RuntimeError: two", "lines?"]


def test_json_is_one_object_a_line(paper: Paper) -> None:
    """A message of several lines, and a traceback, stay on one."""
    configure("json", paper.sink)
    try:
        raise RuntimeError("two\nlines")
    except RuntimeError:
        logging.getLogger("exoproxy.x").exception("It %s:\n%s", "failed", "\u00fc")
    [line] = paper.text().splitlines()
    found = json.loads(line)

    assert line.isascii()
    assert (found["level"], found["logger"]) == ("ERROR", "exoproxy.x")
    assert found["message"] == "It failed:\n\u00fc"
    assert found["exception"].endswith("RuntimeError: two\nlines")
    assert found["time"][:2] == "20"


def test_people_get_prose(paper: Paper) -> None:
    """Time, level, message."""
    configure("console", paper.sink)
    logging.getLogger("exoproxy").info("Serving %s", "main")

    assert paper.text().endswith(" INFO Serving main\n")
    assert "exception" not in paper.text()


def test_noise_is_left_out(paper: Paper) -> None:
    """Debugging, and what asyncio says of clients, is for nobody; its errors are."""
    configure("json", paper.sink)
    logging.getLogger("exoproxy").debug("no")
    logging.getLogger("asyncio").warning("socket.send() raised exception.")
    logging.getLogger("asyncio").error("yes")

    assert [json.loads(line)["message"] for line in paper.text().splitlines()] == ["yes"]


def test_configuring_twice_writes_once(paper: Paper) -> None:
    """A reload leaves one handler, and closes the one before."""
    after = Paper()
    configure("json", paper.sink)
    configure("json", after.sink)
    logging.getLogger("exoproxy").info("x")
    written = after.text()
    after.close()

    assert (paper.text(), written.count("\n")) == ("", 1)


def test_configuring_again_changes_the_form(paper: Paper) -> None:
    """The sink, and what waits in it, stays."""
    configure("json", paper.sink)
    logging.getLogger("exoproxy").info("one")
    configure("console", paper.sink)
    logging.getLogger("exoproxy").info("two")
    first, second = paper.text().splitlines()

    assert json.loads(first)["message"] == "one"
    assert second.endswith(" INFO two")
    assert len(logging.getLogger().handlers) == 1


class Header(OSError):
    """As `requests.exceptions.InvalidHeader`, which is an OSError and quotes a header."""


@pytest.mark.parametrize(
    "error",
    [
        ValueError(CANARY),
        KeyError(CANARY),
        UnicodeDecodeError("ascii", CANARY.encode(), 0, 1, CANARY),
        LookupError(CANARY),
        Header(CANARY),
        json.JSONDecodeError(CANARY, CANARY, 0),
        ExceptionGroup(CANARY, [ValueError(CANARY)]),
        Exception(CANARY),
        type("Own", (RuntimeError,), {})(CANARY),
    ],
)
def test_an_exception_that_may_quote_is_not_quoted(error: Exception) -> None:
    """Nor is the one that was being handled; the kind and the place of both are told."""
    text = describe(failing(error))

    assert CANARY not in text
    assert f"{type(error).__qualname__}: its text is not shown" in text
    assert "ValueError: its text is not shown" in text
    assert "int(CANARY)" in text
    assert text.count("Traceback (most recent call last):") == 2


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (FileNotFoundError(2, "No such file", "/x"), "[Errno 2] No such file: '/x'"),
        (ssl.SSLError(1, "unknown ca"), "unknown ca"),
        (AttributeError("'X' object has no attribute 'y'"), "no attribute 'y'"),
        (TimeoutError(), "TimeoutError"),
        (Internal(), Internal.default),
    ],
)
def test_an_exception_of_fixed_text_is_shown(error: Exception, said: str) -> None:
    """An operator needs the text of these."""
    assert said in describe(failing(error)).splitlines()[-1]


def test_a_ring_of_exceptions_ends() -> None:
    """Each may be the cause of the other."""
    one, other = RuntimeError("one"), RuntimeError("other")
    one.__cause__, other.__cause__ = other, one

    assert describe(one).endswith("RuntimeError: one")


@pytest.mark.parametrize("form", ["json", "console"])
@pytest.mark.parametrize(
    "context",
    [
        {"future": CANARY, "exception": ValueError(CANARY)},
        {"handle": CANARY, "exception": KeyError(CANARY)},
        {"protocol": CANARY, "transport": CANARY},
    ],
)
async def test_asyncio_shows_no_objects(paper: Paper, form: str, context: dict[str, Any]) -> None:
    """Their forms hold arguments and results, which may be anything."""
    configure(form, paper.sink)
    context = {"message": "Task exception was never retrieved", **context}
    asyncio.get_running_loop().default_exception_handler(context)

    assert "Task exception was never retrieved" in paper.text()
    assert CANARY not in paper.text()


@pytest.mark.parametrize("form", ["json", "console"])
def test_a_message_that_fails_is_told_without_its_arguments(
    paper: Paper, form: str, capfd: pytest.CaptureFixture[str]
) -> None:
    """Where it stands in the code is enough."""
    configure(form, paper.sink)
    logging.getLogger("exoproxy").info("%d", CANARY)

    assert "A message of test_log, line " in paper.text()
    assert CANARY not in paper.text() + "".join(capfd.readouterr())


def test_what_is_no_text_is_written(paper: Paper) -> None:
    """A file name of any bytes comes as surrogates, which UTF-8 has not."""
    configure("console", paper.sink)
    logging.getLogger("exoproxy").info("%s", b"\xff".decode("utf-8", "surrogateescape"))

    assert paper.text().count("\n") == 1
