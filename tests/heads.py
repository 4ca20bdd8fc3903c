"""Heads of requests and answers for tests of what is decided about them, read by the real readers.

A head is written as in a transcript: the first line, then one field a line.
"""

from ipaddress import ip_address

from exoproxy.net.listen import Peer
from exoproxy.wire.head import (
    HeadLimits,
    RequestHead,
    RequestReader,
    ResponseHead,
    ResponseReader,
)


def request(line: str, *fields: str) -> RequestHead:
    """Return the head of `request("GET / HTTP/1.1", "Host: a.example.org")`.

    The version may be left out. Raises what the reader raises.
    """
    version = "" if " HTTP/" in line else " HTTP/1.1"
    head = RequestReader(HeadLimits()).feed(_raw(line + version, fields))
    assert head is not None
    return head


def answer(line: str = "HTTP/1.1 200 OK", *fields: str) -> ResponseHead:
    """Return the head of an answer: `answer("HTTP/1.1 200 OK", "ETag: x")`."""
    head = ResponseReader(HeadLimits()).feed(_raw(line, fields))
    assert head is not None
    return head


def peer(
    address: str | None = "192.0.2.7", *, server_name: str | None = None, trusted: bool = False
) -> Peer:
    """Return a client that speaks TLS, perhaps with SNI."""
    return Peer(
        address=None if address is None else ip_address(address),
        port=50000,
        tls=True,
        server_name=server_name,
        trusted=trusted,
    )


def _raw(line: str, fields: tuple[str, ...]) -> bytes:
    return "".join(f"{each}\r\n" for each in (line, *fields, "")).encode("latin-1")
