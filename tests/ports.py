"""Ports for what can't be told to take one of its own choice and say which."""

import itertools
import os
import socket

# Below the range that the kernel takes for outgoing connections (ip_local_port_range begins at
# 32768): there a port that was free a moment ago may be some connection's by now. Each process of
# the tests begins elsewhere.
FIRST, COUNT = 20_000, 12_000
_next = itertools.count(os.getpid() * 37)


def free_port(address: str = "127.0.0.1") -> int:
    """Return a TCP port that nobody uses at that address, and that no later call returns."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    while True:
        port = FIRST + next(_next) % COUNT
        with socket.socket(family) as probe:
            try:
                probe.bind((address, port))
            except OSError:
                continue
            return port
