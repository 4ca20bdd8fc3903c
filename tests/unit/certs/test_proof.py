"""Proof of the names: what is there while the authority looks, and that it goes whatever happens.

DNS and its provider are scripted here; with real ones all of it is tried by the whole command.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from exoproxy.certs import http_01
from exoproxy.certs import proof as module
from exoproxy.certs.acme.order import Challenge
from exoproxy.certs.dns.provider import Record
from exoproxy.certs.dns.zones import Place
from exoproxy.certs.problem import IssuanceProblem
from exoproxy.certs.proof import Proof, proof_of
from exoproxy.settings.acme import Acme

ZONE, HOST = "example.org", "proxy.example.org"
RECORD = f"_acme-challenge.{HOST}"
TOKEN = "a" * 43


class StopError(BaseException):
    """What a signal raises."""


class World:
    """The zone, the journal, and what happened in which order.

    `forbids` is the sentence on a CAA record for a name, `waits` is raised while servers are asked,
    `refuses` by the provider instead of a removal.
    """

    def __init__(self) -> None:
        self.values: list[str] = []
        self.journal: tuple[Record, ...] = ()
        self.events: list[str] = []
        self.forbids: dict[str, str] = {}
        self.waits: BaseException | None = None
        self.refuses: BaseException | None = None
        self.awaited: dict[Place, Sequence[str]] = {}

    # The provider's part.
    def check(self, zone: str) -> None:
        self.events.append(f"check {zone}")

    def publish(self, record: Record) -> Record:
        self.values.append(record.value)
        return replace(record, id="7")

    def remove(self, record: Record) -> None:
        if self.refuses is not None:
            refusal, self.refuses = self.refuses, None
            raise refusal
        if record.value in self.values:
            self.values.remove(record.value)

    # The DNS's.
    def place_of(self, name: str) -> Place:
        return Place(zone=ZONE, name=name)

    def forbidden(
        self, _dns: object, name: str, wildcard: bool, identities: Sequence[str], method: str
    ) -> str | None:
        self.events.append(f"caa {'*.' * wildcard}{name} {' '.join(identities)} {method}")
        return self.forbids.get(name)

    def wait(
        self, _dns: object, values: Mapping[Place, Sequence[str]], *, timeout: float, **_: object
    ) -> None:
        self.events.append(f"wait {timeout:.0f}")
        self.awaited = {place: tuple(each) for place, each in values.items()}
        if self.waits is not None:
            raise self.waits

    def note(self, records: tuple[Record, ...]) -> None:
        self.journal = records

    def proof(self, tmp_path: Path, **settings: object) -> Proof:
        acme = Acme.model_validate({"dns": {"propagation_timeout": 77}, **settings})
        return proof_of(acme, tmp_path / "http-01", self.note, lambda _: None)


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch) -> World:
    made = World()
    monkeypatch.setattr(module, "Dns", lambda _resolvers: made)
    monkeypatch.setattr(module, "provider_of", lambda *_: made)
    monkeypatch.setattr(module, "forbidden", made.forbidden)
    monkeypatch.setattr(module, "wait_until_visible", made.wait)
    return made


def challenge(value: str) -> Challenge:
    return Challenge(
        kind="dns-01", domain=HOST, token=TOKEN, value=value, record=RECORD, url=f"/{value}"
    )


def left(value: str) -> Record:
    return Record(zone=ZONE, name=RECORD, value=value, id="1")


class TestByDns:
    """Records at the provider."""

    def test_all_are_there_while_the_authority_looks(self, world: World, tmp_path: Path) -> None:
        """The host's value and the wildcard's share a name, and are waited for together."""
        with world.proof(tmp_path).published([challenge("a"), challenge("b")]):
            assert world.values == ["a", "b"]
            assert [record.value for record in world.journal] == ["a", "b"]

        assert world.awaited == {Place(zone=ZONE, name=RECORD): ("a", "b")}
        assert world.events == ["wait 77"]
        assert (world.values, world.journal) == ([], ())

    @pytest.mark.parametrize("problem", [IssuanceProblem("No server has it."), StopError()])
    def test_they_go_if_they_are_not_seen(
        self, world: World, tmp_path: Path, problem: BaseException
    ) -> None:
        """A wait that fails, or is ended by a signal, leaves nothing."""
        world.waits = problem
        with pytest.raises(type(problem)), world.proof(tmp_path).published([challenge("a")]):
            pytest.fail("nobody may look")

        assert (world.values, world.journal) == ([], ())

    def test_they_go_if_the_authority_refuses(self, world: World, tmp_path: Path) -> None:
        """What goes wrong while they are there is told after they are gone."""
        with (
            pytest.raises(IssuanceProblem, match="refused"),
            world.proof(tmp_path).published([challenge("a")]),
        ):
            raise IssuanceProblem("It refused.")

        assert (world.values, world.journal) == ([], ())

    def test_a_signal_waits_for_the_removal(self, world: World, tmp_path: Path) -> None:
        """What comes while records are removed is raised when they are."""
        world.refuses = StopError()
        with pytest.raises(StopError), world.proof(tmp_path).published([challenge("a")]):
            pass

        assert (world.values, world.journal) == ([], ())

    def test_what_an_earlier_process_left_goes_first(self, world: World, tmp_path: Path) -> None:
        """The journal of a process that was killed is seen to before anything else."""
        world.values = ["left"]
        world.proof(tmp_path).tidy((left("left"),))

        assert (world.values, world.journal) == ([], ())

    def test_a_signal_during_that_is_not_lost(self, world: World, tmp_path: Path) -> None:
        """The process ends after it has tidied up."""
        world.values = ["left"]
        world.refuses = StopError()
        with pytest.raises(StopError):
            world.proof(tmp_path).tidy((left("left"),))

        assert (world.values, world.journal) == ([], ())

    def test_what_stays_is_not_forgotten(
        self, world: World, tmp_path: Path, caplog: pytest.LogCaptureFixture
    ) -> None:
        """A record that can't be removed is told, and stays in the journal through the proof."""
        world.values = ["left"]
        proof = world.proof(tmp_path)
        # Once for each of the two times that it is tried.
        refusals = [IssuanceProblem("No."), IssuanceProblem("No.")]
        world.refuses, remove = refusals.pop(), world.remove

        def refused(record: Record) -> None:
            try:
                remove(record)
            finally:
                world.refuses = refusals.pop() if refusals else None

        world.remove = refused  # type: ignore[method-assign]
        proof.tidy((left("left"),))
        with proof.published([challenge("a")]):
            assert [record.value for record in world.journal] == ["left", "a"]

        assert [record.value for record in world.journal] == ["left"]
        assert f"The TXT record {RECORD} may still be in the zone {ZONE}" in caplog.text

    def test_what_forbids_is_found_before(self, world: World, tmp_path: Path) -> None:
        """CAA is asked for each name as it is, then each zone whether it can be written, once."""
        world.proof(tmp_path).check([HOST, f"*.{HOST}"], ["ca.example"])

        assert world.events == [
            f"caa {HOST} ca.example dns-01",
            f"caa *.{HOST} ca.example dns-01",
            f"check {ZONE}",
        ]
        world.forbids[HOST] = "The CAA record forbids it."
        with pytest.raises(IssuanceProblem, match="The CAA record forbids it"):
            world.proof(tmp_path).check([HOST], [])


class TestByHttp:
    """Files for the main host's plain port."""

    def test_answers_are_there_while_the_authority_looks(
        self, world: World, tmp_path: Path
    ) -> None:
        """And go whatever happens; the DNS has no part in it."""
        proof = world.proof(tmp_path, challenge="http-01")
        asked = replace(challenge(f"{TOKEN}.{'t' * 43}"), kind="http-01", record="")
        seen = []

        def look() -> None:
            seen.append(http_01.answer(tmp_path / "http-01", TOKEN))
            raise StopError

        with pytest.raises(StopError), proof.published([asked]):
            look()

        assert seen == [asked.value.encode()]
        assert http_01.answer(tmp_path / "http-01", TOKEN) is None
        assert world.events == []

    def test_nothing_can_be_found_before(self, world: World, tmp_path: Path) -> None:
        """Neither CAA nor what dns-01 left is its business."""
        proof = world.proof(tmp_path, challenge="http-01")
        proof.tidy((left("left"),))
        proof.check([HOST], [])

        assert proof.kind == "http-01"
        assert world.events == []
