"""Watching the store, swapping, and starting what gets certificates; with a clock of its own."""

import asyncio
import errno
import logging
import os
import shutil
import socket
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import datetime, timedelta
from functools import partial
from hashlib import sha256
from pathlib import Path

import pytest
import uvloop
from cryptography.hazmat.primitives.serialization import Encoding

from chains import DAY, DIRECTORY, NOW, RENEWAL, Chain, chain_for
from exoproxy.certs import keeper as keeper_module
from exoproxy.certs.certbot import lineage
from exoproxy.certs.dns.provider import Record
from exoproxy.certs.issuance import Child
from exoproxy.certs.keeper import REFRESH, Issuing, Keeper
from exoproxy.certs.probe import own_listeners, probe
from exoproxy.certs.serving import Served, ServingCertificate
from exoproxy.certs.state import State, load, save
from exoproxy.certs.store import Store
from exoproxy.certs.wanted import Wanted
from exoproxy.net.caps import Caps, Slot
from exoproxy.net.listen import Acceptor, Peer
from exoproxy.net.tls import open_context
from exoproxy.rules.renewal import Ask, History, NoWindow, Renew, Wait, Window
from exoproxy.settings.sites import Certificate

NAME = "my.example.org"
HOUR = timedelta(hours=1)
WANTED = Wanted(key="main.certificate", names=(NAME,), directory=DIRECTORY)
EXPIRED = chain_for(NAME, start=NOW - 9 * DAY, end=NOW - DAY)

Act = Callable[[], object]


class Ended:
    """A child process that is over when its start returns."""

    def __init__(self, code: int) -> None:
        self.returncode: int | None = code

    async def wait(self) -> int:
        assert self.returncode is not None
        return self.returncode

    def terminate(self) -> None:
        raise AssertionError("it has ended already")

    kill = terminate


class World:
    """A store, a mode that serves from it, and an issuance process that does as a test says.

    `now` is the time of day, `clock` any seconds that go on; `pass_by` moves both. `starts` counts
    the issuance processes, and `act` is what the next ones do.
    """

    def __init__(
        self, folder: Path, certificate: Certificate = "acme", *, name: str = NAME
    ) -> None:
        self.name = name
        self.store = Store(folder / "acme")
        self.now: datetime = NOW
        self.clock = 1000.0
        self.starts = 0
        self.code = 0
        self.act: Act = lambda: None
        self.proved: list[Served] = []
        self.loads = 0
        local = folder / "local"
        self.serving = ServingCertificate(certificate, [name], local=local, store=self.store)
        self._load = self.serving.load
        self.serving.load = self._count  # type: ignore[method-assign]
        wanted = replace(WANTED, names=(name,))
        issuing = Issuing(wanted=wanted, store=self.store, start=self._start, limit=9)
        self.keeper = Keeper(
            self.serving,
            self._probed,
            issuing=issuing if certificate == "acme" else None,
            now=lambda: self.now,
            clock=lambda: self.clock,
        )

    def pass_by(self, time: timedelta) -> None:
        self.now += time
        self.clock += time.total_seconds()

    def put(self, chain: Chain | None = None) -> str:
        """Store a certificate, as anybody might, and return its fingerprint."""
        chain = chain or chain_for(self.name)
        self.store.save(self.name, key=chain.key, fullchain=chain.fullchain, renewal=RENEWAL)
        return fingerprint(chain)

    def remember(self, state: State) -> None:
        path = self.store.state_file(NAME)
        path.parent.mkdir(parents=True, exist_ok=True)
        save(path, state)

    def remembered(self) -> State:
        return load(self.store.state_file(NAME))

    def _count(self) -> Served:
        self.loads += 1
        return self._load()

    async def _start(self) -> Child:
        self.starts += 1
        self.act()
        return Ended(self.code)

    async def _probed(self, served: Served) -> None:
        self.proved.append(served)


def fingerprint(chain: Chain) -> str:
    return sha256(chain.certificate.public_bytes(Encoding.DER)).hexdigest()


