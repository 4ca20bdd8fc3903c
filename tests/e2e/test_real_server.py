"""A real nginx behind both modes with a plain configuration: what arrives there, byte for byte."""

import shutil
import socket
import subprocess
from collections.abc import Iterator

import pytest

from authority import Authority
from deployment import CLOUD, INSTANCE, MAIN_NAME, UAP_NAME, Site
from messages import Message
from peers import code_of, request, status_of, until
from ports import free_port

# `$request_uri` and `$http_host` are what nginx received, before it makes anything of them.
CONFIGURATION = """\
daemon off;
worker_processes 1;
pid {folder}/pid;
error_log {folder}/error.log;
events {{ worker_connections 64; }}
http {{
  access_log off;
  client_body_temp_path {folder}; proxy_temp_path {folder}; fastcgi_temp_path {folder};
  uwsgi_temp_path {folder}; scgi_temp_path {folder};
  server {{
    listen {instance}:{plain};
    listen 127.0.0.1:{tls} ssl;
    ssl_certificate {certificate};
    ssl_certificate_key {certificate};
    location / {{ return 200 "$request_uri\\n$http_host\\n$server_protocol\\n$connection"; }}
  }}
}}
"""

pytestmark = pytest.mark.needs("nginx")


@pytest.fixture(scope="module")
def ports(
    authority: Authority, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[dict[str, int]]:
    """The ports of an nginx that says what it received: `plain` and `tls`."""
    folder = tmp_path_factory.mktemp("nginx")
    folder.chmod(0o755)
    found = {"plain": free_port(INSTANCE), "tls": free_port()}
    file = folder / "nginx.conf"
    file.write_text(
        CONFIGURATION.format(
            folder=folder, instance=INSTANCE, certificate=authority.issue(CLOUD), **found
        ),
        "utf-8",
    )
    program = shutil.which("nginx")
    assert program is not None
    process = subprocess.Popen([program, "-c", str(file)])  # noqa: S603 - Debian's
    try:
        yield found
    finally:
        process.terminate()
        process.wait(10)


async def listening(address: str, port: int) -> None:
    """Wait until nginx serves."""

    def connects() -> bool:
        with socket.socket() as probe:
            return probe.connect_ex((address, port)) == 0

    await until(connects)


async def asked(site: Site, name: str, data: bytes) -> Message:
    """Return the answer to one request."""
    client = await site.connect(name)
    try:
        client.send(data)
        return await client.message()
    finally:
        client.close()


TARGETS = [
    b"/v1/c/my%20file%2Fname?x=%2f",
    b"/a/../b/./c;d=1?",
    b"/%e2%82%ac|[]?q=%25&r=+&s",
]


@pytest.mark.parametrize("target", TARGETS)
async def test_cloud_gets_the_path_as_it_was_sent(
    standing: dict[str, Site], ports: dict[str, int], target: bytes
) -> None:
    """Through /proxy a target arrives byte for byte, less the prefix, under the API's own name."""
    await listening("127.0.0.1", ports["tls"])
    message = await asked(
        standing["main"],
        MAIN_NAME,
        standing["main"].request(ports["tls"], line=b"GET %b HTTP/1.1" % target),
    )

    assert status_of(message) == 200
    assert message.content.split(b"\n")[:3] == [
        target,
        b"%b:%d" % (CLOUD.encode(), ports["tls"]),
        b"HTTP/1.1",
    ]


@pytest.mark.parametrize("target", [*TARGETS, b"//b//c?x=//"])
async def test_instance_gets_target_and_host_as_they_were_sent(
    standing: dict[str, Site], ports: dict[str, int], target: bytes
) -> None:
    """Through the UAP target and Host arrive byte for byte, upper case and port included."""
    await listening(INSTANCE, ports["plain"])
    name = f"http-{INSTANCE.replace('.', '-')}-{ports['plain']}.{UAP_NAME}"
    host = f"{name.replace('example', 'EXAMPLE')}:8443"
    message = await asked(standing["uap"], name, request(host, line=b"GET %b HTTP/1.1" % target))

    assert message.content.split(b"\n")[:2] == [target, host.encode()]


async def test_connections_to_the_cloud_are_used_again(
    standing: dict[str, Site], ports: dict[str, int]
) -> None:
    """One after another, requests of different clients share a kept connection."""
    await listening("127.0.0.1", ports["tls"])
    site = standing["main"]
    serials = {
        (await asked(site, MAIN_NAME, site.request(ports["tls"]))).content.split(b"\n")[3]
        for _ in range(5)
    }

    assert len(serials) == 1


@pytest.mark.parametrize(
    ("host", "status", "code"),
    [
        (b"127.0.0.1", 403, "target-not-allowed"),
        (b"localhost.localdomain", 403, "target-not-allowed"),
        (b"169.254.169.254", 403, "target-not-allowed"),
        (b"10.0.0.1", 403, "target-not-allowed"),
        (b"192.168.1.1", 403, "target-not-allowed"),
        (b"127.1", 403, "target-not-allowed"),
        (b"0x7f000001", 403, "target-not-allowed"),
        (b"2130706433", 403, "target-not-allowed"),
        (b"[::1]", 403, "target-not-allowed"),
        (b"[::ffff:127.0.0.1]", 403, "target-not-allowed"),
        (b"localhost.", 400, "bad-request"),
        (b"a@localhost", 400, "bad-request"),
    ],
)
async def test_cloud_proxy_refuses_what_is_not_listed(
    standing: dict[str, Site], host: bytes, status: int, code: str
) -> None:
    """Loopback, link-local, private and look-alike targets are refused unless they are listed."""
    site = standing["main"]
    fields = ((b"exo-proxy-orig-host", host), (b"exo-proxy-orig-port", b"443"))
    message = await asked(
        site, MAIN_NAME, request(MAIN_NAME, *fields, line=b"GET /proxy/ HTTP/1.1")
    )

    assert (status_of(message), code_of(message)) == (status, code)


@pytest.mark.parametrize(
    ("label", "status", "code"),
    [
        ("http-10-0-0-1-80", 403, "target-not-allowed"),
        ("http-127-0-0-1-80", 403, "target-not-allowed"),
        ("http-127-0-0-256-80", 404, "no-instance-name"),
        ("http-127-0-0-02-80", 404, "no-instance-name"),
        ("http-127-0-0-2-0", 404, "no-instance-name"),
        ("www", 404, "no-instance-name"),
    ],
)
async def test_uap_refuses_what_no_subnet_holds(
    standing: dict[str, Site], label: str, status: int, code: str
) -> None:
    """An address outside the subnets gives 403, a name that is none 404."""
    name = f"{label}.{UAP_NAME}"
    message = await asked(standing["uap"], name, request(name))

    assert (status_of(message), code_of(message)) == (status, code)
