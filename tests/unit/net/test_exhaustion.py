"""What the log says when descriptors or ports run out."""

import errno

import pytest

from exoproxy.net.exhaustion import Exhaustion


@pytest.mark.parametrize(
    ("number", "advice"),
    [
        (errno.EMFILE, "LimitNOFILE="),
        (errno.ENFILE, "fs.file-max"),
        (errno.EADDRNOTAVAIL, "ip_local_port_range"),
        (errno.ENOBUFS, "memory"),
    ],
)
def test_line_says_what_to_do(number: int, advice: str, caplog: pytest.LogCaptureFixture) -> None:
    """The line names the consequence and the setting to change."""
    Exhaustion().report(OSError(number, "text"), "Can't connect")
    (message,) = caplog.messages
    caplog.clear()

    assert message.startswith("Can't connect: ")
    assert advice in message


def test_one_line_a_minute(caplog: pytest.LogCaptureFixture) -> None:
    """However often resources run out, the log gets one line a minute."""
    now = 1000.0
    exhaustion = Exhaustion(clock=lambda: now)
    for now in (1000.0, 1000.1, 1059.9, 1060.0, 1061.0):  # noqa: B007 - the clock reads it
        exhaustion.report(OSError(errno.EMFILE, "text"), "Can't connect")
    lines = len(caplog.messages)
    caplog.clear()

    assert lines == 2


def test_other_errors_are_no_exhaustion() -> None:
    """A refused connection says nothing of our own resources."""
    exhaustion = Exhaustion()
    reasons = [exhaustion.is_reason_of(OSError(n, "")) for n in (errno.EMFILE, errno.ECONNREFUSED)]

    assert reasons == [True, False]
