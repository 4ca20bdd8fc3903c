"""Asking a process for its status, and whatever may answer there instead."""

import json
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Any

import pytest

import status_sample
from exoproxy import status
from exoproxy.settings.addresses import ListenAddress
from exoproxy.status import Silent, Target, Unusable, ask
from ports import free_port

MAIN = (None,)
Serve = Callable[..., Target]


def answer(
    content: bytes, *fields: str, line: str = "200 OK", kind: str = "application/json"
) -> bytes:
    head = [f"HTTP/1.1 {line}", f"Content-Type: {kind}", f"Content-Length: {len(content)}", *fields]
    return "\r\n".join([*head, "", ""]).encode() + content


def of(value: Any) -> bytes:
    return answer(json.dumps(value).encode())


@pytest.fixture
def heard() -> list[bytes]:
    """What was asked."""
    return []


@pytest.fixture
def serve(heard: list[bytes]) -> Iterator[Serve]:
    """Return a function that lets something answer one request, in pieces with pauses between."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        threads = []

        def start(*pieces: bytes, pause: float = 0.0, sites: Any = MAIN) -> Target:
            def converse() -> None:
                sock, _ = listener.accept()
                with sock, suppress(OSError):
                    heard.append(sock.recv(65536))
                    for piece in pieces:
                        sock.sendall(piece)
                        time.sleep(pause)

            threads.append(threading.Thread(target=converse))
            threads[-1].start()
            listen = ListenAddress.parse(f"127.0.0.1:{listener.getsockname()[1]}")
            return Target(listen=listen, sites=sites)

        yield start
        for thread in threads:
            thread.join(20)

            assert not thread.is_alive()


def test_asks_and_reads(serve: Serve, heard: list[bytes]) -> None:
    """The status comes as it was sent, and as a value."""
    value = {**status_sample.busy(), "unknown": 1}
    content, known = ask(serve(of(value)))

    assert json.loads(content) == known == value
    assert heard[0].startswith(b"GET /status.json HTTP/1.1\r\nHost: 127.0.0.1:")


def test_answer_without_a_length(serve: Serve) -> None:
    """The end of the connection may be that of the answer."""
    content = json.dumps(status_sample.fresh()).encode()
    head = b"HTTP/1.0 200 OK\r\nContent-Type: application/json; charset=utf-8\r\n\r\n"

    assert ask(serve(head, content, sites=("IU",)))[0] == content


def test_nobody_listens() -> None:
    """The sentence names the unit to look at."""
    target = Target(listen=ListenAddress.parse(f"127.0.0.1:{free_port()}"), sites=MAIN)

    with pytest.raises(Silent) as caught:
        ask(target)
    assert str(caught.value) == (
        f"main is to answer at {target.listen}, and nobody listens there (Connection refused); "
        "is the service running? See: systemctl status exoproxy-main"
    )


@pytest.mark.parametrize(
    ("pieces", "says"),
    [
        ([b"SSH-2.0-OpenSSH_9.2p1\r\n"], "something else answers there (not HTTP)"),
        ([], "something else answers there"),
        ([b"\x00" * 100_000], "something else answers there (not HTTP)"),
        ([b"HTTP/1.1 200 OK\r\n" + b"X: y\r\n" * 1_000], "something else answers there (not HTTP)"),
        ([b"HTTP/1.1 200 OK\r\nX: " + b"y" * 70_000], "something else answers there (not HTTP)"),
        ([answer(b"", line="404 Not Found")], "something else answers there (status 404)"),
        (
            [answer(b"", "Location: http://192.0.2.1/", line="302 Found")],
            "something else answers there (status 302)",
        ),
        ([answer(b"<html>", kind="text/html")], "something else answers there (no JSON)"),
        ([answer(b"{}")[:-1]], "something else answers there (an answer that breaks off)"),
        (
            [
                b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"
                b"Transfer-Encoding: chunked\r\n\r\nzz\r\n"
            ],
            "something else answers there (not HTTP)",
        ),
        ([answer(b"{")], "is not a status as this version knows it (it is not JSON)"),
        ([of({"status": "up"})], "as this version knows it (version: Field required)"),
        (
            [of({**status_sample.busy(), "state": "\x1b[2J"})],
            "as this version knows it (state: Input should be 'serving' or 'draining')",
        ),
        ([of(status_sample.fresh())], "but region IU does; each process on a host needs"),
    ],
)
def test_something_else_answers(serve: Serve, pieces: list[bytes], says: str) -> None:
    """Whatever answers, there is one sentence about it, and what it sent is not in that."""
    with pytest.raises(Unusable) as caught:
        ask(serve(*pieces))

    assert says in str(caught.value)
    assert str(caught.value).isprintable()


def test_too_large(serve: Serve, monkeypatch: pytest.MonkeyPatch) -> None:
    """No more than the bound is read, though it may be announced."""
    monkeypatch.setattr(status, "_LARGEST", 2**20)
    with pytest.raises(Unusable, match="more than 1 MiB"):
        ask(serve(answer(b" " * 2**21)))


@pytest.mark.parametrize(
    "pieces",
    [
        [b""] * 3,
        [b"HTTP/1.1 200 OK\r\n", *[b"X: y\r\n"] * 60],
        [b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n\r\n", *[b" "] * 60],
        [answer(b" " * 100)[:-99], *[b" "] * 60],
    ],
    ids=["silence", "fields", "content", "content of a length"],
)
def test_too_slow(serve: Serve, monkeypatch: pytest.MonkeyPatch, pieces: list[bytes]) -> None:
    """The patience is for the whole answer: a byte now and then does not renew it."""
    monkeypatch.setattr(status, "_SECONDS", 0.3)
    target = serve(*pieces, pause=0.5 if len(pieces) == 3 else 0.02)
    began = time.monotonic()
    with pytest.raises(Unusable, match="did not within 0 s; it may hang: see: journalctl"):
        ask(target)

    assert time.monotonic() - began < 1.0


@pytest.mark.parametrize(
    ("sites", "name", "unit"),
    [
        ((None,), "main", "exoproxy-main"),
        (("X",), "region X", "exoproxy-uap@X"),
        (("X", "Y"), "region X or region Y", "'exoproxy-*'"),
        ((None, "Y"), "main or region Y", "'exoproxy-*'"),
    ],
)
def test_targets_have_names(sites: Any, name: str, unit: str) -> None:
    """Who may be meant, and the units that run them."""
    target = Target(listen=ListenAddress.parse("127.0.0.1:9180"), sites=sites)

    assert (target.name, target.unit) == (name, unit)


def test_one_of_several_may_answer(serve: Serve) -> None:
    """Of regions that share an address, whoever runs here is the right one."""
    assert ask(serve(of(status_sample.fresh()), sites=("X", "IU")))[1]["region"] == "IU"


@pytest.mark.parametrize(("listen", "asked"), [("0.0.0.0:1", "127.0.0.1"), ("[::]:1", "::1")])
def test_any_address_is_asked_on_loopback(
    monkeypatch: pytest.MonkeyPatch, listen: str, asked: str
) -> None:
    """Who listens everywhere listens on loopback, too."""
    hosts = []

    def fetch(host: str, port: int) -> bytes:
        hosts.append((host, port))
        return json.dumps(status_sample.busy()).encode()

    monkeypatch.setattr(status, "_fetch", fetch)
    ask(Target(listen=ListenAddress.parse(listen), sites=MAIN))

    assert hosts == [(asked, 1)]
