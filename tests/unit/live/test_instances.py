"""Routes to the subnets, and instances that are named."""

import errno
from typing import Any

import pytest

from exoproxy.errors import UpstreamAnswer, UpstreamTls
from exoproxy.live.finding import Finding
from exoproxy.live.instances import findings
from exoproxy.live.network import Answer, Question
from exoproxy.settings.model import Settings
from exoproxy.settings.sites import Main
from pretended_network import Pretended

REGION = "proxy.example.org"
ROUTES = {"192.168.0.7": "192.168.0.4"}


def settings(**region: Any) -> Settings:
    content = {"hostname": REGION, "subnets": ["192.168.0.0/24"], **region}
    return Settings.model_validate({"uap": {"allowed_origins": [], "regions": {"X": content}}})


def told(instance: str, network: Pretended, **region: Any) -> Finding:
    *_, finding = findings(settings(**region), [instance], network)
    return finding


@pytest.mark.parametrize(
    ("sources", "kind", "expected"),
    [
        (ROUTES, "ok", "192.168.0.0/24 is this host's own network, where it has 192.168.0.4"),
        ({"192.168.0.7": "10.0.0.4"}, "ok", "192.168.0.0/24 has a route, from 10.0.0.4 outside"),
        ({}, "failed", "192.168.0.0/24 has no route from this host (Network is unreachable): "),
    ],
)
def test_looks_for_a_route(sources: dict[str, str], kind: str, expected: str) -> None:
    """Nothing is sent; without an instance that is named, it is said how to name one."""
    network = Pretended(sources=sources)
    route, hint = findings(settings(), [], network)

    assert (route.subject, route.kind) == ("uap.regions.X.subnets[0]", kind)
    assert route.sentence.startswith(expected)
    assert (hint.subject, hint.kind) == ("uap.regions.X", "note")
    assert f"`--instance http-192-168-0-7-80.{REGION}`" in hint.sentence
    assert network.asked == []


def test_asks_an_instance_by_its_name() -> None:
    """At the address in the name, in the way that the name says."""
    answer = Answer(status=200, content=b"", tls="")
    network = Pretended(answers=[answer])
    finding = told(f"HTTP-192-168-0-5-8080.{REGION}.", network)
    [question] = network.asked

    assert (finding.kind, finding.sentence) == (
        "ok",
        "answers 200 over plain HTTP at 192.168.0.5:8080",
    )
    assert isinstance(question, Question)
    assert (str(question.address), question.port, question.context) == ("192.168.0.5", 8080, None)
    assert question.authority == f"http-192-168-0-5-8080.{REGION}"


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (
            ConnectionRefusedError(errno.ECONNREFUSED, "Connection refused"),
            "is reached, and 192.168.0.5 refuses connections to port 8080: start the application",
        ),
        (
            TimeoutError("timed out"),
            "gives no answer at 192.168.0.5:8080 in time: see that the instance runs, that its "
            "security group lets this host (192.168.0.4) in",
        ),
        (
            OSError(errno.EHOSTUNREACH, "No route to host"),
            "can't be reached at 192.168.0.5:8080 from this host (192.168.0.4) (No route to host)",
        ),
        (
            UpstreamTls("No TLS.", hint="Try http-."),
            "is reached at 192.168.0.5:8080, and completes no TLS handshake: No TLS. Try http-.",
        ),
        (
            UpstreamAnswer("No HTTP."),
            "is reached at 192.168.0.5:8080, and speaks no HTTP: No HTTP.",
        ),
    ],
)
def test_tells_how_an_instance_fails(error: Exception, expected: str) -> None:
    """Each way to fail has its sentence."""
    sources = {**ROUTES, "192.168.0.5": "192.168.0.4"}
    finding = told(f"192-168-0-5-8080.{REGION}", Pretended(answers=[error], sources=sources))

    assert finding.kind == "failed"
    assert finding.sentence.startswith(expected)


@pytest.mark.parametrize(
    ("instance", "expected"),
    [
        (
            f"http-10-0-0-5-80.{REGION}",
            "is refused by the region X: The address lies in 10.0.0.0/8",
        ),
        (f"http-192-168-0-9-80.{REGION}", "is refused by the region X: The address is the proxy's"),
        (f"http-192-168-0-5-81.{REGION}", "is refused by the region X: The port is not among"),
        (f"a.b.{REGION}", "is refused by the region X: An instance's name is one label"),
        ("10.0.0.5", "is refused by the region X: The address lies in 10.0.0.0/8"),
        ("127.0.0.1:80", "is refused by the region X: The address lies in 127.0.0.0/8"),
        ("[::1]:80", "is refused by the region X: The address lies in ::1"),
        (
            "example.com",
            f"is neither an address nor an instance's name here, which end in *.{REGION}",
        ),
        ("192.168.0.5:0", "is not HOST or HOST:PORT: '192.168.0.5:0' has a wrong port"),
        ("", "is neither an address nor"),
        ("\x1b[2J\udcff", "is neither an address nor"),
    ],
)
def test_dials_nothing_that_the_region_refuses(instance: str, expected: str) -> None:
    """The same judgement as a request's, before anything is dialled."""
    network = Pretended(own=["192.168.0.9"])
    finding = told(instance, network, ports=[80])

    assert finding.kind == "failed"
    assert finding.sentence.startswith(expected)
    assert (finding.subject + finding.sentence).isprintable()
    assert network.asked == []


@pytest.mark.parametrize(
    ("instance", "refusals", "kind", "expected"),
    [
        ("192.168.0.5:80", {}, "ok", "takes connections to port 80"),
        ("192.168.0.5", {}, "ok", "takes connections to port 22"),
        ("192.168.0.5", {22: ConnectionRefusedError()}, "ok", "is reached: it refuses connect"),
        ("192.168.0.5:80", {80: ConnectionRefusedError()}, "failed", "is reached, and 192.168.0.5"),
        ("192.168.0.5", {22: TimeoutError("timed out")}, "failed", "gives no answer at 192.168.0."),
    ],
)
def test_an_address_is_only_connected_to(
    instance: str, refusals: dict[int, OSError], kind: str, expected: str
) -> None:
    """What is spoken there is not known; for a bare address any answer is enough."""
    finding = told(instance, Pretended(refusals=refusals))

    assert finding.kind == kind
    assert finding.sentence.startswith(expected)


def test_a_bare_address_is_tried_at_a_port_that_is_allowed() -> None:
    """Where ssh's isn't, at the first of the region's."""
    network = Pretended()
    told("192.168.0.5", network, ports=["8000-9000"])

    assert network.asked == [("192.168.0.5", 8000)]


def test_a_host_without_regions_has_no_instances() -> None:
    """Who names one is told so."""
    main = Settings.model_validate({"main": {"hostname": "my.example.org", "proxy": None}})
    [finding] = findings(main, ["192.168.0.5"], Pretended())

    assert finding.kind == "failed"


def test_a_region_may_be_another_hosts() -> None:
    """With several modes in the file, a missing route need not be a fault."""
    both = settings().model_copy(
        update={"main": Main.model_validate({"hostname": "my.example.org", "proxy": None})}
    )
    route, _ = findings(both, [], Pretended())

    assert route.kind == "note"
    assert "if this host shall serve the region, give it a port" in route.sentence
