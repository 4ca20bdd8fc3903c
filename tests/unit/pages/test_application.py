"""The pages behind the real engine, on their private socket: answers, limits, life and death."""

import asyncio
import os
import ssl
import stat
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from ipaddress import IPv4Address
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from exoproxy.client.tree import Tree
from exoproxy.main import MainSite
from exoproxy.net.caps import Caps
from exoproxy.net.listen import Acceptor
from exoproxy.net.sockets import ListenError, open_socket
from exoproxy.pages.application import application, serving
from exoproxy.pages.routes import LONGEST_CONTENT, OIDC_REDIRECTOR, SELF_TEST, routes
from exoproxy.proxy.engine import Engine
from exoproxy.proxy.record import Record
from exoproxy.rules.cors import Origins
from exoproxy.rules.egress import Policy
from exoproxy.server import dialer_for
from exoproxy.settings.limits import Limits
from exoproxy.settings.model import Settings
from messages import Message
from peers import BUFFER, End, status_of, until

NAME = "my.example.org"
FRIEND = b"https://friend.example.net"
NOTHING = Policy(networks=(), public=False)
SETTINGS = Settings.model_validate(
    {"main": {"hostname": NAME, "proxy": {"allow": ["keystone.example.org"]}, "self_test": True}}
)


class House:
    """A main host with its pages, whose clients speak plain HTTP."""

    def __init__(self, engine: Engine, records: list[Record], port: int) -> None:
        self.engine = engine
        self.records = records
        self._port = port
        self.clients: list[End] = []

    async def connect(self) -> End:
        """Return a client's connection."""
        opened = await asyncio.open_connection("127.0.0.1", self._port, limit=BUFFER)
        self.clients.append(End(*opened))
        return self.clients[-1]

    async def ask(self, sent: bytes) -> Message:
        """Return the answer to a request on a connection of its own."""
        client = await self.connect()
        client.send(sent)
        return await client.message()


@asynccontextmanager
async def house(
    folder: Path, app: web.Application | None = None, *, gone: bool = False, **limits: Any
) -> AsyncIterator[House]:
    """Serve files and pages; with `gone` the application is not there. Nothing may be left."""
    assert SETTINGS.main is not None
    (folder / "index.html").write_text("<p>client")
    bounds, records = Limits(**limits), list[Record]()
    site = MainSite(
        hostname=NAME,
        tree=Tree(folder),
        origins=Origins.parse([FRIEND.decode()]),
        proxy=None,
        pages=routes(SETTINGS.main),
    )
    caps = Caps(total=100, per_client=100)
    async with serving(app or application(lambda: SETTINGS), bounds) as own:
        if gone:
            own = {name: path.with_name("gone") for name, path in own.items()}
        engine = Engine(site, dialer_for(NOTHING, bounds, own=own), bounds, records.append)
        sock = open_socket(IPv4Address("127.0.0.1"), 0)
        port = sock.getsockname()[1]
        acceptor = Acceptor(sock, context=no_tls, factory=engine.accept, caps=caps)
        acceptor.start()
        found = House(engine, records, port)
        try:
            yield found
        finally:
            for client in found.clients:
                client.close()
            await acceptor.close()
            await until(lambda: not engine.inbounds)
            await engine.close()

    assert engine.pool.in_use() == 0
    assert caps.open == 0


def no_tls() -> ssl.SSLContext | None:
    return None


def post(form: bytes, *fields: tuple[bytes, bytes], framing: bytes = b"") -> bytes:
    head = [
        b"POST /oidc-redirector HTTP/1.1",
        b"Host: " + NAME.encode(),
        b"Content-Type: application/x-www-form-urlencoded; charset=utf-8",
        framing or b"Content-Length: %d" % len(form),
        *(b"%b: %b" % field for field in fields),
    ]
    return b"\r\n".join(head) + b"\r\n\r\n" + form


def values(message: Message, name: bytes) -> list[bytes]:
    return [value for key, value in message.fields if key.lower() == name]


async def test_login_is_redirected(tmp_path: Path) -> None:
    """A form's token becomes the address of the client's page, in an answer nobody keeps."""
    async with house(tmp_path) as found:
        answer = await found.ask(post(b"token=a%3D%3D", (b"Origin", b"null")))

    assert status_of(answer) == 302
    assert values(answer, b"location") == [b"/auth/oidc-login?token=a%3D%3D"]
    assert values(answer, b"cache-control") == [b"no-store"]
    assert values(answer, b"referrer-policy") == [b"no-referrer"]
    assert values(answer, b"server") == []
    assert values(answer, b"vary") == [b"Origin"]
    assert len(found.records) == 1


