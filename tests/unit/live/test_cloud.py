"""The cloud's APIs: judged before they are dialled, and what they turn out to be."""

import json
import ssl
from typing import Any

import pytest

from exoproxy.errors import UpstreamAnswer, UpstreamCertificate, UpstreamTls
from exoproxy.live.clock import Skews
from exoproxy.live.cloud import findings, keystone_versions
from exoproxy.live.finding import Finding
from exoproxy.live.network import Answer, Question
from exoproxy.settings.model import Settings
from pretended_network import Pretended

NAME = "keystone.example.org"
MEDIA = {"media-types": [{"type": "application/vnd.openstack.identity-v3+json"}]}
LIST = json.dumps({"versions": {"values": [{"id": "v3.14", **MEDIA}]}}).encode()
ONE = json.dumps({"version": {"id": "v3.14", **MEDIA}}).encode()


def answer(content: bytes = b"", status: int = 200, skew: float | None = None) -> Answer:
    return Answer(status=status, content=content, tls="TLSv1.3", clock_skew=skew)


def told(network: Pretended, skews: Skews | None = None, **keys: Any) -> Finding:
    main = {"hostname": "my.example.org", "proxy": {"allow": [f"{NAME}:5000"], **keys}}
    [finding] = findings(
        Settings.model_validate({"main": main}), network, {} if skews is None else skews
    )
    return finding


def dialled(network: Pretended) -> list[tuple[str, int, str, str]]:
    return [
        (str(each.address), each.port, each.authority, each.path)
        for each in network.asked
        if isinstance(each, Question)
    ]


def test_knows_a_keystone() -> None:
    """By the list of versions at its root, asked as /proxy would."""
    network = Pretended(names={NAME: ["8.8.8.8"]}, answers=[answer(LIST, 300, 7.0)])
    skews: Skews = {}
    finding = told(network, skews)

    assert (finding.kind, finding.subject) == ("ok", f"{NAME}:5000")
    assert finding.sentence == "is a Keystone (v3.14), TLSv1.3 from 8.8.8.8"
    assert dialled(network) == [("8.8.8.8", 5000, f"{NAME}:5000", "/")]
    assert skews == {f"{NAME}:5000": 7.0}


def test_knows_a_keystone_behind_a_page() -> None:
    """Some clouds have a page at the root."""
    page = answer(b"<html>", 200)
    network = Pretended(names={NAME: ["8.8.8.8"]}, answers=[page, answer(ONE)])

    assert told(network).sentence.startswith("is a Keystone (v3.14)")
    assert [path for *_, path in dialled(network)] == ["/", "/v3"]


def test_another_api_is_well_too() -> None:
    """Of Nova and Glance there is nothing more to ask."""
    answers: list[Answer | Exception] = [answer(b"{}", 200), answer(b"", 404)]
    finding = told(Pretended(names={NAME: ["8.8.8.8"]}, answers=answers))

    assert finding.kind == "ok"
    assert "200 for / and 404 for /v3; nothing there says that it is a Keystone" in finding.sentence


@pytest.mark.parametrize(
    "content",
    [b"", b"null", b"[]", b'{"version": null}', b'{"versions": {"values": [{"id": 3}]}}'],
)
def test_other_contents_are_no_keystone(content: bytes) -> None:
    """Whatever JSON there is, and what is none."""
    assert keystone_versions(answer(content)) == ""


def test_hostile_contents_are_no_keystone() -> None:
    """Neither deep nesting nor control characters make trouble."""
    assert keystone_versions(answer(b"[" * 60_000)) == ""
    assert keystone_versions(answer(ONE.replace(b"v3.14", b"v\\u001b[2J" + b"x" * 99))) == (
        "v?[2J" + "x" * 15
    )
    assert keystone_versions(answer(LIST, 404)) == ""
    assert keystone_versions(answer(LIST.replace(b'"v3.14"', b"3.14"))) == ""


