"""Messages as exoproxy writes them, read back by a reader of their own, which knows no leniency.

Used to compare what came out of a wire with what a case expects: `read_message` takes bytes and
returns a `Message`, in which two messages are equal that say the same with other chunk boundaries.
"""

from dataclasses import dataclass

Field = tuple[bytes, bytes]

FRAMING_FIELDS = {b"content-length", b"transfer-encoding"}
# Towards the peer these are written anew; whether there was an upgrade is kept beside the fields.
CONNECTION_FIELDS = {b"connection", b"upgrade"}
NO_CONTENT_STATUSES = (b"1", b"204", b"304")


class NotCanonical(Exception):
    """The bytes are no message that exoproxy may write."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Message:
    """One request or answer.

    `framing` is "none", "length", "chunked" or "close"; `length` what Content-Length says, which
    an answer to HEAD has without the content.
    """

    line: bytes
    fields: tuple[Field, ...] = ()
    framing: str = "none"
    length: int | None = None
    content: bytes = b""
    upgrade: bool = False


def read_message(
    data: bytes, *, bodyless: bool = False, fin: bool = False
) -> tuple[Message, bytes]:
    """Return the first message in `data`, and what follows it.

    `bodyless`: this answers HEAD. `fin`: the connection was closed behind `data`, which is what
    ends an answer without a length. Raises `NotCanonical`.
    """
    head, mark, rest = data.partition(b"\r\n\r\n")
    if not mark:
        raise NotCanonical("the head does not end")
    line, *lines = head.split(b"\r\n")
    pairs = [_field(one) for one in lines]
    named = {name.lower(): value for name, value in pairs}
    if sum(name.lower() in FRAMING_FIELDS for name, _ in pairs) > 1:
        raise NotCanonical("more than one field frames the message")
    length = int(named[b"content-length"]) if b"content-length" in named else None
    is_answer = line.startswith(b"HTTP/")
    if is_answer and (bodyless or line.split(b" ")[1].startswith(NO_CONTENT_STATUSES)):
        framing, content = "none", b""
    elif length is not None:
        framing, content, rest = "length", rest[:length], rest[length:]
        if len(content) < length:
            raise NotCanonical("the content is shorter than its length")
    elif b"transfer-encoding" in named:
        if named[b"transfer-encoding"] != b"chunked":
            raise NotCanonical("another transfer coding than chunked")
        framing, (content, rest) = "chunked", _chunks(rest)
    elif is_answer:
        if not fin:
            raise NotCanonical("nothing ends the content")
        framing, content, rest = "close", rest, b""
    else:
        framing, content = "none", b""
    return (
        Message(
            # The reason may be empty; RFC 9112 section 4 asks for its space all the same.
            line=line.rstrip(b" ") if is_answer else line,
            fields=tuple(
                (name, value)
                for name, value in pairs
                if name.lower() not in FRAMING_FIELDS | CONNECTION_FIELDS
            ),
            framing=framing,
            length=length,
            content=content,
            upgrade=named.get(b"upgrade", b"").lower() == b"websocket",
        ),
        rest,
    )


def read_messages(data: bytes) -> list[Message]:
    """Return the requests of which `data` consists."""
    messages = []
    while data:
        message, data = read_message(data)
        messages.append(message)
    return messages


def _field(line: bytes) -> Field:
    name, mark, value = line.partition(b": ")
    if not mark:
        raise NotCanonical("a line of the head is no field")
    return name, value


def _chunks(data: bytes) -> tuple[bytes, bytes]:
    content = b""
    while True:
        size_line, mark, data = data.partition(b"\r\n")
        if not mark:
            raise NotCanonical("the chunks do not end")
        size = int(size_line, 16)
        if data[size : size + 2] != b"\r\n":
            raise NotCanonical("a chunk does not end where its size says")
        content += data[:size]
        data = data[size + 2 :]
        if size == 0:
            return content, data
