"""What the log says when the process or the host runs out of descriptors or ports.

Called by `listen` and `dial`, which both meet it once per connection: one line a minute is enough.
"""

import errno
import logging
import time
from collections.abc import Callable
from typing import Final

_log = logging.getLogger(__name__)

_ADVICE: Final = {
    errno.EMFILE: "this process may open no more files; raise LimitNOFILE= of its systemd unit",
    errno.ENFILE: "this host may open no more files; raise the sysctl fs.file-max",
    errno.ENOBUFS: "the kernel has no memory for sockets; look at the host's free memory",
    errno.ENOMEM: "the kernel has no memory for sockets; look at the host's free memory",
    errno.EADDRNOTAVAIL: "no local port is free; widen the sysctl net.ipv4.ip_local_port_range",
}


class Exhaustion:
    """Recognises exhausted resources and reports them, at most once a minute."""

    def __init__(self, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._quiet_until = float("-inf")

    def is_reason_of(self, error: OSError) -> bool:
        """Whether the error says that something of ours has run out."""
        return error.errno in _ADVICE

    def report(self, error: OSError, consequence: str) -> None:
        """Log `consequence` ("not accepting connections") with its cause and what to do."""
        now = self._clock()
        if now < self._quiet_until:
            return
        self._quiet_until = now + 60
        advice = _ADVICE.get(error.errno or 0, error.strerror or "the kernel gives no reason")
        _log.error("%s: %s", consequence, advice)
