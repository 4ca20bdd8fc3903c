"""What `explain` says of hosts and URLs: whose they are, each decision, and whether it refuses."""

from datetime import UTC, datetime, timedelta
from ipaddress import IPv4Address, IPv6Address, ip_address
from pathlib import Path
from typing import Any

import pytest

from exoproxy import explain as explain_module
from exoproxy.explain import Explanation, explain
from exoproxy.explain.step import Circumstances, Step
from exoproxy.learned.file import write
from exoproxy.learned.table import Naming
from exoproxy.rules.catalogue import Endpoint
from exoproxy.settings.model import Settings

TODAY = datetime.now(UTC).replace(microsecond=0)


@pytest.fixture(autouse=True)
def nothing_but_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    """Leave out the machine's own addresses, which differ from one to the next."""
    monkeypatch.setattr(explain_module, "own_addresses", frozenset)


@pytest.fixture(name="content")
def configuration(tmp_path: Path) -> dict[str, Any]:
    (tmp_path / "index.html").write_text("<p>client")
    return {
        "state_dir": str(tmp_path / "state"),
        "main": {
            "hostname": "my.example.org",
            "certificate": "local",
            "client": {"root": str(tmp_path)},
            "proxy": {
                "allow": ["keystone.example.org:5000", "*.cloud.example.org", "[fd00::5]"],
                "networks": ["fd00::/64"],
            },
        },
        "uap": {
            "allowed_origins": ["https://my.example.org"],
            "regions": {
                "North": {"hostname": "north.example.com", "subnets": ["192.168.0.0/24"]},
                "South": {"hostname": "south.example.com", "subnets": ["192.168.1.0/24"]},
            },
        },
    }


def told(content: dict[str, Any], target: str, **circumstances: Any) -> Explanation:
    return explain(Settings.model_validate(content), target, Circumstances(**circumstances))


def last(explanation: Explanation) -> Step:
    return explanation.steps[-1]


def of(explanation: Explanation, subject: str) -> list[str]:
    """Return the sentences of the steps about a subject."""
    return [step.sentence for step in explanation.steps if step.subject == subject]


@pytest.mark.parametrize(
    ("target", "mode", "region", "served"),
    [
        ("my.example.org", "main", None, True),
        ("MY.example.org.:443", "main", None, True),
        ("https://my.example.org/?x=https://north.example.com", "main", None, True),
        ("north.example.com", "uap", "North", True),
        ("https://south.example.com/", "uap", "South", True),
        ("http-192-168-1-5-80.SOUTH.example.com.:443", "uap", "South", True),
        ("http-192-168-0-5-80.south.example.com", "uap", "South", False),
        ("https://u@a.north.example.com:8443?x=https://my.example.org", "uap", "North", False),
        ("xnorth.example.com", "main", None, False),
        ("north.example.com.evil.com", "main", None, False),
        ("keystone.example.org:5000", "main", None, True),
        ("[::1]:80", "main", None, False),
        ("", "main", None, False),
    ],
)
def test_knows_whose_request_it_is(
    content: dict[str, Any], target: str, mode: str, region: str | None, served: bool
) -> None:
    """Names of instances are their region's; all others are asked of the main host's /proxy."""
    explanation = told(content, target)

    assert (explanation.target, explanation.mode, explanation.region, explanation.served) == (
        target,
        mode,
        region,
        served,
    )


