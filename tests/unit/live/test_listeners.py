"""Ports: free, ours, systemd's for us, or somebody else's."""

import errno

import pytest

from exoproxy.live.finding import Finding
from exoproxy.live.listeners import findings
from exoproxy.net.port_holder import Holder
from exoproxy.settings.model import Settings
from pretended_network import Pretended, holder

SETTINGS = Settings.model_validate(
    {
        "main": {
            "hostname": "my.example.org",
            "proxy": None,
            "listen": ["0.0.0.0:443"],
            "redirect_listen": [],
            "admin_listen": None,
        }
    }
)


def told(network: Pretended) -> Finding:
    [finding] = findings(SETTINGS, network)
    return finding


@pytest.mark.parametrize(
    ("held", "kind", "expected"),
    [
        ([holder("exoproxy", ours=True)], "ok", "is exoproxy's already (process 812)"),
        ([holder("systemd", 1), holder("x", 9, ours=True)], "ok", "is exoproxy's already (proc"),
        (
            [holder("nginx", service="nginx.service")],
            "failed",
            "is taken by nginx (process 812): if this host needs it no longer, `systemctl disable "
            "--now nginx.service`; else",
        ),
        ([holder("docker-proxy")], "failed", "is taken by docker-proxy (process 812): a container"),
        ([holder("python3")], "failed", "is taken by python3 (process 812): end it, or choose an"),
        ([holder("systemd", 1)], "failed", "is held by systemd for a socket unit of no mode"),
        ([], "note", "is taken, and user root can't see by whom; run this with sudo"),
    ],
)
def test_tells_who_has_a_port(held: list[Holder], kind: str, expected: str) -> None:
    """Ours is no obstacle, another's is told with what to do."""
    finding = told(Pretended(taken={443: errno.EADDRINUSE}, held=held))

    assert (finding.subject, finding.kind) == ("0.0.0.0:443", kind)
    assert finding.sentence.startswith(expected.replace("user root", process()))


def process() -> str:
    from exoproxy.certs.context import process_user

    return process_user()


@pytest.mark.parametrize("listen", ["0.0.0.0:443 (Stream)", "[::]:80 (Stream)\n[::]:443 (Stream)"])
def test_knows_our_socket_unit(listen: str) -> None:
    """systemd holds the port before the service starts, which is as it should be."""
    units = {"exoproxy-main.socket": {"Listen": listen, "ActiveState": "active"}}
    taken = {443: errno.EADDRINUSE}
    finding = told(Pretended(taken=taken, held=[holder("systemd", 1)], units=units))

    assert (finding.kind, finding.sentence) == ("ok", "is held by systemd for exoproxy-main.socket")


def test_a_unit_that_failed_holds_nothing() -> None:
    """A region that is misspelt holds the port, and the right one's unit is not blamed for it."""
    units = {"exoproxy-main.socket": {"Listen": "[::]:443 (Stream)", "ActiveState": "failed"}}
    taken = {443: errno.EADDRINUSE}
    finding = told(Pretended(taken=taken, held=[holder("systemd", 1)], units=units))

    assert finding.kind == "failed"
    assert "`systemctl list-sockets`" in finding.sentence


def test_says_what_was_not_tried() -> None:
    """Who may not open a port is told what can be seen all the same."""
    free = told(Pretended(taken={443: errno.EACCES}))
    taken = told(Pretended(taken={443: errno.EACCES}, held=[holder("x")]))

    assert free.kind == taken.kind == "note"
    assert free.sentence.startswith("was not tried, because ")
    assert free.sentence.endswith("nothing listens there now")
    assert taken.sentence.startswith("is taken, and ")


def test_other_faults_are_the_sockets_own() -> None:
    """An address that no interface has, for example."""
    finding = told(Pretended(taken={443: errno.EADDRNOTAVAIL}))

    assert (finding.kind, finding.sentence) == ("failed", "can't.")


def test_each_address_once() -> None:
    """Regions that listen alike are on hosts of their own."""
    region = {"subnets": ["192.168.0.0/24"], "certificate": "local"}
    regions = {name: {"hostname": f"{name}.example.org", **region} for name in ("a", "b")}
    settings = Settings.model_validate({"uap": {"allowed_origins": [], "regions": regions}})

    assert [each.subject for each in findings(settings, Pretended())] == [
        "0.0.0.0:443",
        "[::]:443",
        "0.0.0.0:80",
        "[::]:80",
        "127.0.0.1:9181",
    ]
