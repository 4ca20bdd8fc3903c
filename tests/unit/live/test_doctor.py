"""In what order the world is tried."""

from pathlib import Path

from exoproxy.live.doctor import Asked, groups
from exoproxy.settings.model import Settings
from pretended_network import Pretended

CONFIG = Path("/etc/exoproxy/exoproxy.yaml")
SETTINGS = Settings.model_validate(
    {
        "main": {"hostname": "my.example.org", "proxy": {"allow": ["keystone.example.org:5000"]}},
        "uap": {
            "allowed_origins": [],
            "regions": {"X": {"hostname": "proxy.example.org", "subnets": ["192.168.0.0/24"]}},
        },
    }
)


def test_tries_everything_in_order() -> None:
    """What fails first ends nothing; each group has something to say of an empty world."""
    found = [
        (title, [each.subject for each in findings])
        for title, findings in groups(SETTINGS, Asked(configuration=CONFIG), Pretended(), print)
    ]

    assert found == [
        ("names", ["my.example.org", "proxy.example.org", "*.proxy.example.org"]),
        (
            "listeners",
            [
                *("0.0.0.0:443", "[::]:443", "0.0.0.0:80", "[::]:80"),
                *("127.0.0.1:9180", "127.0.0.1:9181"),
            ],
        ),
        ("served", []),
        (
            "issuance",
            [
                "acme.directory",
                *("_acme-challenge.my.example.org", "my.example.org"),
                *("_acme-challenge.proxy.example.org", "proxy.example.org"),
            ],
        ),
        ("cloud", ["keystone.example.org:5000"]),
        ("instances", ["uap.regions.X.subnets[0]", "uap.regions.X"]),
        ("clock", ["clock"]),
        ("files", ["/var/lib/exoproxy"]),
        ("service", ["systemd"]),
    ]


def test_hands_on_what_was_asked_for() -> None:
    """The instances, whether to write, and whom to tell."""
    said: list[str] = []
    places = {
        f"_acme-challenge.{name}": ("example.org", f"_acme-challenge.{name}")
        for name in ("my.example.org", "proxy.example.org")
    }
    asked = Asked(configuration=CONFIG, write=True, instances=("192.168.0.5",))
    network = Pretended(places=places)
    for _, findings in groups(SETTINGS, asked, network, said.append):
        list(findings)

    assert said == ["Writing", "Writing"]
    assert ("192.168.0.5", 22) in network.asked


def test_leaves_out_what_is_other_hosts() -> None:
    """And says so."""
    network = Pretended(units={"exoproxy-main.service": {"UnitFileState": "enabled"}})
    (title, first), (_, names), *_ = groups(SETTINGS, Asked(configuration=CONFIG), network, print)
    [finding] = first

    assert (title, finding.subject, finding.kind) == ("host", "exoproxy-uap@X.service", "note")
    assert [each.subject for each in names] == ["my.example.org"]
