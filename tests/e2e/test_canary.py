"""No secret is in anything that the processes write: through good, bad and broken traffic.

Each secret is a text of its own, a canary. Clients and upstreams send them wherever a secret may
stand; afterwards all output, all files and all answers of exoproxy's own are searched for them, in
plain and in other forms. Canaries in paths are found, which shows that the search works.
"""

import asyncio
import base64
import contextlib
import signal
import socket
import ssl
import struct
import subprocess
import tempfile
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from authority import Authority
from canaries import Canaries
from deployment import CLOUD, INSTANCE, MAIN_NAME, UAP_NAME, Deployment, Site, Way
from peers import BUFFER, PATIENCE, End, answer, request, until, upstream
from ports import free_port

CLOSE = (b"Connection", b"close")
UPGRADE = ((b"Connection", b"Upgrade"), (b"Upgrade", b"websocket"))
FORM = (b"Content-Type", b"application/x-www-form-urlencoded")
PROXY_V2 = b"\r\n\r\n\x00\r\nQUIT\n"

# What is logged of a request by intent.
PATH = b"v1s1bl3"


class Traffic:
    """Clients and upstreams of one site, who send canaries and note what exoproxy says itself."""

    def __init__(self, way: Way, canaries: Canaries) -> None:
        self.way = way
        self.canaries = canaries
        # Answers that no upstream has made, errors and others.
        self.own: list[bytes] = []

    @property
    def is_main(self) -> bool:
        return self.way.site.hostname == MAIN_NAME

    def target(self) -> bytes:
        """Return a target whose query, and whose path's parameters, are full of secrets."""
        new = self.canaries
        return b"/%b;jsessionid=%b?token=%b&code=%b&state=%b&%b&%b==&%b=1&a%%3D%b" % (
            PATH,
            new("path parameter"),
            new("query, token"),
            new("query, code"),
            base64.b64encode(new("query, Base64")),
            new("query, no key"),
            new("query, padded"),
            new("query, key"),
            new("query, encoded sign"),
        )

    def fields(self) -> list[tuple[bytes, bytes]]:
        """Return fields of a request, each with a secret."""
        new = self.canaries
        basic = base64.b64encode(new("user") + b":" + new("password"))
        return [
            (b"Authorization", b"Basic " + basic),
            (b"Proxy-Authorization", b"Bearer " + new("Proxy-Authorization")),
            (b"X-Auth-Token", new("X-Auth-Token")),
            (b"x-subject-token", new("X-Subject-Token of a request")),
            (b"X-Service-Token", new("X-Service-Token")),
            (b"Cookie", b"session=%b; %b" % (new("Cookie"), new("Cookie without a name"))),
            (b"Referer", b"https://%b@a.example/?code=%b" % (new("userinfo"), new("Referer"))),
            (b"Sec-WebSocket-Protocol", b"base64url.bearer." + new("websocket protocol")),
            (b"Sec-WebSocket-Extensions", b"x-%b; y=1" % new("websocket extension")),
            (b"Sec-WebSocket-Key", base64.b64encode(new("websocket key"))),
            (b"Accept", b"text/" + new("Accept")),
            (b"If-None-Match", b'"%b"' % new("If-None-Match")),
            (b"Via", b"1.1 " + new("Via")),
            (b"X-Forwarded-For", new("X-Forwarded-For")),
            (b"Forwarded", b"for=" + new("Forwarded")),
            (b"X-Request-Id", new("X-Request-Id")),
            (b"X-" + new("name of a field"), b"1"),
            (b"Content-Disposition", b'form-data; filename="%b"' % new("name of a file")),
        ]

    def body(self) -> bytes:
        """Return what Keystone is asked with."""
        new = self.canaries
        return b'{"auth": {"password": "%b", "file": "%b"}}' % (new("body"), new("name in a body"))

    def answered(self, status: bytes = b"201 Created", *fields: tuple[bytes, bytes]) -> bytes:
        """Return an answer with secrets."""
        new = self.canaries
        return answer(
            b'{"token": "%b"}' % new("body of an answer"),
            (b"X-Subject-Token", new("X-Subject-Token of an answer")),
            (b"Set-Cookie", b"s=%b; Domain=example.org" % new("Set-Cookie")),
            (b"Location", b"https://a.example/?code=" + new("Location")),
            (b"WWW-Authenticate", b"Negotiate " + new("WWW-Authenticate")),
            (b"X-Exoproxy-Error", new("our own field of an upstream")),
            CLOSE,
            *fields,
            status=status + b" " + new("reason"),
        )

    def asked(self, method: bytes = b"GET", *fields: tuple[bytes, bytes], **more: Any) -> bytes:
        """Return a request for the upstream."""
        line = b"%b %b HTTP/1.1" % (method, self.target())
        return self.way.request(CLOSE, *self.fields(), *fields, line=line, **more)

    def own_target(self, method: bytes = b"GET", path: bytes = b"") -> bytes:
        """Return a request for the site itself."""
        line = b"%b %b HTTP/1.1" % (method, path + self.target())
        return request(self.way.site.hostname, CLOSE, *self.fields(), line=line)

    async def heard(self, client: End) -> bytes:
        """Return all that a client gets; a connection that breaks off ends it."""
        heard = b""
        with contextlib.suppress(ConnectionError, ssl.SSLError):
            while piece := await client.some():
                heard += piece
        return heard

    async def says(self, data: bytes) -> bytes:
        """Send what exoproxy answers itself."""
        client = await self.way.connect()
        client.send(data)
        self.own.append(await self.heard(client))
        return self.own[-1]

    async def upstream_says(self, data: bytes, reply: bytes) -> bytes:
        """Send a request, let the upstream reply and leave; return what the client gets."""
        client = await self.way.connect()
        client.send(data)
        there = await self.way.upstream.accepted()
        await there.head()
        there.send(reply)
        await there.sent()
        there.writer.close()
        return await self.heard(client)

    async def good(self) -> None:
        """What works."""
        new = self.canaries
        told = await self.upstream_says(self.asked(b"POST", content=self.body()), self.answered())
        assert told.startswith(b"HTTP/1.1 201")
        chunked = self.asked(b"POST", (b"Transfer-Encoding", b"chunked"))
        body = b"5;%b=1\r\nhello\r\n0\r\nX-T: %b\r\n\r\n" % (new("chunk"), new("trailer"))
        told = await self.upstream_says(chunked + body, self.answered(b"401 No"))
        assert told.startswith(b"HTTP/1.1 401")
        await self.says(self.own_target(b"GET"))
        await self.says(self.own_target(b"GET", b"/lost.js"))
        # Refused by the main host, answered by the UAP with the names that are asked for.
        name = b"other.example.org" if self.is_main else MAIN_NAME.encode()
        origin = (b"Origin", b"https://" + name)
        asks = (b"Access-Control-Request-Headers", new("names that a preflight asks for"))
        method = (b"Access-Control-Request-Method", b"PUT")
        await self.says(self.asked(b"OPTIONS", origin, method, asks))

    async def refused(self) -> None:
        """What breaks a rule or the grammar."""
        new, host = self.canaries, self.way.site.host(self.way.upstream.port).encode()
        for method in (b"TRACE", b"DELETE", b"BREW"):
            await self.says(self.own_target(method))
        await self.says(self.asked(b"POST", (b"Expect", new("Expect")), content=self.body()))
        await self.says(self.asked(b"POST", (b"Transfer-Encoding", b"gzip")))
        both = ((b"Transfer-Encoding", b"chunked"), (b"Content-Length", b"5"))
        await self.says(self.asked(b"POST", *both) + new("smuggled"))
        await self.says(self.asked(b"POST", (b"Content-Length", new("Content-Length"))))
        end = b"Host: %b\r\nConnection: close\r\nCookie: %b\r\n\r\n"
        for line in (
            b"GET /%b %b HTTP/1.1" % (new("broken line"), new("broken line's end")),
            b"GET /?%b HTTP/9.9" % new("other version"),
            b"GET http://%b@a.example/?%b HTTP/1.1" % (new("userinfo"), new("absolute form")),
            b"CONNECT %b:443 HTTP/1.1" % new("authority form"),
            b"%b" % new("no request line"),
            b"GET /?\x00%b HTTP/1.1" % new("NUL in a line"),
            b"\x16\x03\x01%b" % new("no HTTP"),
        ):
            await self.says(line + b"\r\n" + end % (host, new("Cookie of a broken head")))
        await self.says(
            b"GET /?a HTTP/1.1\r\n" + end % (b"%b:x@%b" % (new("user in Host"), host), new("c"))
        )
        await self.says(
            b"GET / HTTP/1.1\r\nHost : a\r\n%b: x\r\n\r\n" % new("field of a broken head")
        )
        long = new("over-long field") * 6000
        await self.says(b"GET / HTTP/1.1\r\nHost: %b\r\nCookie: %b\r\n\r\n" % (host, long))
        await self.says(b"GET /?%b HTTP/1.1\r\n" % (new("over-long target") * 4000))

    async def failing(self) -> None:
        """What an upstream does wrong."""
        new = self.canaries
        for reply in (
            b"",
            b"%b\r\n\r\n" % new("no answer"),
            b"HTTP/1.1 200 OK\r\n%b\r\n\r\n" % new("broken field of an answer"),
            b"HTTP/1.1 200 OK\r\nContent-Length: %b\r\n\r\n" % new("length of an answer"),
            b"HTTP/1.1 200 OK\r\nSet-Cookie: %b\r\n\r\n" % (new("over-long answer") * 30000),
            b"HTTP/1.1 101 Go\r\nConnection: Upgrade\r\nUpgrade: %b\r\n\r\n" % new("not asked for"),
        ):
            self.own.append(await self.upstream_says(self.asked(), reply))
        broken = answer(b"x" * 10, (b"Set-Cookie", new("broken-off answer")))[:-5]
        await self.upstream_says(self.asked(), broken)
        broken = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n%b\r\n" % new("chunk size")
        await self.upstream_says(self.asked(), broken)
        port = free_port()
        await self.says(self.way.site.request(port, CLOSE, *self.fields(), line=b"GET /a HTTP/1.1"))

    async def leaving(self) -> None:
        """Clients that go in the middle."""
        halves = self.asked(b"POST", content=self.body())
        for data in (halves[: len(halves) // 2], halves[:-1]):
            client = await self.way.connect()
            client.send(data)
            await client.sent()
            if data == halves[:-1]:
                there = await self.way.upstream.accepted()
                await there.head()
            client.reset()
        client = await self.way.connect()
        client.send(self.asked())
        there = await self.way.upstream.accepted()
        await there.head()
        there.send(self.answered()[:-1])
        await client.head()
        client.reset()
        await there.ended()
        plain = socket.create_connection(("127.0.0.1", self.way.site.port), timeout=PATIENCE)
        with plain:
            plain.sendall(self.asked())
            with contextlib.suppress(OSError):
                plain.recv(100)
        with contextlib.suppress(OSError):
            await self.way.site.connect(self.canaries("server name").decode() + ".example.org")

    async def tunnels(self) -> None:
        """Websockets, to their end."""
        new = self.canaries
        line = b"GET %b HTTP/1.1" % self.target()
        for how in ("close", "reset"):
            client = await self.way.connect()
            client.send(self.way.request(*UPGRADE, *self.fields(), line=line))
            there = await self.way.upstream.accepted()
            await there.head()
            agreed = b"Sec-WebSocket-Protocol: %b\r\nSet-Cookie: %b\r\n" % (new("ws"), new("ws c"))
            there.send(
                b"HTTP/1.1 101 S\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n%b\r\n" % agreed
            )
            await client.head()
            client.send(new("frame of a client"))
            await there.some()
            there.send(new("frame of an upstream"))
            await client.some()
            getattr(client, how)()
            await there.ended()

    async def logins(self) -> None:
        """Federated logins, which come back to the main host."""
        new = self.canaries

        async def post(form: bytes, *fields: tuple[bytes, bytes], path: bytes = b"") -> bytes:
            line = b"POST /oidc-redirector%b HTTP/1.1" % path
            fields = (CLOSE, *self.fields(), *fields)
            return await self.says(request(MAIN_NAME, *fields, line=line, content=form))

        told = await post(b"token=" + new("token of a login"), FORM)
        assert told.startswith(b"HTTP/1.1 302")
        await post(b"token=%b&token=%b" % (new("token"), new("second token")), FORM)
        await post(b"token=" + new("long token") * 6000, FORM)
        await post(b"%%zz=%b&%b" % (new("broken form"), new("no token")), FORM)
        await post(new("form of another type"), (b"Content-Type", b"text/" + new("type")))
        await post(b"a=" + new("token"), FORM, path=b"?token=" + new("query of a login"))

    async def redirected(self, port: int) -> None:
        """Plain HTTP, whose answer has the address asked for."""
        for host in (MAIN_NAME, CLOUD):
            client = End(*await asyncio.open_connection("127.0.0.1", port))
            target = self.target()
            client.send(request(host, CLOSE, *self.fields(), line=b"GET %b HTTP/1.1" % target))
            self.own.append(await self.heard(client))
            client.close()

    async def all(self) -> None:
        """Say everything."""
        await self.good()
        await self.refused()
        await self.failing()
        await self.tunnels()
        if self.is_main:
            await self.logins()
        await self.leaving()


@asynccontextmanager
async def traffic(site: Site, authority: Authority, canaries: Canaries) -> AsyncIterator[Traffic]:
    """Put an upstream behind a site, and clients before it."""
    is_main = site.hostname == MAIN_NAME
    async with upstream(
        "127.0.0.1" if is_main else INSTANCE, context=authority.serve(CLOUD) if is_main else None
    ) as behind:
        made = Traffic(Way(site=site, upstream=behind), canaries)
        try:
            yield made
        finally:
            made.way.close()


async def end(process: subprocess.Popen[bytes]) -> int | None:
    """Let the process end by itself, so that it says all that it has to say."""
    process.send_signal(signal.SIGTERM)
    await until(lambda: process.poll() is not None)
    return process.returncode


def written(*folders: Path) -> dict[Path, bytes]:
    """Return what all files hold, the processes' output among them."""
    files = [path for folder in folders for path in folder.rglob("*") if path.is_file()]
    return {path: path.read_bytes() for path in files}


def holding(texts: dict[Path, bytes], canaries: Canaries) -> dict[Path, list[str]]:
    """Return the files that hold a secret, with what it is."""
    return {path: found for path, text in texts.items() if (found := canaries.found_in(text))}


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder as systemd makes it; pytest's own are too long for a socket."""
    with tempfile.TemporaryDirectory(prefix="run-") as name:
        monkeypatch.setenv("RUNTIME_DIRECTORY", name)
        yield Path(name)


FORMS = pytest.mark.parametrize(
    "log",
    [
        {"format": "json"},
        {"format": "console"},
        {"format": "json", "access_format": "combined"},
    ],
    ids=["json", "console", "combined"],
)


@FORMS
@pytest.mark.parametrize("mode", ["main", "uap"])
async def test_155_no_secret_is_written(
    deployment: Deployment,
    authority: Authority,
    tmp_path: Path,
    run: Path,
    log: dict[str, str],
    mode: str,
) -> None:
    """Neither output nor files nor our own errors hold any, and what may be logged is."""
    port = free_port()
    if mode == "main":
        site = deployment.main(log=log, redirect_listen=[f"127.0.0.1:{port}"])
    else:
        site = deployment.uap(log=log)
    canaries = Canaries()
    async with traffic(site, authority, canaries) as said:
        await said.all()
        if mode == "main":
            await said.redirected(port)
        meanwhile = written(run)
    code = await end(site.process)
    output = site.output.read_bytes()
    texts = written(tmp_path, run) | meanwhile
    own = [told for told in said.own if b"X-Exoproxy-Error: " in told]

    assert code == 0
    assert holding(texts, canaries) == {}
    assert [found for told in own if (found := canaries.found_in(told))] == []
    # What is logged by intent is found: where a secret stood is told, and the secret is not.
    assert output.count(b"/" + PATH) > 15
    assert output.count(b"token=") > 15
    assert len(own) > 20
    assert b"Traceback" not in output
    assert b"a defect" not in output


def headers(canaries: Canaries) -> Iterator[tuple[bytes, bool]]:
    """Yield PROXY headers with secrets, and whether a request is answered behind them."""
    address = b"\xc0\x00\x02\x07\x7f\x00\x00\x01\x00\x50\x01\xbb"
    unique = canaries("unique id of a PROXY header")
    parts = address + b"\x05" + struct.pack("!H", len(unique)) + unique
    yield PROXY_V2 + b"\x21\x11" + struct.pack("!H", len(parts)) + parts, True
    yield b"PROXY TCP4 %b 127.0.0.1 1 2\r\n" % canaries("address of a PROXY header"), False
    yield b"PROXY UNKNOWN %b\r\n" % canaries("rest of a PROXY header"), True
    yield canaries("no PROXY header") + b"\r\n\r\n", False


async def test_155_no_secret_of_a_balancer_is_written(
    deployment: Deployment, authority: Authority, tmp_path: Path
) -> None:
    """PROXY headers, good and bad, and what a balancer says of the client."""
    site = deployment.uap(proxy_protocol=True, trusted_proxies=["127.0.0.0/8", "192.0.2.7/32"])
    canaries = Canaries()
    async with traffic(site, authority, canaries) as said:
        for header, is_good in headers(canaries):
            with socket.create_connection(("127.0.0.1", site.port), timeout=PATIENCE) as sock:
                sock.sendall(header)
                if is_good:
                    opened = await asyncio.open_connection(
                        sock=sock.dup(), ssl=site.trust, server_hostname=UAP_NAME, limit=BUFFER
                    )
                    client = End(*opened)
                    client.send(said.own_target())
                    said.own.append(await said.heard(client))
                    client.close()
                else:
                    with contextlib.suppress(OSError):
                        await asyncio.to_thread(sock.recv, 100)
    await end(site.process)
    lines = site.served()

    assert holding(written(tmp_path), canaries) == {}
    assert [canaries.found_in(told) for told in said.own] == [[], []]
    assert [line["client"] for line in lines] == ["192.0.2.7", "127.0.0.1"]


@pytest.mark.parametrize(
    "form",
    [
        b"GET /%b HTTP/1.1",
        b"%%2F%b%%20",
        b"Basic %b",
    ],
)
def test_search_finds_what_is_there(form: bytes) -> None:
    """In plain, in other case, percent-encoded, and in Base64 wherever it begins."""
    canaries = Canaries()
    one, other = canaries("one"), canaries("other")
    encoded = b"".join(b"%%%02x" % byte for byte in other)

    assert canaries.found_in(form % one) == ["one"]
    assert canaries.found_in(form % one.upper()) == ["one"]
    assert canaries.found_in(form % encoded) == ["other"]
    assert canaries.found_in(form % encoded.replace(b"%", b"\\x")) == ["other"]
    assert canaries.found_in(form % b"k4n4r13") == []
    for before in (b"", b"a", b"ab", b"abc"):
        for encode in (base64.b64encode, base64.urlsafe_b64encode):
            assert canaries.found_in(form % encode(before + one + b"\xfb\xff")) == ["one"]
            assert canaries.found_in(b"x=" + before + encode(one).rstrip(b"=")) == ["one"]
