"""Issuing processes that are killed, stopped, or two at once leave nothing half done.

The processes that are killed come from one that has imported everything already, so that a
hundred of them fit into a minute; each is a process of its own, with the command's own code.
"""

import json
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from acme_front import AcmeFront, Fault
from acme_world import NEEDS, World
from deployment import UAP_NAME
from issuing_host import IssuingHost

pytestmark = pytest.mark.needs(*NEEDS)

# A hundred in all, a store of its own for each seed.
KILLS = 25
SEEDS = (8555, 8659, 9773, 2136)

# Reads lines of arguments, and writes the id of the process that runs the command, then how it
# ended (waitpid(2)).
NURSERY = """
import json, os, sys
import exoproxy.cert
import exoproxy.certs.dns.cloudflare
from exoproxy.cli import main
for line in sys.stdin:
    child = os.fork()
    if not child:
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        try:
            os._exit(main(json.loads(line)))
        finally:
            os._exit(70)
    print(child, flush=True)
    print(os.waitpid(child, 0)[1], flush=True)
"""


@pytest.fixture
def front(world: World) -> Iterator[AcmeFront]:
    with AcmeFront(world.pebble, world.authority).running() as running:
        yield running


@pytest.fixture
def host(world: World, front: AcmeFront, tmp_path: Path) -> IssuingHost:
    made = IssuingHost(world=world, folder=tmp_path)
    made.configure(directory=front.directory, ca_file=str(front.ca_file))
    return made


@contextmanager
def nursery(log: Path) -> Iterator[subprocess.Popen[str]]:
    """Start the process that the others come from."""
    with (
        log.open("w") as said,
        subprocess.Popen(  # noqa: S603 - this interpreter
            [sys.executable, "-c", NURSERY],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=said,
            text=True,
        ) as process,
    ):
        yield process
        assert process.stdin is not None
        process.stdin.close()


def born(mother: subprocess.Popen[str], *arguments: str) -> int:
    """Start a command; returns the id of its process."""
    assert mother.stdin is not None
    assert mother.stdout is not None
    mother.stdin.write(json.dumps(arguments) + "\n")
    mother.stdin.flush()
    return int(mother.stdout.readline())


def ended(mother: subprocess.Popen[str]) -> int:
    """Wait for the command's end; returns its exit code, the negative signal if one killed it."""
    assert mother.stdout is not None
    return os.waitstatus_to_exitcode(int(mother.stdout.readline()))


@pytest.mark.parametrize("seed", SEEDS)
def test_killed_at_any_moment(host: IssuingHost, seed: int) -> None:
    """Whenever it dies, what was stored can be served, and the next one cleans up after it."""
    chance = random.Random(seed)
    renew = ("cert", "renew", UAP_NAME, "--config", str(host.config))
    said = host.folder / "said.txt"
    killed = 0
    with nursery(said) as mother:
        # The first one registers an account, too.
        for _ in range(2):
            started = time.monotonic()
            process = born(mother, *renew)
            assert ended(mother) == 0, said.read_text()
            lasts = time.monotonic() - started
        while killed < KILLS:
            known = host.stored()
            process = born(mother, *renew)
            time.sleep(chance.uniform(0, lasts))
            # It may have been faster.
            with suppress(ProcessLookupError):
                os.kill(process, signal.SIGKILL)
            killed += ended(mother) == -signal.SIGKILL
            stored = host.stored()

            assert known is not None
            assert stored is not None
            assert stored.version in (known.version, known.version + 1)
        born(mother, *renew)
        assert ended(mother) == 0, said.read_text()

    assert host.verifies()
    assert host.half_written() == []
    assert host.state().records == ()
    assert host.state().history.failures == 0
    assert host.world.name_server.left() == {}


def test_who_was_killed_has_noted_a_back_off(host: IssuingHost, front: AcmeFront) -> None:
    """A process that dies in each order does not order again and again."""
    front.faults.append(Fault("authorization", status=503, times=99))
    process = host.start("renew", "--if-due", UAP_NAME)
    until_ordered(front)
    host.kill(process)
    orders = len(front.new_orders)
    code, said = host.run("renew", "--if-due", UAP_NAME)

    assert code == 0, said
    assert "ended without a word" in said
    assert len(front.new_orders) == orders == 1


def test_a_stopped_one_cleans_up_and_is_no_failure(host: IssuingHost) -> None:
    """SIGTERM while its records are there: they go, and a person may try at once."""
    process = host.start("renew", "--if-due", UAP_NAME)
    deadline = time.monotonic() + 30
    while not host.world.name_server.left():
        assert time.monotonic() < deadline
        time.sleep(0.005)
    process.send_signal(signal.SIGTERM)
    said, _ = process.communicate(timeout=30)

    # It may have been done already.
    assert process.returncode in (128 + signal.SIGTERM, 0), said
    assert host.world.name_server.left() == {}
    assert host.state().records == ()
    assert host.state().history.failures == 0
    host.cert("issue")
    assert host.verifies()


def test_two_at_once_order_once(host: IssuingHost, front: AcmeFront) -> None:
    """The second waits for the store's lock, and finds that there is nothing left to do."""
    both = [host.start("renew", "--if-due", UAP_NAME) for _ in range(2)]
    said = [process.communicate(timeout=60)[0] for process in both]

    assert [process.returncode for process in both] == [0, 0], said
    assert len(front.new_orders) == 1
    assert host.versions() == 1
    assert host.verifies()


def test_an_answer_that_was_lost_costs_no_second_order(host: IssuingHost, front: AcmeFront) -> None:
    """The certificate exists, and the next process gets it without another order."""
    front.faults.append(Fault("finalize", cut="after", times=9))
    front.faults.append(Fault("order", cut="before", times=9))
    first, said = host.run("renew", "--if-due", UAP_NAME)
    front.faults.clear()
    second, said_then = host.run("issue")

    assert first == 1, said
    assert second == 0, said_then
    assert len(front.new_orders) == 1
    assert host.verifies()
    assert host.state().pending is None


def until_ordered(front: AcmeFront) -> None:
    """Wait until an order has reached the authority."""
    deadline = time.monotonic() + 30
    while not front.new_orders:
        assert time.monotonic() < deadline
        time.sleep(0.01)
