"""Signals as an exception, for commands that have something to clean up."""

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Final

# What ends a service, and what comes when an operator's connection breaks.
_STOPS: Final = (signal.SIGTERM, signal.SIGHUP)


class Stopped(BaseException):
    """A signal came. No `Exception`, so that no library takes it for a failed request."""

    def __init__(self, number: int) -> None:
        super().__init__(number)
        self.code = 128 + number
        """The shell's code for a process that the signal has ended."""


@contextmanager
def stoppable() -> Iterator[None]:
    """Let the first signal raise `Stopped`, wherever it arrives, and later ones do nothing."""

    def stop(number: int, _frame: FrameType | None) -> None:
        for each in _STOPS:
            signal.signal(each, signal.SIG_IGN)
        raise Stopped(number)

    # What nohup has switched off stays so.
    heard = [each for each in _STOPS if signal.getsignal(each) != signal.SIG_IGN]
    before = {each: signal.signal(each, stop) for each in heard}
    try:
        yield
    finally:
        for each, handler in before.items():
            signal.signal(each, handler)
