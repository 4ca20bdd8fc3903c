"""SIGTERM as an exception."""

import os
import signal

import pytest

from exoproxy.ops.stopping import Stopped, stoppable


def test_the_first_signal_raises_and_later_ones_do_not() -> None:
    """What cleans up after the first one is not disturbed by a second, and all is as before."""
    before = signal.getsignal(signal.SIGTERM)
    cleaned = []

    def work() -> None:
        try:
            os.kill(os.getpid(), signal.SIGTERM)
        finally:
            os.kill(os.getpid(), signal.SIGTERM)
            cleaned.append(True)

    with pytest.raises(Stopped), stoppable():
        work()

    assert cleaned == [True]
    assert signal.getsignal(signal.SIGTERM) is before