async def until(condition: Callable[[], bool]) -> None:
    """Let the others have their turns until something is so."""
    async with asyncio.timeout(30):
        while not condition():  # noqa: ASYNC110 - what is waited for tells nobody
            await asyncio.sleep(0)


@pytest.fixture(autouse=True)
def quiet(caplog: pytest.LogCaptureFixture) -> Iterator[None]:
    """Fail a test that leaves an error in the log; one that expects it clears `caplog`."""
    caplog.set_level(logging.INFO)
    yield
    errors = [r.getMessage() for r in caplog.get_records("call") if r.levelno >= logging.ERROR]

    assert errors == []


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path)


class TestWatching:
    """What the store holds is served, whoever put it there."""

    async def test_a_new_version_is_served(self, world: World) -> None:
        """The first certificate, and the next, are swapped in and proved."""
        await world.keeper.look()
        assert world.serving.served.temporary
        for _ in range(2):
            stored = world.put()
            before = world.serving()
            await world.keeper.look()

            assert world.serving.served.fingerprint == stored
            assert world.serving() is not before
            assert world.proved[-1] is world.serving.served
        assert len(world.proved) == 2

    async def test_a_look_costs_next_to_nothing(
        self, world: World, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """As long as nothing changes, nothing is read and the context stays."""
        world.put()
        await world.keeper.look()
        # Called, it would raise.
        monkeypatch.setattr(keeper_module, "load", None)
        before, loads = world.serving(), world.loads
        for _ in range(9):
            world.pass_by(timedelta(seconds=5))
            await world.keeper.look()

        assert world.serving() is before
        assert world.loads == loads

    async def test_what_the_state_says_needs_no_new_context(self, world: World) -> None:
        """A process that writes its state costs no client its session."""
        world.put()
        await world.keeper.look()
        before = world.serving()
        world.remember(State(window=NoWindow(ask_at=NOW + HOUR)))
        await world.keeper.look()

        assert world.serving() is before
        assert world.loads == 1

    async def test_a_link_that_moves_is_seen(self, world: World) -> None:
        """certbot moves the links last; that alone is reason enough to look again."""
        world.put()
        await world.keeper.look()
        loads = world.loads
        link = world.store.folder / "live" / NAME / "fullchain.pem"
        link.unlink()
        link.symlink_to(world.store.folder / "archive" / NAME / "fullchain1.pem")
        await world.keeper.look()

        assert world.loads == loads + 1

    async def test_a_lineage_with_a_number_is_followed(self, world: World) -> None:
        """What certbot keeps under NAME-0001 is watched like the rest."""
        world.put()
        for place in ("archive", "live"):
            folder = world.store.folder / place
            (folder / NAME).rename(folder / f"{NAME}-0001")
        await world.keeper.look()
        stored = world.put()
        assert not (world.store.folder / "archive" / NAME).exists()
        await world.keeper.look()

        assert world.serving.served.fingerprint == stored

    async def test_a_host_name_may_end_in_a_number(self, tmp_path: Path) -> None:
        """What looks like certbot's number is part of the name here."""
        world = World(tmp_path, name="node-0001")
        world.put()
        await world.keeper.look()
        better = world.put()
        await world.keeper.look()

        assert world.serving.served.fingerprint == better

    @pytest.mark.parametrize("trouble", [errno.EMFILE, errno.ENOMEM])
    async def test_what_could_not_be_looked_at_is_looked_at_again(
        self, world: World, monkeypatch: pytest.MonkeyPatch, trouble: int
    ) -> None:
        """For want of descriptors no earlier version takes the place of the new one for good."""
        first = world.put()
        await world.keeper.look()
        second = world.put()

        def refuse(*_: object) -> bytes:
            raise OSError(trouble, os.strerror(trouble))

        with monkeypatch.context() as patched:
            patched.setattr(lineage, "read_regular", refuse)
            with pytest.raises(OSError, match=os.strerror(trouble)):
                await world.keeper.look()
        assert world.serving.served.fingerprint == first
        await world.keeper.look()

        assert world.serving.served.fingerprint == second

    async def test_a_slow_file_system_holds_nobody_up(
        self, world: World, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Everything that is asked of the store is asked in a thread."""
        main, asked = threading.get_ident(), []
        stat = Path.stat

        def seen(path: Path, **options: bool) -> os.stat_result:
            asked.append(threading.get_ident())
            return stat(path, **options)

        monkeypatch.setattr(Path, "stat", seen)
        await world.keeper.look()

        assert asked
        assert main not in asked

    async def test_the_first_lineage_may_have_a_number(self, world: World) -> None:
        """Its folder is there before its files are."""
        world.put()
        live, archive = (world.store.folder / place for place in ("live", "archive"))
        aside = archive / "aside"
        (archive / NAME).rename(aside)
        (live / NAME).rename(live / f"{NAME}-0001")
        numbered = archive / f"{NAME}-0001"
        numbered.mkdir()
        await world.keeper.look()
        assert world.serving.served.temporary
        for file in aside.iterdir():
            file.rename(numbered / file.name)
        await world.keeper.look()

        assert not world.serving.served.temporary

    async def test_half_a_version_is_not_served(self, world: World) -> None:
        """While the files are being written, the version before is served."""
        good = world.put()
        await world.keeper.look()
        world.put()
        archive = world.store.folder / "archive" / NAME
        (archive / "fullchain2.pem").rename(archive / "later.pem")
        await world.keeper.look()
        assert world.serving.served.fingerprint == good
        (archive / "later.pem").rename(archive / "fullchain2.pem")
        await world.keeper.look()

        assert world.serving.served.fingerprint != good

    async def test_a_temporary_one_is_not_made_over_and_over(self, world: World) -> None:
        """A store that changes and holds nothing that can be served changes nothing."""
        before = world.serving()
        (world.store.folder / "archive" / NAME).mkdir(parents=True)
        await world.keeper.look()

        assert world.serving() is before

    async def test_a_bad_version_is_an_error(
        self, world: World, caplog: pytest.LogCaptureFixture
    ) -> None:
        """It is not served, it is told once, and its successor is served."""
        good = world.put()
        await world.keeper.look()
        world.put(EXPIRED)
        for _ in range(3):
            await world.keeper.look()
        assert world.serving.served.fingerprint == good
        [error] = [r.getMessage() for r in caplog.records if r.levelno == logging.ERROR]
        assert error.startswith("The certificate stays as it is: The store ")
        caplog.clear()
        better = world.put()
        await world.keeper.look()

        assert world.serving.served.fingerprint == better

    @pytest.mark.parametrize("certificate", ["acme", "local"])
    async def test_each_day_brings_a_fresh_context(
        self, tmp_path: Path, certificate: Certificate
    ) -> None:
        """Session ticket keys live for a day, whoever renews the certificate."""
        world = World(tmp_path, certificate)
        if certificate == "acme":
            world.put()
        await world.keeper.look()
        before, same = world.serving(), world.serving.served.fingerprint
        world.clock += REFRESH - 1
        await world.keeper.look()
        assert world.serving() is before
        world.clock += 1
        await world.keeper.look()

        assert world.serving() is not before
        assert world.serving.served.fingerprint == same
        assert len(world.proved) == (certificate == "acme")
        loads = world.loads
        await world.keeper.look()
        assert world.loads == loads

    async def test_a_refresh_that_fails_is_tried_the_next_day(
        self, world: World, caplog: pytest.LogCaptureFixture
    ) -> None:
        """A store that is gone is told once a day, and costs nobody the certificate."""
        good = world.put()
        await world.keeper.look()
        shutil.rmtree(world.store.folder)
        for _ in range(2):
            await world.keeper.look()
        world.clock += REFRESH
        for _ in range(2):
            await world.keeper.look()

        assert len([r for r in caplog.records if r.levelno == logging.ERROR]) == 2
        assert world.serving.served.fingerprint == good
        caplog.clear()


class TestStarting:
    """When the process that gets certificates is started, and how often."""

    def succeed(self, world: World) -> Act:
        def act() -> None:
            world.put()
            world.remember(State(directory=DIRECTORY, window=NoWindow(ask_at=NOW + HOUR)))

        return act

    def fail(self, world: World, wait: timedelta) -> Act:
        def act() -> None:
            history = History(failures=1, retry_at=world.now + wait, sentence="No.")
            world.remember(State(history=history))

        return act

    async def test_an_empty_store_is_filled(self, world: World) -> None:
        """The process is started at once, and what it brings is served when it ends."""
        world.act = self.succeed(world)
        await world.keeper.issue_if_due()

        assert world.starts == 1
        assert not world.serving.served.temporary
        assert len(world.proved) == 1
        assert isinstance(world.keeper.next_action(), Wait)
        await world.keeper.issue_if_due()
        assert world.starts == 1

    @pytest.mark.parametrize(("code", "failed"), [(0, 0), (1, 1), (-9, 1)])
    async def test_tells_of_its_attempts(
        self, world: World, code: int, failed: int, caplog: pytest.LogCaptureFixture
    ) -> None:
        """Runs and failed runs are counted; what the process has written of itself is known."""
        world.code = code
        world.act = lambda: world.remember(State(history=History(failures=3, sentence="No.")))
        assert (world.keeper.runs.all, world.keeper.runs.failed) == (0, 0)
        await world.keeper.issue_if_due()

        assert (world.keeper.runs.all, world.keeper.runs.failed) == (1, failed)
        assert (world.keeper.history.failures, world.keeper.history.sentence) == (3, "No.")
        assert world.keeper.stored is None
        world.put()
        await world.keeper.look()
        assert world.keeper.stored == world.store.newest(NAME)
        caplog.clear()

    async def test_reasons_are_logged_once(
        self, world: World, caplog: pytest.LogCaptureFixture
    ) -> None:
        """The log tells what comes next, when that changes."""
        world.act = self.fail(world, HOUR)
        for _ in range(4):
            await world.keeper.issue_if_due()

        assert [text for text in caplog.messages if text.startswith("The certificate for")] == [
            f"The certificate for {NAME} is due: there is none yet",
            f"The certificate for {NAME} failed once and is tried again on "
            f"{NOW + HOUR:%Y-%m-%d %H:%M} UTC: No.",
        ]

    async def test_a_new_certificate_is_asked_about(self, world: World) -> None:
        """After a certificate the authority is asked when to renew it, and nobody is alarmed."""
        world.act = world.put
        await world.keeper.issue_if_due()
        assert isinstance(world.keeper.next_action(), Ask)
        world.act = self.succeed(world)
        await world.keeper.issue_if_due()

        assert world.starts == 2
        assert isinstance(world.keeper.next_action(), Wait)

    async def test_an_authority_that_is_never_content_is_not_asked_for_ever(
        self, world: World, caplog: pytest.LogCaptureFixture
    ) -> None:
        """One whose windows are always over gets no order after another."""
        window = Window(start=NOW - 2 * DAY, end=NOW, picked=NOW - DAY, ask_at=NOW + HOUR)

        def act() -> None:
            if isinstance(world.keeper.next_action(), Ask):
                world.remember(State(directory=DIRECTORY, window=window))
            else:
                world.put()
                world.remember(State(directory=DIRECTORY))

        world.act = act
        for _ in range(60):
            world.pass_by(timedelta(seconds=5))
            await world.keeper.issue_if_due()

        # A certificate, a question, and after 5 minutes another certificate.
        assert world.starts <= 3
        assert "is due since" in caplog.text
        caplog.clear()

    async def test_the_stored_back_off_is_kept(self, world: World) -> None:
        """After a failure nothing is started before the time that was stored, by whomever."""
        world.act = self.fail(world, HOUR)
        await world.keeper.issue_if_due()
        world.pass_by(HOUR - timedelta(seconds=1))
        await world.keeper.issue_if_due()
        assert world.starts == 1
        world.pass_by(timedelta(seconds=1))
        await world.keeper.issue_if_due()

        assert world.starts == 2

    async def test_another_host_may_be_first(self, world: World) -> None:
        """What others put into the store is served, and nothing is started."""
        self.succeed(world)()
        await world.keeper.issue_if_due()

        assert world.starts == 0
        assert not world.serving.served.temporary

    @pytest.mark.parametrize("code", [0, 1, -9])
    async def test_a_process_that_changes_nothing_is_not_started_over_and_over(
        self, world: World, code: int, caplog: pytest.LogCaptureFixture
    ) -> None:
        """Pauses grow: 1, 5, 15 minutes, 10 % more or less, and an error each."""
        world.code = code
        await world.keeper.issue_if_due()
        for starts, minutes in ((1, 1), (2, 5), (3, 15)):
            world.pass_by(timedelta(minutes=minutes) * 0.89)
            await world.keeper.issue_if_due()
            assert world.starts == starts
            world.pass_by(timedelta(minutes=minutes) * 0.22)
            await world.keeper.issue_if_due()
            assert world.starts == starts + 1

        errors = [r.getMessage() for r in caplog.records if r.levelno == logging.ERROR]
        assert len(errors) == 4
        assert f"the process that gets it has just ended with exit code {code}." in errors[0]
        assert errors[0].endswith(f"Run `exoproxy cert renew {NAME}` to see what is wrong")
        caplog.clear()

    async def test_a_process_that_does_not_start_is_told(
        self, world: World, caplog: pytest.LogCaptureFixture
    ) -> None:
        """And tried again after a pause."""

        def refuse() -> None:
            raise OSError(11, "Resource temporarily unavailable")

        world.act = refuse
        for _ in range(3):
            await world.keeper.issue_if_due()

        assert world.starts == 1
        assert (world.keeper.runs.all, world.keeper.runs.failed) == (1, 1)
        assert "there is none yet, and the process that gets it could not be started" in caplog.text
        caplog.clear()

    async def test_the_pause_ends_with_the_need(
        self, world: World, caplog: pytest.LogCaptureFixture
    ) -> None:
        """Once there was nothing to do, the next need is met at once."""
        for _ in range(2):
            await world.keeper.issue_if_due()
        caplog.clear()
        self.succeed(world)()
        await world.keeper.issue_if_due()
        assert world.starts == 1
        shutil.rmtree(world.store.folder / "archive")
        world.act = self.succeed(world)
        await world.keeper.issue_if_due()

        assert world.starts == 2
        caplog.clear()

    async def test_an_expired_certificate_is_served_and_renewed(self, tmp_path: Path) -> None:
        """It is better than a temporary one, and on its way out."""
        world = World(tmp_path)
        world.put(EXPIRED)
        world.act = self.succeed(world)
        await world.keeper.look()
        assert world.serving.served.fingerprint == fingerprint(EXPIRED)
        assert isinstance(world.keeper.next_action(), Renew)

    async def test_others_certificates_are_not_renewed(self, tmp_path: Path) -> None:
        """A local certificate, or one from files, starts no process."""
        world = World(tmp_path, "local")
        await world.keeper.issue_if_due()

        assert world.starts == 0
        assert world.keeper.next_action() is None

    async def test_records_that_were_left_are_removed_at_the_start(self, world: World) -> None:
        """A process that was killed left them; the next one is started for that, once."""
        world.put()
        record = Record(zone="example.org", name=f"_acme-challenge.{NAME}", value="v")
        window = NoWindow(ask_at=NOW + HOUR)
        world.remember(State(directory=DIRECTORY, window=window, records=(record,)))
        for _ in range(3):
            await world.keeper.issue_if_due()

        assert world.starts == 1


class TestLife:
    """From start to stop."""

    async def test_runs_until_it_is_stopped(
        self, world: World, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """It looks again and again, one process at a time, and leaves no task."""
        monkeypatch.setattr(keeper_module, "EVERY", 0)
        running = asyncio.Event()
        ended = asyncio.Event()
        told: list[str] = []

        class Endless(Ended):
            async def wait(self) -> int:
                running.set()
                await ended.wait()
                self.returncode = 0
                return 0

            def terminate(self) -> None:
                told.append("terminate")
                ended.set()

        async def start() -> Child:
            assert not running.is_set()
            child = Endless(0)
            child.returncode = None
            return child

        assert world.keeper._issuing is not None
        world.keeper._issuing = replace(world.keeper._issuing, start=start)
        world.keeper.start()
        await running.wait()
        stored = world.put()
        await until(lambda: world.serving.served.fingerprint == stored)
        await world.keeper.stop()

        assert told == ["terminate"]
        assert asyncio.all_tasks() == {asyncio.current_task()}

    async def test_goes_on_after_a_surprise(
        self, world: World, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
    ) -> None:
        """Whatever goes wrong in one look, the next one takes place."""
        monkeypatch.setattr(keeper_module, "EVERY", 0)
        world.remember(State(history=History(failures=1, retry_at=NOW + HOUR, sentence="No.")))
        load, surprises = world.serving.load, iter([MemoryError("surprise")])

        def surprise() -> Served:
            for error in surprises:
                raise error
            return load()

        world.serving.load = surprise  # type: ignore[method-assign]
        stored = world.put()
        world.keeper.start()
        await until(lambda: "surprise" in caplog.text)
        stored = world.put()
        await until(lambda: world.serving.served.fingerprint == stored)
        await world.keeper.stop()

        assert "Looking after the certificate failed; it goes on" in caplog.text
        caplog.clear()


@pytest.mark.parametrize(
    "loop", [uvloop.new_event_loop, asyncio.new_event_loop], ids=["uvloop", "asyncio"]
)
def test_swaps_under_handshakes(
    world: World, loop: Callable[[], asyncio.AbstractEventLoop]
) -> None:
    """Twenty swaps while clients connect: no handshake fails, and each swap is proved."""
    with asyncio.Runner(loop_factory=loop) as runner:
        runner.run(swap_under_handshakes(world))


async def swap_under_handshakes(world: World) -> None:
    sock = socket.create_server(("127.0.0.1", 0), backlog=100)
    address = sock.getsockname()

    def factory(_: Peer, slot: Slot) -> asyncio.Protocol:
        slot.release()
        return asyncio.Protocol()

    acceptor = Acceptor(
        sock, context=world.serving, factory=factory, caps=Caps(total=99, per_client=99)
    )
    acceptor.start()
    listeners = own_listeners([sock], proxy_protocol=False, trusted=[])
    probes: list[bool] = []

    async def check(served: Served) -> None:
        probes.append(await probe(listeners, NAME, served))

    world.keeper._probe = check
    done = asyncio.Event()
    seen: list[str] = []

    async def connect_on_and_on() -> None:
        loop = asyncio.get_running_loop()
        context = open_context()
        while not done.is_set():
            transport, _ = await loop.create_connection(
                asyncio.Protocol, *address, ssl=context, server_hostname=NAME
            )
            der = transport.get_extra_info("ssl_object").getpeercert(binary_form=True)
            seen.append(sha256(der).hexdigest())
            transport.close()

    def came(number: int) -> bool:
        return len(seen) >= number or any(client.done() for client in clients)

    clients = [asyncio.get_running_loop().create_task(connect_on_and_on()) for _ in range(4)]
    try:
        stored = []
        for _ in range(20):
            stored.append(world.put())
            await world.keeper.look()
            enough = len(seen) + 15
            await until(partial(came, enough))
    finally:
        done.set()
        results = await asyncio.gather(*clients, return_exceptions=True)
        await acceptor.close()

    assert results == [None] * 4
    assert acceptor.handshake_failures == 0
    assert probes == [True] * 20
    assert len(seen) >= 300
    assert seen[-1] == stored[-1]
    assert set(stored) <= set(seen)
