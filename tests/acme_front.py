"""What stands between a client and pebble: adds what pebble lacks, and breaks what a test wants.

    with AcmeFront(pebble, authority).running() as front:
        front.profiles = {"shortlived": "six days"}
        front.faults.append(Fault("finalize", cut="after"))
        ...  # front.directory, front.new_orders

It keeps the Host field, so that pebble's URLs and the signatures over them name this front.
"""

import http.client
import json
import socket
import ssl
import threading
from base64 import urlsafe_b64decode
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Literal, Self

from authority import Authority
from pebble import ADDRESS, Pebble

# What pebble calls its resources.
PATHS = {
    "directory": "/dir",
    "newNonce": "/nonce-plz",
    "newAccount": "/sign-me-up",
    "newOrder": "/order-plz",
    "order": "/my-order/",
    "authorization": "/authZ/",
    "challenge": "/chalZ/",
    "finalize": "/finalize-order/",
    "certificate": "/certZ/",
    "renewalInfo": "/renewal-info/",
}
PREFIX = "urn:ietf:params:acme:error:"
HOP_BY_HOP = {"connection", "content-length", "date", "server", "transfer-encoding"}


@dataclass
class Fault:
    """What happens to some requests for a resource (a key of `PATHS`) instead of their answer.

    The first `after` requests pass, the `times` next ones are hit. `cut` ends the connection
    before or after pebble had the request; else the answer is made of the other fields, `error`
    being the name of an ACME error.
    """

    resource: str
    status: int = 400
    error: str = ""
    detail: str = "made up by a test"
    body: bytes = b""
    content_type: str = "application/problem+json"
    fields: Mapping[str, str] = field(default_factory=dict)
    cut: Literal["", "before", "after"] = ""
    after: int = 0
    times: int = 1
    seen: int = 0

    def hits(self, path: str) -> bool:
        """Count a request, and tell whether it is to fail."""
        if not path.startswith(PATHS[self.resource]):
            return False
        self.seen += 1
        return self.after < self.seen <= self.after + self.times

    def content(self) -> bytes:
        """Return what is answered."""
        if not self.error:
            return self.body
        problem = {"type": PREFIX + self.error, "detail": self.detail, "status": self.status}
        return json.dumps(problem).encode()


@dataclass
class Request:
    """A request as it came; `payload` is what its signature covers, None where there is none."""

    method: str
    path: str
    user_agent: str
    payload: Any


