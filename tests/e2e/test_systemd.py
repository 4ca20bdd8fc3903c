"""The units of systemd/ under a real systemd: the sandbox, the sockets, and a service's life."""

import asyncio
import http.client
import socket
import ssl
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing

import pytest
import yaml

from acme_world import NEEDS, acme_world
from booted import Booted, booted
from cloudflare_api import TOKEN
from deployment import AGREED, GOING_AWAY, INSTANCE, MAIN_NAME, REGION, UAP_NAME, UPGRADE
from load import Load, load
from peers import End, request, upstream

pytestmark = pytest.mark.needs("booted systemd")

MAIN = "exoproxy-main"
UAP = f"exoproxy-uap@{REGION}"
SETTINGS = "/etc/exoproxy/exoproxy.yaml"
LOCAL_CA = f"/var/lib/private/exoproxy/local/{MAIN_NAME}/ca.pem"
NOBODY = "65534"

WITHIN_SECONDS = 30
LOAD_SECONDS = 6
CLIENTS = 8


@pytest.fixture(scope="module")
def host(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Booted]:
    """A machine with the units installed and a client to serve."""
    with booted(tmp_path_factory.mktemp("systemd")) as started:
        started.write("/etc/hosts", f"127.0.0.1 localhost {MAIN_NAME}\n")
        started.write("/etc/exoproxy/cloudflare.token", f"{TOKEN}\n", 0o600)
        started.write("/srv/client/index.html", "<!doctype html><title>first</title>")
        started.write("/srv/other/index.html", "<!doctype html><title>second</title>")
        yield started


@pytest.fixture
def main(host: Booted) -> Iterator[Booted]:
    """The main host at work, with the listeners and limits that everybody has."""
    configure(host)
    host.run("systemctl", "start", MAIN)
    yield host
    host.run("systemctl", "stop", f"{MAIN}.socket", MAIN)


def configure(host: Booted, root: str = "/srv/client") -> None:
    part = {
        "hostname": MAIN_NAME,
        "certificate": "local",
        "client": {"root": root},
        "proxy": {"allow": ["localhost"]},
    }
    host.write(SETTINGS, yaml.safe_dump({"main": part}))


def fetch(host: Booted, *, ca_file: str = LOCAL_CA, name: str = MAIN_NAME) -> tuple[int, str]:
    """Return status and content of the page at `/`, on a new connection over TLS."""
    trust = ssl.create_default_context(cafile=host.outside(ca_file))

    def over_tls() -> tuple[int, str]:
        with (
            socket.create_connection(("127.0.0.1", 443), 10) as raw,
            trust.wrap_socket(raw, server_hostname=name) as connection,
        ):
            connection.sendall(b"GET / HTTP/1.1\r\nHost: %b\r\n\r\n" % name.encode())
            response = http.client.HTTPResponse(connection)
            response.begin()
            return response.status, response.read().decode()

    return host.in_its_network(over_tls)


def until(condition: Callable[[], bool]) -> None:
    """Wait for something that another process does."""
    deadline = time.monotonic() + WITHIN_SECONDS
    while not condition():
        assert time.monotonic() < deadline, "it did not come about in time"
        time.sleep(0.1)


def test_a_start_is_over_when_pages_are_served(main: Booted) -> None:
    """systemd waits for readiness, and shows in one line what is served."""
    answer = fetch(main)

    assert answer == (200, "<!doctype html><title>first</title>")
    assert main.property(MAIN, "StatusText") != ""


@pytest.mark.parametrize("address", ["127.0.0.1", "::1"])
def test_sockets_are_for_both_families(main: Booted, address: str) -> None:
    """One socket a port serves IPv4 and IPv6; the one for http says where https is."""

    def over_http() -> str | None:
        with closing(http.client.HTTPConnection(address, 80, timeout=10)) as connection:
            connection.request("GET", "/", headers={"Host": MAIN_NAME})
            return connection.getresponse().getheader("Location")

    assert main.in_its_network(over_http) == f"https://{MAIN_NAME}/"


