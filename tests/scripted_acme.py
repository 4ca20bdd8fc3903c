"""An ACME server that says what a test tells it to: for answers that no real one gives."""

import json
import ssl
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any

ADDRESS = "127.0.0.1"


@dataclass(frozen=True, slots=True, kw_only=True)
class Said:
    """One answer. `content` is bytes as they are, or anything else as JSON.

    With a `pause`, in seconds, there is one before each of its bytes.
    """

    content: Any = b""
    status: int = 200
    content_type: str = "application/json"
    fields: Mapping[str, str] = field(default_factory=dict)
    pause: float = 0.0

    def body(self) -> bytes:
        """Return the content as bytes."""
        content = self.content
        return content if isinstance(content, bytes) else json.dumps(content).encode()


class ScriptedAcme:
    """Answers each path as `answers` says; a list is used up one by one, its last one stays."""

    def __init__(self, origin: str) -> None:
        self.origin = origin
        self.directory = f"{origin}/directory"
        self.answers: dict[str, Said | list[Said]] = {
            "/directory": Said(content=self.offer()),
            "/nonce": Said(fields={"Replay-Nonce": "AAAA"}),
        }
        self.paths: list[str] = []

    def offer(self, **additions: Any) -> dict[str, Any]:
        """Return a directory, as JSON."""
        found = {
            "newNonce": f"{self.origin}/nonce",
            "newAccount": f"{self.origin}/account",
            "newOrder": f"{self.origin}/order",
        }
        return found | additions

    def answer(self, path: str) -> Said:
        """Return the next answer for a path."""
        self.paths.append(path)
        said = self.answers.get(path, Said(status=404, content_type="text/html"))
        if isinstance(said, Said):
            return said
        return said.pop(0) if len(said) > 1 else said[0]


@contextmanager
def scripted_acme(context: ssl.SSLContext) -> Iterator[ScriptedAcme]:
    """Serve at `ADDRESS`, with a context for it, until the block is left."""

    class Handler(BaseHTTPRequestHandler):
        wbufsize = -1
        timeout = 20

        def do_GET(self) -> None:
            self.rfile.read(int(self.headers.get("Content-Length", 0)))
            said = acme.answer(self.path)
            body = said.body()
            self.send_response_only(said.status)
            fields = {"Replay-Nonce": "AAAA", "Content-Length": str(len(body)), **said.fields}
            for name, value in {"Content-Type": said.content_type, **fields}.items():
                self.send_header(name, value)
            self.end_headers()
            if self.command != "HEAD":
                for piece in (body[i : i + 1] for i in range(len(body))) if said.pause else [body]:
                    self.wfile.flush()
                    time.sleep(said.pause)
                    self.wfile.write(piece)

        do_HEAD = do_POST = do_GET

        def log_message(self, format: str, *args: object) -> None:
            """Say nothing."""

    class Server(ThreadingHTTPServer):
        daemon_threads = True

        def handle_error(self, request: Any, client_address: Any) -> None:
            """Say nothing of clients that don't trust this server, or have heard enough."""

    with Server((ADDRESS, 0), Handler) as server:
        acme = ScriptedAcme(f"https://{ADDRESS}:{server.server_port}")
        server.socket = context.wrap_socket(
            server.socket, server_side=True, do_handshake_on_connect=False
        )
        thread = Thread(target=server.serve_forever, args=(0.02,))
        thread.start()
        try:
            yield acme
        finally:
            server.shutdown()
            thread.join()
