"""The access log as programs of others read it: jq, GoAccess, and fail2ban's filters for nginx."""

import json
import subprocess
from pathlib import Path

import pytest

from deployment import INSTANCE, UAP_NAME, Deployment, Site
from peers import request, until, upstream

CLOSE = (b"Connection", b"close")
AGENTS = (
    b"Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0",
    b'"quoted" \\ [x] caf\xc3\xa9 \xff\x80 {} %s',
    b"",
)
# Target and status of each request for the UAP's own name; what comes from nobody's browser, too.
ASKED = (
    (b"/", 200),
    (b"/?token=secret&page=2", 200),
    (b"/wp-login.php", 404),
    (b"/phpMyAdmin/index.php?lang=en", 404),
    (b'/a"b\\c%0d%0a127.0.0.1%20-%20-', 404),
    (b"/" + b"a" * 3000, 404),
)
# Lines that end where they should not, and what is no HTTP.
BROKEN = (
    b"GET / HTTP/1.1\nHost: a\r\n\r\n",
    b"GET /\r127.0.0.1 HTTP/1.1\r\nHost: a\r\n\r\n",
    b"GET / HTTP/1.1\r\nHost: a\x1b[2J\r\n\r\n",
    b"GET / HTTP/1.1\r\nHost: a\r\nUser-Agent: \x00\x1b]0;x\x07\r\n\r\n",
    b"\x16\x03\x01\x02\x00\x01\r\n\r\n",
)


async def visited(site: Site) -> int:
    """Let all kinds of clients ask; return how many requests there were."""
    asked = [
        request(
            UAP_NAME,
            (b"User-Agent", agent),
            (b"Referer", b"https://a.example/?code=secret"),
            CLOSE,
            line=b"GET %b HTTP/1.1" % target,
        )
        for target, _ in ASKED
        for agent in AGENTS
    ]
    for data in (*asked, *BROKEN):
        client = await site.connect(UAP_NAME)
        client.send(data)
        assert (await client.some()).startswith(b"HTTP/1.1 ")
        client.close()
    return len(asked) + len(BROKEN)


async def tunnelled(site: Site) -> None:
    """Let a websocket open and close."""
    async with upstream(INSTANCE) as behind:
        client = await site.connect(site.host(behind.port))
        client.send(
            site.request(behind.port, (b"Connection", b"Upgrade"), (b"Upgrade", b"websocket"))
        )
        there = await behind.accepted()
        await there.head()
        there.send(b"HTTP/1.1 101 S\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n")
        await client.head()
        client.close()
        await there.ended()


def run(*command: str, text: bytes = b"") -> bytes:
    """Return what a program says; it fails where the program does."""
    done = subprocess.run(  # noqa: S603 - programs of the tests
        command, input=text, capture_output=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stderr + done.stdout
    return done.stdout


async def access_log(site: Site, count: int) -> bytes:
    """Return the lines in nginx's form, once there are so many, apart from the process's log."""

    def lines() -> list[bytes]:
        every = site.output.read_bytes().splitlines(keepends=True)
        return [line for line in every if not line.startswith(b"{")]

    await until(lambda: len(lines()) >= count)
    return b"".join(lines())


@pytest.mark.needs("jq")
async def test_jq_reads_every_line(deployment: Deployment) -> None:
    """Each line of either log is one object, and a request's has its event and figures."""
    site = deployment.uap()
    count = await visited(site)
    await site.logged(count)
    output = site.output.read_bytes()
    run("jq", "-e", 'type == "object" and (.time | length) > 19', text=output)
    picked = run("jq", "-c", 'select(.event == "request") | [.status, .seconds < 60]', text=output)

    assert len(picked.splitlines()) == count
    assert [json.loads(line) for line in picked.splitlines()] == [
        *([status, True] for _, status in ASKED for _ in AGENTS),
        *([400, True] for _ in BROKEN),
    ]


@pytest.mark.needs("goaccess")
async def test_goaccess_reads_every_line(deployment: Deployment, tmp_path: Path) -> None:
    """It finds no line that is not valid, and counts what was asked, a tunnel once."""
    site = deployment.uap(log={"access_format": "combined"})
    count = await visited(site)
    await tunnelled(site)
    log, report = tmp_path / "access.log", tmp_path / "report.json"
    log.write_bytes(await access_log(site, count + 1))
    run("goaccess", str(log), "--log-format=COMBINED", "--no-global-config", "-o", str(report))
    found = json.loads(report.read_text("utf-8"))
    statuses = {
        each["data"][:3]: each["hits"]["count"]
        for group in found["status_codes"]["data"]
        for each in group["items"]
    }

    assert found["general"]["failed_requests"] == 0
    assert found["general"]["valid_requests"] == count + 1
    assert statuses == {"101": 1, "200": 6, "400": 5, "404": 12}
    assert b"secret" not in log.read_bytes()


@pytest.mark.needs("fail2ban-regex")
@pytest.mark.parametrize(
    ("name", "matched"),
    [("nginx-botsearch", 2 * len(AGENTS)), ("nginx-bad-request", len(BROKEN))],
)
async def test_fail2ban_s_filters_for_nginx_match(
    deployment: Deployment, tmp_path: Path, name: str, matched: int
) -> None:
    """As they are, and what they are for alone."""
    site = deployment.uap(log={"access_format": "combined"})
    count = await visited(site)
    log = tmp_path / "access.log"
    log.write_bytes(await access_log(site, count))
    said = run("fail2ban-regex", str(log), f"/etc/fail2ban/filter.d/{name}.conf").decode()

    assert f"{count} lines, 0 ignored, {matched} matched, {count - matched} missed" in said
