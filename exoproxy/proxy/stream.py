"""The two sides of a request, as each sees the other. Interfaces only.

`ClientStream` is a request's way back to the client: `proxy.inbound` is the one of HTTP/1.1, and
another kind of client connection can be put beside it. `Responder` is what answers: an
`proxy.exchange` with an upstream, or a file.
"""

import asyncio
from collections.abc import Callable
from typing import NamedTuple, Protocol

from exoproxy.errors import ProxyError
from exoproxy.wire.fields import Field
from exoproxy.wire.framing import Framing


class ClientStream(Protocol):
    """Takes one answer. Every method may be called after the client has left; nothing happens."""

    def interim(self, status: int, fields: list[Field]) -> None:
        """Send a 1xx head, where the client's protocol knows it."""

    def answer(
        self, status: int, reason: bytes, fields: list[Field], framing: Framing, content: bytes
    ) -> None:
        """Send the head with the first content.

        `framing` says how the content's end is known beforehand: the stream chooses its own
        framing from it. `Kind.NONE`: there is no content, and `fields` are complete.
        """

    def content(self, content: bytes) -> None:
        """Send more content."""

    def end(self) -> None:
        """Say that the content is complete."""

    def fail(self, error: ProxyError) -> None:
        """Answer with the error; once a head was sent, break off so that the client sees it."""

    def switch(self, fields: list[Field]) -> "Switched":
        """Send a 101 and give the connection away."""

    def pause_request(self) -> None:
        """Let the client wait with its content."""

    def resume_request(self) -> None:
        """Take content again."""


class Switched(NamedTuple):
    """A client's connection after the 101.

    `early` are bytes that came after the handshake; `release` is to be called at the end.
    """

    transport: asyncio.Transport
    early: bytes
    release: Callable[[], None]


class Responder(Protocol):
    """Answers one request."""

    def request_content(self, content: bytes, done: bool) -> None:
        """Take content of the request."""

    def pause_response(self) -> None:
        """Stop for a while: the client doesn't take the answer fast enough."""

    def resume_response(self) -> None:
        """Go on."""

    def client_gone(self) -> None:
        """Stop for good and let go of everything."""
