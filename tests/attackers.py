"""Many clients that never finish what they begin, in a process of their own, as cheap as can be.

`attack` starts it, and the test says how many of which kind there shall be; whatever the server
closes is opened again. A slow head is a TLS connection whose request gets a byte now and then, a
half-open one says nothing at all after TCP's own handshake. Run as a program, this file is that
process: one selector and no event loop, so that what a test measures beside it is the server's
doing.
"""

import heapq
import itertools
import json
import resource
import select
import selectors
import socket
import ssl
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Final

SERVER: Final = "127.0.0.1"

# Seconds between two bytes of a slow head.
BYTE_EVERY: Final = 5.0
# Seconds of a turn of the process: what it opens is spread evenly over its turns.
TURN: Final = 0.01
# Seconds for all connections to stand.
PATIENCE: Final = 120.0


class Attack:
    """The process, in the hands of a test."""

    def __init__(self, process: "subprocess.Popen[str]") -> None:
        self._process = process

    def want(self, *, slow: int, half_open: int) -> None:
        """Say how many connections of each kind there shall be from now on; none ends all."""
        assert self._process.stdin is not None
        print(json.dumps([slow, half_open]), file=self._process.stdin, flush=True)

    def stands(self) -> None:
        """Wait until there are as many as were wanted last, handshakes and all."""
        assert self._process.stdout is not None
        ready, _, _ = select.select([self._process.stdout], [], [], PATIENCE)

        assert ready, "the attackers' connections did not stand in time"
        assert self._process.stdout.readline() == "standing\n"


@contextmanager
def attack(port: int, addresses: Sequence[str], *, rate: float) -> Iterator[Attack]:
    """Attack a server on loopback from these addresses in turn, with `rate` connections a second.

    The process ends with the block, at the end of its stdin.
    """
    command = [sys.executable, __file__, str(port), str(rate), *addresses]
    with subprocess.Popen(  # noqa: S603 - this very file
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        yield Attack(process)


class Attacker:
    """One connection. `slow`: it speaks TLS and dribbles; `through`: it has begun its request."""

    def __init__(self, sock: socket.socket, *, slow: bool) -> None:
        self.sock = sock
        self.slow = slow
        self.through = not slow


class Crowd:
    """All connections of the process."""

    def __init__(self, port: int, rate: float, addresses: Sequence[str]) -> None:
        self.wanted = [0, 0]
        self._held = [0, 0]
        self._through = 0
        self._port = port
        self._per_turn = rate * TURN
        self._allowed = 0.0
        self._addresses = itertools.cycle(addresses)
        self._selector = selectors.DefaultSelector()
        self._due: list[tuple[float, int, Attacker]] = []
        self._number = itertools.count()
        self._context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        self._context.check_hostname = False
        self._context.verify_mode = ssl.CERT_NONE

    @property
    def stands(self) -> bool:
        """Whether all are there that are wanted."""
        return self._held == self.wanted and self._through == sum(self.wanted)

    def turn(self) -> None:
        """Open what is lacking, dribble what is due, and hear what the server says."""
        now = time.monotonic()
        self._allowed = min(self._allowed, self._per_turn) + self._per_turn
        for kind in (True, False):
            while self._held[kind] < self.wanted[kind] and self._allowed >= 1:
                self._allowed -= 1
                self._open(slow=kind)
        while self._due and self._due[0][0] <= now:
            self._attempt(heapq.heappop(self._due)[2])
        while (left := now + TURN - time.monotonic()) > 0:
            for key, _ in self._selector.select(left):
                self._attempt(key.data)

    def leave(self) -> None:
        """End all connections."""
        for key in list(self._selector.get_map().values()):
            self._end(key.data)
        self._due.clear()

    def _open(self, *, slow: bool) -> None:
        sock = socket.socket()
        sock.bind((next(self._addresses), 0))
        # At once: the kernel answers for the server.
        sock.connect((SERVER, self._port))
        sock.setblocking(False)
        if slow:
            try:
                sock = self._context.wrap_socket(sock, do_handshake_on_connect=False)
            except OSError:  # closed since
                sock.close()
                return
        attacker = Attacker(sock, slow=slow)
        self._held[slow] += 1
        self._through += attacker.through
        self._selector.register(sock, selectors.EVENT_READ, attacker)
        if slow:
            self._attempt(attacker)

    def _attempt(self, attacker: Attacker) -> None:
        """Do what comes next: the handshake, a byte, or to see that the server has closed."""
        sock = attacker.sock
        if sock.fileno() < 0:
            return
        try:
            if isinstance(sock, ssl.SSLSocket):
                self._dribble(attacker, sock)
            if not sock.recv(65536):
                self._end(attacker)
        except (ssl.SSLWantReadError, BlockingIOError):
            pass
        except OSError:
            self._end(attacker)

    def _dribble(self, attacker: Attacker, sock: ssl.SSLSocket) -> None:
        if attacker.through:
            sock.send(b"a")
        else:
            sock.do_handshake()
            sock.send(b"GET / HTTP/1.1\r\nX-Slow: ")
            attacker.through = True
            self._through += 1
        heapq.heappush(self._due, (time.monotonic() + BYTE_EVERY, next(self._number), attacker))

    def _end(self, attacker: Attacker) -> None:
        self._selector.unregister(attacker.sock)
        attacker.sock.close()
        self._held[attacker.slow] -= 1
        self._through -= attacker.through


def main(port: int, rate: float, addresses: Sequence[str]) -> None:
    """Obey each line of stdin, and say when it is done."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    crowd = Crowd(port, rate, addresses)
    told = True
    while True:
        if select.select([sys.stdin], [], [], 0)[0]:
            line = sys.stdin.readline()
            if not line:
                return
            crowd.wanted[True], crowd.wanted[False] = json.loads(line)
            told = False
            if not any(crowd.wanted):
                crowd.leave()
        crowd.turn()
        if crowd.stands and not told:
            told = True
            print("standing", flush=True)


if __name__ == "__main__":
    main(int(sys.argv[1]), float(sys.argv[2]), sys.argv[3:])
