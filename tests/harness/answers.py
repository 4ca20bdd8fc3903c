"""What a client of the proxy got, as messages."""

from collections.abc import Sequence
from dataclasses import replace

from harness.peer import Peer
from messages import Message, NotCanonical, read_message


def is_head(request: bytes) -> bool:
    """Return whether the answer to a request has no content."""
    return request.startswith(b"HEAD ")


def answers_in(peer: Peer, requests: Sequence[bytes] = ()) -> tuple[list[Message], bytes]:
    """Return the answers that came, interim ones too, and the bytes that are no answer yet.

    `requests` are what is answered, in their order; only those to HEAD need to be told.
    """
    found: list[Message] = []
    rest, waiting = peer.received, list(requests)
    while rest:
        bodyless = bool(waiting) and is_head(waiting[0])
        try:
            message, rest = read_message(rest, bodyless=bodyless, fin=peer.ended == "clean")
        except NotCanonical:
            break
        found.append(message)
        if not message.line.startswith(b"HTTP/1.1 1"):
            del waiting[:1]
    return found, rest


def finals_in(peer: Peer) -> list[Message]:
    """Return the final answers that are complete."""
    return [one for one in answers_in(peer)[0] if not one.line.startswith(b"HTTP/1.1 1")]


def as_content(message: Message) -> Message:
    """Leave out how an answer's content is framed: the proxy frames it as suits the client."""
    if message.framing == "none":
        return message
    return replace(message, framing="any", length=None)


def problem_in(data: bytes) -> tuple[int, str, bool]:
    """Return status, code and whether the connection is to be closed, of an answer of our own."""
    message, rest = read_message(data)
    fields = {name.lower(): value for name, value in message.fields}

    assert rest == b""
    assert b"CANARY" not in data
    head = data.partition(b"\r\n\r\n")[0].lower()
    code = fields.get(b"x-exoproxy-error", b"").decode()
    return int(message.line.split(b" ")[1]), code, b"\r\nconnection: close" in head
