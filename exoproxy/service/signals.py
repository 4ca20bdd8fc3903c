"""Which signals a life hears, and that none is lost, or fatal, before it listens.

SIGHUP and SIGUSR2 would end a process that has no handler for them yet. They wait in the kernel
until the process serves, and those that end it until there is an event loop to end.
"""

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

ENDS: Final = (signal.SIGTERM, signal.SIGINT)
RELOADS: Final = signal.SIGHUP
HANDS_OVER: Final = signal.SIGUSR2


@contextmanager
def held_back() -> Iterator[None]:
    """Let these signals wait in the block, until `heard` says which of them need not."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {*ENDS, RELOADS, HANDS_OVER})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def heard(*numbers: signal.Signals) -> None:
    """Let signals come in that have a handler by now."""
    signal.pthread_sigmask(signal.SIG_UNBLOCK, numbers)