@pytest.mark.parametrize(
    "addresses",
    [
        ["127.0.0.1"],
        ["8.8.8.8", "10.0.0.5"],
        ["169.254.169.254"],
        ["::ffff:10.0.0.5"],
        ["64:ff9b::7f00:1"],
    ],
    ids=repr,
)
def test_dials_no_address_that_the_proxy_refuses(addresses: list[str]) -> None:
    """One refused address of several is enough, as at /proxy."""
    network = Pretended(names={NAME: addresses})
    finding = told(network)

    assert finding.kind == "failed"
    assert "which /proxy refuses" in finding.sentence
    assert network.asked == []


def test_dials_a_listed_network() -> None:
    """A private network is dialled where the configuration lists it."""
    network = Pretended(names={NAME: ["10.0.0.5"]}, answers=[answer(LIST)])

    assert told(network, networks=["10.0.0.0/24"]).kind == "ok"


@pytest.mark.parametrize(
    ("answers", "expected"),
    [
        ([UpstreamCertificate("It is not accepted.")], "can't be trusted: It is not accepted. For"),
        ([UpstreamTls("No TLS."), answer()], "speaks plain HTTP on port 5000: /proxy speaks https"),
        (
            [UpstreamTls("No TLS."), OSError(1, "x")],
            "completes no TLS handshake at 8.8.8.8: No TLS",
        ),
        ([UpstreamAnswer("No HTTP.")], "gives no answer of use: No HTTP."),
        (
            [ConnectionRefusedError(111, "Connection refused")],
            "does not answer at 8.8.8.8 (Connection refused): look whether the API runs",
        ),
    ],
)
def test_tells_how_an_api_fails(answers: list[Answer | Exception], expected: str) -> None:
    """Each way to fail has its sentence."""
    finding = told(Pretended(names={NAME: ["8.8.8.8"]}, answers=answers))

    assert finding.kind == "failed"
    assert finding.sentence.startswith(expected)


def test_tries_the_next_address() -> None:
    """As the service does, which tries them beside each other."""
    answers: list[Answer | Exception] = [TimeoutError("timed out"), answer(LIST)]
    network = Pretended(names={NAME: ["2600::1", "8.8.8.8"]}, answers=answers)

    assert told(network).sentence.endswith("from 8.8.8.8")


def test_a_name_without_an_address_is_told() -> None:
    """Not the end of it all."""
    assert told(Pretended()).sentence.startswith("has no address (Name or service not known): ")


@pytest.mark.parametrize("pattern", ["*.example.org", "glance.example.org"])
def test_dials_nothing_without_a_port(pattern: str) -> None:
    """Which hosts a pattern means, or which port, is a guess."""
    network = Pretended(names={"glance.example.org": ["8.8.8.8"]})

    assert told(network, allow=[pattern]).kind == "note"
    assert network.asked == []


@pytest.mark.parametrize(("verify", "mode"), [(True, ssl.CERT_REQUIRED), (False, ssl.CERT_NONE)])
def test_verifies_as_the_proxy_does(verify: bool, mode: ssl.VerifyMode) -> None:
    """What /proxy would refuse is refused, what it would take is taken."""
    network = Pretended(names={NAME: ["8.8.8.8"]}, answers=[answer(LIST)])
    told(network, verify=verify)
    [question] = network.asked

    assert isinstance(question, Question)
    assert question.context is not None
    assert question.context.verify_mode == mode


def test_tells_a_wrong_trust_file() -> None:
    """Without its trust no API can be tried."""
    finding = told(Pretended(), ca_file="/nonexistent/ca.pem")

    assert (finding.kind, finding.subject) == ("failed", "main.proxy.ca_file")


def test_a_switched_off_proxy_has_no_apis() -> None:
    """Nothing is dialled for `proxy: null`."""
    settings = Settings.model_validate({"main": {"hostname": "my.example.org", "proxy": None}})

    assert list(findings(settings, Pretended(), {})) == []
