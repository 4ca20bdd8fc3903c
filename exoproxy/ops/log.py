"""The process's own log: prose for people on a terminal, JSON lines for machines elsewhere.

Messages are sentences of ours. What is not ours is the text of an exception, which may quote what
it was about (`int()` a number that is none, `http.client` a header with its token): only that of
kinds that quote nothing is shown, of others the kind and where it happened.
"""

import json
import logging
import sys
import traceback
from typing import Final

from exoproxy.errors import ProxyError
from exoproxy.ops.sink import Sink, descriptor_of
from exoproxy.rules.printable import printable

logger: Final = logging.getLogger("exoproxy.log")

# Exactly these, because kinds of them may quote: their texts are made of names in the code.
_QUOTING_NOTHING: Final = frozenset(
    {
        AssertionError,
        AttributeError,
        ImportError,
        IndexError,
        MemoryError,
        ModuleNotFoundError,
        NameError,
        NotImplementedError,
        RecursionError,
        RuntimeError,
        TypeError,
        UnboundLocalError,
    }
)
# Whose kinds of OSError say an error number, a file's name and a certificate's fault.
_SYSTEM: Final = frozenset({"builtins", "socket", "ssl"})
_NOT_SHOWN: Final = "its text is not shown, because it may quote a secret"

# Exceptions of which one caused the next; they may form a ring.
_LONGEST_CHAIN: Final = 8

# Seconds that the end waits for a slow reader.
_GOODBYE: Final = 1.0


def is_console(log_format: str, sink: Sink) -> bool:
    """Tell whether lines are for a person: `auto` looks whether they go to a terminal."""
    return log_format == "console" or (log_format == "auto" and sink.is_terminal)


def describe(error: BaseException) -> str:
    """Return the tracebacks of an exception and of what it came of, itself last, in lines."""
    chain = [error]
    while len(chain) < _LONGEST_CHAIN:
        last = chain[-1]
        origin = last.__cause__ or (None if last.__suppress_context__ else last.__context__)
        if origin is None:
            break
        chain.append(origin)
    lines: list[str] = []
    for each in reversed(chain):
        lines.append("Traceback (most recent call last):\n")
        lines += traceback.format_tb(each.__traceback__)
        text = str(each) if _quotes_nothing(each) else _NOT_SHOWN
        lines.append(f"{type(each).__qualname__}: {text}\n")
    return "".join(lines).rstrip("\n")


def _quotes_nothing(error: BaseException) -> bool:
    kind = type(error)
    is_system = isinstance(error, OSError) and kind.__module__ in _SYSTEM
    return is_system or kind in _QUOTING_NOTHING or isinstance(error, ProxyError)


def _message(record: logging.LogRecord) -> str:
    """Return the sentence; of asyncio's the first line, as the others show objects at work."""
    message = record.getMessage()
    return message.partition("\n")[0] if record.name == "asyncio" else message


class ConsoleLines(logging.Formatter):
    """A line of prose each, with a traceback below it where there is one."""

    def __init__(self) -> None:
        super().__init__("%(asctime)s %(levelname)s %(message)s")

    def format(self, record: logging.LogRecord) -> str:
        """Return the line, or lines; what they quote from elsewhere moves no cursor."""
        time = self.formatTime(record)
        said = [f"{time} {record.levelname} {_message(record)}".replace("\n", " ")]
        if record.exc_info and record.exc_info[1] is not None:
            said += describe(record.exc_info[1]).splitlines()
        return "\n".join(map(printable, said))


class JsonLines(logging.Formatter):
    """One JSON object a line."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the line."""
        line = {
            "time": self.formatTime(record, "%Y-%m-%dT%H:%M:%S%z"),
            "level": record.levelname,
            "logger": record.name,
            "message": _message(record),
        }
        if record.exc_info and record.exc_info[1] is not None:
            line["exception"] = describe(record.exc_info[1])
        return json.dumps(line, ensure_ascii=True)


class _ToSink(logging.Handler):
    """Hands lines to a sink, which holds nobody up."""

    def __init__(self, sink: Sink) -> None:
        super().__init__()
        self.sink = sink

    def emit(self, record: logging.LogRecord) -> None:
        """Write the line of a record."""
        try:
            text = self.format(record)
        except Exception:
            # `logging` itself would print all arguments.
            place = f"{record.module}, line {record.lineno}"
            text = self.format(_defect(f"A message of {place} can't be written: report it"))
        self.sink.write(f"{text}\n".encode(errors="backslashreplace"))

    def close(self) -> None:
        """Write what is left, as far as a second allows."""
        self.sink.drain(_GOODBYE)
        self.sink.close()
        super().close()


def _defect(sentence: str) -> logging.LogRecord:
    return logging.LogRecord(logger.name, logging.ERROR, __file__, 0, sentence, None, None)


def configure(log_format: str, sink: Sink | None = None) -> None:
    """Send the process's log to standard error, or another sink.

    Called again it changes the form, and what waits in the sink goes on waiting.
    """
    root = logging.getLogger()
    descriptor = descriptor_of(sys.stderr) if sink is None else sink.descriptor
    handler = root.handlers[0] if root.handlers else None
    if not (isinstance(handler, _ToSink) and handler.sink.descriptor == descriptor):
        if isinstance(handler, _ToSink):
            handler.close()
        handler = _ToSink(sink or Sink(descriptor, name="Standard error", tell=logger.warning))
    form = ConsoleLines() if is_console(log_format, handler.sink) else JsonLines()
    handler.setFormatter(form)
    root.handlers[:] = [handler]
    root.setLevel(logging.INFO)
    # asyncio reports at INFO and WARNING what clients do; only its errors are ours.
    logging.getLogger("asyncio").setLevel(logging.ERROR)
    # Of the Cloudflare SDK; a line for each of its requests helps nobody.
    logging.getLogger("httpx").setLevel(logging.WARNING)