async def test_own_refusals_look_alike(tmp_path: Path) -> None:
    """What the application refuses has the form, the code, the fields and the id of any error."""
    async with house(tmp_path) as found:
        accept = (b"Accept", b"application/json")
        answer = await found.ask(post(b"token=", accept, (b"Origin", FRIEND)))
        page = await found.ask(post(b"canary=1", (b"Accept", b"text/html,*/*")))

    assert status_of(answer) == status_of(page) == 401
    assert values(answer, b"x-exoproxy-error") == [b"login-refused"]
    assert values(answer, b"access-control-allow-origin") == [FRIEND]
    assert values(answer, b"content-type") == [b"application/json"]
    assert b"The form holds no token." in answer.content
    assert found.records[0].id.encode() in answer.content
    assert b"<h1>The form holds no token.</h1>" in page.content
    assert found.records[1].id.encode() in page.content
    assert b"canary" not in page.content


@pytest.mark.parametrize("framing", [b"", b"Transfer-Encoding: chunked"])
async def test_form_has_a_largest_size(framing: bytes, tmp_path: Path) -> None:
    """A form of 1 MiB passes, a byte more gets 413, however its length is told."""

    def sized(size: int) -> bytes:
        form = b"token=a&pad=".ljust(size, b"x")
        return b"%x\r\n%b\r\n0\r\n\r\n" % (size, form) if framing else form

    async with house(tmp_path) as found:
        largest = await found.ask(post(sized(LONGEST_CONTENT), framing=framing))
        larger = await found.ask(post(sized(LONGEST_CONTENT + 1), framing=framing))

    assert status_of(largest) == 302
    assert status_of(larger) == 413
    assert values(larger, b"x-exoproxy-error") == [b"content-too-large"]
    # It was the engine that refused, before the application had to.
    assert found.records[1].code == "content-too-large"
    # No setting would help.
    assert b"limits.body" not in larger.content


async def test_smaller_limit_of_the_operator_counts(tmp_path: Path) -> None:
    """`limits.body` holds for forms too, and the answer names it."""
    async with house(tmp_path, body=20) as found:
        answer = await found.ask(post(b"token=" + b"a" * 20))

    assert status_of(answer) == 413
    assert b"limits.body" in answer.content


async def test_client_that_asks_before_it_sends(tmp_path: Path) -> None:
    """A client that expects a 100 gets it at once, and the form arrives."""
    async with house(tmp_path) as found:
        client = await found.connect()
        sent = post(b"token=a", (b"Expect", b"100-continue"))
        client.send(sent[: -len(b"token=a")])
        interim = await client.head()
        client.send(b"token=a")
        answer = await client.message()

    assert interim.startswith(b"HTTP/1.1 100 ")
    assert status_of(answer) == 302


async def test_fields_as_long_as_the_engine_takes(tmp_path: Path) -> None:
    """What the engine has let through, the application does not choke on."""
    async with house(tmp_path) as found:
        answer = await found.ask(post(b"token=a", (b"Accept", b"x" * 30_000 + b"\xff")))

    assert status_of(answer) == 302


async def test_self_test_is_served(tmp_path: Path) -> None:
    """GET gives the page and HEAD its fields; nothing of it is kept."""
    async with house(tmp_path) as found:
        sent = b"%b /.exoproxy/self-test HTTP/1.1\r\nHost: my.example.org\r\n\r\n"
        answer = await found.ask(sent % b"GET")
        client = await found.connect()
        client.send(sent % b"HEAD")
        head = await client.message(bodyless=True)

    assert status_of(answer) == status_of(head) == 200
    assert values(answer, b"content-type") == [b"text/html; charset=utf-8"]
    assert b"Self-test of my.example.org" in answer.content
    assert head.length == len(answer.content)


@pytest.mark.parametrize(
    "path",
    [
        b"/oidc-redirector/",
        b"/OIDC-Redirector",
        b"/oidc%2Dredirector",
        b"//oidc-redirector",
        b"/x/../oidc-redirector",
        b"/.exoproxy/self-test/",
        b"/.exoproxy/",
    ],
)
async def test_other_paths_are_files(path: bytes, tmp_path: Path) -> None:
    """A page has one path, byte for byte; whatever else comes close is never forwarded."""
    async with house(tmp_path) as found:
        await found.ask(b"GET %b HTTP/1.1\r\nHost: my.example.org\r\n\r\n" % path)

    assert [record.upstream for record in found.records] == [None]


