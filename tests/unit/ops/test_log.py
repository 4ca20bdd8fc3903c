"""The process's own log: its two forms and what is too much for it."""

import io
import json
import logging
from collections.abc import Iterator

import pytest

from exoproxy.ops.log import configure, is_console


@pytest.fixture(autouse=True)
def as_before() -> Iterator[None]:
    """Give the root logger back to pytest."""
    root, of_asyncio = logging.getLogger(), logging.getLogger("asyncio")
    handlers, level, other = root.handlers[:], root.level, of_asyncio.level
    yield
    root.handlers[:] = handlers
    root.setLevel(level)
    of_asyncio.setLevel(other)


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize(
    ("form", "stream", "expected"),
    [
        ("auto", Terminal(), True),
        ("auto", io.StringIO(), False),
        ("console", io.StringIO(), True),
        ("json", Terminal(), False),
    ],
)
def test_the_form_follows_the_reader(form: str, stream: io.StringIO, expected: bool) -> None:
    """`auto` is for people on a terminal, and for machines elsewhere."""
    assert is_console(form, stream) is expected


def test_prose_is_one_line_and_moves_no_cursor() -> None:
    """What a message quotes from elsewhere is shown; the lines of a traceback stay lines."""
    stream = io.StringIO()
    configure("console", stream)
    try:
        raise ValueError("two\nlines")
    except ValueError:
        logging.getLogger("exoproxy.x").exception("It \x1b[2Jfailed:\n%s", "\u00fc\u202e")
    [first, *others] = stream.getvalue().splitlines()

    assert first.endswith(" ERROR It ?[2Jfailed: \u00fc?")
    assert others[0] == "Traceback (most recent call last):"
    assert others[-2:] == ["ValueError: two", "lines"]


def test_json_is_one_object_a_line() -> None:
    """A message of several lines, and a traceback, stay on one."""
    stream = io.StringIO()
    configure("json", stream)
    try:
        raise ValueError("two\nlines")
    except ValueError:
        logging.getLogger("exoproxy.x").exception("It %s:\n%s", "failed", "\u00fc")
    [line] = stream.getvalue().splitlines()
    found = json.loads(line)

    assert line.isascii()
    assert (found["level"], found["logger"]) == ("ERROR", "exoproxy.x")
    assert found["message"] == "It failed:\n\u00fc"
    assert found["exception"].endswith("ValueError: two\nlines")
    assert found["time"][:2] == "20"


def test_people_get_prose() -> None:
    """Time, level, message."""
    stream = io.StringIO()
    configure("console", stream)
    logging.getLogger("exoproxy").info("Serving %s", "main")

    assert stream.getvalue().endswith(" INFO Serving main\n")
    assert "exception" not in stream.getvalue()


def test_noise_is_left_out() -> None:
    """Debugging, and what asyncio says of clients, is for nobody; its errors are."""
    stream = io.StringIO()
    configure("json", stream)
    logging.getLogger("exoproxy").debug("no")
    logging.getLogger("asyncio").warning("socket.send() raised exception.")
    logging.getLogger("asyncio").error("yes")

    assert [json.loads(line)["message"] for line in stream.getvalue().splitlines()] == ["yes"]


def test_configuring_twice_writes_once() -> None:
    """A reload leaves one handler."""
    before, after = io.StringIO(), io.StringIO()
    configure("json", before)
    configure("json", after)
    logging.getLogger("exoproxy").info("x")

    assert (before.getvalue(), after.getvalue().count("\n")) == ("", 1)