def test_tells_the_way_to_an_instance(content: dict[str, Any]) -> None:
    """From the name to what is dialled, each decision has its line."""
    host = "192-168-0-5-8888.north.example.com"

    assert told(content, f"https://{host}/lab//x?token=t#part").steps == (
        Step(
            subject="host",
            sentence=f"{host} lies below north.example.com, "
            "which `exoproxy uap --region North` serves",
        ),
        Step(subject="name", sentence="https, address 192.168.0.5, port 8888"),
        Step(
            subject="policy",
            sentence="the subnet 192.168.0.0/24 holds that address, which is not this host's own; "
            "ports 1-65535 hold that port",
        ),
        Step(
            subject="decision",
            sentence="goes to https://192.168.0.5:8888/lab//x?token=t, certificate not verified",
        ),
        Step(
            subject="request",
            sentence=f"sent with X-Forwarded-For: 192.0.2.1; X-Forwarded-Host: {host}; "
            "X-Forwarded-Port: 443; X-Forwarded-Proto: https; Via: 1.1 exoproxy-06f6784af776",
        ),
        Step(
            subject="answer",
            sentence="comes back with Set-Cookie: name=value (instead of name=value; "
            "Domain=example.org); Vary: Origin",
        ),
        Step(subject="log", sentence=f"as route instance: GET {host} /lab//x?token=…"),
    )


def test_tells_the_way_to_the_cloud(content: dict[str, Any]) -> None:
    """The pattern that allows the name is told, and that addresses are judged later."""
    target = "https://keystone.example.org:5000/v3//users"

    assert told(content, target).steps == (
        Step(
            subject="host",
            sentence="keystone.example.org is not served here; the client on my.example.org may "
            "ask its Cloud CORS Proxy for it",
        ),
        Step(subject="name", sentence="main.proxy.allow holds keystone.example.org:5000"),
        Step(
            subject="policy",
            sentence="each of its addresses is judged when it is dialled; "
            "allowed are public ones, fd00::/64",
        ),
        Step(
            subject="decision",
            sentence="goes to https://keystone.example.org:5000/v3/users, certificate verified",
        ),
        Step(
            subject="request",
            sentence="sent with Host: keystone.example.org:5000 (instead of my.example.org); "
            "Via: 1.1 exoproxy-48a2a38981a1; without Cookie, Referer, exo-proxy-orig-host, "
            "exo-proxy-orig-port",
        ),
        Step(
            subject="answer",
            sentence="comes back with Vary: Origin; without Access-Control-Allow-Origin; JSON and "
            "text that come plain are compressed",
        ),
        Step(subject="log", sentence="as route proxy: GET my.example.org /proxy/v3//users"),
    )


def learned(tmp_path: Path, *hosts: str, by: str = "keystone.example.org") -> Path:
    """Put into the state folder what was learned from logins today."""
    path = tmp_path / "state" / "learned" / "my.example.org.json"
    write(
        path,
        [
            Naming(endpoint=Endpoint(host, 8774), by=Endpoint(by, 5000), last_named=TODAY)
            for host in hosts
        ],
    )
    return path


def test_tells_who_named_an_endpoint(content: dict[str, Any], tmp_path: Path) -> None:
    """And until when that is good; the pattern where there is one, the refusal of an address."""
    learned(tmp_path, "nova.example.net", "nova.cloud.example.org", "10.0.0.1")
    until = TODAY + timedelta(days=30)
    named = told(content, "nova.example.net:8774")

    assert named.served
    assert named.steps[1] == Step(
        subject="name",
        sentence="keystone.example.org:5000, which main.proxy.allow holds, named it in its "
        f"catalogue on {TODAY:%Y-%m-%d}; that is good until {until:%Y-%m-%d}",
    )
    assert "allow holds" in told(content, "nova.cloud.example.org:8774").steps[1].sentence
    assert "10.0.0.0/8" in last(told(content, "10.0.0.1:8774")).sentence
    assert not told(content, "nova.example.net").served


def test_tells_nothing_of_what_is_not_believed(content: dict[str, Any], tmp_path: Path) -> None:
    """A Keystone that is not listed any more, or learn_endpoints: false."""
    learned(tmp_path, "nova.example.net", by="gone.example.org")

    assert "log in again" in last(told(content, "nova.example.net:8774")).sentence

    learned(tmp_path, "nova.example.net")
    content["main"]["proxy"]["learn_endpoints"] = False

    assert "log in again" not in last(told(content, "nova.example.net:8774")).sentence


