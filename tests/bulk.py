"""Peers that move gigabytes: blocking sockets in threads, which leave Python's lock for the work.

What goes through is the same endless pattern every time, known by length and checksum at its end.
"""

import socket
import ssl
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager

from isal.isal_zlib import crc32

# No multiple of anything that a buffer or a TLS record holds.
BLOCK = bytes(range(251)) * 2089
BUFFER = 2**20
PATIENCE = 120.0


def checksum(size: int) -> int:
    """Return what `take` returns for the first `size` bytes of the pattern."""
    check = 0
    for _ in range(size // len(BLOCK)):
        check = crc32(BLOCK, check)
    return crc32(BLOCK[: size % len(BLOCK)], check)


class Line:
    """A connection that blocks."""

    def __init__(self, sock: socket.socket) -> None:
        sock.settimeout(PATIENCE)
        self.socket = sock
        self._buffer = memoryview(bytearray(BUFFER))
        self._block = memoryview(BLOCK)
        self._given = 0

    def head(self) -> bytes:
        """Return the next head, its empty line included."""
        head = b""
        while not head.endswith(b"\r\n\r\n"):
            byte = self.socket.recv(1)
            if not byte:
                raise EOFError(f"the connection ended within a head: {head!r}")
            head += byte
        return head

    def give(self, size: int, *, within: float = PATIENCE) -> int:
        """Send until `size` bytes have been sent in all, or none is taken for `within` seconds.

        Returns how many have been sent in all.
        """
        self.socket.settimeout(within)
        while self._given < size:
            at = self._given % len(BLOCK)
            try:
                self._given += self.socket.send(self._block[at : at + size - self._given])
            except TimeoutError:
                break
        return self._given

    def take(self, size: int) -> int:
        """Receive so many bytes; return their checksum."""
        check, left = 0, size
        while left:
            count = self.socket.recv_into(self._buffer[:left])
            if not count:
                raise EOFError(f"the connection ended {left} bytes early")
            check = crc32(self._buffer[:count], check)
            left -= count
        return check

    def close(self) -> None:
        """End the connection."""
        self.socket.close()


class BulkUpstream:
    """A listening socket, and a thread that serves one connection at a time."""

    def __init__(self, address: str, context: ssl.SSLContext | None) -> None:
        self._context = context
        self._listener = socket.create_server((address, 0))
        self._listener.settimeout(PATIENCE)
        self._thread = ThreadPoolExecutor(1)
        self.port: int = self._listener.getsockname()[1]

    def serve(self, scene: Callable[[Line], int]) -> Future[int]:
        """Play a scene with the next connection; return its result to come."""
        return self._thread.submit(self._serve, scene)

    def _serve(self, scene: Callable[[Line], int]) -> int:
        sock, _ = self._listener.accept()
        if self._context is not None:
            sock = self._context.wrap_socket(sock, server_side=True)
        with sock:
            return scene(Line(sock))

    def close(self) -> None:
        """Listen no more, and wait for the scene under way."""
        self._listener.close()
        self._thread.shutdown()


@contextmanager
def bulk_upstream(address: str, context: ssl.SSLContext | None = None) -> Iterator[BulkUpstream]:
    """Listen at an address, with TLS if there is a context."""
    upstream = BulkUpstream(address, context)
    try:
        yield upstream
    finally:
        upstream.close()


@contextmanager
def bulk_client(port: int, name: str, context: ssl.SSLContext) -> Iterator[Line]:
    """Connect to 127.0.0.1 over TLS."""
    with (
        socket.create_connection(("127.0.0.1", port), PATIENCE) as sock,
        context.wrap_socket(sock, server_hostname=name) as tls,
    ):
        yield Line(tls)
