"""Bytes between two transports: as they come, with back-pressure, half-close and reset passed on.

A `PipeEnd` is the protocol of one of the two transports. What is not here: what the bytes mean;
`proxy.tunnel` watches frames through the `passed` hook.
"""

import asyncio
import contextlib
import errno
import socket
import struct
from collections.abc import Callable
from typing import Final

# Aborting with this option set sends RST instead of FIN, and the peer can't take what it got for
# the whole (RFC 9112 section 9.8 leaves nothing else for content that ends with the connection).
NO_LINGER: Final = struct.pack("ii", 1, 0)


def reset(transport: asyncio.Transport) -> None:
    """End a connection with RST: the peer sees that something broke off."""
    # A closing transport may have closed its descriptor, and its number may be another's by now.
    connection = None if transport.is_closing() else transport.get_extra_info("socket")
    if connection is not None:
        with contextlib.suppress(OSError):  # closed by the peer already
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, NO_LINGER)
    transport.abort()


class PipeEnd(asyncio.Protocol):
    """One end of a tunnel; what arrives here is written to `other`'s transport.

    `passed(data)` is called for what was read and returns what to write, `ended` once when this
    end's connection is lost, `half_closed` when it will send nothing more but still listens.
    """

    __slots__ = ("_ended", "_half_closed", "_passed", "other", "received_eof", "transport")

    def __init__(
        self,
        transport: asyncio.Transport,
        passed: Callable[[bytes], bytes],
        *,
        half_closed: Callable[[], None],
        ended: Callable[[], None],
    ) -> None:
        self.transport = transport
        self.other: PipeEnd = self
        self.received_eof = False
        self._passed = passed
        self._half_closed = half_closed
        self._ended = ended

    def data_received(self, data: bytes) -> None:
        """Pass bytes on at once."""
        out = self._passed(data)
        target = self.other.transport
        if out and not target.is_closing():
            target.write(out)

    def pause_writing(self) -> None:
        """Stop the other side: this one doesn't take its bytes fast enough."""
        with contextlib.suppress(RuntimeError):  # closing
            self.other.transport.pause_reading()

    def resume_writing(self) -> None:
        """Let the other side go on."""
        with contextlib.suppress(RuntimeError):  # closing
            self.other.transport.resume_reading()

    def eof_received(self) -> bool:
        """Pass a half-close on; return whether this side may still be written to."""
        self.received_eof = True
        target = self.other.transport
        if target.is_closing():
            return False
        if self.other.received_eof or not target.can_write_eof():
            # Both directions are done; or the target speaks TLS, which asyncio can't half-close.
            target.close()
            return False
        target.write_eof()
        self._half_closed()
        return True

    def connection_lost(self, exc: Exception | None) -> None:
        """End the other side in the same manner: RST for RST, else what is buffered and FIN."""
        target = self.other.transport
        if not target.is_closing():
            if isinstance(exc, OSError) and exc.errno in RESETS:
                reset(target)
            else:
                target.close()
        self._ended()


RESETS: Final = frozenset({errno.ECONNRESET, errno.EPIPE, errno.ETIMEDOUT, errno.ECONNABORTED})
