"""Signals that come too early."""

import signal
import threading
from types import FrameType

from exoproxy.service.signals import RELOADS, heard, held_back


def test_signals_wait() -> None:
    """One that came before anybody listened is heard when somebody does."""
    came: list[int] = []

    def note(number: int, _frame: FrameType | None) -> None:
        came.append(number)

    before = signal.signal(RELOADS, signal.SIG_DFL)
    try:
        with held_back():
            # To this thread alone: others, of earlier tests, hold nothing back.
            signal.pthread_kill(threading.get_ident(), RELOADS)
            signal.signal(RELOADS, note)
            early = list(came)
            heard(RELOADS)
            late = list(came)
    finally:
        signal.signal(RELOADS, before)

    assert (early, late) == ([], [RELOADS])
    assert RELOADS not in signal.pthread_sigmask(signal.SIG_BLOCK, [])
