"""The cases that a mode's own rules decide, put to that mode."""

from ipaddress import ip_network
from pathlib import Path

import pytest

from cases import REQUESTS, Case
from exoproxy.client.tree import Tree
from exoproxy.errors import ProxyError
from exoproxy.main import CloudProxy, MainSite
from exoproxy.proxy.decision import Decision, Forward, Reply
from exoproxy.rules.cors import Origins
from exoproxy.rules.egress import AllowList, Policy
from exoproxy.uap import UapSite
from exoproxy.wire.fields import Field
from heads import peer
from messages import Message, read_message
from wire_reading import read_requests

INSTANCE = b"Host: http-192-168-0-5-80.a\r\n"
# What a site adds by its own rules, which have their own tests.
ADDED = (b"via", b"x-forwarded-")


@pytest.fixture(name="main")
def main_site(tmp_path: Path) -> MainSite:
    (tmp_path / "index.html").write_text("<p>client")
    proxy = CloudProxy(
        path="/proxy",
        allow=AllowList.parse(["b:443"]),
        any_public=False,
        policy=Policy(networks=(), public=True),
        verify=True,
        merge_slashes=True,
        compress=True,
    )
    return MainSite(hostname="a", tree=Tree(tmp_path), origins=Origins.parse([]), proxy=proxy)


@pytest.fixture(name="uap")
def uap_site() -> UapSite:
    policy = Policy(networks=(ip_network("192.168.0.0/24"),), public=False)
    return UapSite(hostname="a", policy=policy, origins=Origins.parse([]))


def of(site: str) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("case", [c for c in REQUESTS if c.site == site], ids=str)


def decided(site: MainSite | UapSite, data: bytes) -> Decision | ProxyError:
    try:
        return site.decide(read_requests([data]).heads[0], peer())
    except ProxyError as error:
        return error


def outcome(decision: Decision | ProxyError) -> tuple[int, str] | tuple[bytes, list[Field]]:
    """Return the status and code of our own answer, or target and fields of what is forwarded."""
    if isinstance(decision, ProxyError):
        return decision.status, decision.code
    if isinstance(decision, Forward):
        fields = [pair for pair in decision.fields if not pair[0].lower().startswith(ADDED)]
        return decision.target, fields
    assert isinstance(decision, Reply)
    return decision.status, ""


def wanted(case: Case, message: Message | None) -> tuple[int, str] | tuple[bytes, list[Field]]:
    if message is None:
        return case.status or 0, case.code or ""
    return message.line.split(b" ")[1], list(message.fields)


@of("main")
def test_main(case: Case, main: MainSite) -> None:
    """The main host decides as its cases say."""
    message = read_message(case.forwarded[0])[0] if case.forwarded else None

    assert outcome(decided(main, case.input)) == wanted(case, message)


@of("uap")
def test_uap(case: Case, uap: UapSite) -> None:
    """The UAP decides as its cases say; `a` stands for an instance where one is asked for."""
    message, data = None, case.input
    if case.forwarded:
        data = data.replace(b"Host: a\r\n", INSTANCE)
        message = read_message(case.forwarded[0].replace(b"Host: a\r\n", INSTANCE))[0]

    assert outcome(decided(uap, data)) == wanted(case, message)