def test_tells_that_it_does_not_know_what_was_learned(
    content: dict[str, Any], tmp_path: Path
) -> None:
    """A file that can't be read here may allow what is refused here; listed hosts are as ever."""
    path = learned(tmp_path, "nova.example.net")
    path.write_text("[")
    refused = told(content, "nova.example.net:8774").steps

    assert [(step.subject, step.ok) for step in refused] == [
        ("host", True),
        ("learned", True),
        ("decision", False),
    ]
    assert str(path) in refused[1].sentence
    assert "learned" not in [step.subject for step in told(content, "fd00::5").steps]

    content["main"]["proxy"]["learn_endpoints"] = False

    assert "learned" not in [step.subject for step in told(content, "nova.example.net").steps]


@pytest.mark.parametrize(
    ("target", "subject", "sentence"),
    [
        ("nova.cloud.example.org", "name", "main.proxy.allow holds *.cloud.example.org"),
        ("fd00::5", "name", "main.proxy.allow holds [fd00::5]"),
        ("[fd00:0::5]:8774", "policy", "fd00::5 is in main.proxy.networks: fd00::/64"),
        ("[fd00::5]:8774", "decision", "goes to https://[fd00::5]:8774/, certificate verified"),
        ("http://nova.cloud.example.org", "decision", "goes to https://nova.cloud.example.org:80/"),
        ("http-192-168-0-5-80.north.example.com", "decision", "goes to http://192.168.0.5:80/"),
        ("http://my.example.org/a b", "http", "answered here: 308 Permanent Redirect, "),
        ("my.example.org", "decision", "answered here: 200 OK, text/html; charset=utf-8"),
        ("north.example.com", "host", "north.example.com is north.example.com, which"),
    ],
)
def test_gives_the_reason(
    content: dict[str, Any], target: str, subject: str, sentence: str
) -> None:
    """What allows a name or an address, and what becomes of the request."""
    [step] = [step for step in told(content, target).steps if step.subject == subject]

    assert step.ok
    assert step.sentence.startswith(sentence)


@pytest.mark.parametrize(
    ("target", "expected"),
    [
        ("keystone.example.org", "403 target-not-allowed: The target is not among the hosts"),
        ("keystone.example.org:443/x", "403 target-not-allowed: The target is not among"),
        ("keystone.example.org:0x1388", "400 bad-request: The target's port is not a number"),
        ("127.1", "403 target-not-allowed: The target's host looks like a number"),
        ("a@nova.cloud.example.org", "400 bad-request: The target's host is neither"),
        ("nova.cloud.example.org\r\nX", "400 bad-request: The target's host is neither"),
        ("\uff11\uff12\uff17.0.0.1", "400 bad-request: The target's host holds characters"),
        ("\udcff", "400 bad-request: The target's host is neither"),
        ("https://my.example.org/proxy/v3", "400 bad-request: The request does not say which"),
        ("https://my.example.org/%zz", "400 bad-request: The address holds a %"),
        ("https://my.example.org/none.js", "404 not-found: There is no such file"),
        ("north.example.com:99999", "400 bad-host: "),
        ("north.example.com/x", "404 not-found: "),
        ("a.b.north.example.com", "404 no-instance-name: An instance's name is one label"),
        ("http-192-168-0-05-80.north.example.com", "404 no-instance-name: An octet"),
        ("192-168-1-5-80.north.example.com", "403 target-not-allowed: The address lies in 192."),
        ("192-168-0-255-80.north.example.com", "403 target-not-allowed: The address is the first"),
    ],
)
def test_gives_the_reason_of_a_refusal(content: dict[str, Any], target: str, expected: str) -> None:
    """The status, the code and the sentence are those of the answer."""
    explanation = told(content, target)

    assert not explanation.served
    assert last(explanation).sentence.startswith(expected)
    assert [step.ok for step in explanation.steps].count(False) == 1


