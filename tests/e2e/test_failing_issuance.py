"""What goes wrong at the authority, at Cloudflare or in the DNS ends in a sentence and a back-off.

Each time the real command runs as the keeper starts it. Then it is left alone: it must not order
again. Then the fault is gone and a person asks: there is a certificate, and no record is left.
"""

import re
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from acme_front import AcmeFront, Fault
from acme_world import NEEDS, ZONE, World
from cloudflare_api import CloudflareApi, Permissions, Updates
from deployment import UAP_NAME
from issuing_host import IssuingHost, logged
from name_servers import KEY_NAME

pytestmark = pytest.mark.needs(*NEEDS)

SENTENCE = re.compile(r"[^\n]{20,700}[.!?]")


# As long as real ones.
def token(name: str) -> str:
    return f"{name:_<40}"


TOKENS = {
    token("works"): Permissions(),
    token("other-zone"): Permissions(zones=frozenset({"challenges.example.net"})),
    token("no-zone-read"): Permissions(zone_read=False),
    token("read-only"): Permissions(dns_edit=False),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Scene:
    """A host, with an authority and a Cloudflare of its own that can be told to fail."""

    host: IssuingHost
    front: AcmeFront
    cloudflare: CloudflareApi

    def configure(self, name: str = "works") -> None:
        """Give the host a token, and what leads to these servers."""
        file = self.host.folder / "token"
        file.touch(0o600)
        file.write_text(token(name), "ascii")
        self.host.configure(
            directory=self.front.directory,
            ca_file=str(self.front.ca_file),
            dns={"token_file": str(file), "api_url": self.cloudflare.url},
        )


@pytest.fixture
def scene(world: World, tmp_path: Path) -> Iterator[Scene]:
    with ExitStack() as started:
        address = world.name_server.address
        front = started.enter_context(AcmeFront(world.pebble, world.authority).running())
        cloudflare = started.enter_context(
            CloudflareApi(
                dict(world.cloudflare.zones),
                tokens=TOKENS,
                backend=Updates(address, 53, key=KEY_NAME, secret=world.name_server.secret),
            )
        )
        host = IssuingHost(world=world, folder=tmp_path)
        yield Scene(host=host, front=front, cloudflare=cloudflare)
        world.name_server.delete(ZONE, "CAA")


@dataclass(frozen=True, slots=True, kw_only=True)
class Failure:
    """What is broken, how, and what the sentence must hold for the operator.

    `repeats`: the fault holds for requests, so that some of them are used up; `after` is then
    how long the authority asked to wait, in seconds.
    """

    name: str
    tells: str
    breaks: Callable[[Scene], object]
    token: str = "works"
    waits: float = 50.0


def at_the_authority(resource: str, **fault: object) -> Callable[[Scene], object]:
    def breaks(scene: Scene) -> None:
        scene.front.faults.append(Fault(resource, **fault))  # type: ignore[arg-type]

    return breaks


FAILURES = [
    Failure(
        name="the authority limits the rate",
        tells="too many",
        breaks=at_the_authority(
            "newOrder",
            status=429,
            error="rateLimited",
            detail="too many certificates already issued",
            fields={"Retry-After": "3600"},
        ),
        waits=3590,
    ),
    Failure(
        name="the authority is busy",
        tells="try again later",
        breaks=at_the_authority("newOrder", status=503, times=99, fields={"Retry-After": "120"}),
        waits=115,
    ),
    Failure(
        name="a portal answers for the authority",
        tells="acme.directory",
        breaks=at_the_authority(
            "directory", status=200, body=b"<html>log in</html>", content_type="text/html", times=9
        ),
    ),
    Failure(
        name="the authority refuses the name",
        tells="policy",
        breaks=at_the_authority(
            "newOrder", error="rejectedIdentifier", detail="forbidden by policy"
        ),
    ),
    Failure(
        name="the connection is cut before the certificate is asked for",
        tells="connection",
        breaks=at_the_authority("finalize", cut="before", times=9),
    ),
    Failure(
        name="a wrong token",
        tells="token",
        breaks=lambda scene: None,
        token="unknown",
    ),
    Failure(
        name="a token for another zone",
        tells=ZONE,
        breaks=lambda scene: None,
        token="other-zone",
    ),
    Failure(
        name="a token that may not list zones",
        tells="Zone / Zone / Read",
        breaks=lambda scene: None,
        token="no-zone-read",
    ),
    Failure(
        name="a token that may not write",
        tells="Edit",
        breaks=lambda scene: None,
        token="read-only",
    ),
    Failure(
        name="Cloudflare answers with a page",
        tells="Cloudflare",
        breaks=lambda scene: scene.cloudflare.fail(
            "GET", 200, body="<html>log in</html>", content_type="text/html", times=9
        ),
    ),
    Failure(
        name="Cloudflare blocks for five minutes",
        tells="Cloudflare",
        breaks=lambda scene: scene.cloudflare.fail(
            "GET", 429, 971, "Please wait", headers={"retry-after": "300"}, times=9
        ),
        waits=290,
    ),
    Failure(
        name="a CAA record forbids",
        tells="CAA",
        breaks=lambda scene: scene.host.world.name_server.add(ZONE, "CAA", '0 issue ";"'),
    ),
]


@pytest.mark.parametrize("failure", FAILURES, ids=lambda failure: failure.name)
def test_a_failure_ends_in_a_sentence_and_a_back_off(scene: Scene, failure: Failure) -> None:
    """Nothing is half done, nothing is tried again too early, and then it works."""
    scene.configure(failure.token)
    failure.breaks(scene)
    code, said = scene.host.run("renew", "--if-due", UAP_NAME)
    history = scene.host.state().history

    assert code == 1, said
    assert logged(said, "ERROR") == [f"{UAP_NAME}: {history.sentence}"]
    assert SENTENCE.fullmatch(history.sentence)
    assert failure.tells in history.sentence
    assert history.failures == 1
    assert history.retry_at is not None
    waits = history.retry_at - datetime.now(UTC)
    assert waits > timedelta(seconds=failure.waits - 10)
    assert scene.host.stored() is None
    assert scene.host.half_written() == []
    assert scene.host.world.name_server.left() == {}

    requests = len(scene.front.requests), len(scene.cloudflare.calls)
    code, said = scene.host.run("renew", "--if-due", UAP_NAME)

    assert (code, logged(said, "ERROR")) == (0, [])
    assert history.sentence in logged(said, "INFO")[-1]
    assert (len(scene.front.requests), len(scene.cloudflare.calls)) == requests

    scene.front.faults.clear()
    scene.cloudflare.forget_troubles()
    scene.host.world.name_server.delete(ZONE, "CAA")
    scene.configure()
    code, said = scene.host.run("issue")

    assert code == 0, said
    assert scene.host.verifies()
    assert scene.host.state().history.failures == 0
    assert scene.host.world.name_server.left() == {}