def test_ports_are_opened_without_the_socket_unit(main: Booted) -> None:
    """Where there is no socket unit, the service itself takes the ports below 1024."""
    main.run("systemctl", "stop", f"{MAIN}.socket", MAIN)
    unit = main.outside(f"/etc/systemd/system/{MAIN}.socket")
    text = unit.read_text("utf-8")
    unit.unlink()
    main.run("systemctl", "daemon-reload")
    try:
        main.run("systemctl", "start", MAIN)
        status, _ = fetch(main)
        loaded = main.property(f"{MAIN}.socket", "LoadState")
    finally:
        main.write(f"/etc/systemd/system/{MAIN}.socket", text)
        main.run("systemctl", "daemon-reload")
        main.run("systemctl", "stop", MAIN)

    assert (status, loaded) == (200, "not-found")


def test_a_reload_changes_what_is_served(main: Booted) -> None:
    """`systemctl reload` of a right file takes effect, in the same process."""
    process = main.property(MAIN, "MainPID")
    configure(main, "/srv/other")
    main.run("systemctl", "reload", MAIN)
    until(lambda: fetch(main) == (200, "<!doctype html><title>second</title>"))

    assert main.property(MAIN, "MainPID") == process


def test_a_reload_of_a_wrong_file_fails(main: Booted) -> None:
    """`systemctl reload` says that it failed, the journal says why, and all goes on as before."""
    process = main.property(MAIN, "MainPID")
    main.write(SETTINGS, "main: {hostnam: exosphere.example.org}\n")
    code, _ = main.attempt("systemctl", "reload", MAIN)

    assert code != 0
    assert f"{SETTINGS}:1: main.hostnam: " in main.journal("--unit", MAIN)
    assert main.property(MAIN, "MainPID") == process
    assert fetch(main) == (200, "<!doctype html><title>first</title>")


@pytest.mark.parametrize("kept", [False, True], ids=["new-connections", "kept-connections"])
def test_a_restart_refuses_nobody(main: Booted, kept: bool) -> None:
    """Not one request fails while the service restarts twice under load."""
    process = main.property(MAIN, "MainPID")
    trust = ssl.create_default_context(cafile=main.outside(LOCAL_CA))
    with ThreadPoolExecutor(1) as thread:
        asking = thread.submit(main.in_its_network, lambda: asyncio.run(ask_on(trust, kept=kept)))
        for _ in range(2):
            time.sleep(1)
            main.run("systemctl", "restart", MAIN)
        measured = asking.result()

    assert main.property(MAIN, "MainPID") != process
    assert measured.failures == []
    assert measured.answered > LOAD_SECONDS * CLIENTS


async def ask_on(trust: ssl.SSLContext, *, kept: bool) -> Load:
    """Ask for some seconds; return how it went."""
    async with load(443, MAIN_NAME, trust, kept=kept, clients=CLIENTS) as measured:
        await asyncio.sleep(LOAD_SECONDS)
    return measured


def test_a_service_that_hangs_is_started_again(main: Booted) -> None:
    """A process that gives no sign of life is ended and another takes its place."""
    main.drop_in(f"{MAIN}.service", "[Service]\nWatchdogSec=2\nRestartSec=1\n")
    main.run("systemctl", "restart", MAIN)
    process = main.property(MAIN, "MainPID")
    main.run("kill", "-STOP", process)
    until(lambda: main.property(MAIN, "MainPID") not in {process, "0"})
    until(lambda: main.property(MAIN, "ActiveState") == "active")
    main.outside(f"/etc/systemd/system/{MAIN}.service.d/test.conf").unlink()
    main.run("systemctl", "daemon-reload")

    assert "Watchdog timeout" in main.journal("--unit", MAIN)
    assert fetch(main)[0] == 200


