"""Is this an upgrade to a websocket? And where do its frames end? (RFC 9110 section 7.8, RFC 6455)

The handshake itself crosses the proxy as it is: the two ends judge key, version and subprotocol.
Frames are never decoded; `FrameTracker` only follows their lengths, so that a Close frame of our
own can be put between two of them when the process has to end.
"""

from typing import Final

from exoproxy.wire.fields import Fields
from exoproxy.wire.framing import Framing, Kind
from exoproxy.wire.head import RequestHead, ResponseHead

WEBSOCKET: Final = b"websocket"
# RFC 6455 section 7.4.1: the endpoint is going away.
GOING_AWAY: Final = 1001
CLOSE_OPCODE: Final = 0x8
# Frames in what one read gives (256 KiB at most), 2 ms to follow. More are not a conversation.
MAX_FRAMES: Final = 4096


def asks_for_websocket(head: RequestHead, framing: Framing) -> bool:
    """Return whether a request is a websocket handshake that is to be forwarded as one.

    Any other upgrade (h2c above all) is not: its fields are hop-by-hop and stay here, and the
    request goes on as a plain one.
    """
    return (
        b"upgrade" in head.fields
        and head.method == b"GET"
        and head.minor == 1
        and framing.kind is Kind.NONE
        and _names_websocket(head.fields)
    )


def agrees_to_websocket(head: ResponseHead) -> bool:
    """Return whether a 101 switches to the protocol that was asked for."""
    return _names_websocket(head.fields)


def _names_websocket(fields: Fields) -> bool:
    upgrade = fields.all(b"upgrade")
    return (
        len(upgrade) == 1
        and upgrade[0].lower() == WEBSOCKET
        and b"upgrade" in fields.tokens(b"connection")
    )


class FrameTracker:
    """Follows the frames of one direction of a websocket.

    `closing`: a Close frame has begun, after which its sender may send nothing more (RFC 6455
    section 5.5.1). A sender of many tiny frames at once is followed no longer: `lost`.
    """

    __slots__ = ("_header", "_left", "closing", "lost")

    def __init__(self) -> None:
        self._left = 0
        self._header = b""
        self.closing = False
        self.lost = False

    @property
    def at_boundary(self) -> bool:
        """Whether the bytes so far end with the end of a frame."""
        return self._left == 0 and not self._header and not self.lost

    def feed(self, data: bytes) -> None:
        """Take the next bytes of the direction."""
        if self._left > len(data):
            self._left -= len(data)
            return
        if self.lost:
            return
        at = self._left
        self._left = 0
        if self._header:
            data, at, self._header = self._header + data, 0, b""
        size = len(data)
        frames = 0
        while at < size:
            frames += 1
            if frames > MAX_FRAMES:
                self.lost = True
                return
            end = self._frame_end(data, at)
            if end is None:
                self._header = data[at:]
                return
            if data[at] & 0x0F == CLOSE_OPCODE:
                self.closing = True
            at = end
        self._left = at - size

    def until_boundary(self, data: bytes) -> int | None:
        """Return how many of the next bytes belong to the frame under way; None: all, and more."""
        if self.lost:
            return None
        if self._left:
            end = self._left
        else:
            header = self._header + data
            whole = self._frame_end(header, 0)
            if whole is None:
                return None
            end = whole - len(self._header)
        return end if end <= len(data) else None

    @staticmethod
    def _frame_end(data: bytes, at: int) -> int | None:
        """Return where the frame that begins at `at` ends, or None if its header isn't whole."""
        if len(data) - at < 2:
            return None
        second = data[at + 1]
        length, header = second & 0x7F, 2
        if length >= 126:
            extra = 2 if length == 126 else 8
            header += extra
            if len(data) - at < header:
                return None
            length = int.from_bytes(data[at + 2 : at + header])
        return at + header + length + (4 if second & 0x80 else 0)


def close_frame(code: int = GOING_AWAY, *, mask: bytes | None = None) -> bytes:
    """Return a Close frame; towards a server `mask` is four random bytes (RFC 6455 section 5.3)."""
    payload = code.to_bytes(2)
    if mask is None:
        return bytes([0x80 | CLOSE_OPCODE, len(payload)]) + payload
    masked = bytes(byte ^ mask[i % 4] for i, byte in enumerate(payload))
    return bytes([0x80 | CLOSE_OPCODE, 0x80 | len(payload)]) + mask + masked