def test_judges_an_address_at_once(content: dict[str, Any]) -> None:
    """For an address there is no DNS to wait for: where any is allowed, its range decides."""
    content["main"]["proxy"] = {"allow_any_public": True}
    public = told(content, "https://198.41.0.4")
    named = told(content, "anything.example")

    assert [step.sentence for step in public.steps[1:3]] == [
        "main.proxy.allow_any_public is true: any name may be asked for",
        "198.41.0.4 is public",
    ]
    assert named.served
    for literal in ("169.254.169.254", "[::1]", "[::ffff:127.0.0.1]", "10.0.0.1"):
        assert "403 target-not-allowed: The" in last(told(content, literal)).sentence


def test_never_reaches_this_machine(
    content: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """An instance's name with an address of this host's own is refused as it is in service."""
    own = frozenset([ip_address("192.168.0.9")])
    monkeypatch.setattr(explain_module, "own_addresses", lambda _: own)
    explanation = told(content, "192-168-0-9-80.north.example.com")

    assert "The address is the proxy's own." in last(explanation).sentence


def test_tells_of_pages_of_our_own(content: dict[str, Any]) -> None:
    """A page is answered here, whatever serves it; a login is no GET."""
    content["main"]["self_test"] = True
    page = told(content, "https://my.example.org/.exoproxy/self-test")
    login = last(told(content, "https://my.example.org/oidc-redirector"))

    assert of(page, "decision") == ["answered here, by a page of our own"]
    assert of(page, "request") == []
    assert login.sentence.startswith("401 login-refused: ")


def test_tells_that_nobody_listens_for_http(content: dict[str, Any]) -> None:
    """Without a listener for http, a browser that was given such a URL gets no answer."""
    content["main"]["redirect_listen"] = []

    assert not told(content, "http://my.example.org").served
    assert told(content, "https://my.example.org").served


def test_tells_that_there_is_no_proxy(content: dict[str, Any]) -> None:
    """main.proxy: null."""
    content["main"]["proxy"] = None

    assert last(told(content, "keystone.example.org:5000")) == Step(
        subject="policy", sentence="main.proxy is null: there is no such proxy", ok=False
    )


@pytest.mark.parametrize("part", ["uap", "nothing"])
def test_tells_that_nobody_serves_it(content: dict[str, Any], part: str) -> None:
    """A file without a main host has nothing to say of other names."""
    explanation = told({key: content[key] for key in content if key == part}, "my.example.org")

    assert (explanation.mode, explanation.served) == (None, False)


@pytest.mark.parametrize(
    ("target", "origin", "preflight", "cors"),
    [
        (
            "http-192-168-0-5-80.north.example.com",
            "https://my.example.org",
            "OPTIONS is answered 204 here: GET, POST, OPTIONS, HEAD, and the fields asked for",
            "a page of https://my.example.org may read the answer, and send its user's credentials",
        ),
        (
            "http-192-168-0-5-80.north.example.com",
            "https://evil.example",
            "OPTIONS goes to the upstream, which answers for itself",
            "https://evil.example is not in allowed_origins: its pages can't read the answer, "
            "unless the application there permits it",
        ),
        (
            "my.example.org",
            'https://evil.example"\\',
            None,
            "https://evil.example\\x22\\x5C is not in allowed_origins: its pages can't read the "
            "answer",
        ),
        (
            "keystone.example.org:5000",
            "https://friend.example",
            "OPTIONS is answered 204 here: GET, POST, PUT, PATCH, DELETE, OPTIONS, HEAD, and the "
            "fields asked for",
            "a page of https://friend.example may read the answer, and send its user's credentials",
        ),
    ],
)
def test_tells_what_a_page_of_another_site_gets(
    content: dict[str, Any], target: str, origin: str, preflight: str | None, cors: str
) -> None:
    """The browser's question before, and whether the page may read the answer."""
    content["main"]["allowed_origins"] = ["https://friend.example"]
    explanation = told(content, target, origin=origin)

    assert of(explanation, "preflight") == ([preflight] if preflight else [])
    assert of(explanation, "cors") == [cors]


def test_refuses_other_origins_at_the_proxy(content: dict[str, Any]) -> None:
    """As the service does."""
    explanation = told(content, "keystone.example.org:5000", origin="https://evil.example")

    assert last(explanation).sentence.startswith("403 origin-not-allowed: ")


@pytest.mark.parametrize(
    ("client", "expected", "forwarded"),
    [
        ("10.0.0.1", "10.0.0.1 is in trusted_proxies (10.0.0.0/8): its X-Forwarded-* ", "10.0.0.1"),
        ("8.8.8.8", "8.8.8.8 is not in trusted_proxies: its X-Forwarded-* are ", "8.8.8.8"),
    ],
)
def test_tells_who_is_believed(
    content: dict[str, Any], client: str, expected: str, forwarded: str
) -> None:
    """A client's address decides what of its fields is believed, and is handed on."""
    content["trusted_proxies"] = ["10.0.0.0/8"]
    target = "http-192-168-0-5-80.north.example.com"
    explanation = told(content, target, client=ip_address(client))

    assert of(explanation, "client")[0].startswith(expected)
    assert f"X-Forwarded-For: {forwarded};" in of(explanation, "request")[0]


def test_a_method_is_the_requests(content: dict[str, Any]) -> None:
    """What is refused for one method is not for another."""
    target = "https://my.example.org/config.js"

    assert told(content, "my.example.org", method="POST").served is False
    assert of(told(content, f"{target}x", method="GET"), "log")[0].startswith(
        "as route static: GET"
    )


def test_judges_each_address_that_a_name_has(content: dict[str, Any]) -> None:
    """One that is refused refuses the name, and nothing follows."""
    asked: list[str] = []

    def resolve(host: str) -> list[IPv4Address | IPv6Address]:
        asked.append(host)
        return [ip_address(each) for each in ("8.8.8.8", "fd00::7", "10.0.0.1")]

    explanation = told(content, "nova.cloud.example.org", resolve=resolve)
    first, second, third = [step for step in explanation.steps if step.subject == "address"]

    assert asked == ["nova.cloud.example.org"]
    assert (first.sentence, first.ok) == ("8.8.8.8 is public", True)
    assert second.sentence == "fd00::7 is in main.proxy.networks: fd00::/64"
    assert third.sentence.startswith("10.0.0.1, and with it the name: The address lies in 10.")
    assert (last(explanation), explanation.served) == (third, False)


def test_looks_nothing_up_unasked(content: dict[str, Any]) -> None:
    """Neither without leave, nor for an address or a name that is refused."""

    def resolve(_: str) -> list[IPv4Address | IPv6Address]:
        raise AssertionError

    assert told(content, "[fd00::5]:8774", resolve=resolve).served
    assert not told(content, "evil.example", resolve=resolve).served
    assert told(content, "http-192-168-0-5-80.north.example.com", resolve=resolve).served


def test_tells_that_a_name_is_not_found(content: dict[str, Any]) -> None:
    """With the resolver's own word."""

    def resolve(_: str) -> list[IPv4Address | IPv6Address]:
        raise OSError(2, "Name or service not known")

    explanation = told(content, "nova.cloud.example.org", resolve=resolve)

    assert last(explanation).sentence == "none was found (Name or service not known)"
    assert not explanation.served


@pytest.mark.parametrize(
    "target",
    [
        "https://my.example.org/" + "x" * 100_000,
        "https://my.example.org/?" + "\x1b[2J" * 100,
        "https://192-168-0-5-80.north.example.com/\u202e\r\n\x00",
        "https://\ud800.north.example.com/",
        "https://\u00fc.north.example.com/",
        "a" * 100_000,
        "[" * 1000,
    ],
    ids=lambda target: target[:30].encode("ascii", "backslashreplace").decode(),
)
def test_hostile_targets_stay_clean_lines(content: dict[str, Any], target: str) -> None:
    """Each sentence is one bounded line of printable characters, whatever was asked."""
    for step in told(content, target).steps:
        assert step.sentence.isprintable()
        assert len(step.sentence) < 3000