def test_a_handover_is_noticed_by_nobody(host: Booted) -> None:
    """The main process is another, watched over like the first, and `stop` ends both of them."""
    unit = host.outside(f"/etc/systemd/system/{UAP}.service.d/test.conf")
    host.drop_in(f"{UAP}.service", "[Service]\nWatchdogSec=2\n")
    region = {
        "hostname": UAP_NAME,
        # Where it listens on every address, an instance can't be on the same machine.
        "listen": ["127.0.0.1:443"],
        "subnets": [f"{INSTANCE}/32"],
        "certificate": "local",
    }
    uap = {"allowed_origins": [], "regions": {REGION: region}}
    host.write(SETTINGS, yaml.safe_dump({"limits": {"drain": 2}, "uap": uap}))
    host.run("systemctl", "start", UAP)
    first = host.property(UAP, "MainPID")
    trust = ssl.create_default_context(cafile=host.outside(LOCAL_CA.replace(MAIN_NAME, UAP_NAME)))

    def hand_over() -> None:
        host.run("systemctl", "kill", "--kill-whom=main", "--signal=USR2", UAP)
        until(lambda: host.property(UAP, "MainPID") != first)
        # Longer than the watchdog waits.
        time.sleep(4)

    def states() -> list[str]:
        return [host.property(UAP, name) for name in ("ActiveState", "SubState", "NRestarts")]

    def stop() -> None:
        host.run("systemctl", "stop", f"{UAP}.socket", UAP)

    try:
        measured, between, goodbye = host.in_its_network(
            lambda: asyncio.run(over_a_handover(trust, hand_over, states, stop))
        )
    finally:
        stop()
        unit.unlink()
        host.run("systemctl", "daemon-reload")

    assert measured.failures == []
    assert measured.answered > CLIENTS
    assert between == ["active", "running", "0"]
    assert goodbye == GOING_AWAY
    assert host.property(UAP, "Result") == "success"


async def over_a_handover(
    trust: ssl.SSLContext,
    hand_over: Callable[[], None],
    states: Callable[[], list[str]],
    stop: Callable[[], None],
) -> tuple[Load, list[str], bytes]:
    """Hold a websocket under load; return how both went, and the service's state in between."""
    async with upstream(INSTANCE) as instance:
        name = f"http-{INSTANCE.replace('.', '-')}-{instance.port}.{UAP_NAME}"
        client = End(
            *await asyncio.open_connection("127.0.0.1", 443, ssl=trust, server_hostname=name)
        )
        client.send(request(name, *UPGRADE))
        there = await instance.accepted()
        await there.head()
        there.send(AGREED)
        await client.head()
        async with load(443, UAP_NAME, trust, kept=False, clients=CLIENTS) as measured:
            await asyncio.to_thread(hand_over)
        there.send(b"\x82\x01!")
        assert await client.read(3) == b"\x82\x01!"
        between = await asyncio.to_thread(states)
        stopping = asyncio.create_task(asyncio.to_thread(stop))
        goodbye = await client.read(4)
        client.close()
        there.close()
        await stopping
    return measured, between, goodbye


def test_a_token_is_for_the_service_alone(main: Booted) -> None:
    """The service can read the copy that it is given, and only root that and the file."""
    copy = f"/run/credentials/{MAIN}.service/cloudflare.token"
    process = main.property(MAIN, "MainPID")
    user = main.run("stat", "--format=%u", f"/proc/{process}").strip()

    def read(path: str, who: str) -> tuple[int, str]:
        as_user = ("setpriv", f"--reuid={who}", f"--regid={who}", "--clear-groups")
        return main.attempt(*as_user, "cat", path)

    assert read(copy, user) == (0, f"{TOKEN}\n")
    assert read(copy, NOBODY)[0] != 0
    assert read("/etc/exoproxy/cloudflare.token", user)[0] != 0


@pytest.mark.needs(*NEEDS)
def test_certificates_are_got_in_the_sandbox(host: Booted) -> None:
    """The UAP's service gets a certificate by DNS-01, with the token that systemd hands it."""
    host.in_its_network(lambda: issue(host))
    journal = host.journal("--unit", UAP)

    assert '"level": "ERROR"' not in journal
    assert '"level": "WARNING"' not in journal


def issue(host: Booted) -> None:
    with acme_world(host.shared / "world") as world:
        acme = world.settings()
        del acme["dns"]["token_file"]
        region = {"hostname": UAP_NAME, "subnets": ["127.0.0.2/32"]}
        content = {"acme": acme, "uap": {"allowed_origins": [], "regions": {REGION: region}}}
        host.write(SETTINGS, yaml.safe_dump(content).replace(str(host.shared), "/srv/shared"))
        host.run("systemctl", "start", UAP)
        try:
            until(lambda: served(host))
        except AssertionError:
            pytest.fail(host.journal("--unit", UAP))
        finally:
            host.run("systemctl", "stop", f"{UAP}.socket", UAP)


def served(host: Booted) -> bool:
    """Tell whether the authority's certificate is served, for any instance's name."""
    name = f"http-127-0-0-2-9.{UAP_NAME}"
    try:
        return fetch(host, ca_file="/srv/shared/world/root.pem", name=name)[0] > 0
    except ssl.SSLCertVerificationError:
        return False