async def test_defect_of_a_page_tells_nothing(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """An exception in a page is a 500 like the engine's own; only the log has the traceback."""

    async def fails(request: web.Request) -> web.Response:
        raise ZeroDivisionError("canary")

    app = application(lambda: SETTINGS)
    broken = web.Application(middlewares=app.middlewares)
    broken.router.add_post(OIDC_REDIRECTOR.decode(), fails)
    async with house(tmp_path, broken) as found:
        answer = await found.ask(post(b"token=a"))
    logged = [record.getMessage() for record in caplog.records]
    caplog.clear()

    assert status_of(answer) == 500
    assert values(answer, b"x-exoproxy-error") == [b"internal-error"]
    assert b"canary" not in answer.content
    assert logged == ["A page failed by a defect of its own"]


async def test_application_that_is_gone_is_a_500(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Without its application a page fails, and files go on being served."""
    async with house(tmp_path, gone=True) as found:
        answer = await found.ask(post(b"token=a"))
        client = await found.ask(b"GET / HTTP/1.1\r\nHost: my.example.org\r\n\r\n")
    caplog.clear()

    assert status_of(answer) == 500
    assert status_of(client) == 200


async def test_client_that_leaves_in_its_form(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """A client that goes while its form is on the way leaves nothing, and nothing to complain."""
    async with house(tmp_path) as found:
        client = await found.connect()
        client.send(post(b"token=a", framing=b"Content-Length: 1000"))
        await until(lambda: bool(found.engine.outbounds))
        client.reset()
        await until(lambda: bool(found.records) and not found.engine.outbounds)
        after = await found.ask(post(b"token=a"))

    assert [record.code for record in found.records] == ["client-gone", ""]
    assert status_of(after) == 302
    assert [record for record in caplog.records if record.levelname != "DEBUG"] == []


async def test_many_logins_at_once(tmp_path: Path) -> None:
    """A burst of connections finds room in the socket's queue."""
    async with house(tmp_path, connections_per_upstream=100) as found:
        answers = await asyncio.gather(*(found.ask(post(b"token=a")) for _ in range(90)))

    assert {status_of(answer) for answer in answers} == {302}


# The socket.


async def test_only_this_user_reaches_the_socket(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The socket lies in a folder of mode 0700 under RUNTIME_DIRECTORY, and goes with the pages."""
    monkeypatch.setenv("RUNTIME_DIRECTORY", f"{tmp_path}:/run/other")
    before = os.umask(0)
    try:
        async with serving(application(lambda: SETTINGS), Limits()) as own:
            path = own["pages"]
            mode = stat.S_IMODE(path.parent.stat().st_mode)
            is_socket = path.is_socket()
    finally:
        os.umask(before)

    assert path.parent.parent == tmp_path
    assert mode == 0o700
    assert is_socket
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize("case", ["missing", "long"])
async def test_no_place_for_the_socket(
    case: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A folder that is missing, or whose path is too long for a socket, is told in a sentence."""
    folder = tmp_path / ("x" * 108)
    if case == "long":
        folder.mkdir()
    monkeypatch.setenv("RUNTIME_DIRECTORY", str(folder))
    with pytest.raises(ListenError, match="let RUNTIME_DIRECTORY name"):
        async with serving(application(lambda: SETTINGS), Limits()):
            pass

    assert case == "missing" or os.listdir(folder) == []


def test_application_has_every_page() -> None:
    """Whatever can be switched on is there to be reached."""
    paths = {resource.canonical for resource in application(lambda: SETTINGS).router.resources()}

    assert paths == {OIDC_REDIRECTOR.decode(), SELF_TEST.decode()}


async def test_no_websocket_reaches_a_page(tmp_path: Path) -> None:
    """A page is a page to who asks for a websocket too, and the next request gets its own."""
    asks = (
        b"GET /.exoproxy/self-test HTTP/1.1\r\nHost: my.example.org\r\n%b\r\n",
        b"Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
        b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n",
    )
    async with house(tmp_path) as found:
        answers = [await found.ask(asks[0] % each) for each in (asks[1], b"", asks[1], b"")]

    assert [status_of(each) for each in answers] == [200] * 4
    assert len({each.content for each in answers}) == 1
