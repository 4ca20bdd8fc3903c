"""One GET, with servers on loopback that answer as they please."""

import socket
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from ipaddress import ip_address
from pathlib import Path
from threading import Thread

import pytest

from authority import Authority
from exoproxy.errors import UpstreamAnswer, UpstreamCertificate, UpstreamTls
from exoproxy.live.conversation import get
from exoproxy.live.network import Question
from exoproxy.net.tls import verifying_context

HEAD = b"HTTP/1.1 300 Multiple Choices\r\n"


@contextmanager
def serving(talk: Callable[[socket.socket], None]) -> Iterator[int]:
    """Let one connection be talked to; gives the port."""
    with socket.create_server(("127.0.0.1", 0)) as server:

        def accept() -> None:
            peer, _ = server.accept()
            with peer:
                peer.settimeout(10)
                with suppress(OSError):  # the client has left, as it should
                    talk(peer)

        thread = Thread(target=accept)
        thread.start()
        yield server.getsockname()[1]
        thread.join()


def question(port: int, **changes: object) -> Question:
    values: dict[str, object] = {"name": "localhost", "authority": "localhost:1", "context": None}
    values |= changes
    return Question(address=ip_address("127.0.0.1"), port=port, **values)  # type: ignore[arg-type]


def answering(content: bytes, heard: list[bytes] | None = None) -> Callable[[socket.socket], None]:
    def talk(peer: socket.socket) -> None:
        request = peer.recv(65536)
        if heard is not None:
            heard.append(request)
        peer.sendall(content)

    return talk


def test_asks_for_the_path_of_the_host() -> None:
    """In HTTP/1.0, so that the content ends with the connection."""
    heard: list[bytes] = []
    with serving(answering(HEAD + b"\r\n{}", heard)) as port:
        answer = get(question(port, path="/v3"))

    assert heard == [b"GET /v3 HTTP/1.0\r\nHost: localhost:1\r\nAccept: */*\r\n\r\n"]
    assert (answer.status, answer.content, answer.tls) == (300, b"{}", "")
    assert answer.clock_skew is None


@pytest.mark.parametrize(
    ("date", "skew"),
    [
        (b"Sun, 06 Nov 1994 08:49:37 GMT", True),
        (b"yesterday", False),
        (b"Sun, 06 Nov 1994 08:49:37 -0000", False),
        (b"Sun, 06 Nov 99999 08:49:37 +9999", False),
    ],
)
def test_compares_the_clocks(date: bytes, skew: bool) -> None:
    """By the answer's Date, if it is one."""
    with serving(answering(HEAD + b"Date: " + date + b"\r\n\r\n")) as port:
        answer = get(question(port))

    assert (answer.clock_skew is not None and answer.clock_skew > 1e9) == skew


def test_does_not_wait_for_more_than_the_length() -> None:
    """A server that keeps the connection open is done when it has said all."""

    def talk(peer: socket.socket) -> None:
        answering(HEAD + b"Content-Length: 2\r\n\r\n{}...")(peer)
        peer.recv(1)

    started = time.monotonic()
    with serving(talk) as port:
        answer = get(question(port))

    assert answer.content == b"{}"
    assert time.monotonic() - started < 4


def test_a_content_is_bounded() -> None:
    """64 KiB are enough of anything."""
    with serving(answering(HEAD + b"Content-Length: 99999999\r\n\r\n" + b"x" * 300_000)) as port:
        answer = get(question(port))

    assert len(answer.content) == 65_536


def test_the_time_is_bounded_as_a_whole() -> None:
    """A byte now and then does not prolong it."""

    def drip(peer: socket.socket) -> None:
        for byte in HEAD * 100:
            peer.sendall(bytes([byte]))
            time.sleep(0.02)

    started = time.monotonic()
    with serving(drip) as port, pytest.raises(TimeoutError):
        get(question(port), seconds=0.2)

    assert time.monotonic() - started < 4


@pytest.mark.parametrize("content", [b"", b"SSH-2.0-OpenSSH\r\n", HEAD[:9]])
def test_what_is_no_http_is_told(content: bytes) -> None:
    """Another protocol, or none."""
    with serving(answering(content)) as port, pytest.raises(UpstreamAnswer):
        get(question(port))


def test_speaks_tls_for_the_name(tmp_path: Path) -> None:
    """The certificate has to be valid for it, and TLS to be spoken at all."""
    signer = Authority(tmp_path)
    context = verifying_context(signer.file)

    def talk(peer: socket.socket) -> None:
        with signer.serve("localhost").wrap_socket(peer, server_side=True) as secured:
            answering(HEAD + b"\r\n")(secured)

    with serving(talk) as port:
        assert get(question(port, context=context)).tls == "TLSv1.3"
    with serving(talk) as port, pytest.raises(UpstreamCertificate):
        get(question(port, name="other.example", context=context))
    with (
        serving(answering(b"HTTP/1.1 400 Bad Request\r\n\r\n")) as port,
        pytest.raises(UpstreamTls),
    ):
        get(question(port, context=context))


def test_nobody_there_is_an_os_error() -> None:
    """The caller says what that means."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    with pytest.raises(ConnectionRefusedError):
        get(question(port))
