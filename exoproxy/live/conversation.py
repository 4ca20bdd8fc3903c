"""One GET to an address that was judged before, bounded in time and size.

An HTTP client would resolve names anew, follow redirects and wait for each byte anew. Called by
`system`.
"""

import socket
import time
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Final

from exoproxy.errors import UpstreamAnswer
from exoproxy.live.network import Answer, Question
from exoproxy.net.tls import handshake_failure
from exoproxy.wire.fields import Fields
from exoproxy.wire.head import HeadLimits, ResponseHead, ResponseReader

SECONDS: Final = 5.0  # in all, for a person who waits
_LARGEST: Final = 65_536
_LENGTH: Final = frozenset(b"0123456789")


def get(question: Question, *, seconds: float = SECONDS) -> Answer:
    """Return the answer. Raises OSError, UpstreamTls, UpstreamAnswer."""
    deadline = time.monotonic() + seconds
    address = (str(question.address), question.port)
    with socket.create_connection(address, timeout=seconds) as plain:
        if question.context is None:
            return _ask(plain, question, deadline, tls="")
        # A handshake is several receipts, each of which may take this long.
        plain.settimeout(_left(deadline))
        try:
            secured = question.context.wrap_socket(plain, server_hostname=question.name)
        except TimeoutError:
            raise
        except OSError as error:
            raise handshake_failure(error) from error
        with secured:
            return _ask(secured, question, deadline, tls=secured.version() or "TLS")


def _ask(sock: socket.socket, question: Question, deadline: float, *, tls: str) -> Answer:
    # HTTP/1.0, so that the end of the connection is the end of the content, and nothing is chunked.
    lines = [f"GET {question.path} HTTP/1.0", f"Host: {question.authority}", "Accept: */*"]
    sock.sendall("\r\n".join([*lines, "", ""]).encode("ascii"))
    reader = ResponseReader(HeadLimits(head=_LARGEST))
    head = None
    while head is None:
        data = _receive(sock, deadline)
        if not data:
            raise UpstreamAnswer("The server closed the connection without an answer.")
        head = reader.feed(data)
    content = bytes(reader.rest)
    expected = _length(head.fields)
    while len(content) < expected and (data := _receive(sock, deadline)):
        content += data
    return Answer(status=head.status, content=content[:expected], tls=tls, clock_skew=_skew(head))


def _receive(sock: socket.socket, deadline: float) -> bytes:
    sock.settimeout(_left(deadline))
    return sock.recv(_LARGEST)


def _left(deadline: float) -> float:
    left = deadline - time.monotonic()
    if left <= 0:
        raise TimeoutError("timed out")
    return left


def _length(fields: Fields) -> int:
    """Return how many bytes of content to wait for."""
    value = fields.get(b"content-length")
    if value and len(value) <= 10 and set(value) <= _LENGTH:
        return min(int(value), _LARGEST)
    return _LARGEST


def _skew(head: ResponseHead) -> float | None:
    date = head.fields.get(b"date")
    try:
        theirs = parsedate_to_datetime((date or b"").decode("latin-1"))
        return (datetime.now(UTC) - theirs).total_seconds()
    except (ValueError, TypeError, OverflowError):
        # Not a date, or one without a time zone.
        return None