class AcmeFront:
    """A TLS server before a pebble. Its fields may be changed at any time."""

    def __init__(self, pebble: Pebble, authority: Authority) -> None:
        self.ca_file = authority.file
        self.faults: list[Fault] = []
        self.requests: list[Request] = []
        # The suggestedWindow that is told of every certificate, in RFC 3339; None: no renewalInfo.
        self.window: tuple[str, str] | None = None
        self.renewal_info: bytes | None = None  # instead of one made of the window
        self.retry_after: str | None = None  # of renewalInfo
        self.profiles: dict[str, str] | None = None
        self.caa_identities: Sequence[str] = ()
        self.date: str | None = None
        self._pebble = pebble
        self._upstream = ssl.create_default_context(cafile=pebble.ca_file)
        front = self

        class Handler(_Handler):
            at = front

        self._server = _Server((ADDRESS, 0), Handler)
        self._server.socket = authority.serve(ADDRESS, "localhost").wrap_socket(
            self._server.socket, server_side=True, do_handshake_on_connect=False
        )

    @property
    def directory(self) -> str:
        """The URL of the directory."""
        return f"{self._origin}{PATHS['directory']}"

    @property
    def new_orders(self) -> list[dict[str, Any]]:
        """What was asked for in orders: identifiers, profile, replaces."""
        return self.payloads("newOrder")

    def payloads(self, resource: str) -> list[dict[str, Any]]:
        """Return what was sent to a resource, requests that only read left out."""
        return [
            request.payload
            for request in self.requests
            if request.path.startswith(PATHS[resource]) and request.payload is not None
        ]

    def paths(self, resource: str) -> list[str]:
        """Return the paths of all requests for a resource."""
        return [each.path for each in self.requests if each.path.startswith(PATHS[resource])]

    @contextmanager
    def running(self) -> Iterator[Self]:
        """Serve until the block is left."""
        thread = threading.Thread(target=self._server.serve_forever, args=(0.02,))
        thread.start()
        try:
            yield self
        finally:
            self._server.shutdown()
            thread.join()
            self._server.server_close()

    @property
    def _origin(self) -> str:
        return f"https://{ADDRESS}:{self._server.server_port}"

    def fault(self, path: str) -> Fault | None:
        """Return what is to go wrong with this request; every fault counts it."""
        hit = [fault for fault in self.faults if fault.hits(path)]
        return hit[0] if hit else None

    def forward(
        self, method: str, path: str, fields: Mapping[str, str], content: bytes
    ) -> tuple[int, dict[str, str], bytes]:
        """Return what pebble answers, with what it lacks."""
        if path.startswith(PATHS["renewalInfo"]):
            return self._renewal_info()
        connection = http.client.HTTPSConnection(
            *self._pebble.address, timeout=20, context=self._upstream
        )
        with closing(connection):
            connection.request(method, path, content or None, dict(fields))
            answer = connection.getresponse()
            body = answer.read()
            headers = {k: v for k, v in answer.getheaders() if k.lower() not in HOP_BY_HOP}
        if path == PATHS["directory"]:
            body = self._enriched(json.loads(body))
        return answer.status, headers, body

    def _enriched(self, directory: dict[str, Any]) -> bytes:
        if self.window is not None or self.renewal_info is not None:
            directory["renewalInfo"] = self._origin + PATHS["renewalInfo"].rstrip("/")
        if self.profiles is not None:
            directory["meta"]["profiles"] = self.profiles
        if self.caa_identities:
            directory["meta"]["caaIdentities"] = list(self.caa_identities)
        return json.dumps(directory).encode()

    def _renewal_info(self) -> tuple[int, dict[str, str], bytes]:
        fields = {"Content-Type": "application/json"}
        if self.retry_after is not None:
            fields["Retry-After"] = self.retry_after
        if self.renewal_info is not None:
            return 200, fields, self.renewal_info
        assert self.window is not None
        start, end = self.window
        return 200, fields, json.dumps({"suggestedWindow": {"start": start, "end": end}}).encode()


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Say nothing of clients that leave, or do not trust this server."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    wbufsize = -1  # head and content leave together
    disable_nagle_algorithm = True
    timeout = 20
    at: AcmeFront

    def do_GET(self) -> None:
        content = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        self.at.requests.append(
            Request(
                method=self.command,
                path=self.path,
                user_agent=self.headers.get("User-Agent", ""),
                payload=_payload(content),
            )
        )
        fault = self.at.fault(self.path)
        if fault and fault.cut == "before":
            self._cut()
            return
        if fault and not fault.cut:
            headers = {"Content-Type": fault.content_type, **fault.fields}
            self._answer(fault.status, headers, fault.content())
            return
        kept = {k: v for k, v in self.headers.items() if k.lower() != "connection"}
        status, headers, body = self.at.forward(self.command, self.path, kept, content)
        if fault:
            self._cut()
            return
        self._answer(status, headers, body)

    do_HEAD = do_POST = do_GET

    def _answer(self, status: int, fields: Mapping[str, str], body: bytes) -> None:
        self.send_response_only(status)
        for name, value in fields.items():
            self.send_header(name, value)
        self.send_header("Date", self.at.date or self.date_time_string())
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def _cut(self) -> None:
        self.close_connection = True
        with suppress(OSError):
            self.connection.shutdown(socket.SHUT_RDWR)

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing: tests read requests."""


def _payload(content: bytes) -> Any:
    """Return what a JWS signs; None for an empty payload (POST-as-GET) or no JWS."""
    if not content:
        return None
    payload = json.loads(content).get("payload", "")
    return json.loads(urlsafe_b64decode(payload + "=" * (-len(payload) % 4))) if payload else None
