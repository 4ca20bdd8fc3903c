"""The process's own log: prose for people on a terminal, JSON lines for machines elsewhere."""

import json
import logging
import sys
from typing import TextIO

from exoproxy.rules.printable import printable


def is_console(log_format: str, stream: TextIO) -> bool:
    """Tell whether lines are for a person: `auto` looks whether the stream is a terminal."""
    return log_format == "console" or (log_format == "auto" and stream.isatty())


class ConsoleLines(logging.Formatter):
    """A line of prose each, with a traceback below it where there is one."""

    def __init__(self) -> None:
        super().__init__("%(asctime)s %(levelname)s %(message)s")

    def formatMessage(self, record: logging.LogRecord) -> str:
        """Return the line; what messages quote from elsewhere moves no cursor."""
        return printable(super().formatMessage(record).replace("\n", " "))


class JsonLines(logging.Formatter):
    """One JSON object a line."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the line."""
        line = {
            "time": self.formatTime(record, "%Y-%m-%dT%H:%M:%S%z"),
            "level": record.levelname,
            "logger": record.name,
            "message": record.getMessage(),
        }
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        return json.dumps(line, ensure_ascii=True)


def configure(log_format: str, stream: TextIO = sys.stderr) -> None:
    """Send the process's log to `stream`."""
    handler = logging.StreamHandler(stream)
    if is_console(log_format, stream):
        handler.setFormatter(ConsoleLines())
    else:
        handler.setFormatter(JsonLines())
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(logging.INFO)
    # asyncio reports at INFO and WARNING what clients do; only its errors are ours.
    logging.getLogger("asyncio").setLevel(logging.ERROR)
    # Of the Cloudflare SDK; a line for each of its requests helps nobody.
    logging.getLogger("httpx").setLevel(logging.WARNING)
