"""`POST /oidc-redirector` of the real command: each case of the contract, and a token in no log."""

import os
import signal
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from deployment import MAIN_NAME, Deployment, Site
from messages import Message
from peers import request, status_of, until

FORM = (b"Content-Type", b"application/x-www-form-urlencoded")
KEYSTONE = (b"Origin", b"https://keystone.example.net")
LARGEST = 1_048_576


async def ask(
    site: Site,
    form: bytes,
    *fields: tuple[bytes, bytes],
    method: bytes = b"POST",
    path: bytes = b"/oidc-redirector",
) -> Message:
    client = await site.connect(MAIN_NAME)
    try:
        line = b"%b %b HTTP/1.1" % (method, path)
        client.send(request(MAIN_NAME, KEYSTONE, *fields, line=line, content=form))
        return await client.message(bodyless=method == b"HEAD")
    finally:
        client.close()


def value(message: Message, name: bytes) -> bytes:
    return {key.lower(): value for key, value in message.fields}.get(name, b"")


@pytest.mark.parametrize(
    ("form", "token"),
    [
        (b"token=gAAAAABm_-9", b"gAAAAABm_-9"),
        (b"token=a%2Fb%3D%3D+c", b"a%2Fb%3D%3D%20c"),
        (b"token=a%0D%0ASet-Cookie:x=y%00", b"a%0D%0ASet-Cookie%3Ax%3Dy%00"),
        (b"token=%FF%zz", b"%FF%25zz"),
        (b"token=" + b"t" * 32_768, b"t" * 32_768),
        (b"token=t&pad=".ljust(LARGEST, b"x"), b"t"),
    ],
    ids=["plain", "encoded", "injection", "no text", "32 KiB", "1 MiB"],
)
async def test_login_goes_on_to_the_client(
    standing: dict[str, Site], form: bytes, token: bytes
) -> None:
    """302 to the client's own page with the token, decoded and encoded again."""
    answer = await ask(standing["main"], form, (FORM[0], FORM[1] + b"; charset=utf-8"))

    assert status_of(answer) == 302
    assert value(answer, b"location") == b"/auth/oidc-login?token=" + token
    assert value(answer, b"cache-control") == b"no-store"
    assert value(answer, b"referrer-policy") == b"no-referrer"
    assert value(answer, b"set-cookie") == b""


@pytest.mark.parametrize(
    ("method", "content_type", "form", "expected", "sentence"),
    [
        (b"GET", FORM[1], b"", 401, b"by POST"),
        (b"HEAD", FORM[1], b"", 401, b""),
        (b"PUT", FORM[1], b"token=a", 401, b"by POST"),
        (b"OPTIONS", FORM[1], b"", 401, b"by POST"),
        (b"POST", b"application/json", b'{"token": "a"}', 401, b"with a form"),
        (b"POST", b"multipart/form-data; boundary=x", b"--x--", 401, b"with a form"),
        (b"POST", FORM[1], b"", 401, b"no token"),
        (b"POST", FORM[1], b"token=", 401, b"no token"),
        (b"POST", FORM[1], b"other=a", 401, b"no token"),
        (b"POST", FORM[1], b"token=a&token=b", 401, b"more than one token"),
        (b"POST", FORM[1], b"token=".ljust(LARGEST + 1, b"x"), 413, b"larger"),
        (b"POST", FORM[1], b"token=".ljust(LARGEST, b"x"), 413, b"too long"),
    ],
)
async def test_anything_else_is_refused_with_a_sentence(
    standing: dict[str, Site],
    method: bytes,
    content_type: bytes,
    form: bytes,
    expected: int,
    sentence: bytes,
) -> None:
    """Another method or type, no token, or too much gets its status and says why."""
    answer = await ask(standing["main"], form, (FORM[0], content_type), method=method)

    assert status_of(answer) == expected
    assert sentence in answer.content
    assert value(answer, b"x-exoproxy-error") in {b"login-refused", b"content-too-large"}
    assert value(answer, b"cache-control") == b"no-store"


async def test_redirector_that_is_off(deployment: Deployment) -> None:
    """With `oidc_redirector: false` the path is a file's, and no application runs."""
    site = deployment.main(part={"oidc_redirector": False})
    posted = await ask(site, b"token=a", FORM)
    asked = await ask(site, b"", method=b"GET")

    assert status_of(posted) == 405
    assert value(posted, b"allow") == b"GET, HEAD"
    assert status_of(asked) == 200
    assert b"<title>client" in asked.content


def holding(folder: Path, text: bytes) -> list[Path]:
    """Return the files that hold a text."""
    files = [path for path in folder.rglob("*") if path.is_file()]
    return [path for path in files if text in path.read_bytes()]


@pytest.fixture
def run() -> Iterator[Path]:
    """A folder as systemd makes it; pytest's own are too long for a socket."""
    with tempfile.TemporaryDirectory(prefix="run-") as name:
        yield Path(name)


async def test_token_is_in_no_log_and_on_no_disk(
    deployment: Deployment, tmp_path: Path, run: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither the output nor any file holds a token, through success, refusal, breakage and end.

    What the process makes for its socket is for its user alone, and gone at the end.
    """
    monkeypatch.setenv("RUNTIME_DIRECTORY", str(run))
    site = deployment.main()
    modes = [entry.stat().st_mode & 0o777 for entry in os.scandir(run)]
    referer = (b"Referer", b"https://keystone.example.net/?canary-referer")
    forms = (b"token=canary1", b"token=", b"canary2", b"token=canary3&token=canary4", b"%zzcanary5")
    for form in forms:
        await ask(site, form, FORM, referer)
    await ask(site, b"token=canary6", FORM, path=b"/oidc-redirector?token=canary7&canary8")
    await ask(site, b"token=canary9" + b"x" * LARGEST, FORM)
    await ask(site, b"", method=b"GET", path=b"/auth/oidc-login?token=canary10")
    leaving = await site.connect(MAIN_NAME)
    line = b"POST /oidc-redirector HTTP/1.1"
    leaving.send(request(MAIN_NAME, FORM, line=line, content=b"token=canary11")[:-1])
    await leaving.sent()
    leaving.close()
    count = len(forms) + 4
    await until(lambda: len(site.served()) >= count)
    site.process.send_signal(signal.SIGTERM)
    await until(lambda: site.process.poll() is not None)
    lines = site.log()

    assert site.process.returncode == 0
    assert holding(tmp_path, b"canary") == []
    assert [line for line in lines if line.get("level") in {"WARNING", "ERROR"}] == []
    # One line a request, with where it went.
    assert len(site.served()) == count
    assert site.served()[0]["upstream"] == "unix:pages"
    # A page's refusal is told as one of the engine's.
    assert [(line["status"], line["code"], line["side"]) for line in site.served()[:2]] == [
        (302, "", ""),
        (401, "login-refused", "client"),
    ]
    assert modes == [0o700]
    assert os.listdir(run) == []
